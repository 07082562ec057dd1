"""A cell library small enough to calculate by hand, and nets counted by Icarus instead of by us."""

from pathlib import Path

import numpy as np
import pytest

from hwsim.gates.liberty import read_liberty
from hwsim.gates.simulator import stimulus
from hwsim.gates.verilog import cut_sources, gate_verilog
from hwsim.rtl import tools

OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")

# 2 V, pF: a pin of 0.001 pF is 1 fF, an internal energy of 0.003 is 0.003 V²·pF = 3 fJ.
TINY = """
/* a comment
   of two lines */
library (tiny) {
  voltage_unit : "1V"; capacitive_load_unit (1, pf); leakage_power_unit : "1uW"; nom_voltage : 2.0;
  define (odd, cell, string);
  lu_table_template (t) { variable_1 : x; index_1 ("1, 2"); }
  cell (INV) { area : 1; cell_leakage_power : 0.5;
    pin (A) { direction : input; capacitance : 0.001; }
    pin (Y) { direction : output; function : "A'"; timing () { values ("ignored { no"); }
      internal_power () { rise_power (t) { values ("1, 0.002", "5, 0.001"); }
        fall_power (t) { values ("1, 2", "3, 0.005"); } } } }
  cell ("NAND2") { area : 2.5;
    leakage_power () { value : 0.25; when : "A"; } leakage_power () { value : 0.75; }
    pin (A, B) { direction : input; capacitance : 0.002; }
    pin (Y) { direction : output; function : "(A B)'"; internal_power () { power (t) { values ("0.010"); } } } }
  cell (XOR2) { area : 4;
    pin (A) { direction : input; capacitance : 0.003; } pin (B) { direction : input; capacitance : 0.003; }
    pin (Y) { direction : output; function : "A^B"; } }
  cell (ADD) { area : 9;
    pin (A) { direction : input; capacitance : 0.004; } pin (B) { direction : input; capacitance : 0.004; }
    pin (CO) { direction : output; function : "A&B"; } pin (S) { direction : output; function : "A^B"; } }
  cell (FLIP) { area : 8; cell_leakage_power : 1;
    ff (IQ, IQN) { clocked_on : "CK"; next_state : "D"; }
    pin (D) { direction : input; capacitance : 0.001; internal_power () { power (t) { values ("0.002"); } } }
    pin (CK) { direction : input; clock : true; capacitance : 0.005;
      internal_power () { power (t) { values ("0.004"); } } }
    pin (Q) { direction : output; function : "IQ"; internal_power () { power (t) { values ("0.006"); } } }
    pin (QN) { direction : output; function : "IQN"; } }
  cell (FLIPE) { area : 12;
    ff (IQ, IQN) { clocked_on : "CK"; next_state : "(E*D)+(E'*IQ)"; clear : "R'"; preset : "S"; }
    pin (D) { direction : input; } pin (E) { direction : input; } pin (R) { direction : input; }
    pin (S) { direction : input; } pin (CK) { direction : input; }
    pin (QN) { direction : output; function : "IQN"; } }
  cell (HOLD) { area : 5; latch (IQ, IQN) { enable : "G"; data_in : "D"; }
    pin (D) { direction : input; } pin (G) { direction : input; } pin (Q) { direction : output; function : "IQ"; } }
}
"""


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.lib"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny(tiny_path):
    return read_liberty(tiny_path)


@pytest.fixture(scope="session")
def hwsim45():
    return read_liberty()


@pytest.fixture(scope="session")
def osu018():
    if not OSU018.is_file():
        pytest.skip("needs Debian's qflow-tech-osu018")
    return read_liberty(OSU018)


def make_module(ports, cells, netnames=None):
    """A module as in Yosys' JSON: ports name -> (direction, bits), cells name -> (type, {pin: bit})."""
    return {
        "ports": {name: {"direction": way, "bits": bits} for name, (way, bits) in ports.items()},
        "cells": {
            name: {"type": kind, "connections": {pin: [bit] for pin, bit in pins.items()}}
            for name, (kind, pins) in cells.items()
        },
        "netnames": {name: {"bits": bits, "hide_name": 0} for name, bits in (netnames or {}).items()},
    }


@pytest.fixture(scope="session")
def module():
    return make_module


@pytest.fixture(scope="session")
def icarus_toggles():
    """Transitions of every net, int64 [nets], from Icarus' waveform of the same gates on the same vectors."""
    if not tools.available("iverilog", "vvp"):
        pytest.skip("needs iverilog")

    def count(netlist, streams, *, unit_delay, states=None):
        packed = stimulus(netlist, streams, states=states)
        cycles = packed.cycles
        bits = np.unpackbits(packed.rows[:, 1:].view(np.uint8), axis=1, bitorder="little")[:, :cycles]
        flips = [flip for register in netlist.registers for _, flip in register.q]
        bits[len(bits) - len(flips) :] ^= np.array(flips, np.uint8).reshape(-1, 1)
        lines = ["".join("01"[bit] for bit in column[::-1]) for column in bits.T]
        bench = f"""module tb;
          reg [{len(bits) - 1}:0] vectors [0:{cycles - 1}]; reg [{len(bits) - 1}:0] source; integer i;
          gates dut(source);
          initial begin
            $readmemb("vectors", vectors);
            for (i = 0; i < {cycles}; i = i + 1) begin source = vectors[i]; #1000; end
            $finish;
          end
        endmodule"""
        counted = tools.count_toggles(
            gate_verilog(netlist, unit_delay=unit_delay),
            bench,
            "tb.dut",
            start=500,
            files={"vectors": "\n".join(lines)},
        )
        assert len(cut_sources(netlist)) == len(bits)
        return np.array([counted.get(f"n{net}", 0) for net in range(len(netlist.nets))])

    return count

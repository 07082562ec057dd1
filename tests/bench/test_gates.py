"""Gate simulation: the promised rates on one core, and Icarus Verilog with a waveform on the same vectors.

A rate is shown as a ratio to the time that the promised number of gate evaluations may take.
"""

import time

import numpy as np
import pytest

from hwsim.gates.liberty import DEFAULT_LIBERTY, read_liberty
from hwsim.gates.netlist import build_netlist
from hwsim.gates.simulator import count, simulate_operands, stimulus
from hwsim.gates.verilog import gate_verilog
from hwsim.rtl import tools

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not tools.available(), reason="needs yosys and iverilog"),
]

MULTIPLIER = "module mul(input signed [7:0] a, b, output signed [15:0] p); assign p = a * b; endmodule"
LANES = "".join(f"mul m{i}(.a(a[{8 * i}+:8]), .b(b[{8 * i}+:8]), .p(p[{16 * i}+:16]));" for i in range(16))
WIDE = f"{MULTIPLIER} module wide(input [127:0] a, b, output [255:0] p); {LANES} endmodule"
PROMISED = {"zero": 5e10, "unit": 2e10}  # gate evaluations a second on one core


@pytest.fixture(scope="module")
def circuits():
    library = read_liberty()
    return {
        top: build_netlist(tools.synthesize(text, top, DEFAULT_LIBERTY).netlist, library, top)
        for text, top in ((MULTIPLIER, "mul"), (WIDE, "wide"))
    }


@pytest.mark.parametrize("delay", ["zero", "unit"])
@pytest.mark.parametrize(("top", "cycles", "columns"), [("mul", 1 << 20, 1), ("wide", 1 << 16, 16)])
def test_gate_evaluations_on_one_core(bench, circuits, monkeypatch, rng, delay, top, cycles, columns):
    monkeypatch.setenv("HWSIM_NUM_THREADS", "1")
    netlist = circuits[top]
    streams = {port: rng.integers(-128, 128, (cycles, columns), dtype=np.int64) for port in "ab"}
    packed = stimulus(netlist, streams)
    budget_s = count(packed, delay).gate_evaluations / PROMISED[delay]
    bench.compare(
        f"{delay}-delay toggles, {len(netlist.gates)} gates, {cycles} vectors",
        {
            "hwsim": lambda: count(packed, delay),
            f"{PROMISED[delay]:.0e} gate evaluations/s": lambda: time.sleep(budget_s),
        },
        baseline=f"{PROMISED[delay]:.0e} gate evaluations/s",
        bound=1.0,
    )


def test_icarus_with_a_waveform(bench, circuits, monkeypatch, rng):
    monkeypatch.setenv("HWSIM_NUM_THREADS", "1")
    netlist, cycles = circuits["mul"], 1 << 12
    streams = {port: rng.integers(-128, 128, cycles) for port in "ab"}
    words = "\n".join(f"{(b & 255) << 8 | a & 255:04x}" for a, b in zip(streams["a"], streams["b"], strict=True))
    testbench = f"""module tb; reg [15:0] v [0:{cycles - 1}]; reg [15:0] s; integer i; gates dut(s);
      initial begin $readmemh("v", v); for (i = 0; i < {cycles}; i = i + 1) begin s = v[i]; #100; end $finish; end
    endmodule"""
    text = gate_verilog(netlist, unit_delay=True)
    bench.compare(
        f"unit-delay toggles of a multiplier, {cycles} vectors",
        {
            "hwsim": lambda: simulate_operands(netlist, streams, delay="unit"),
            "Icarus Verilog and its VCD": lambda: tools.count_toggles(text, testbench, "tb.dut", files={"v": words}),
        },
        baseline="Icarus Verilog and its VCD",
        bound=1000.0,
        at_least=True,
        repeats=3,
        warmup=1,
    )

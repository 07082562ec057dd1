"""Depths by hand on chains of inverters, against blocks that ABC sized, and cuts whose registers are countable."""

from __future__ import annotations

import math

import pytest

from hwsim.errors import ArgumentError
from hwsim.gates.critical_path import SIZED, critical_path, pipeline
from hwsim.gates.delays import read_delays
from hwsim.gates.netlist import build_netlist
from hwsim.gates.synthesis import synth
from hwsim.rtl import tools
from hwsim.rtl.unit import Unit

needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")


def _chain(module, library, count, register=False):
    """`count` inverters between a port and a port, or between a flip-flop's output and its own data pin."""
    cells = {f"g{i}": ("INV", {"A": 10 + i, "Y": 11 + i}) for i in range(count)}
    if register:
        cells["store"] = ("DFF", {"D": 10 + count, "CK": 2, "Q": 10})
        ports = {"clk": ("input", [2]), "y": ("output", [10])}
    else:
        ports = {"a": ("input", [10]), "y": ("output", [10 + count])}
    return build_netlist(module(ports, cells, {"a": [10]}), library, "chain")


def test_the_delays_of_the_library_are_those_of_its_rules(hwsim45):
    # tau (parasitic + stack x load), tau 4 ps, a pair 1.6 fF: an inverter with four of itself 4 (1 + 4) = 20 ps;
    # NAND2 4 (2 + load) rising, 4 (2 + 2 load) falling
    found = read_delays(hwsim45)
    assert found.fo4_ps == pytest.approx(20.0)
    assert found.inverter_ff == pytest.approx(1.6)
    nand = found.arcs["NAND2"]["A", "Y"]
    assert (nand.rise.fixed_ps, nand.rise.ps_per_ff) == pytest.approx((8.0, 2.5))
    assert (nand.fall.fixed_ps, nand.fall.ps_per_ff) == pytest.approx((8.0, 5.0))
    assert (nand.sense, found.arcs["XOR2"]["A", "Y"].sense, found.arcs["BUF"]["A", "Y"].sense) == (-1, 0, 1)


def test_a_vendors_table_is_read_at_its_middle_slew(osu018):
    # 0.18 um: an inverter of four takes about 100 ps; facts of the process say 99
    assert read_delays(osu018).fo4_ps == pytest.approx(99, rel=0.4)


def test_a_chain_of_inverters_has_effort_one(module, hwsim45):
    # each drives one inverter: F = 1, N F^(1/N) + P = 4 + 4 tau; an FO4 is 5 tau, times the factor of sizing
    path = critical_path(_chain(module, hwsim45, 4))
    assert path.depth_fo4 == pytest.approx(8 / 5 / SIZED)
    assert (path.levels, path.start, path.effort, path.loop_fo4) == (4, "a", 1.0, 0.0)
    assert [step.delay_fo4 for step in path.steps] == pytest.approx([2 / 5 / SIZED] * 4)


def test_an_inverter_of_four_is_one_fo4(module, hwsim45):
    cells = {"g": ("INV", {"A": 10, "Y": 11})} | {f"l{i}": ("INV", {"A": 11, "Y": 12 + i}) for i in range(4)}
    ports = {"a": ("input", [10]), "y": ("output", [11, 12, 13, 14, 15])}
    netlist = build_netlist(module(ports, cells), hwsim45, "four")
    # first cell: 4 inverters and the reader of the port, effort 5; second: its reader alone, effort 1.
    # N F^(1/N) + P = 2 sqrt(5) + 2; the grid of efforts holds 2.0, where it is 4 (1 - ln 2) + 2 ln 5 + 2
    exact, found = 2 * math.sqrt(5) + 2, 4 * (1 - math.log(2)) + 2 * math.log(5) + 2
    path = critical_path(netlist)
    assert path.depth_fo4 * 5 * SIZED == pytest.approx(max(found, 5 * (1 - math.log(2.5)) + 2.5 * math.log(5) + 2))
    assert path.depth_fo4 * 5 * SIZED == pytest.approx(exact, rel=0.02)


def test_wide_nets_cost_stages_of_effort_four(module, hwsim45):
    # 64 loads and a port: F = 65 in one cell; above four buffers take over, at effort 4: 4 (1 - ln 4 + ln 65) + 1
    cells = {"g": ("INV", {"A": 10, "Y": 11})} | {
        f"l{i}": ("DFF", {"D": 11, "CK": 2, "Q": 20 + i}) for i in range(64)
    }
    ports = {"clk": ("input", [2]), "a": ("input", [10]), "y": ("output", [11])}
    path = critical_path(build_netlist(module(ports, cells), hwsim45, "wide"))
    assert path.depth_fo4 * 5 * SIZED == pytest.approx(4 * (1 - math.log(4) + math.log(65)) + 1)


def test_an_input_of_many_pins_costs_what_a_flip_flop_does_not_drive(module, hwsim45):
    # the port feeds sixteen inverters, four of them are in the flip-flop's own delay: effort 4; then an inverter's 1
    cells = {f"g{i}": ("INV", {"A": 10, "Y": 20 + i}) for i in range(16)}
    ports = {"a": ("input", [10]), "y": ("output", list(range(20, 36)))}
    path = critical_path(build_netlist(module(ports, cells), hwsim45, "fan"))
    # at effort f: f ln 4 + 1 + f (1 - ln f) is largest at 4, where it is 1 + 4
    assert path.depth_fo4 * 5 * SIZED == pytest.approx(5.0)
    assert path.effort == 4.0


def test_a_loop_is_what_stages_cannot_cut(module, hwsim45):
    looped = _chain(module, hwsim45, 6, register=True)
    path = critical_path(looped)
    assert path.loop_fo4 == path.depth_fo4 == pytest.approx(6 * 2 / 5 / SIZED)
    assert pipeline(looped, 3).depth_fo4 == pytest.approx(path.depth_fo4)
    assert pipeline(looped, 3).register_bits == (0, 0)  # no port's value waits


def test_cuts_fall_between_cells_and_are_counted(module, hwsim45):
    # two chains of six: three stages of two cells, two nets at either cut; four stages cannot be shorter than two
    cells = {}
    for lane, first in enumerate((10, 30)):
        cells |= {f"g{lane}{i}": ("INV", {"A": first + i, "Y": first + i + 1}) for i in range(6)}
    ports = {"a": ("input", [10, 30]), "y": ("output", [16, 36])}
    netlist = build_netlist(module(ports, cells), hwsim45, "lanes")
    one, three, four = (pipeline(netlist, count) for count in (1, 3, 4))
    cell = 2 / 5 / SIZED
    assert (one.depth_fo4, one.register_bits) == (pytest.approx(6 * cell), ())
    assert (three.depth_fo4, three.register_bits) == (pytest.approx(2 * cell), (2, 2))
    assert (four.depth_fo4, four.register_bits) == (pytest.approx(2 * cell), (2, 2, 2))
    assert pipeline(netlist, 6).depth_fo4 == pytest.approx(cell)


def test_a_value_read_late_is_carried_through_every_cut(module, hwsim45):
    # a NAND of the chain's end and of the port itself: the port waits at both cuts
    cells = {f"g{i}": ("INV", {"A": 10 + i, "Y": 11 + i}) for i in range(8)}
    cells["last"] = ("NAND2", {"A": 18, "B": 10, "Y": 19})
    netlist = build_netlist(module({"a": ("input", [10]), "y": ("output", [19])}, cells), hwsim45, "late")
    assert pipeline(netlist, 3).register_bits == (2, 2)


def test_stages_begin_at_one(module, hwsim45):
    with pytest.raises(ArgumentError, match=r"^pipeline: stages must be at least 1, got 0$"):
        pipeline(_chain(module, hwsim45, 2), 0)


_SHIFT = "module b(input [31:0] a, input [4:0] s, output [31:0] p); assign p = a >> s; endmodule"
_MUX = "module b(input [39:0] a, input [5:0] s, output p); assign p = a[s]; endmodule"
_DOT = (
    "module b(input [63:0] a, b, output signed [11:0] p); wire signed [3:0] x [0:15]; wire signed [3:0] y [0:15];"
    "genvar i; generate for (i = 0; i < 16; i = i + 1) begin : g assign x[i] = a[4*i +: 4];"
    " assign y[i] = b[4*i +: 4]; end endgenerate assign p = "
    + " + ".join(f"x[{i}] * y[{i}]" for i in range(16))
    + "; endmodule"
)
_MAX = (
    "module b(input signed [127:0] a, output signed [7:0] m); wire signed [7:0] x [0:15]; wire signed [7:0] y [0:15];"
    "genvar i; generate for (i = 0; i < 16; i = i + 1) begin : g assign x[i] = a[8*i +: 8]; end"
    " for (i = 1; i < 16; i = i + 1) begin : h assign y[i] = x[i] > y[i-1] ? x[i] : y[i-1]; end endgenerate"
    " assign y[0] = x[0]; assign m = y[15]; endmodule"
)


def _product(a, b):
    return (
        f"module b(input signed [{a - 1}:0] a, input signed [{b - 1}:0] b, output signed [{a + b - 1}:0] p);"
        " assign p = a * b; endmodule"
    )


def _sum(bits):
    return f"module b(input [{bits - 1}:0] a, b, output [{bits}:0] p); assign p = a + b; endmodule"


_MAC = (
    "module b(input signed [7:0] a, b, input signed [31:0] c, output signed [31:0] p);"
    " assign p = c + a * b; endmodule"
)

# depth in FO4 of the same expressions mapped and sized by ABC (map -B 0.9; buffer; upsize; dnsize) with OSU 0.18 um,
# whose FO4 is 99 ps
SIZED_BLOCKS = {
    "mul 4x4": (_product(4, 4), 12.9), "mul 8x8": (_product(8, 8), 22.5), "mul 16x16": (_product(16, 16), 34.9),
    "mul 32x16": (_product(32, 16), 37.0), "add 16": (_sum(16), 10.8), "add 32": (_sum(32), 14.9),
    "mac 8x8+32": (_MAC, 32.6), "dot 16 x (4x4)": (_DOT, 44.3), "max of 16 int8": (_MAX, 149.0),
    "barrel shift 32": (_SHIFT, 7.6), "40:1 mux": (_MUX, 6.4),
}  # fmt: skip


@needs_yosys
def test_depths_agree_with_blocks_that_abc_sized():
    ratios = {}
    for name, (text, published) in SIZED_BLOCKS.items():
        unit = Unit("b", text, (), (), lambda values: values, lambda rng, n: {})
        ratios[name] = critical_path(synth(unit, fast=True).netlist).depth_fo4 / published
    assert all(1 / 1.12 < ratio < 1.12 for ratio in ratios.values()), ratios
    mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
    assert mean == pytest.approx(1.0, abs=0.01)  # what SIZED is fitted to


@needs_yosys
def test_mapping_for_area_lets_carries_ripple():
    unit = Unit("b", _sum(32), (), (), lambda values: values, lambda rng, n: {})
    small, fast = (synth(unit, fast=fast) for fast in (False, True))
    assert critical_path(small.netlist).depth_fo4 > 2 * critical_path(fast.netlist).depth_fo4
    assert small.area_um2 < fast.area_um2 < 1.25 * small.area_um2

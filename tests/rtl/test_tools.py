"""The driver of Yosys and Icarus: what it reports, and how it says no."""

import re

import pytest

from hwsim.errors import ArgumentError, MissingExtra
from hwsim.rtl import tools

pytestmark = pytest.mark.skipif(not tools.available(), reason="needs yosys and iverilog")


# A hand-made library: areas that make every sum below a hand calculation.
def _timing(pin: str) -> str:
    tables = " ".join(
        f'{name}(t) {{ values("1, 2", "2, 3"); }}'
        for name in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
    )
    return f'timing() {{ related_pin : "{pin}"; timing_sense : negative_unate; {tables} }}'


CELLS = f"""
library(toy) {{
  delay_model : table_lookup; time_unit : "1ns"; capacitive_load_unit(1, ff); voltage_unit : "1V";
  current_unit : "1uA"; leakage_power_unit : "1nW"; nom_voltage : 1;
  lu_table_template(t) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1("1, 10"); index_2("1, 10"); }}
  cell(INV) {{ area : 1; pin(A) {{ direction : input; capacitance : 1; }}
    pin(Y) {{ direction : output; function : "!A"; max_capacitance : 100; {_timing("A")} }} }}
  cell(NAND) {{ area : 2; pin(A) {{ direction : input; capacitance : 1; }}
    pin(B) {{ direction : input; capacitance : 1; }}
    pin(Y) {{ direction : output; function : "!(A*B)"; max_capacitance : 100; {_timing("A")} {_timing("B")} }} }}
  cell(NOR) {{ area : 3; pin(A) {{ direction : input; capacitance : 1; }}
    pin(B) {{ direction : input; capacitance : 1; }}
    pin(Y) {{ direction : output; function : "!(A+B)"; max_capacitance : 100; {_timing("A")} {_timing("B")} }} }}
  cell(BUF) {{ area : 2; pin(A) {{ direction : input; capacitance : 1; }}
    pin(Y) {{ direction : output; function : "A"; max_capacitance : 100; {_timing("A")} }} }}
  cell(FLIP) {{ area : 8; ff(IQ, IQN) {{ clocked_on : "CK"; next_state : "D"; }}
    pin(D) {{ direction : input; capacitance : 1; }} pin(CK) {{ direction : input; clock : true; capacitance : 1; }}
    pin(Q) {{ direction : output; function : "IQ"; }} }}
}}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "toy.lib"
    path.write_text(CELLS)
    return path


def test_area_cells_and_levels_of_an_and_gate_are_the_hand_sum(library):
    result = tools.synthesize(
        "module t(input clk, a, b, output reg q); always @(posedge clk) q <= a & b; endmodule", "t", library
    )
    assert dict(result.cells) == {"FLIP": 1, "INV": 1, "NAND": 1}
    assert (result.area_um2, result.flip_flops, result.levels, result.cell_count) == (11.0, 1, 2, 3)
    assert result.liberty == "toy.lib"
    assert result.tool.startswith("Yosys 0.")
    assert result.wall_s > 0
    assert set(result.netlist["ports"]) == {"clk", "a", "b", "q"}


MAC = """
module product(input signed [7:0] a, b, output signed [15:0] p); assign p = a * b; endmodule
module mac(input clk, input signed [7:0] a, b, output reg signed [31:0] acc);
  wire signed [15:0] p;
  product product(.a(a), .b(b), .p(p));
  always @(posedge clk) acc <= acc + p;
endmodule
"""


def test_a_kept_product_boundary_is_smaller_than_the_fused_macro(library):
    kept = tools.synthesize(MAC, "mac", library)
    fused = tools.synthesize(MAC, "mac", library, keep_modules=False)
    assert kept.flip_flops == fused.flip_flops == 32
    assert kept.area_um2 < 0.85 * fused.area_um2


def test_the_same_text_gives_the_same_netlist_and_leaves_no_folder(library, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first, second = (tools.synthesize(MAC, "mac", library) for _ in range(2))
    assert first.netlist == second.netlist
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module t(input a, output b)\n assign b = a; endmodule", "Yosys: design.v:2: ERROR: syntax error"),
        ("module t(input a, output b); ghost g(a, b); endmodule", "Yosys: ERROR: Module `\\ghost'"),
    ],
)
def test_synthesis_shows_the_first_error_line(library, text, message):
    with pytest.raises(tools.ToolError, match=re.escape(message)):
        tools.synthesize(text, "t", library)


def test_a_cell_outside_the_library_is_named(library):
    text = "module t(input e, d, output reg q); always @* if (e) q = d; endmodule"
    with pytest.raises(ArgumentError, match=r"t in toy.lib: every cell must map to the library.*got '\$_DLATCH_P_'"):
        tools.synthesize(text, "t", library)


def test_a_library_that_abc_refuses_shows_what_abc_says(tmp_path):
    poor = tmp_path / "poor.lib"
    poor.write_text(re.sub(r"cell\((NOR|BUF)\).*?(?=\n  cell)", "", CELLS, flags=re.DOTALL))
    with pytest.raises(tools.ToolError, match=r"ABC: poor.lib: Library with only 2 cell classes cannot be used\.$"):
        tools.synthesize("module t(input a, b, output y); assign y = a ^ b; endmodule", "t", poor)


def test_a_missing_library_is_named():
    with pytest.raises(ArgumentError, match=r"^liberty: liberty must be a file, got '/nowhere/x.lib'$"):
        tools.synthesize("", "t", "/nowhere/x.lib")


def test_a_missing_tool_names_its_package(monkeypatch, library):
    monkeypatch.setenv("PATH", "")
    assert not tools.available("vvp")
    with pytest.raises(MissingExtra, match=r"^yosys: Yosys is needed, install it with: apt install yosys$"):
        tools.synthesize("", "t", library)
    with pytest.raises(MissingExtra, match=r"^iverilog: Icarus Verilog is needed, .*: apt install iverilog$"):
        tools.simulate("", "")


def test_a_synthesis_that_is_ended_leaves_nothing(library, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    wide = MAC.replace("[7:0]", "[63:0]").replace("[15:0]", "[127:0]")
    with pytest.raises(tools.ToolError, match=r"^Yosys: must end within its limit in seconds, got 1.5$"):
        tools.synthesize(wide, "mac", library, timeout_s=1.5)
    assert list(tmp_path.iterdir()) == []


def test_simulate_returns_what_the_bench_prints_and_reads_its_files():
    bench = """module tb; reg [7:0] m [0:1]; wire [7:0] y; add add(.a(m[0]), .b(m[1]), .y(y));
      initial begin $readmemh("m.hex", m); #1 $display("%0d", y); $finish; end endmodule"""
    design = "module add(input [7:0] a, b, output [7:0] y); assign y = a + b; endmodule"
    assert tools.simulate(design, bench, files={"m.hex": "0f\n01\n"}) == "16\n"


def test_simulation_shows_the_first_error_line_and_keeps_its_limit():
    with pytest.raises(tools.ToolError, match=r"^Icarus Verilog: testbench.v:1: syntax error$"):
        tools.simulate("", "module tb; initial nonsense endmodule")
    with pytest.raises(tools.ToolError, match=r"^Icarus Verilog: must end within its limit in seconds, got 0.5$"):
        tools.simulate("", "module tb; reg c = 0; always #1 c = !c; endmodule", timeout_s=0.5)


def test_toggles_are_counted_by_bit_without_first_values_and_zero_width_pulses():
    design = """module t(input [1:0] a, output y, z); wire n; assign n = ~a[0]; assign y = a[0] & n;
      wire #1 slow = ~a[0]; assign z = a[0] & slow; endmodule"""
    bench = """module tb; reg [1:0] a; t dut(.a(a), .y(), .z());
      initial begin a = 0; #9 a = 1; #9 a = 2; #9 a = 3; #9 $finish; end endmodule"""
    toggles = tools.count_toggles(design, bench, "tb.dut")
    # a: 00 01 10 11. z pulses for one step on each rise of a[0] (twice: 4 changes); y's pulses have no width.
    assert toggles == {"a[0]": 3, "a[1]": 1, "n": 3, "y": 0, "slow": 3, "z": 4}


def test_gates_of_shared_operands_are_right():
    """``opt -full`` of Yosys 0.23 got this circuit wrong: a Booth digit selects a, 2a, -a or -2a."""
    from hwsim.gates.synth_report import gate_mismatches
    from hwsim.gates.synthesis import synth
    from hwsim.rtl.multipliers import multiplier
    from hwsim.rtl.unit import every_input

    unit = multiplier(4, 4, True, "booth")
    assert gate_mismatches(unit, synth(unit).netlist, every_input(unit)) == 0

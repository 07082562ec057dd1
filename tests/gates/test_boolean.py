"""Liberty expressions: hand-made truth tables, and Icarus as the second reader."""

import re

import pytest

from hwsim.errors import ArgumentError
from hwsim.gates.boolean import Function, parse
from hwsim.gates.hwsim45 import CELLS
from hwsim.rtl import tools


@pytest.mark.parametrize(
    ("text", "inputs", "table"),
    [
        ("A", "A", 0b10),
        ("!A", "A", 0b01),
        ("A'", "A", 0b01),
        ("A''", "A", 0b10),
        ("(A B)'", "AB", 0b0111),
        ("A B + C", "ABC", 0b11111000),
        ("A + B C", "ABC", 0b11101010),
        ("A * B ^ C", "ABC", 0b00101000),  # XOR binds before AND: A & (B ^ C)
        ("!A B", "AB", 0b0100),
        ("A|B&C", "ABC", 0b11101010),
        ("1", "", 0b1),
        ("A * 0", "A", 0b00),
        ("(A*!S)+(B*S)", "ASB", 0b11100010),
    ],
)
def test_precedence_is_inversion_xor_and_or(text, inputs, table):
    function = parse(text)
    assert function.inputs == tuple(inputs)
    assert function.table == table


@pytest.mark.parametrize("text", ["", "A +", "A B)", "(A", "+A", "A ? B", "!"])
def test_nonsense_is_refused(text):
    with pytest.raises(ArgumentError, match=r"^function: must be an expression of names and ! ' \^ \* & \+ \| \( \)"):
        parse(text)


def test_seven_inputs_are_refused():
    with pytest.raises(ArgumentError, match="must have at most 6 inputs"):
        parse("a b c d e f g")


def test_inputs_that_do_not_matter_go():
    assert parse("A * (B + !B) ^ 0").reduced() == Function(("A",), 0b10)
    assert parse("A * !A").reduced() == Function((), 0)


@pytest.mark.skipif(not tools.available("iverilog", "vvp"), reason="needs iverilog")
def test_icarus_reads_the_functions_of_our_library_alike():
    texts = [output.function for cell in CELLS for output in cell.outputs.values() if not cell.storage]
    lines, expected = [], []
    for text in texts:
        function = parse(text)
        expected.append(f"{function.table:0{1 << len(function.inputs)}b}")
        verilog = re.sub(r"[A-Z]+", lambda m: f"p[{function.inputs.index(m[0])}]", text)  # noqa: B023
        verilog = verilog.replace("!", "~").replace("*", "&").replace("+", "|")
        lines.append(f"for (i = {(1 << len(function.inputs)) - 1}; i >= 0; i = i - 1) begin p = i;")
        lines.append(f'bit = {verilog}; $write("%b", bit); end $write("\\n");')
    bench = f"module tb; reg [5:0] p; reg bit; integer i; initial begin {' '.join(lines)} end endmodule"
    assert tools.simulate("", bench).split() == expected

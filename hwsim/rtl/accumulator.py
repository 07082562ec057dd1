"""The accumulator of integer units, and the runs of operands that clocked units are driven with.

The accumulator is clocked, clears by starting from zero, and wraps or saturates after every addition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, to_signed, uniform_and_edges

_WRAP = """\
// <KIND> accumulator of <ACC> bits for terms of <P> bits; a sum that leaves the range wraps around.
module <TOP> (input clk, input clear, input <SIGNED>[<P>-1:0] p, output reg <SIGNED>[<ACC>-1:0] acc);
  wire <SIGNED>[<ACC>-1:0] held = clear ? <ACC>'d0 : acc;
  always @(posedge clk) acc <= held + p;
endmodule
"""

_SATURATE = """\
// <KIND> accumulator of <ACC> bits for terms of <P> bits; a sum that leaves the range stays at its end.
module <TOP> (input clk, input clear, input <SIGNED>[<P>-1:0] p, output reg <SIGNED>[<ACC>-1:0] acc);
  wire <SIGNED>[<ACC>-1:0] held = clear ? <ACC>'d0 : acc;
  wire <SIGNED>[<W>-1:0] sum = held + p; // one bit more than the wider operand: never overflows
<CLAMP>
endmodule
"""


def accumulator(p_bits: int = 16, acc_bits: int = 32, signed: bool = True, overflow: str = "wrap") -> Unit:
    """Register ``acc <= (clear ? 0 : acc) + p``, modulo 2^acc_bits or clamped.

    Raises:
        ArgumentError: a width outside 2..64. UnknownName: the overflow rule.
    """
    for name, bits in (("p_bits", p_bits), ("acc_bits", acc_bits)):
        if not 2 <= bits <= 64:
            raise ArgumentError(f"{name} must be 2..64", got=bits, where="accumulator")
    if overflow not in ("wrap", "saturate"):
        raise UnknownName("overflow", overflow, ("wrap", "saturate"))
    top = f"acc_{'s' if signed else 'u'}{acc_bits}_p{p_bits}_{overflow}"
    clear, p, acc = Port("clear", 1), Port("p", p_bits), Port("acc", acc_bits)
    edges = uniform_and_edges(p)
    least, greatest = (-(1 << (acc_bits - 1)), (1 << (acc_bits - 1)) - 1) if signed else (0, (1 << acc_bits) - 1)

    def golden(values: Values) -> Values:
        term = to_signed(values["p"], p_bits) if signed else values["p"]
        terms = term.astype(object)  # Python integers: no width to overflow
        out = np.zeros(len(terms), dtype=object)
        for rows, first in cycles_of_runs(values["clear"]):
            total = terms[rows] + (0 if first else out[rows - 1])
            out[rows] = np.clip(total, least, greatest) if overflow == "saturate" else total % (1 << acc_bits)
        return {"acc": (out % (1 << acc_bits)).astype(np.uint64)}

    return Unit(
        name=top,
        verilog=_accumulator_text(top, p_bits, acc_bits, signed, overflow),
        inputs=(clear, p),
        outputs=(acc,),
        registers=(acc,),
        golden=golden,
        operands=lambda rng, n: drawn_runs(rng, n, edges, {"p": p_bits}),
        latency_cycles=1,
        family="accumulator",
        parameters={"p_bits": p_bits, "acc_bits": acc_bits, "signed": signed, "overflow": overflow},
    )


def codes(words: NDArray[np.uint64], bits: int) -> NDArray[Any]:
    """Words as the emulator takes element codes: uint8 up to 8 bits, uint16 above."""
    return words.astype(np.uint8 if bits <= 8 else np.uint16)


def runs(rng: np.random.Generator, n: int, longest: int = 96) -> Values:
    """Port ``clear``: dot products of 1 to `longest` terms, the first starting at row 0."""
    clear = np.zeros(n, dtype=np.uint64)
    starts = np.cumsum(rng.integers(1, longest + 1, size=n))
    clear[0] = 1
    clear[starts[starts < n]] = 1
    return {"clear": clear}


def drawn_runs(
    rng: np.random.Generator, n: int, words: Callable[[np.random.Generator, int], Values], bits: dict[str, int]
) -> Values:
    """Runs of the operands `words`, most of them with `extreme_runs`."""
    clear = runs(rng, n)
    return clear | extreme_runs(rng, clear["clear"], words(rng, n), bits)


def extreme_runs(rng: np.random.Generator, clear: NDArray[np.uint64], words: Values, bits: dict[str, int]) -> Values:
    """Operands that stay at an end of their range for a run, in most runs, so that the sum leaves its own.

    All at the least value, all at the greatest, or one of each: the first has the largest product of signed ones.
    """
    run = np.cumsum(clear).astype(np.int64)
    kind = rng.integers(0, 6, size=int(run[-1]) + 1)[run]
    out = dict(words)
    for index, (name, width) in enumerate(bits.items()):
        kind = kind.reshape(-1, *(1,) * (words[name].ndim - 1))  # all elements of a port alike
        least, greatest = np.uint64(1 << (width - 1)), np.uint64((1 << (width - 1)) - 1)
        out[name] = np.where(kind == 0, least, out[name])
        out[name] = np.where(kind == 1, greatest, out[name])
        out[name] = np.where(kind == 2, least if index else greatest, out[name])
        out[name] = np.where(kind == 3, np.uint64((1 << width) - 1), out[name])  # of unsigned operands
    return out


def _accumulator_text(top: str, p_bits: int, acc_bits: int, signed: bool, overflow: str) -> str:
    shared = {
        "KIND": "Signed" if signed else "Unsigned",
        "TOP": top,
        "ACC": acc_bits,
        "P": p_bits,
        "SIGNED": "signed " if signed else "",
    }
    if overflow == "wrap":
        return fill(_WRAP, **shared)
    width = max(p_bits, acc_bits) + 1
    extra = width - acc_bits  # bits above the sign bit or above the top bit
    if signed:
        sign = f"sum[{width - 1}]"
        clamp = (
            f"  // in range if all bits from the accumulator's sign bit upwards agree\n"
            f"  wire fits = sum[{width - 1}:{acc_bits - 1}] == {{{extra + 1}{{{sign}}}}};\n"
            f"  wire [{acc_bits - 1}:0] end_of_range = {{{sign}, {{{acc_bits - 1}{{~{sign}}}}}}};\n"
            f"  always @(posedge clk) acc <= fits ? sum[{acc_bits - 1}:0] : end_of_range;"
        )
    else:
        clamp = (
            f"  wire fits = sum[{width - 1}:{acc_bits}] == {extra}'d0;\n"
            f"  always @(posedge clk) acc <= fits ? sum[{acc_bits - 1}:0] : {{{acc_bits}{{1'b1}}}};"
        )
    return fill(_SATURATE, W=width, CLAMP=clamp, **shared)

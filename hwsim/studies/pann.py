"""PANN's power formulas beside counted bits and gates, and its networks at equal power.

The paper (Spingarn Eliezer et al., arXiv 2202.02783) prices a unit in bit flips from operand widths. Here the same
units are counted and synthesised, and the (b_x, R) choices of one power budget run a trained model. The accuracy
tables of the paper concern image networks with their own quantisers and are not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hwsim.cost import pann as formulas
from hwsim.studies import operands, pann_units
from hwsim.studies.circuits import Measured, conditions
from hwsim.studies.operands import Stream
from hwsim.studies.page import Study, Table, Value
from hwsim.studies.pann_accuracy import EveryLinear, bits_per_byte
from hwsim.studies.pann_findings import WIDER, findings
from hwsim.studies.pann_multipliers import SIGNS, growth, narrow

PAPER = {2: (24.0, 10.0, 0.58), 3: (None, None, 0.44), 4: (36.0, 24.0, 0.33), 8: (72.0, 64.0, None)}
"""Signed and unsigned flips and the saving that arXiv 2202.02783 states in words, by bits."""

SOURCES = ("half-normal", "gpt down")
PAGE = {"bits": (2, 4, 8)}


@dataclass(frozen=True, slots=True)
class Grid:
    """What is swept: widths, multiplier styles, cycles of a stream, budgets by the bits of the unsigned unit that
    has the same power, input widths, and bytes of text for the accuracy."""

    widths: tuple[int, ...]
    styles: tuple[str, ...]
    cycles: int
    budgets: tuple[int, ...]
    x_widths: tuple[int, ...]
    text_bytes: int


FULL = Grid((2, 3, 4, 5, 6, 7, 8), ("array", "carry_save", "booth"), 1 << 14, (2, 3, 4, 8), tuple(range(2, 9)), 8192)
QUICK = Grid((2, 4), ("array",), 1 << 10, (2,), (3, 6), 256)


def study(grid: Grid) -> Study:
    """All tables and what follows from them."""
    rng = np.random.default_rng(0)
    conversion, differing = _conversion(grid)
    counted, gates = _counted(grid, rng), _macs(grid, rng)
    tables = (_formulas(counted, gates), counted, gates, growth(grid.widths, grid.styles, grid.cycles, rng),
              narrow(grid.styles, grid.cycles, rng), conversion, _add_only(grid), _accuracy(grid))  # fmt: skip
    return Study(
        "pann",
        "PANN: bit-flip formulas, counted bits, gates, and a model at equal power",
        "Spingarn Eliezer et al. (arXiv 2202.02783) price a multiply-accumulate by operand widths alone, save power "
        "by splitting signed weights into W+ and W-, and replace multiplications by additions at equal power. Which "
        "of it do counted bits and synthesised circuits confirm?",
        findings({table.name: table for table in tables}, differing),
        conditions(
            operands=f"uniform and normal random numbers, and the committed trace of `models/gpt.py`; "
            f"{grid.cycles} cycles a circuit, the running sum in place (output stationary)",
            accumulator="32 bits, wrapping; its 32 flip-flops are the only ones of a unit (65 in the add-only unit "
            "with two accumulators, whose subtraction waits for the end of a dot product)",
            accuracy=f"bits per byte of `models/gpt.py` on {grid.text_bytes} bytes of held-out text, every linear "
            "layer on the unit, attention in float32, nothing retrained; all rows read the same text, of which "
            f"float32 needs {_base(grid):.3f} bits a byte, {_base(grid, 8):.3f} on eight times as much",
            signs="the formulas ask for activations without a sign, which in `models/gpt.py` only the layers behind "
            "a squared ReLU have; the others run with signed ones at the same price, on both sides",
        ),
        tables,
    )


def _formulas(counted: Table, gates: Table) -> Table:
    rows: list[tuple[Value, ...]] = []
    for row in formulas.table():
        found: list[list[Value]] = []  # flips and toggles of the signed unit, then of the unsigned one
        for unit in ("signed", "unsigned"):
            where: dict[str, Value] = {"bits": row.bits, "operands": "uniform", "unit": unit}
            flips = [one["total"] for one in counted.select(where)]
            toggles = [one["toggles zero"] for one in gates.select(where | {"style": "array"})]
            found.append([next(iter(flips), None), next(iter(toggles), None)])
        paper = PAPER.get(row.bits, (None,) * 3)
        saved = [1 - u / s if s and u else None for s, u in zip(*found, strict=True)]
        rows.append((row.bits, row.signed, paper[0], *found[0], row.unsigned, paper[1], *found[1], row.saving,
                     paper[2], *saved))  # fmt: skip
    columns = ("bits", *(f"{part}{name}" for name in ("signed", "unsigned", "saving")
                         for part in ("", "paper ", "counted ", "toggles ")))  # fmt: skip
    note = (
        "`counted`: bits that flip on uniform operands in the parts of the formula, as in the next table. `toggles`: "
        "all nets of the unit with the array multiplier, without glitches, on such operands: more nets than the "
        "formula has bits, so that what compares is how they grow and what dropping the sign saves."
    )
    return Table("formulas", "The formulas, flips a multiply-accumulate", columns, tuple(rows), note)


def _streams(bits: int, grid: Grid, rng: np.random.Generator) -> list[tuple[str, bool, Stream]]:
    """Operands of units of one width: name, whether the unit is signed, stream."""
    down = operands.after_relu("gpt down", bits, bits, grid.cycles)
    halved = Stream(down.x >> 1, down.w, down.clear)  # a signed port spends a bit on a sign that never comes
    return [
        ("uniform", True, operands.uniform(rng, bits, True, grid.cycles)),
        ("uniform", False, operands.uniform(rng, bits, False, grid.cycles)),
        ("gaussian", True, operands.gaussian(rng, bits, True, grid.cycles)),
        ("gaussian", False, operands.gaussian(rng, bits, False, grid.cycles)),
        ("gpt up", True, operands.gpt_signed(bits, grid.cycles)),
        ("gpt down", True, halved),
        ("gpt down", False, pann_units.sorted_signs(down)),
    ]


def _counted(grid: Grid, rng: np.random.Generator) -> Table:
    rows = []
    for bits in grid.widths:
        for name, signed, stream in _streams(bits, grid, rng):
            found = pann_units.count_mac(stream, bits, bits)
            priced = formulas.mac_flips(bits, bits, pann_units.ACC_BITS, signed)
            addend = 0.5 * pann_units.ACC_BITS if signed else float(bits)
            rows.append((bits, name, SIGNS[signed], found.inputs, float(bits), found.partial, 0.5 * bits**2,
                         found.addend, addend, found.register, float(bits), found.total, priced,
                         float((stream.x == 0).mean())))  # fmt: skip
    parts = ("inputs", "partial products", "adder input", "register", "total")
    pairs = (name for part in parts for name in (part, f"{part} formula"))
    columns = ("bits", "operands", "unit", *pairs, "zero inputs")
    note = (
        "Flips an element. The formula counts one internal signal a cell of the array; counted here are "
        "the partial products, the cell's AND gates. `total` takes the register twice, as the paper does "
        "(sum and register). `zero inputs` is the share of x that is zero."
    )
    return Table("counted", "Counted bits beside the formulas", columns, tuple(rows), note, PAGE)


def _macs(grid: Grid, rng: np.random.Generator) -> Table:
    rows = []
    for style in grid.styles:
        for bits in grid.widths if style == "array" else (w for w in grid.widths if w in (2, 4, 8)):
            streams = _streams(bits, grid, rng)
            for name, signed, stream in streams if style == "array" else streams[:2]:
                found = pann_units.measure_mac(stream, bits, bits, signed, style)
                rows.append((style, bits, name, SIGNS[signed], found.zero_toggles, found.unit_toggles, found.zero_fj,
                             found.unit_fj, found.clock_fj))  # fmt: skip
    columns = ("style", "bits", "operands", "unit", "toggles zero", "toggles unit", "logic zero fJ", "logic unit fJ",
               "clock fJ")  # fmt: skip
    note = (
        "A multiplier and a 32-bit accumulator. `logic` is all nets, `clock` the accumulator's clock "
        "pins; `gpt down` unsigned has its weights split and sorted."
    )
    return Table("gates", "Multiply-accumulate units as gates, an operation", columns, tuple(rows), note, PAGE)


def _conversion(grid: Grid) -> tuple[Table, int]:
    rows, differing = [], 0
    for source in SOURCES:
        for bits in grid.widths:
            stream = operands.after_relu(source, bits, bits, grid.cycles)
            differing += pann_units.same_dots(stream, bits, bits)
            signed = pann_units.measure_mac(stream, bits + 1, bits, True)
            twice, once = pann_units.two_passes(stream), pann_units.sorted_signs(stream)
            ways = [
                ("signed", 1.0, signed),
                ("W+, then W-", 2.0, pann_units.measure_mac(twice, bits, bits, False)),
                ("sorted by sign", 1.0, pann_units.measure_mac(once, bits, bits, False)),
            ]
            for way, cycles, found in ways:
                rows.append((source, bits, way, cycles, found.zero_fj * cycles, found.unit_fj * cycles,
                             found.clock_fj * cycles, 1 - found.zero_fj * cycles / signed.zero_fj,
                             1 - found.unit_fj * cycles / signed.unit_fj,
                             1 - _clocked(found) * cycles / _clocked(signed)))  # fmt: skip
    columns = ("operands", "bits", "way", "cycles", "logic zero fJ", "logic unit fJ", "clock fJ", "saves zero",
               "saves unit", "saves zero with clock")  # fmt: skip
    note = (
        "Energy an element on inputs of `bits` bits without a sign: normal magnitudes, and the squared "
        "ReLUs that enter the GPT's `down` layers. The signed unit needs one bit more for the same "
        "values."
    )
    return Table("conversion", "From signed to unsigned", columns, tuple(rows), note, PAGE), differing


def _add_only(grid: Grid) -> Table:
    """Gates of every (b_x, R) beside the multiplying units of the same formula power."""
    rows: list[tuple[Value, ...]] = []
    for source in SOURCES:
        for bits, x_bits, additions in _choices(grid):
            plain = operands.after_relu(source, bits, bits, grid.cycles)
            signed = pann_units.measure_mac(plain, bits + 1, bits, True)
            narrow = pann_units.measure_mac(pann_units.sorted_signs(plain), bits, bits, False)
            magnitudes = pann_units.sorted_signs(operands.after_relu(source, bits, bits + 1, grid.cycles))
            unsigned = pann_units.measure_mac(magnitudes, bits, bits, False)
            found = pann_units.add_only(source, x_bits, additions, grid.cycles)
            alone = found.alone
            rows.append((source, bits, x_bits, additions, found.additions,
                         formulas.add_only_flips(x_bits, additions), found.flips,
                         pann_units.count_mac(magnitudes, bits, bits).total, found.paired.zero_fj,
                         found.sorted_pair.zero_fj, alone.zero_fj, alone.unit_fj, alone.clock_fj,
                         alone.zero_fj / unsigned.zero_fj, alone.unit_fj / unsigned.unit_fj,
                         _clocked(alone) / _clocked(unsigned), alone.zero_fj / narrow.zero_fj,
                         alone.zero_fj / signed.zero_fj, _clocked(alone) / _clocked(signed)))  # fmt: skip
    columns = ("operands", "budget bits", "b_x", "R", "cycles", "formula flips", "counted flips",
               "counted flips of the MAC", "paired zero fJ", "paired sorted zero fJ", "alone zero fJ",
               "alone unit fJ", "alone clock fJ", "to unsigned zero", "to unsigned unit", "to unsigned with clock",
               "to narrow zero", "to signed zero", "to signed with clock")  # fmt: skip
    note = (
        "All pairs with (R + 0.5) b_x flips; energy an element, all additions of its weight together. "
        "`alone` has one accumulator behind weights sorted by sign; `paired` has one for each sign behind one adder, "
        "and a subtractor that rests until the dot product ends, with the weights in their own order and sorted by "
        "sign. The ratios compare `alone` with multiplying units: the unsigned one for magnitudes of as many bits as "
        "the budget's, weights sorted by sign, which has equal power by the formula; the same (`narrow`) fed weights "
        "that have that many bits with their sign, one less without; and the signed one for these."
    )
    return Table("add_only", "The add-only unit at equal power", columns, tuple(rows), note, {"b_x": (3, 5, 6, 8)})


def _accuracy(grid: Grid) -> Table:
    exact = _base(grid)
    rows: list[tuple[int | None, str, int | None, float | None, float | None, float, float]] = [
        (None, "float32", None, None, None, exact, 0.0)
    ]
    for bits in grid.budgets:
        for unit, weight_bits in (("multiplying", bits), (WIDER, bits + 1)):
            reached = bits_per_byte(EveryLinear(bits, weight_bits=weight_bits), grid.text_bytes)
            rows.append((bits, unit, bits, None, None, reached, reached - exact))
        for budget, x_bits, additions in _choices(grid):
            if budget == bits:
                policy = EveryLinear(x_bits, additions)
                reached = bits_per_byte(policy, grid.text_bytes)
                rows.append((bits, "add-only", x_bits, additions, policy.additions, reached, reached - exact))
    note = (
        "`multiplying`: weights and activations of `budget bits`, rounded to nearest at the clip of least"
        f" squared error, a step a channel and a layer. `{WIDER}`: weights of one bit more, as magnitudes of "
        "`budget bits` and a sign; an unsigned unit behind W+ and W- takes them at the same formula power. "
        "`add-only`: the same activations at b_x bits, weights of R additions an element. Nothing is retrained."
    )
    columns = ("budget bits", "unit", "b_x", "R", "R spent", "bits per byte", "lost")
    return Table("accuracy", "A trained model at equal power", columns, tuple(rows), note)


def _base(grid: Grid, times: int = 1) -> float:
    """The model's own bits per byte, in float32."""
    return bits_per_byte(None, times * grid.text_bytes)


def _choices(grid: Grid) -> Iterator[tuple[int, int, float]]:
    """Budget bits, b_x and R wherever R leaves more than a quarter of an addition an element."""
    for bits in grid.budgets:
        flips = formulas.mac_flips(bits, bits, pann_units.ACC_BITS, False)
        for x_bits in grid.x_widths:
            if flips / x_bits - 0.5 >= 0.25:
                yield bits, x_bits, formulas.additions_for(flips, x_bits)


def _clocked(found: Measured) -> float:
    return found.zero_fj + found.clock_fj

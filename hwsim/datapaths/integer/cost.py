"""Price of integer units of one product: a multiplier by a row array, an accumulator, and what flips in both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from hwsim import quant
from hwsim.cost import features, pann
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.parts import Parts
from hwsim.cost.words import adder, flips, held_sums, multiplier_rows, without
from hwsim.datapaths.base import Arithmetic, Datapath, Price
from hwsim.datapaths.integer.bits import Integer, Overflow
from hwsim.datapaths.integer.verilog import mac
from hwsim.datapaths.operands import values_of
from hwsim.datapaths.streams import masked
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import accumulator
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.unit import Unit

PRODUCTS = (
    "multiplicand", "multiplier", "partials", "ripples", "partials_by_rows", "carries_by_rows",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MacPrice(Price):
    """Of one integer unit."""

    unit: Integer

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(PRODUCTS, "products")

    @property
    def update(self) -> str:
        """``mac.signed`` or ``mac.unsigned``."""
        return f"mac.{sign(self.unit.signed)}"

    @property
    def defines_flip(self) -> bool:
        """The paper's multiply-accumulate unit is signed."""
        return self.unit.signed

    @property
    def registers(self) -> Registers:
        """An element of each operand, and the sum."""
        unit = self.unit
        return Registers(unit.a_bits, unit.b_bits, unit.acc_bits, 0, 0.5 * (unit.a_bits + unit.b_bits))

    def blocks(self, held: Coefficients) -> Blocks:
        """Product and accumulation."""
        unit = self.unit
        if held.fidelity != "fitted":
            return self._composed(Parts(held)), ()
        side = sign(unit.signed)
        array = area(held, f"multiplier.{side}.array", features.multiplier(unit.a_bits, unit.b_bits))
        addend = features.accumulator(unit.a_bits + unit.b_bits, unit.acc_bits)
        adds = area(held, f"accumulator.{side}.{unit.overflow}", addend)
        return (Component("products", array, None), Component("accumulation", adds, None)), ()

    def _composed(self, parts: Parts) -> tuple[Component, ...]:
        unit = self.unit
        size, energy = parts.multiplier(unit.a_bits, unit.b_bits, unit.signed)
        adds = parts.accumulator(unit.acc_bits, unit.a_bits + unit.b_bits, unit.signed)
        blocks = [Component("products", size, energy), Component("accumulation", adds, None)]
        if unit.overflow == "saturate":
            clamp = parts.of["select.area.per_entry_bit"].scaled(2 * unit.acc_bits).with_unit("um2")
            blocks.append(parts.block("accumulation", "clamp", clamp))
        return tuple(blocks)

    def update_flips(self, stream: Stream) -> Features:
        """In the rows of the multiplier, in the adder and the clamp of the accumulator."""
        unit = self.unit
        a, b = stream.a[:, 0], stream.b[:, 0]
        swap = unit.a_bits > unit.b_bits  # the array has as many rows as the wider operand has bits
        columns, count = sorted((unit.a_bits, unit.b_bits))
        x, y = (b, a) if swap else (a, b)
        rows = multiplier_rows(x, y, columns, count, unit.signed)
        addend = values_of(a, unit.a_bits, unit.signed) * values_of(b, unit.b_bits, unit.signed)
        width = unit.a_bits + unit.b_bits
        sums = adder(held_sums(stream), masked(addend, unit.acc_bits), unit.acc_bits, width)
        extension = max(unit.acc_bits - unit.a_bits - unit.b_bits, 0) if unit.signed else 0
        clamps = float(unit.overflow == "saturate")
        return {
            "multiplicand": flips(x) * count,
            "multiplier": flips(y) * columns,
            "partials": rows.partials,
            "ripples": rows.ripples,
            "partials_by_rows": rows.partials * count,
            "carries_by_rows": rows.carries * count,
            **without(sums, "addend", "extension" if not unit.signed else ""),
            "clamped": sums["sum"] * clamps,
            "clamped_by_width": rows.by_depth / count * unit.acc_bits * clamps,
            "partials_by_extension": rows.partials / count * extension,
            "turned_by_extension": rows.changes * extension,
            "partials_by_width": rows.partials / count * unit.acc_bits,
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """The paper's own multiplier and accumulator."""
        unit = self.unit
        sums = pann.accumulator_flips(unit.a_bits, unit.b_bits, unit.acc_bits, unit.signed)
        return WidthFlips(pann.multiplier_flips(unit.a_bits, unit.b_bits), sums)


def sign(signed: bool) -> str:
    """How families of coefficients call it."""
    return "signed" if signed else "unsigned"


PAIRS = tuple(
    (a, b)
    for a in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
    for b in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
    if a == b or ((a + b) % 4 == 0 and a > b)
)
STYLE_PAIRS = (*((bits, bits) for bits in range(2, 17)), (6, 4), (8, 4), (8, 6), (12, 8), (16, 8))
ACCUMULATORS = tuple((p, acc) for p in (4, 6, 8, 12, 16) for acc in (14, 16, 18, 20, 24, 28, 32, 40) if acc > p + 4)


def designs(quick: bool) -> Iterator[Design]:
    """Multipliers of each style, and accumulators."""
    for signed in (True, False):
        for a, b in PAIRS:
            yield _multiplier(a, b, signed, "array")
        for style in () if quick else ("carry_save", "booth"):
            for a, b in STYLE_PAIRS:
                if style != "booth" or b >= 4:  # fewer rows are no recoding: the same gates as of an array
                    yield _multiplier(a, b, signed, style)
        for overflow in ("wrap", "saturate"):
            for p, acc in ACCUMULATORS:
                unit = accumulator(p, acc, signed, overflow)
                family = f"accumulator.{sign(signed)}.{overflow}"
                yield Design(family, unit.top, features.accumulator(p, acc), unit.verilog, acc)


def _multiplier(a: int, b: int, signed: bool, style: str) -> Design:
    unit = multiplier(a, b, signed, style)
    sizes = features.multiplier(a, b, signed, style)
    return Design(f"multiplier.{sign(signed)}.{style}", unit.top, sizes, unit.verilog, compared=style != "array")


SIGNED: tuple[tuple[int, int, int, Overflow], ...] = (
    (8, 8, 32, "wrap"), (8, 8, 24, "wrap"), (8, 8, 20, "saturate"), (8, 8, 16, "saturate"), (8, 4, 32, "wrap"),
    (8, 4, 20, "wrap"), (4, 4, 32, "wrap"), (4, 4, 18, "wrap"), (4, 4, 14, "saturate"), (6, 6, 24, "wrap"),
)  # fmt: skip
UNSIGNED: tuple[tuple[int, int, int, Overflow], ...] = (
    (7, 7, 32, "wrap"), (7, 7, 20, "saturate"), (7, 3, 24, "wrap"), (3, 3, 32, "wrap"), (3, 3, 14, "saturate"),
    (8, 8, 24, "wrap"),
)  # fmt: skip


def arithmetics() -> Iterator[Arithmetic]:
    """Signed units on their own integers and on narrower ones, unsigned units on rectified ones.

    Rectified inputs and positive weights are what the conversion W = W+ - W- leaves (arXiv 2202.02783).
    """
    for a, b, acc, overflow in SIGNED:
        yield Arithmetic(integers(a), integers(b), Integer(a, b, acc, overflow=overflow))
    yield Arithmetic(integers(4), integers(4), Integer(8, 8, 32))  # narrow numbers in a wide unit
    for a, b, acc, overflow in UNSIGNED:
        unit = Integer(a, b, acc, signed=False, overflow=overflow)
        yield Arithmetic(integers(min(a + 1, 8)), integers(min(b + 1, 8)), unit, frozenset("ab"))


def integers(bits: int) -> quant.Scheme:
    """Integers with a scale a row."""
    return quant.get(f"int{bits}.channel")


def wholes() -> Iterator[tuple[Unit, Datapath]]:
    """Units of products and accumulators that no fit sees."""
    sizes = ((8, 8, 32), (8, 8, 20), (8, 4, 32), (8, 4, 20), (4, 4, 32), (4, 4, 14), (6, 6, 24), (3, 3, 16))
    for signed, (a, b, acc) in product((True, False), sizes):
        yield mac(a, b, acc, signed), Integer(a, b, acc, signed=signed)
    for bits in (16, 24):
        yield mac(8, 8, bits, True, "saturate"), Integer(8, 8, bits, overflow="saturate")

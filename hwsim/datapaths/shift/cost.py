"""Price of the shift unit: a shifted INT4, and a fixed or a float32 accumulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwsim import formats, quant
from hwsim.cost import features
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.parts import Parts
from hwsim.cost.words import adder, changes, flips, float_adder, held_sums, without
from hwsim.datapaths.base import Arithmetic, Calibration, Datapath, Price
from hwsim.datapaths.operands import values_of
from hwsim.datapaths.shift.bits import Shift
from hwsim.datapaths.shift.verilog import luq_product, luq_unit
from hwsim.datapaths.streams import masked
from hwsim.gates.steps import Stream
from hwsim.rtl.float_adders import WIDTHS
from hwsim.rtl.unit import Unit

SHIFTED_BITS, SHIFT_STAGES = 11, 3
"""Of INT4 times a power of two in quarters, and of the exponent codes 1 to 7."""

FLOAT_WINDOW = 24 + 3
"""Of a float32 adder: the significand and three bits below it."""

LARGEST_POWER = 16.0
"""Of e3m0."""


@dataclass(frozen=True, slots=True)
class ShiftPrice(Price):
    """Of one shift unit."""

    unit: Shift

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(("a", "b", "shifted", "shifted_by_exponent"), "products")

    @property
    def update(self) -> str:
        """``shift.fixed`` or ``shift.fp32``."""
        return f"shift.{self.unit.accumulator}"

    @property
    def registers(self) -> Registers:
        """An element of each operand, and the sum."""
        a, b = (formats.get(name).bits for name in (self.unit.a_format, self.unit.b_format))
        return Registers(a, b, self.unit.acc_bits, 0, 0.5 * (a + b))

    def blocks(self, held: Coefficients) -> Blocks:
        """Product and accumulation."""
        fixed = self.unit.accumulator == "fixed"
        if held.fidelity != "fitted":
            parts = Parts(held)
            shifted = Component("products", held["shift_product.area"], held["shift_product.energy"])
            if fixed:
                adds = parts.accumulator(self.unit.acc_bits, SHIFTED_BITS, True)
                return (shifted, Component("accumulation", adds, None)), ()
            return (shifted, parts.block("accumulation", "a float32 adder", held["fp32_adder.area"])), ()
        product = Component("products", area(held, "product.shift", {"constant": 1}), None)
        if fixed:
            sizes = features.accumulator(SHIFTED_BITS, self.unit.acc_bits)
            return (product, Component("accumulation", area(held, "accumulator.signed.wrap", sizes), None)), ()
        whole = area(held, "shift.fp32", {"constant": 1})
        rest = replace(whole, value=whole.value - product.area.value)
        return (product, Component("accumulation", rest, None)), ()

    def update_flips(self, stream: Stream) -> Features:
        """In the shifter and the adder."""
        unit = self.unit
        x = values_of(stream.a[:, 0], 4, True)
        quarters = x * (4 * formats.get(unit.b_format).decode(stream.b[:, 0].astype(np.uint8))).astype(np.int64)
        product = {
            "a": flips(stream.a),
            "b": flips(stream.b),
            "shifted": flips(masked(quarters, SHIFTED_BITS)),
            "shifted_by_exponent": changes(stream.b & np.uint64(7)) * SHIFTED_BITS,
        }
        if unit.accumulator == "fixed":
            addend = masked(quarters, unit.acc_bits)
            turned = float(((stream.a[1:] != stream.a[:-1]) | (stream.b[1:] != stream.b[:-1])).mean())
            moved = {"turned": turned, "turned_by_extension": turned * (unit.acc_bits - SHIFTED_BITS)}
            sums = adder(held_sums(stream), addend, unit.acc_bits, SHIFTED_BITS)
            return product | moved | without(sums, "addend")
        term = (quarters.astype(np.float32) / np.float32(4)).view(np.uint32).astype(np.uint64)
        return product | float_adder(held_sums(stream), term, *WIDTHS["fp32"])

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """A shifted product flips half of its input bits, and half of its eleven bits in each of three stages."""
        product = 0.5 * (4 + 4) + 0.5 * SHIFTED_BITS * SHIFT_STAGES
        if self.unit.accumulator == "fixed":
            return WidthFlips(product, 0.5 * self.unit.acc_bits + SHIFTED_BITS)
        return WidthFlips(product, FLOAT_WINDOW + 0.5 * self.unit.acc_bits)


def designs(quick: bool) -> Iterator[Design]:
    """The product alone, and the float32 unit."""
    if quick:
        return
    unit = luq_product()
    yield Design("product.shift", unit.top, {"constant": 1}, unit.verilog)
    unit = luq_unit("fp32")
    yield Design("shift.fp32", unit.top, {"constant": 1}, unit.verilog, 32)


def arithmetics() -> Iterator[Arithmetic]:
    """Weights are scaled to the range of their format, as LUQ scales gradients."""
    activation, logarithmic = quant.get("int4.channel"), quant.Scheme("e3m0", "e3m0", "tensor")
    for unit in (*(Shift("fixed", acc) for acc in (16, 20, 24)), Shift()):
        yield Arithmetic(activation, logarithmic, unit, weight_range=LARGEST_POWER)


def wholes() -> Iterator[tuple[Unit, Datapath]]:
    """A fixed unit, which no fit sees as a whole."""
    yield luq_unit("fixed", 20), Shift("fixed", 20)


CALIBRATION = Calibration(designs, arithmetics, wholes)

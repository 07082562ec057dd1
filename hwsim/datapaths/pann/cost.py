"""Price of the add-only unit: one adder for both sums, the choice of a sum, and the subtraction at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwsim import formats, quant
from hwsim.cost import pann
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.parts import Parts
from hwsim.cost.words import adder, changes, flips, without
from hwsim.datapaths.base import Arithmetic, Calibration, Price
from hwsim.datapaths.operands import values_of
from hwsim.datapaths.pann.bits import Pann
from hwsim.datapaths.pann.verilog import pann_unit
from hwsim.datapaths.streams import masked
from hwsim.gates.steps import Stream


@dataclass(frozen=True, slots=True)
class AddOnlyPrice(Price):
    """Of one add-only unit."""

    unit: Pann

    parts: ClassVar[Mapping[str, str]] = {"input": "products"}

    @property
    def update(self) -> str:
        """``pann.signed`` or ``pann.unsigned``."""
        return f"pann.{_sign(self.unit.signed)}"

    @property
    def registers(self) -> Registers:
        """An input, a weight, and a sum of each sign."""
        unit = self.unit
        return Registers(unit.bits_x, formats.get(unit.b_format).bits, 2 * unit.acc_bits, 0, 0.5 * unit.bits_x)

    def blocks(self, held: Coefficients) -> Blocks:
        """All of it is accumulation."""
        unit = self.unit
        if held.fidelity == "fitted":
            whole = area(held, self.update, sizes(unit.bits_x, unit.acc_bits))
            return (Component("accumulation", whole, None),), ()
        parts = Parts(held)
        adds = Component("accumulation", parts.accumulator(unit.acc_bits, unit.bits_x, unit.signed), None)
        select = held["select.area.per_entry_bit"].scaled(2 * 3 * unit.acc_bits).with_unit("um2")
        difference = parts.block("accumulation", "choice of a sum and difference", select, parts.adder(unit.acc_bits))
        return (adds, difference), ()

    def update_flips(self, stream: Stream) -> Features:
        """Of one addition: at the input, in the adder, both registers and the subtractor."""
        unit = self.unit
        x = values_of(stream.a[:, 0], unit.bits_x, unit.signed)
        negative = stream.b[:, 0] >> np.uint64(7)
        own = np.where(negative == 0, stream.before[:, 0], stream.before[:, 1])
        held = np.where(stream.first, np.uint64(0), own)
        sums = adder(held, masked(x, unit.acc_bits), unit.acc_bits, unit.bits_x)
        ended = np.append(False, stream.last[:-1])
        shown = np.where(ended[:, None], stream.before, np.uint64(0))
        difference = shown[:, 0] - shown[:, 1] & np.uint64((1 << unit.acc_bits) - 1)
        return {
            "input": flips(stream.a),
            **without(sums, "addend", "extension" if not unit.signed else ""),
            "registers": flips(stream.before),
            "choices": flips(negative) * unit.acc_bits,
            "turned_by_extension": changes(stream.a) * (unit.acc_bits - unit.bits_x),
            "choices_by_extension": flips(negative) * (unit.acc_bits - unit.bits_x),
            "subtrahends": flips(shown),
            "differences": flips(difference) + changes(ended) * unit.acc_bits,
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """The paper's own; an update is one addition. Signed inputs are extended to the accumulator, as a signed
        accumulator extends them."""
        unit = self.unit
        taken = unit.cycles_per_step(additions)
        extended = 0.5 * (unit.acc_bits - unit.bits_x) if unit.signed else 0.0
        an_element = pann.add_only_flips(unit.bits_x, taken) + extended
        return WidthFlips(0.0, an_element / taken if taken else 0.0)


def sizes(x_bits: int, acc_bits: int) -> Features:
    """What its area is linear in."""
    return {"acc_bits": acc_bits, "x_bits": min(x_bits, acc_bits), "constant": 1}


def _sign(signed: bool) -> str:
    return "signed" if signed else "unsigned"


def designs(quick: bool) -> Iterator[Design]:
    """Units of several widths."""
    if quick:
        return
    for signed in (True, False):
        for bits in (4, 6, 8):
            for acc in (14, 16, 20, 24, 28, 32, 40):
                unit = pann_unit(bits, acc, signed)
                family = f"pann.{_sign(signed)}"
                yield Design(family, unit.top, sizes(bits, acc), unit.verilog, 2 * acc + 1)


def arithmetics() -> Iterator[Arithmetic]:
    """Signed inputs, and rectified ones; weights are numbers of additions and keep their sign."""
    for bits, additions, acc in ((4, 1.0, 20), (6, 2.0, 24), (6, 1.0, 32), (8, 4.0, 32)):
        activation = quant.get(f"int{bits}.channel")
        yield Arithmetic(activation, additions_scheme(additions), Pann(bits, additions, acc))
    for bits, additions, acc in ((3, 1.0, 20), (7, 2.0, 24), (5, 1.0, 32), (7, 4.0, 32)):
        unit = Pann(bits, additions, acc, signed=False)
        activation = quant.get(f"int{bits + 1}.channel")
        yield Arithmetic(activation, additions_scheme(additions), unit, frozenset("a"))


def additions_scheme(additions: float) -> quant.Scheme:
    """Weights as numbers of additions, one step a tensor: PANN's quantiser for a budget that is a power of two."""
    name = f"pann.r{additions:g}"
    return quant.Scheme(name, "int8", "tensor", None, "fp32", "absmean", element_unit=1 / additions)


CALIBRATION = Calibration(designs, arithmetics, lambda: iter(()))

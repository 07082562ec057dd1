"""Price of integer units of several products a cycle: multipliers, an adder tree, one accumulator.

Areas are composed: multipliers and accumulator by the coefficients of the unit of one product, the tree by its own.
Energies have coefficients of their own, as what flips in a tree follows from all products together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.cost import features, pann
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.parts import Parts
from hwsim.cost.words import adder, changes, flips, held_sums, multiplier_rows, without
from hwsim.datapaths.base import Arithmetic, Calibration, Datapath, Price
from hwsim.datapaths.integer import cost
from hwsim.datapaths.integer.bits import Integer, Overflow
from hwsim.datapaths.integer.cost import integers, sign
from hwsim.datapaths.integer.tree import adder_tree, mac_tree
from hwsim.datapaths.operands import values_of
from hwsim.datapaths.streams import masked
from hwsim.gates.steps import Stream
from hwsim.rtl.unit import Unit


@dataclass(frozen=True, slots=True)
class TreePrice(Price):
    """Of one integer unit with a tree."""

    unit: Integer

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(cost.PRODUCTS, "products")

    @property
    def update(self) -> str:
        """``mac_tree.signed`` or ``mac_tree.unsigned``."""
        return f"mac_tree.{sign(self.unit.signed)}"

    @property
    def registers(self) -> Registers:
        """A group of elements of each operand, and one sum."""
        unit = self.unit
        a, b = unit.group * unit.a_bits, unit.group * unit.b_bits
        return Registers(a, b, unit.acc_bits, 0, 0.5 * (a + b))

    def blocks(self, held: Coefficients) -> Blocks:
        """Products, and what adds them: tree and accumulator."""
        unit = self.unit
        if held.fidelity != "fitted":
            return self._composed(Parts(held)), ()
        side = sign(unit.signed)
        array = area(held, f"multiplier.{side}.array", features.multiplier(unit.a_bits, unit.b_bits))
        tree = area(held, f"adder_tree.{side}", sizes(unit.group, unit.a_bits + unit.b_bits))
        addend = features.accumulator(unit.sum_bits, unit.acc_bits)
        adds = area(held, f"accumulator.{side}.{unit.overflow}", addend)
        return (
            Component("products", array.scaled(unit.group), None),
            Component("accumulation", tree, None),
            Component("accumulation", adds, None),
        ), ()

    def _composed(self, parts: Parts) -> tuple[Component, ...]:
        unit = self.unit
        size, energy = parts.multiplier(unit.a_bits, unit.b_bits, unit.signed)
        adds = parts.accumulator(unit.acc_bits, unit.sum_bits, unit.signed)
        blocks = [
            Component("products", size.scaled(unit.group), energy.scaled(unit.group)),
            parts.block("accumulation", "adder tree", parts.adder((unit.group - 1) * (unit.a_bits + unit.b_bits))),
            Component("accumulation", adds, None),
        ]
        if unit.overflow == "saturate":
            clamp = parts.of["select.area.per_entry_bit"].scaled(2 * unit.acc_bits).with_unit("um2")
            blocks.append(parts.block("accumulation", "clamp", clamp))
        return tuple(blocks)

    def update_flips(self, stream: Stream) -> Features:
        """In the rows of all multipliers, at the tree's leaves and inner sums, in the accumulator."""
        unit = self.unit
        a, b = stream.a, stream.b
        swap = unit.a_bits > unit.b_bits  # the array has as many rows as the wider operand has bits
        columns, count = sorted((unit.a_bits, unit.b_bits))
        x, y = (b, a) if swap else (a, b)
        rows = multiplier_rows(x, y, columns, count, unit.signed)
        products = values_of(a, unit.a_bits, unit.signed) * values_of(b, unit.b_bits, unit.signed)
        leaves = flips(masked(products, unit.a_bits + unit.b_bits))
        inner = _inner_sums(products, unit.a_bits + unit.b_bits)
        total = products.sum(1)
        sums = adder(held_sums(stream), masked(total, unit.acc_bits), unit.acc_bits, unit.sum_bits)
        turned = changes(total)
        clamps = float(unit.overflow == "saturate")
        return {
            "multiplicand": flips(x) * count,
            "multiplier": flips(y) * columns,
            "ripples": rows.ripples,
            "partials_by_rows": rows.partials * count,
            "carries_by_rows": rows.carries * count,
            "products_by_level": leaves * (unit.group - 1).bit_length(),
            "inner": inner,
            "total": flips(masked(total, unit.sum_bits)),
            **without(sums, "addend", "held", "extension" if not unit.signed else ""),
            "turned_by_width": turned * unit.acc_bits,
            "clamped": sums["sum"] * clamps,
            "clamped_by_width": turned * unit.acc_bits * clamps,
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """The paper's multipliers and one accumulator of its kind. Between them what the paper says of an adder: half
        of its input's bits and half of its sum's, none of a register; a sum is the next adder's input, and the last
        one the accumulator's."""
        unit = self.unit
        product = unit.a_bits + unit.b_bits
        leaves, inner = unit.group * 0.5 * product, 0.0
        terms, width = unit.group, product
        while terms > 2:
            terms, width = -(-terms // 2), width + 1
            inner += terms * 0.5 * width
        addend = 0.5 * (unit.acc_bits if unit.signed else unit.sum_bits)
        sums = leaves + inner + addend + unit.sum_bits
        return WidthFlips(unit.group * pann.multiplier_flips(unit.a_bits, unit.b_bits), sums)


def _inner_sums(products: NDArray[np.int64], bits: int) -> float:
    """Flips of the sums of a tree of pairs, but for the last one."""
    found = 0.0
    terms, width = products, bits
    while terms.shape[1] > 2:
        terms, width = np.pad(terms, ((0, 0), (0, terms.shape[1] % 2))), width + 1
        terms = terms[:, ::2] + terms[:, 1::2]
        found += flips(masked(terms, width))
    return found


def sizes(count: int, bits: int) -> Features:
    """What the area of a tree is linear in."""
    wide = bits + (count - 1).bit_length()
    return {"term_bits": count * bits, "terms": count, "sum_bits": wide, "constant": 1}


TREES = (
    *((count, bits) for bits in (4, 8, 16) for count in (2, 4, 8, 16, 32, 64)),
    (3, 8), (6, 12), (12, 12), (24, 10), (48, 8), (32, 12),
)  # fmt: skip


def designs(quick: bool) -> Iterator[Design]:
    """Of a unit of one product, and trees."""
    yield from cost.designs(quick)
    yield from trees()


def trees() -> Iterator[Design]:
    """Trees of several sizes."""
    for signed in (True, False):
        for count, bits in TREES:
            unit = adder_tree(count, bits, signed)
            yield Design(f"adder_tree.{sign(signed)}", unit.top, sizes(count, bits), unit.verilog)


SIGNED: tuple[tuple[int, int, int, Overflow, int], ...] = (
    (8, 8, 24, "wrap", 16), (8, 8, 32, "wrap", 4), (8, 8, 24, "wrap", 32), (8, 8, 20, "saturate", 8),
    (8, 4, 24, "wrap", 16), (4, 4, 20, "wrap", 16), (4, 4, 24, "wrap", 64), (4, 4, 14, "saturate", 8),
    (6, 6, 24, "wrap", 2),
)  # fmt: skip
UNSIGNED: tuple[tuple[int, int, int, Overflow, int], ...] = (
    (7, 7, 24, "wrap", 8), (7, 3, 20, "wrap", 16), (3, 3, 14, "saturate", 8), (3, 3, 16, "wrap", 32),
)  # fmt: skip


def arithmetics() -> Iterator[Arithmetic]:
    """Of a unit of one product, and of trees, on the same kinds of operands."""
    yield from cost.arithmetics()
    yield from tree_arithmetics()


def tree_arithmetics() -> Iterator[Arithmetic]:
    """Trees on signed integers, and on rectified ones."""
    for a, b, acc, overflow, group in SIGNED:
        yield Arithmetic(integers(a), integers(b), Integer(a, b, acc, overflow=overflow, group=group))
    for a, b, acc, overflow, group in UNSIGNED:
        unit = Integer(a, b, acc, signed=False, overflow=overflow, group=group)
        yield Arithmetic(integers(a + 1), integers(b + 1), unit, frozenset("ab"))


def wholes() -> Iterator[tuple[Unit, Datapath]]:
    """Whole units, whose areas no fit sees."""
    yield from cost.wholes()
    for signed, chosen in ((True, SIGNED), (False, UNSIGNED)):
        for a, b, acc, overflow, group in chosen:
            yield mac_tree(a, b, acc, signed, overflow, group), Integer(a, b, acc, signed, overflow, group)


CALIBRATION = Calibration(designs, arithmetics, wholes)

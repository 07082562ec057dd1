"""The circuits that coefficients are fitted to: a grid of widths and sizes for every family.

Decides what is synthesised. A design is held out of the fit by a hash of its name, one in three: every run on every
machine splits alike, and no grid point can be moved to the side where it looks better.
Units between the catalogue's (other groups, other windows) are part of the grid, since twenty tensor cores are too
few to fit eight coefficients and to check them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hwsim.cost import features
from hwsim.cost.blocks import entry_bits
from hwsim.cost.features import Features
from hwsim.cost.fit import Point, is_held_out
from hwsim.datapaths import integer, shift, tensor_core, ternary_lut
from hwsim.datapaths.base import Datapath
from hwsim.datapaths.tensor_cores.catalogue import Row
from hwsim.datapaths.tensor_cores.elements import element
from hwsim.gates.driving import circuits
from hwsim.rtl.float_adders import float_adder
from hwsim.rtl.mac import accumulator, mac
from hwsim.rtl.minifloat import e2m1_dot
from hwsim.rtl.multipliers import multiplier
from hwsim.rtl.pann import pann_unit
from hwsim.rtl.shift import luq_product, luq_unit
from hwsim.rtl.tensor_core import fused_text, grouped_text
from hwsim.rtl.ternary import adders, ternary_core, ternary_dot, ternary_table
from hwsim.rtl.unit import Unit


@dataclass(frozen=True, slots=True)
class Design:
    """One circuit of the sweep.

    Args:
        family: whose coefficients price it.
        name: the text's top module.
        features: what its area is linear in.
        verilog: the text.
        register_bits: flip-flops of the text, whose area is not part of the family's.
    """

    family: str
    name: str
    features: Features
    verilog: str
    register_bits: int = 0

    def point(self, area_um2: float, flipflop_um2: float) -> Point:
        """The measurement of its logic, registers taken off."""
        logic = area_um2 - self.register_bits * flipflop_um2
        return Point(self.name, self.features, logic, is_held_out(self.name))


PAIRS = tuple(
    (a, b)
    for a in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
    for b in (2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
    if a == b or ((a + b) % 4 == 0 and a > b)
)
STYLE_PAIRS = (*((bits, bits) for bits in range(2, 17)), (6, 4), (8, 4), (8, 6), (12, 8), (16, 8))
ACCUMULATORS = tuple((p, acc) for p in (4, 6, 8, 12, 16) for acc in (14, 16, 18, 20, 24, 28, 32, 40) if acc > p + 4)
ADD_ONLY = tuple((bits, acc) for bits in (4, 6, 8) for acc in (14, 16, 20, 24, 28, 32, 40))
FUSED = (
    ("volta", "fp16"), ("ampere", "fp16"), ("ampere", "bf16"), ("ada", "e4m3"), ("ada", "e5m2"), ("hopper", "fp16"),
    ("hopper", "bf16"), ("hopper", "e4m3"), ("hopper", "e5m2"), ("blackwell", "e4m3"), ("blackwell", "e3m2"),
    ("blackwell", "e2m3"), ("blackwell", "e2m1"), ("blackwell", "mxfp8.e4m3"), ("blackwell", "mxfp8.e5m2"),
    ("blackwell", "mxfp6.e3m2"), ("blackwell", "mxfp6.e2m3"), ("blackwell", "mxf8f6f4.e2m1"),
)  # fmt: skip
GROUPED = (("blackwell", "nvfp4"), ("blackwell", "mxfp4"))


def sweep(*, quick: bool = False) -> Iterator[Design]:
    """All designs, the cheap families first; `quick` leaves out what takes Yosys more than about a second."""
    for signed in (True, False):
        for a, b in PAIRS:
            yield _multiplier(a, b, signed, "array")
        for style in () if quick else ("carry_save", "booth"):
            for a, b in STYLE_PAIRS:
                if style != "booth" or b >= 4:  # fewer rows are no recoding: the same gates as of an array
                    yield _multiplier(a, b, signed, style)
        for overflow in ("wrap", "saturate"):
            for p, acc in ACCUMULATORS:
                yield _accumulator(p, acc, signed, overflow)
    if quick:
        return
    for group in range(2, 6):
        unit = ternary_table(group)
        yield Design("table", unit.top, features.table(adders(group), sum_bits(group)), unit.verilog)
    for group in range(1, 6):
        for luts in (1, 2, 3, 4, 6, 8) if group < 4 else (1, 2, 3):
            yield _fetch(group, luts)
        for readers in (2, 3, 4, 5) if group < 4 else (2,):
            yield _fetch(group, 1, readers)
    for activation in ("fp16", "bf16"):
        for group in (2, 3, 4):
            unit = ternary_table(group, activation)
            yield Design(f"table.{activation}", unit.top, features.table_real(adders(group)), unit.verilog)
        for group in range(1, 6):
            yield _fetch_real(group, activation)
    for signed in (True, False):
        for bits, acc in ADD_ONLY:
            unit = pann_unit(bits, acc, signed)
            family, sizes = f"pann.{_sign(signed)}", features.add_only(bits, acc)
            yield Design(family, unit.top, sizes, unit.verilog, 2 * acc + 1)
    unit = luq_product()
    yield Design("product.shift", unit.top, {"constant": 1}, unit.verilog)
    unit = luq_unit("fp32")
    yield Design("shift.fp32", unit.top, {"constant": 1}, unit.verilog, 32)
    for count in (2, 4, 8, 16, 32):
        unit = e2m1_dot(count)
        yield Design("dot.e2m1", unit.top, {"products": count, "constant": 1}, unit.verilog)
    for fmt in ("fp16", "bf16", "fp32"):
        unit = float_adder(fmt)
        yield Design(f"adder.{fmt}", unit.top, {"constant": 1}, unit.verilog)
    yield from _between()
    for arch, operand in FUSED + GROUPED:
        yield dot_design(arch, operand)


def _multiplier(a: int, b: int, signed: bool, style: str) -> Design:
    unit = multiplier(a, b, signed, style)
    return Design(
        f"multiplier.{_sign(signed)}.{style}", unit.top, features.multiplier(a, b, signed, style), unit.verilog
    )


def _accumulator(p: int, acc: int, signed: bool, overflow: str) -> Design:
    unit = accumulator(p, acc, signed, overflow)
    return Design(
        f"accumulator.{_sign(signed)}.{overflow}", unit.top, features.accumulator(p, acc), unit.verilog, acc
    )


def sum_bits(group: int) -> int:
    """Bits of an entry of a table of INT8 sums."""
    return entry_bits(ternary_lut(group))


def _fetch(group: int, luts: int, readers: int = 1) -> Design:
    """Several readers of a table are several of one, that there be enough designs of a single table."""
    sizes = features.fetch((3**group - 1) // 2, sum_bits(group), luts)
    many = {name: readers * value for name, value in sizes.items()}
    text = ternary_dot(group, "int8", luts, readers).verilog
    return Design("fetch", f"ternary_fetch_mu{group}_int8_l{luts}_k{readers}", many, text)


def _fetch_real(group: int, activation: Any) -> Design:
    unit = ternary_lut(group, activation)
    reader = circuits(unit)["reader"]
    return Design("fetch.real", reader.top, features.fetch_real(unit.entries, entry_bits(unit)), reader.verilog)


def dot_design(arch: str, operand: str) -> Design:
    """The unit of a tensor core as a design."""
    datapath = tensor_core(arch, operand)
    return _dot(datapath.row, datapath.a_format, f"dot_{arch}_{operand.replace('.', '_')}")


def _between() -> Iterator[Design]:
    """Tensor cores that nobody ships: shorter groups and other windows of the catalogue's rules."""
    for arch, operand, groups in (
        ("hopper", "fp16", (4, 8)), ("hopper", "bf16", (4, 8)), ("hopper", "e4m3", (4, 8, 16)),
        ("blackwell", "e2m1", (8, 16)), ("blackwell", "mxfp8.e5m2", (8, 16)), ("blackwell", "mxfp6.e2m3", (4, 8, 16)),
        ("blackwell", "mxf8f6f4.e2m1", (8, 16)),
    ):  # fmt: skip
        datapath = tensor_core(arch, operand)
        for group in groups:
            for fraction in (13, 19, 25) if group == groups[0] else (datapath.row.fraction_bits,):
                row = replace(datapath.row, group=group, fraction_bits=fraction)
                yield _dot(row, datapath.a_format, f"dot_{operand.replace('.', '_')}_g{group}_f{fraction}")
    blocks: tuple[tuple[str, tuple[int, ...]], ...] = (("nvfp4", (16, 32, 48, 64)), ("mxfp4", (32, 64)))
    for operand, lengths in blocks:
        datapath = tensor_core("blackwell", operand)
        for group, fraction in itertools.product(lengths, (25, 30, 35)):
            if (group, fraction) != (64, 35):
                row = replace(datapath.row, group=group, fraction_bits=fraction)
                yield _dot(row, datapath.a_format, f"dot_{operand}_g{group}_f{fraction}")


def _dot(row: Row, form: str, top: str) -> Design:
    family, sizes = features.dot(row, form)
    text = grouped_text(top, top, row) if row.model == "grouped" else fused_text(top, top, row, element(form))
    return Design(family, top, sizes, text)


def _sign(signed: bool) -> str:
    return "signed" if signed else "unsigned"


def whole_units() -> Iterator[tuple[Unit, Datapath]]:
    """Multiply-accumulate units and lookup units as wholes, none of which any fit sees: what machines are made of."""
    sizes = ((8, 8, 32), (8, 8, 20), (8, 4, 32), (8, 4, 20), (4, 4, 32), (4, 4, 14), (6, 6, 24), (3, 3, 16))
    for signed, (a, b, acc) in itertools.product((True, False), sizes):
        yield mac(a, b, acc, signed), integer(a, b, acc, signed=signed)
    for bits in (16, 24):
        yield mac(8, 8, bits, True, "saturate"), integer(8, 8, bits, overflow="saturate")
    for group in (1, 2, 3, 4):
        yield ternary_core(group, "int8", 1, 1), ternary_lut(group)
    yield ternary_core(2, "int8", 2, 1), ternary_lut(2, "int8", 2)
    for group in (2, 3):
        yield ternary_core(group, "fp16", 1, 1), ternary_lut(group, "fp16")
    yield luq_unit("fixed", 20), shift("fixed", 20)

"""What a unit is made of: each datapath as a list of components with measured or composed area and energy.

Fitted sets are priced by `hwsim.cost.fitted`; the rules below are for sets that hold a few measured components.
Nothing here is a synthesized unit. Blocks that were measured alone (multipliers, accumulators, the 16-wide E2M1 dot,
fetch multiplexers) carry their fit's error; blocks that were not (alignment shifters, exponent logic, normalisation)
are composed from measured parts by the rules below and carry `COMPOSED_ERROR` on top. Energies without a measurement
are area times the energy density that ten measured arithmetic blocks share within 15 %.

- an alignment or normalising shifter of W bits: ceil(log2 W) stages of W two-way selections;
- a comparison, a leading-zero count, an exponent sum: an adder of that width;
- a float accumulator: what its rule aligns, at the width that the rule keeps, plus normalisation.

A unit with no such rule (matrix cores whose adders are only known from outside) is an error, not an estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import ceil, log2
from typing import Any

from hwsim import formats
from hwsim.cost import fitted
from hwsim.cost.blocks import Component, Composition, storage
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.quantity import Quantity
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError

Blocks = tuple[tuple[Component, ...], tuple[Component, ...]]
"""Blocks of every unit, and blocks that a row of the array shares."""

COMPOSED_ERROR = 0.3
EXTRAPOLATED_ERROR = 0.15  # multipliers above 8 bits: their measured growth exponents span 2.2 to 2.6
UNEQUAL_ERROR = 0.1  # multipliers of two widths, of which only equal ones were measured


class Parts:
    """Prices of generic blocks in one set of coefficients."""

    def __init__(self, coefficients: Coefficients) -> None:
        self.of = coefficients

    def multiplier(self, a: int, b: int, signed: bool) -> tuple[Quantity, Quantity]:
        """Area and energy of a multiplier of a × b bits."""
        kind = "multiplier.signed" if signed else "multiplier.unsigned"
        extra = (UNEQUAL_ERROR if a != b else 0.0) + (EXTRAPOLATED_ERROR if max(a, b) > 8 else 0.0)
        note = f"{a} x {b} bits" + (", beyond the measured 8" if max(a, b) > 8 else "")

        def price(what: str, unit: str) -> Quantity:
            square, linear = self.of[f"{kind}.{what}.square"], self.of[f"{kind}.{what}.linear"]
            # below 2 x 2 bits the fit is no longer positive; one partial product is then an AND of each bit
            value = max(square.value * a * b + linear.value * (a + b) / 2, 0.0)
            return Quantity(value, unit, f"{note}: {square.source}", square.relative_error + extra)

        return price("area", "um2"), price("energy", "fJ")

    def adder(self, bits: int) -> Quantity:
        """Area of an adder."""
        return self.of["adder.area.per_bit"].scaled(bits).with_unit("um2")

    def accumulator(self, acc_bits: int, addend_bits: int, signed: bool) -> Quantity:
        """Area of the adder of an accumulator, sign extension of the addend included."""
        per_acc, per_addend = self.of["accumulator.area.per_acc_bit"], self.of["accumulator.area.per_addend_bit"]
        ratio = self.of["accumulator.area.signed_ratio"]
        value = per_acc.value * acc_bits + per_addend.value * min(addend_bits, acc_bits)
        error = per_acc.relative_error + (ratio.relative_error if signed else 0.0)
        return Quantity(value * (ratio.value if signed else 1.0), "um2", per_acc.source, error)

    def shifter(self, bits: int) -> Quantity:
        """Area of a shifter over all distances."""
        stages = ceil(log2(bits))
        return self.of["select.area.per_entry_bit"].scaled(2 * bits * stages).with_unit("um2")

    def dense(self, area: Quantity) -> Quantity:
        """Energy, fJ, of one operation of a block that has only an area."""
        density = self.of["logic.energy_density"]
        return Quantity(
            area.value * density.value,
            "fJ",
            f"{density.source}: {area.source}",
            area.relative_error + density.relative_error,
        )

    def block(self, part: str, source: str, *areas: Quantity) -> Component:
        """A component composed of blocks that have only an area."""
        area = _sum(areas, f"composed: {source}", COMPOSED_ERROR)
        return Component(part, area, self.dense(area))


@lru_cache(maxsize=256)
def compose(datapath: Datapath, coefficients: Coefficients) -> Composition:
    """The composition of a unit.

    Raises:
        ArgumentError: no rule composes this unit.
        UnknownName: the set lacks a coefficient that the unit needs.
    """
    if datapath.family not in _RULES:
        raise ArgumentError(
            f"must be of a family with known components: {', '.join(_RULES)}",
            got=datapath.name,
            where="cost.datapath",
        )
    if coefficients.fidelity == "fitted":
        own, shared = fitted.blocks(datapath, coefficients)
    else:
        own, shared = _RULES[datapath.family](datapath, Parts(coefficients))
    return Composition(own, shared, *storage(datapath))


def _integer(unit: Any, parts: Parts) -> Blocks:
    area, energy = parts.multiplier(unit.a_bits, unit.b_bits, unit.signed)
    adder = parts.accumulator(unit.acc_bits, unit.a_bits + unit.b_bits, unit.signed)
    blocks = [Component("products", area, energy), Component("accumulation", adder, None)]
    if unit.overflow == "saturate":
        blocks.append(
            parts.block(
                "accumulation",
                "clamp",
                parts.of["select.area.per_entry_bit"].scaled(2 * unit.acc_bits).with_unit("um2"),
            )
        )
    return tuple(blocks), ()


def _tensor_core(unit: Any, parts: Parts) -> Blocks:
    fitted.check_rule(unit)
    blocks = _grouped(unit, parts) if unit.row.model == "grouped" else _fused(unit, parts)
    if unit.promote_every:
        blocks.append(
            Component("accumulation", parts.of["fp32_adder.area"], parts.dense(parts.of["fp32_adder.area"]))
        )
    return tuple(blocks), ()


def _grouped(unit: Any, parts: Parts) -> list[Component]:
    """Exact sums of 16 products, times their scales, aligned by the scales' exponents only."""
    row = unit.row
    groups = row.group // 16
    dots = Component(
        "products",
        parts.of["e2m1_dot16.area"].scaled(groups),
        parts.of["e2m1_dot16.energy"].scaled(groups),
    )
    window, exponent = (
        row.fraction_bits + 15,
        10,
    )  # |T| < 2^49 and a sign at F = 35; scale exponents and c's fit 10 bits
    blocks = [dots]
    if row.scale == "e8m0":
        blocks.append(parts.block("scaling", f"{groups} sums of scale exponents", parts.adder(exponent * groups)))
    else:
        significands, energy = parts.multiplier(4, 4, False)
        products, product_energy = parts.multiplier(13, 8, False)
        exponents = parts.adder(exponent * groups)
        blocks.append(
            Component(
                "scaling",
                _sum(
                    (significands.scaled(groups), products.scaled(groups), exponents),
                    "composed: scales times sums",
                    COMPOSED_ERROR,
                ),
                _sum(
                    (energy.scaled(groups), product_energy.scaled(groups), parts.dense(exponents)),
                    "composed: scales times sums",
                    COMPOSED_ERROR,
                ),
            )
        )
    terms = groups + 1
    blocks.append(
        parts.block(
            "alignment",
            f"largest of {terms} exponents, {terms} shifters of {window} bits",
            parts.adder(2 * exponent * terms),
            parts.shifter(window).scaled(terms),
        )
    )
    blocks.append(_sum_and_normalise(parts, groups, window))
    return blocks


def _fused(unit: Any, parts: Parts) -> list[Component]:
    """Every product aligned to the largest exponent, F bits kept below it."""
    row = unit.row
    a, b = formats.get(unit.a_format), formats.get(unit.b_format)
    area, energy = parts.multiplier(a.mantissa_bits + 1, b.mantissa_bits + 1, False)
    exponent = max(a.exponent_bits, b.exponent_bits) + 2
    terms = row.group + 1
    window = row.fraction_bits + 3  # a product of significands is below 4, and a sign
    blocks = [
        Component("products", area.scaled(row.group), energy.scaled(row.group)),
        parts.block(
            "alignment",
            f"{row.group} exponent sums, the largest of {terms}, {terms} shifters of {window} bits",
            parts.adder(exponent * row.group),
            parts.adder(2 * exponent * terms),
            parts.shifter(window).scaled(terms),
        ),
        _sum_and_normalise(parts, row.group, window + ceil(log2(terms))),
    ]
    if row.scale is not None:
        blocks.insert(1, parts.block("scaling", "sum of two scale exponents", parts.adder(2 * 9)))
    return blocks


def _sum_and_normalise(parts: Parts, additions: int, window: int) -> Component:
    return parts.block(
        "accumulation",
        f"{additions} additions of {window} bits, leading zeros, one shifter",
        parts.adder(window * additions),
        parts.adder(window),
        parts.shifter(window),
    )


def _ternary_lut(unit: Any, parts: Parts) -> Blocks:
    entries, group, tables = unit.entries, unit.group, unit.luts
    real = unit.activation != "int8"
    if real and unit.activation != "fp16":
        raise ArgumentError(
            "activation must be int8 or fp16, whose adders were measured", got=unit.name, where="cost.datapath"
        )
    bits = 16 if real else 8
    width = bits if real else bits + group - 1
    additions = max(entries - group, 0)
    select, negate = parts.of["select.area.per_entry_bit"], parts.of["select.area.per_bit"]
    fetch = _sum(
        (select.scaled(entries * width).with_unit("um2"), negate.scaled(1 if real else width).with_unit("um2")),
        "fetch of one group",
        0.0,
    ).scaled(tables)
    if real:
        build = Component(
            "tables",
            parts.of["fp16_adder.area"].scaled(additions * tables),
            parts.of["fp16_adder.energy"].scaled(additions * tables),
        )
        adds = parts.of["fp16_adder.area"].scaled(tables), parts.of["fp16_adder.energy"].scaled(tables)
        sums = [Component("accumulation", *adds)]
    else:
        build = Component(
            "tables",
            parts.of["table_adder.area.per_bit"].scaled(additions * width * tables).with_unit("um2"),
            parts.of["table_adder.energy.per_bit"].scaled(additions * width * tables).with_unit("fJ"),
        )
        sums = [Component("accumulation", parts.accumulator(32, width + ceil(log2(tables)), True), None)]
        if tables > 1:
            sums.append(parts.block("accumulation", f"{tables - 1} adders", parts.adder((width + 1) * (tables - 1))))
    return (Component("products", fetch, None), *sums), (build,)


def _pann(unit: Any, parts: Parts) -> Blocks:
    """One adder for both sums, the choice between them and what their registers keep, and the last subtraction."""
    adder = Component("accumulation", parts.accumulator(unit.acc_bits, unit.bits_x, unit.signed), None)
    select = parts.of["select.area.per_entry_bit"].scaled(2 * 3 * unit.acc_bits).with_unit("um2")
    difference = parts.block("accumulation", "choice of a sum and difference", select, parts.adder(unit.acc_bits))
    return (adder, difference), ()


def _shift(unit: Any, parts: Parts) -> Blocks:
    """A shifted INT4, and a fixed or a float32 accumulator."""
    product = Component("products", parts.of["shift_product.area"], parts.of["shift_product.energy"])
    if unit.accumulator == "fixed":
        return (product, Component("accumulation", parts.accumulator(unit.acc_bits, 11, True), None)), ()
    return (product, parts.block("accumulation", "a float32 adder", parts.of["fp32_adder.area"])), ()


_RULES: dict[str, Callable[[Any, Parts], Blocks]] = {
    "integer": _integer,
    "pann": _pann,
    "shift": _shift,
    "tensor_core": _tensor_core,
    "ternary_lut": _ternary_lut,
}


def _sum(quantities: tuple[Quantity, ...], source: str, error: float) -> Quantity:
    """The sum of quantities of one unit; errors add, weighted by value."""
    value = sum(one.value for one in quantities)
    spread = sum(one.value * one.relative_error for one in quantities)
    return Quantity(value, quantities[0].unit, source, (spread / value if value else 0.0) + error)

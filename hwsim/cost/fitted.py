"""Prices of units by coefficients that were fitted to synthesised circuits and to counted flips in their gates.

Decides how a fitted set is read: each block is a sum of coefficients times the features of `hwsim.cost.features`
(area) or `hwsim.cost.flips` (energy), and carries the held-out error of its family. Multipliers are the row arrays
that the circuits of `hwsim.rtl.mac` use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hwsim.cost import features, flips
from hwsim.cost.blocks import Component, entry_bits
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.features import Features
from hwsim.cost.quantity import Quantity
from hwsim.cost.toggles import Toggles
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError

SHARES = ".shares"
"""What the name of a family ends in whose coefficients only divide the area of a whole unit into parts."""


def blocks(datapath: Datapath, held: Coefficients) -> tuple[tuple[Component, ...], tuple[Component, ...]]:
    """Blocks of every unit, and blocks that a row of the array shares; areas only, as energy follows flips.

    Raises:
        ArgumentError: a tensor core whose inside is not known from its rule. UnknownName: a missing coefficient.
    """
    unit: Any = datapath
    if unit.family == "integer":
        sign = "signed" if unit.signed else "unsigned"
        product = area(held, f"multiplier.{sign}.array", features.multiplier(unit.a_bits, unit.b_bits))
        addend = features.accumulator(unit.a_bits + unit.b_bits, unit.acc_bits)
        adder = area(held, f"accumulator.{sign}.{unit.overflow}", addend)
        return (Component("products", product, None), Component("accumulation", adder, None)), ()
    if unit.family == "tensor_core":
        check_rule(unit)
        family, sizes = features.dot(unit.row, unit.a_format)
        by_part: dict[str, dict[str, float]] = {}
        for name, value in sizes.items():
            by_part.setdefault(features.PARTS[name], {})[name] = value
        whole = area(held, family, sizes)
        shares = {part: area(held, f"{family}{SHARES}", own).value for part, own in by_part.items()}
        each = {part: whole.scaled(share / sum(shares.values())) for part, share in shares.items()}
        return tuple(Component(part, price, None) for part, price in each.items()), ()
    if unit.family == "pann":
        whole = area(held, flips.family(unit), features.add_only(unit.bits_x, unit.acc_bits))
        return (Component("accumulation", whole, None),), ()
    if unit.family == "shift":
        return _shift(unit, held), ()
    return _lookup(unit, held)


def area(held: Coefficients, family: str, sizes: Features) -> Quantity:
    """um² of a block: the sum of its family's coefficients times its features."""
    return _total(held, f"{family}.area", sizes, "um2")


def update_energy(
    datapath: Datapath, toggles: Toggles, held: Coefficients
) -> tuple[Mapping[str, Quantity], Quantity | None]:
    """fJ of one update of a unit by part, and of one rebuild of its tables, None for a unit without tables.

    Raises:
        ArgumentError: a family without fitted energies, or toggles without inner flips. UnknownName: a missing
            coefficient.
    """
    family = flips.family(datapath)
    if not toggles.inner:
        raise ArgumentError("toggles must hold the inner flips of a unit", got=toggles.layer, where="cost.toggles")
    by_part: dict[str, dict[str, float]] = {}
    for name, value in toggles.inner.items():
        by_part.setdefault(flips.part_of(name), {})[name] = value
    parts = {part: _total(held, f"{family}.energy", own, "fJ") for part, own in by_part.items()}
    if not toggles.rebuilt:
        return parts, None
    return parts, _total(held, f"{flips.table_family(datapath)}.energy", toggles.rebuilt, "fJ")


def check_rule(unit: Any) -> None:
    """Raise `ArgumentError` unless the inside of a tensor core follows from its rule."""
    if unit.row.model not in ("fused", "grouped") or unit.row.rewrite:
        raise ArgumentError(
            "must be a unit whose alignment is known from its rule (fused or grouped)",
            got=unit.name,
            where="cost.datapath",
        )


def _shift(unit: Any, held: Coefficients) -> tuple[Component, ...]:
    product = Component("products", area(held, "product.shift", {"constant": 1}), None)
    if unit.accumulator == "fixed":
        sizes = features.accumulator(flips.SHIFTED_BITS, unit.acc_bits)
        return product, Component("accumulation", area(held, "accumulator.signed.wrap", sizes), None)
    whole = area(held, "shift.fp32", {"constant": 1})
    return product, Component("accumulation", replace(whole, value=whole.value - product.area.value), None)


def _lookup(unit: Any, held: Coefficients) -> tuple[tuple[Component, ...], tuple[Component, ...]]:
    additions, width = max(unit.entries - unit.group, 0), entry_bits(unit)
    if unit.activation != "int8":
        one = area(held, f"adder.{unit.activation}", {"constant": 1})
        reader = area(held, "fetch.real", features.fetch_real(unit.entries, width)).scaled(unit.luts)
        own = Component("products", reader, None), Component("accumulation", one.scaled(unit.luts), None)
        built = area(held, flips.table_family(unit), features.table_real(additions)).scaled(unit.luts)
        return own, (Component("tables", built, None),)
    table = area(held, "table", features.table(additions, width)).scaled(unit.luts)
    reader = area(held, "fetch", features.fetch(unit.entries, width, unit.luts))
    fetched = width + 1 + (unit.luts - 1).bit_length()
    adder = area(held, "accumulator.signed.wrap", features.accumulator(fetched, unit.accumulator_bits))
    own = Component("products", reader, None), Component("accumulation", adder, None)
    return own, (Component("tables", table, None),)


def _total(held: Coefficients, prefix: str, sizes: Features, unit: str) -> Quantity:
    """Sum of coefficients times features, never below zero; all coefficients of a family carry its error."""
    found = [(held[f"{prefix}.{name}"], value) for name, value in sizes.items()]
    value = max(sum(price.value * size for price, size in found), 0.0)
    return Quantity(value, unit, found[0][0].source, max(price.relative_error for price, _ in found))

"""What a design costs, as a list of charges: every picojoule and every µm² with its cause, count and price.

Rejected: nested breakdowns by component that are summed on the way up. They answer one question each, and floating
sums over other groupings differ in the last digit. Here every amount is rounded once to a common quantum, a power of
two so small that all amounts of one ledger add without rounding: sums over layers, components and levels are equal to
the last bit, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from hwsim.cost.quantity import Breakdown, Quantity, weighted
from hwsim.errors import ArgumentError

Grouping = Literal["layer", "component", "level", "tensor"]
GROUPINGS: tuple[Grouping, ...] = ("layer", "component", "level", "tensor")


class Charge(NamedTuple):
    """One amount, and why.

    Attributes:
        layer: the operator that causes it, ``""`` for the machine as a whole.
        component: what takes it: ``"products"``, ``"sram.weight"``, ``"dram"``, ``"leakage"``.
        level: where: the name of a memory, ``"array"``, ``"vector"`` or ``"chip"``.
        tensor: what moves, ``""`` where nothing does.
        events: how many.
        event: of which kind: ``"bit read"``, ``"update"``, ``"cycle"``.
        price: of one event.
        amount: events times price, rounded to the ledger's quantum.
        step: place of the plan's step that causes it, None for what no step does.
    """

    layer: str
    component: str
    level: str
    tensor: str
    events: float
    event: str
    price: Quantity
    amount: float
    step: int | None = None

    @property
    def formula(self) -> str:
        """``"1,572,864 bit read × 0.0411 pJ"``."""
        return f"{self.events:,.6g} {self.event} × {self.price.value:.4g} {self.price.unit}"


class Ledger:
    """Charges of one unit, whose amounts add exactly.

    Args:
        charges: in the order of the run; their amounts are rounded here.
        unit: ``"pJ"`` or ``"um2"``.
        fidelity: how the numbers were made.

    Raises:
        ArgumentError: an amount is negative or not finite, or a price has another unit.
    """

    def __init__(self, charges: Iterable[Charge], unit: str, fidelity: str) -> None:
        held = list(charges)
        for charge in held:
            if not 0 <= charge.amount < math.inf:
                rule = "an amount must be finite and not negative"
                raise ArgumentError(rule, got=charge.amount, where=_place(charge))
            if charge.price.unit != unit:
                raise ArgumentError(f"prices must be in {unit}", got=charge.price.unit, where=_place(charge))
        quantum = _quantum(math.fsum(charge.amount for charge in held))
        self.charges = tuple(
            Charge(*charge[:7], round(charge.amount / quantum) * quantum, charge.step) for charge in held
        )  # exact: a division and a product by a power of two
        self.unit, self.fidelity = unit, fidelity

    def __iter__(self) -> Iterator[Charge]:
        return iter(self.charges)

    @property
    def value(self) -> float:
        """The sum of all amounts, exact."""
        return sum(charge.amount for charge in self.charges)

    def breakdown(self, by: Grouping = "component") -> Breakdown:
        """The amounts grouped; the parts add up to `value` to the last bit.

        Raises:
            ArgumentError: another grouping.
        """
        parts = {name: _sum(members, self.unit) for name, members in self._groups(by).items()}
        return Breakdown(parts, self.fidelity, self.unit)

    def values(self, by: Grouping) -> dict[str, float]:
        """The amounts of `breakdown` without their causes and sources."""
        return {name: sum(one.amount for one in members) for name, members in self._groups(by).items()}

    def _groups(self, by: Grouping) -> dict[str, list[Charge]]:
        if by not in GROUPINGS:
            raise ArgumentError(f"must be one of {', '.join(GROUPINGS)}", got=by, where="breakdown.by")
        groups: dict[str, list[Charge]] = {}
        for charge in self.charges:
            groups.setdefault(str(getattr(charge, by)) or "machine", []).append(charge)
        return groups

    def rows(self) -> list[dict[str, Any]]:
        """One plain record a charge, for JSON and tables."""
        return [
            {
                "layer": charge.layer, "component": charge.component, "level": charge.level,
                "tensor": charge.tensor, "count": charge.events, "event": charge.event,
                "price": charge.price.value, "amount": charge.amount, "unit": self.unit,
                "source": charge.price.source,
            }
            for charge in self.charges
        ]  # fmt: skip


def _place(charge: Charge) -> str:
    return f"{charge.layer or 'machine'}.{charge.component}"


def _quantum(total: float) -> float:
    """A power of two of which every partial sum of amounts is a multiple that float64 holds exactly: rounding adds at
    most half a quantum an amount, for which the spare bit is wide enough up to 2⁵¹ amounts."""
    _, exponent = math.frexp(total or 1.0)
    return math.ldexp(1.0, exponent - 52)


def _sum(members: list[Charge], unit: str) -> Quantity:
    """The exact sum of amounts; source of the largest, errors by cause as `weighted` joins them."""
    value = sum(charge.amount for charge in members)
    joined = weighted((one.price, one.amount / one.price.value if one.price.value else 0.0) for one in members)
    return Quantity(value, unit, joined.source, errors=joined.errors)

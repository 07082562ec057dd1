"""What the work of a product is charged for: events of its unit and of its registers, each at the price of one.

Counts are numbers for one product, or columns of many products of one unit: the lines below count both, so that the
ledger of a design and the columns of a sweep have one account.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np

from hwsim.datapaths import pricing
from hwsim.errors import ArgumentError

if TYPE_CHECKING:
    from hwsim.arch import Array
    from hwsim.cost.coefficients import Coefficients
    from hwsim.cost.gates import GateEnergy
    from hwsim.cost.toggles import Toggles
    from hwsim.datapaths.base import Datapath

FIDELITIES = ("pann", "trace", "gates")

Number = Any
"""An int or a float, or a column of them, ``[products]``."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of the operands of one product: flips, gates, additions; None where it was not measured."""

    toggles: Toggles | None = None
    gates: GateEnergy | None = None
    additions: float | None = None


class Worked(Protocol):
    """What an array does, as `hwsim.arch.plan.Product` has it of one product."""

    @property
    def updates(self) -> Number: ...  # noqa: D102
    @property
    def a_reads(self) -> Number: ...  # noqa: D102
    @property
    def a_loads(self) -> Number: ...  # noqa: D102
    @property
    def b_loads(self) -> Number: ...  # noqa: D102
    @property
    def array_cycles(self) -> Number: ...  # noqa: D102


class Logic(NamedTuple):
    """What an update of a unit takes, or a rebuild of its tables.

    Attributes:
        component: where it is charged.
        event: its name.
        times: events of one update or rebuild.
        price: of an event: fJ at the library's node, a `Quantity` or a column.
    """

    component: str
    event: str
    times: Number
    price: Any


class Flips(NamedTuple):
    """Mean flips of registers, as of `hwsim.cost.toggles.Toggles`, and the price of one."""

    a_element: Number
    b_element: Number
    a_scale: Number
    b_scale: Number
    sum: Number
    price: Any


class Known(NamedTuple):
    """What the charges of a product's logic follow from: its updates by part, the rebuild of its tables and the flips
    of its registers, None where it has none."""

    updates: tuple[Logic, ...]
    rebuild: Logic | None
    flips: Flips | None


def known(unit: Datapath, counted: Counted, fidelity: str, held: Coefficients, array: Array, layer: str) -> Known:
    """Prices of one product.

    Raises:
        ArgumentError: counts are missing that the fidelity needs, or were counted in another order than the array's.
        UnknownName: a coefficient is missing. MissingView: the unit has no price.
    """
    if fidelity == "pann":
        flips, each = unit.price.width_flips(counted.additions), held["pann.energy_per_flip"]
        parts = ("products", flips.products), ("accumulation", flips.sums)
        table = Logic("tables", "flip by widths", flips.table, each) if flips.table else None
        return Known(tuple(Logic(part, "flip by widths", times, each) for part, times in parts), table, None)
    _in_order(counted.toggles, "toggles", array, layer)
    gates = _in_order(counted.gates, "gates", array, layer) if fidelity == "gates" else None
    return _measured(unit, _Same(counted.toggles), _Same(gates), _Same(held))


class _Same:
    """A record that is told apart as an object: the same one is met in every plan, and has no hash of its own."""

    __slots__ = ("record",)

    def __init__(self, record: Any) -> None:
        self.record = record

    def __hash__(self) -> int:
        return id(self.record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.record is self.record


@lru_cache(maxsize=4096)
def _measured(unit: Datapath, toggles: _Same, gates: _Same, held: _Same) -> Known:
    flips, coefficients = cast("Toggles", toggles.record), cast("Coefficients", held.record)
    registers = Flips(
        flips.a_element, flips.b_element, flips.a_scale, flips.b_scale, flips.sum,
        coefficients["flipflop.energy.data"],
    )  # fmt: skip
    if gates.record is not None:
        made = cast("GateEnergy", gates.record)
        table = Logic("tables", "rebuild", 1, made.quantity("rebuild")) if made.rebuild_fj else None
        return Known((Logic("logic", "update", 1, made.quantity("update")),), table, registers)
    update, rebuild = pricing.update_energy(unit, flips, coefficients)
    parts = tuple(Logic(part, "update", 1, price) for part, price in update.items())
    return Known(parts, None if rebuild is None else Logic("tables", "rebuild", 1, rebuild), registers)


def _in_order(record: Any, name: str, array: Array, layer: str) -> Any:
    """A record that a fidelity needs, counted in the array's order."""
    if record is None:
        raise ArgumentError(f"{name} of every product must be known for this fidelity", where=f"energy.{layer}")
    if record.dataflow != array.dataflow.order:
        rule = f"{name} must be counted in the order of {array.dataflow.name}"
        raise ArgumentError(rule, got=record.dataflow, where=f"energy.{layer}")
    return record


def logic_events(product: Worked, unit: Datapath, one: Known) -> Iterator[tuple[str, Number, str, Any]]:
    """Component, count, event and price in fJ of what flips in the unit and its registers."""
    for part in one.updates:
        yield part.component, product.updates * part.times, part.event, part.price
    if one.rebuild is not None:
        rebuilds = product.a_reads / unit.lanes if unit.price.registers.table_bits else 0.0
        yield one.rebuild.component, rebuilds * one.rebuild.times, one.rebuild.event, one.rebuild.price
    if one.flips is not None:
        yield "registers", _register_flips(product, unit, one.flips), "flip", one.flips.price


def _register_flips(product: Worked, unit: Datapath, flips: Flips) -> Number:
    """Bits that flip in the registers of operands, scales and sums."""
    # a unit that reads its activations from a shared table holds none
    a = product.a_loads * flips.a_element if unit.price.registers.a_bits else 0.0
    found = a + product.b_loads * flips.b_element + product.updates * flips.sum
    if unit.block is not None:
        found = found + (product.a_loads * flips.a_scale + product.b_loads * flips.b_scale) / unit.block
    return found


def clocked_bits(product: Worked, unit: Datapath, array: Array) -> Number:
    """Clock edges of flip-flops: streaming registers and sums every cycle of the array, others when they load."""
    registers, cycles, wide = unit.price.registers, product.array_cycles, unit.lanes
    tables = registers.table_bits * product.a_reads / wide
    stays = array.dataflow.stationary
    a = product.a_loads / wide * registers.a_bits if stays == "input" else cycles * registers.a_bits
    b = product.b_loads / wide * registers.b_bits if stays == "weight" else cycles * registers.b_bits
    return a + b + cycles * registers.sum_bits + tables


def joined(ones: Sequence[Known]) -> Known:
    """What is known of several products of one unit as columns, prices as fJ; a part that one of them does not have
    costs it nothing."""
    updates = [{(part.component, part.event): part for part in one.updates} for one in ones]
    rebuilds = [{(one.rebuild.component, one.rebuild.event): one.rebuild} if one.rebuild else {} for one in ones]
    flips = [one.flips for one in ones if one.flips is not None]
    columns = zip(*((*one[:-1], one.price.value) for one in flips), strict=True)
    registers = Flips._make(map(np.array, columns)) if flips else None
    return Known(_stacked(updates), next(iter(_stacked(rebuilds)), None), registers)


def _stacked(parts: Sequence[Mapping[tuple[str, str], Logic]]) -> tuple[Logic, ...]:
    """Each part that one of some products has, as a column over all."""
    return tuple(
        Logic(
            *name,
            np.array([one[name].times if name in one else 0 for one in parts]),
            np.array([one[name].price.value if name in one else 0.0 for one in parts]),
        )
        for name in dict.fromkeys(name for one in parts for name in one)
    )

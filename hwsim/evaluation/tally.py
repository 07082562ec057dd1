"""What a plan costs, with the prices left open: counts by the kind of price that each of them is charged at.

A plan's charges are made once, by `hwsim.evaluation.energy.step_charges` itself, with prices that say what they are
in place of what they cost. So there is one account of what a plan is charged for, and a column of machines that share
the plan differs in a few prices alone. What a cycle costs whatever happens in it is not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.cost.quantity import Quantity
from hwsim.evaluation.energy import Counted, step_charges
from hwsim.evaluation.prices import LevelPrice, MachinePrices

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.plan import Plan
    from hwsim.datapaths.base import Datapath

LOGIC, EDGE = "logic", "clock edge"


@dataclass(frozen=True, slots=True)
class Counts:
    """Charges at one kind of price.

    Attributes:
        events: how many, float64 ``[charges]``.
        base: what the price is multiplied with: fJ of logic at the library's node, else 1; float64 ``[charges]``.
    """

    events: NDArray[np.float64]
    base: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tally:
    """Charges of a plan by kind of price.

    Attributes:
        logic: energies of logic in fJ, at the library's node and supply.
        edges: cycles of clocked flip-flops.
        pipeline: for each unit of the policy, cycles of its position in the array: edges of a single flip-flop.
        cuts: for each kind of vector work, its elements: edges of a single flip-flop between stages.
        moved: by level, bits read, bits written, and bits on its wires (none where it has no wires).
        dram_bits: read from and written to the DRAM, both.
    """

    logic: Counts
    edges: Counts
    pipeline: Mapping[Datapath, Counts]
    cuts: Mapping[str, Counts]
    moved: Mapping[str, tuple[Counts, Counts, Counts]]
    dram_read_bits: int
    dram_write_bits: int


class _Open(MachinePrices):
    """Prices whose source says what they are, and whose value is what the price is multiplied with."""

    def logic(self, price: Quantity) -> Quantity:
        return price.with_unit("pJ").with_source(LOGIC)

    @cached_property
    def clock_edge(self) -> Quantity:
        return Quantity(1.0, "pJ", EDGE)

    def pipeline_bits(self, unit: Datapath) -> int:
        return 0

    def vector_edges(self, kind: str) -> float:
        return 0.0


def tally(
    plan: Plan, machine: Accelerator, prices: MachinePrices, counted: Mapping[int, Counted], kind: str
) -> Tally:
    """The charges of a plan.

    Args:
        plan: on `machine`.
        machine: any that carries the plan out.
        prices: of `machine`.
        counted: what is known of each product, by its place among the products of the workload.
        kind: fidelity of the units' energies.

    Raises:
        ArgumentError: counts are missing that the fidelity needs. UnknownName: a coefficient is missing.
        MissingView: a unit has no price.
    """
    levels = {name: _open(name, level) for name, level in prices.levels.items()}
    opened = _Open(machine, prices.coefficients, levels)
    numerics = {one.key: one for one in machine.policy.numerics}
    found: dict[str, list[tuple[float, float]]] = {}
    for step in plan.steps:
        for one in step_charges(step, numerics, opened, counted, kind):
            found.setdefault(one.price.source, []).append((float(one.events), one.price.value))
    stages: dict[Datapath, list[tuple[float, float]]] = {}
    cuts: dict[str, list[tuple[float, float]]] = {}
    for step in plan.steps:
        for work in step.vector:
            cuts.setdefault(work.kind, []).append((float(work.elements), 1.0))
        for product in step.products:
            unit = numerics[product.numerics_key].datapath
            stages.setdefault(unit, []).append((float(product.array_cycles), 1.0))
    return Tally(
        _counts(found.get(LOGIC, [])),
        _counts(found.get(EDGE, [])),
        {unit: _counts(each) for unit, each in stages.items()},
        {kind: _counts(each) for kind, each in cuts.items()},
        {
            name: (_counts(found.get(f"{name} read", [])), _counts(found.get(f"{name} written", [])),
                   _counts(found.get(f"{name} wire", [])))
            for name in prices.levels
        },
        plan.dram_read_bits,
        plan.dram_write_bits,
    )  # fmt: skip


def _open(name: str, level: LevelPrice) -> LevelPrice:
    read, written, wire = (Quantity(1.0, "pJ", f"{name} {what}") for what in ("read", "written", "wire"))
    return LevelPrice(
        level.component, read, written, None if level.wire_pj_per_bit is None else wire, level.area_um2,
        level.standing_mw,
    )  # fmt: skip


def _counts(pairs: list[tuple[float, float]]) -> Counts:
    table = np.array(pairs, np.float64).reshape(-1, 2)
    return Counts(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))

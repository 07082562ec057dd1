"""Where every cycle, byte, picojoule and µm² of a design goes, as plain tables.

Decides what an explanation holds: the steps of the plan with what each waits for; energy by component, by layer and
by level; traffic by tensor and level; every charge with its count, price, formula and source. A terminal, a JSON file
and a page show the same tables, so none of them knows more than another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.cost.quantity import Quantity
    from hwsim.evaluation.ledger import Grouping, Ledger
    from hwsim.evaluation.records import Evaluation


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its name, what it says in a line, its columns with their units, and its rows."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def explain(result: Evaluation) -> tuple[Table, ...]:
    """Every table of one evaluation, the answer first."""
    return (
        _answer(result),
        _steps(result),
        _energy(result, "component"),
        _energy(result, "layer"),
        _energy(result, "level"),
        _tensors(result),
        _residents(result),
        _area(result),
        _charges("energy charges", "every picojoule: count × price", result.energy),
        _charges("area charges", "every µm²: count × price", result.area),
    )


def to_json(tables: tuple[Table, ...]) -> dict[str, Any]:
    """Tables by name, each a list of records."""
    return {table.name: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in tables}


def _answer(result: Evaluation) -> Table:
    rows = [(name, value) for name, value in result.values().items()]
    rows += [("cycles", result.latency_cycles), ("f_max_ghz", result.f_max_ghz)]
    return Table("answer", "what the design is worth", ("quantity", "value"), tuple(rows))


def _steps(result: Evaluation) -> Table:
    spent: dict[int | None, float] = {}
    for charge in result.energy:
        spent[charge.step] = spent.get(charge.step, 0.0) + charge.amount
    rows = []
    for place, step in enumerate(result.plan.steps):
        dram = [row for row in step.traffic if row.level == result.plan.dram]
        cycles = step.cycles
        rows.append(
            (
                place, " + ".join(step.layers), step.tiling, cycles.latency, cycles.bound, cycles.compute,
                cycles.vector, cycles.dram, cycles.first_load, cycles.last_store,
                sum(row.read_bits for row in dram), sum(row.written_bits for row in dram),
                spent.get(place, 0.0),
            )
        )  # fmt: skip
    columns = (
        "step", "operators", "tiling", "latency_cycles", "waits_for", "array_cycles", "vector_cycles", "dram_cycles",
        "first_load_cycles", "last_store_cycles", "dram_read_bits", "dram_write_bits", "energy_pj",
    )  # fmt: skip
    return Table("steps", "what runs, fused, in which tiles, and what it waits for", columns, tuple(rows))


def _energy(result: Evaluation, by: Grouping) -> Table:
    parts = result.energy.breakdown(by).parts
    columns = (by, "energy_pj", "share", "factor", "source")
    return Table(f"energy by {by}", f"where the energy goes, by {by}", columns, _shares(parts, result.energy_pj))


def _shares(parts: Mapping[str, Quantity], total: float) -> tuple[tuple[Any, ...], ...]:
    """Rows of parts with their share of a total, the largest first."""
    ordered = sorted(parts.items(), key=lambda part: -part[1].value)
    return tuple(
        (name, part.value, part.value / total if total else 0.0, part.error_factor, part.source)
        for name, part in ordered
    )


def _tensors(result: Evaluation) -> Table:
    moved: dict[tuple[str, str], list[int]] = {}
    for row in result.traffic:
        counts = moved.setdefault((row.tensor, row.level), [0, 0])
        counts[0] += row.read_bits
        counts[1] += row.written_bits
    rows = tuple((tensor, level, read, written) for (tensor, level), (read, written) in moved.items())
    return Table("traffic", "what moves, by tensor and level", ("tensor", "level", "read_bits", "written_bits"), rows)


def _residents(result: Evaluation) -> Table:
    rows = tuple((one.tensor, one.level, one.bits, one.first_step, one.last_step) for one in result.plan.residents)
    columns = ("tensor", "level", "bits", "first_step", "last_step")
    return Table("residents", "what stays on chip between steps", columns, rows)


def _area(result: Evaluation) -> Table:
    parts = result.area.breakdown("component").parts
    columns = ("component", "area_um2", "share", "factor", "source")
    return Table("area by component", "where the area goes", columns, _shares(parts, result.area_um2))


def _charges(name: str, title: str, ledger: Ledger) -> Table:
    rows = tuple(
        (one.layer or "machine", one.component, one.level, one.tensor, one.formula, one.amount, one.price.source)
        for one in ledger
    )
    amount = "energy_pj" if ledger.unit == "pJ" else "area_um2"
    return Table(name, title, ("layer", "component", "level", "tensor", "formula", amount, "source"), rows)

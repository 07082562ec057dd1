"""The account of a calibration: what was fitted to how many circuits and layers, and how wrong it is on the others.

Written from the calibration itself and nothing else, so that a figure in it can be remade by its command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hwsim.cost.fit import Fit, quantile
from hwsim.cost.fitted import SHARES
from hwsim.evaluation.calibration.records import Calibration

AREA_BOUNDS = (0.05, 0.15)
ENERGY_BOUND = 0.10


def report_text(made: Sequence[Calibration], unit_errors: Mapping[str, float]) -> str:
    """Markdown of calibrations of one library, and of the errors of whole units that no fit has seen."""
    first = made[0]
    lines = [
        "# Calibration of areas and energies",
        "",
        f"Library {first.library} ({first.liberty}), {first.node_nm} nm, {first.voltage:g} V; {first.tool}.",
        f"Operands: forward products of the trace `{first.trace}`, and synthetic ones that are never held out.",
        "Held out: one design in three and one layer in three, by a hash of the name. An error is",
        "|fitted / measured - 1|; in brackets where a family is too small to hold any out.",
        "",
        "Remake, with Yosys installed. Circuits are synthesised first, one Yosys a core, and kept, so that a run",
        "that was interrupted goes on after them:",
        "",
        "```",
        "python -c \"import hwsim; hwsim.capture('gpt', out='traces/calibration', max_rows=64)\"",
        "hwsim calibrate traces/calibration --out calibrated",
        "```",
        "",
        *_area(first, unit_errors),
    ]
    for one in made:
        lines += _energy(one)
    return "\n".join(lines)


def _area(made: Calibration, unit_errors: Mapping[str, float]) -> list[str]:
    areas = {family: one for family, one in made.area.items() if not family.endswith(SHARES)}
    held = {name: error for one in areas.values() for name, error in one.held_out.items()}
    priced = [one for family, one in areas.items() if family not in made.compared]
    used = {name: error for one in priced for name, error in one.held_out.items()}
    worst = ", ".join(f"{name} {error:+.0%}" for name, error in _largest(held | dict(unit_errors)))
    median, high = AREA_BOUNDS
    return [
        "## Area",
        "",
        f"Bounds: median at most {median:.0%}, 95th percentile at most {high:.0%}, on held-out designs.",
        "",
        "| held out | designs | median | 95th percentile | largest |",
        "|---|---|---|---|---|",
        _summary("all families", held),
        _summary("families that price machines", used),
        _summary("whole units, composed of blocks (none seen by a fit)", unit_errors),
        "",
        f"Families that price no machine: {', '.join(sorted(made.compared)) or 'none'}.",
        "Beside a table with one reader stand designs with several, which resemble it.",
        "",
        "| family | fitted | held out | median | 95th percentile |",
        "|---|---|---|---|---|",
        *(_family(name, fit) for name, fit in areas.items()),
        "",
        f"Largest errors: {worst}.",
        "",
    ]


def _energy(made: Calibration) -> list[str]:
    held = {name: error for fit in made.energy.values() for name, error in fit.held_out.items()}
    by_unit: dict[str, dict[str, float]] = {}
    by_flow: dict[str, dict[str, float]] = {}
    for name, error in held.items():
        by_unit.setdefault(" ".join(name.split(" ")[:2]), {})[name] = error
        by_flow.setdefault(name.rpartition(" ")[2], {})[name] = error
    cell, area, clock, data = made.flipflop
    return [
        f"## Energy of `trace` against `gates`, {made.delay} delay",
        "",
        f"Bound: median at most {ENERGY_BOUND:.0%} on held-out layers. Compared is the logic of a unit on the same",
        "steps; registers and clock are the library's flip-flop in both. Unsigned and shift units, for whose",
        "operands no machine has a scheme, stand on the stand-ins of `hwsim.evaluation.calibration.arithmetics`.",
        "",
        "| held out | layers on units | median | 95th percentile | largest |",
        "|---|---|---|---|---|",
        _summary("all", held),
        *(_summary(f"dataflow {flow}", errors) for flow, errors in by_flow.items()),
        *(_summary(unit, errors) for unit, errors in by_unit.items()),
        "",
        "| family | fitted | held out | median | 95th percentile |",
        "|---|---|---|---|---|",
        *(_family(name, fit) for name, fit in made.energy.items()),
        "",
        f"Flip-flop {cell}: {area:.4g} um2, {clock:.4g} fJ a clock cycle, {data:.4g} fJ a flip.",
        "fJ of a flip in PANN's formulas: "
        + ", ".join(f"{unit} {value:.3g}" for unit, value in made.pann_fj.items())
        + ".",
        "",
    ]


def _summary(name: str, errors: Mapping[str, float]) -> str:
    if not errors:
        return f"| {name} | 0 | | | |"
    figures = " | ".join(f"{quantile(errors, part):.1%}" for part in (0.5, 0.95, 1.0))
    return f"| {name} | {len(errors)} | {figures} |"


def _family(name: str, fit: Fit) -> str:
    if not fit.held_out:
        return f"| {name} | {len(fit.fitted)} | 0 | ({fit.median_error:.1%}) | ({fit.p95_error:.1%}) |"
    return f"| {name} | {len(fit.fitted)} | {len(fit.held_out)} | {fit.median_error:.1%} | {fit.p95_error:.1%} |"


def _largest(errors: Mapping[str, float], count: int = 6) -> Iterable[tuple[str, float]]:
    return sorted(errors.items(), key=lambda item: -abs(item[1]))[:count]

"""The front of a study in gates: what its fitted energies and areas are worth, design by design.

Decides what is kept of it: ``gates.csv`` beside the study's tables, one line a design of the front, so that a report
can be written again on a system without Yosys. A study that goes on loses it, as its front may be another one. The
last column is a CRC-32 of the cells before it.
"""

from __future__ import annotations

import dataclasses
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError, TraceError
from hwsim.evaluation import Confirmation
from hwsim.storage import Digits, read_table, table_text, write_whole

if TYPE_CHECKING:
    from hwsim.evaluation import Memo, Synthesis
    from hwsim.search.points import Point
    from hwsim.search.space import DesignSpace
    from hwsim.search.study import Study
    from hwsim.search.watching import Progress
    from hwsim.trace import Trace

GATES = "gates.csv"
CHECK = "crc32"


MOST = 150
"""Designs of a front that are all priced in gates; of a larger one `SPREAD` evenly spaced by energy, the best and the
worst of each objective, and the best of each value of the first knob."""
SPREAD = 48


def to_confirm(study: Study) -> tuple[Point, ...]:
    """The designs of the front that are priced in gates, in its order."""
    points = study.detailed
    if len(points) <= MOST:
        return points
    by = "energy_uj" if "energy_uj" in study.objectives else study.objectives[0]
    order = sorted(range(len(points)), key=lambda place: points[place].values[by])
    chosen = {order[round(place * (len(order) - 1) / (SPREAD - 1))] for place in range(SPREAD)}
    for name in study.objectives:
        ranked = sorted(range(len(points)), key=lambda place: points[place].values[name])
        chosen |= {ranked[0], ranked[-1]}
    best: dict[object, int] = {}
    for place in order:
        best.setdefault(points[place].point[0][1], place)
    return tuple(point for place, point in enumerate(points) if place in chosen | set(best.values()))


def confirm_front(
    study: Study,
    space: DesignSpace,
    traces: Iterable[Trace],
    memo: Memo | None = None,
    progress: Progress = lambda done, total, note: None,
    synthesis: Synthesis | None = None,
) -> Study:
    """The study with `Study.confirmed` filled: the designs of its front, fitted beside synthesised; of a front that a
    sweep found, which may be large, those that have details.

    A design without circuits, or a system without Yosys, is a record with its reason.

    Args:
        study: what `explore` found.
        space: the space that it searched.
        traces: those that it ran on.
        memo: values measured before; the user's cache without it.
        progress: called after every design.
        synthesis: one that is under way already.

    Raises:
        ArgumentError: `space` is not the study's.
    """
    from hwsim.evaluation import confirm

    by_name = {trace.name: trace for trace in traces}
    space, _ = space.without(set(by_name))
    if space.digest != study.manifest["space_digest"]:
        raise ArgumentError(
            f"a front is confirmed in the space of its study ({study.manifest['space_digest']})",
            got=space.digest,
            where=f"space {space.name}",
        )
    wanted = to_confirm(study)
    main, total, done = next(iter(by_name)), len(wanted), 0
    confirmed: dict[int, Confirmation] = {}
    for name, trace in by_name.items():
        points = [point for point in wanted if (point.model or main) == name]
        designs = [space.design(dict(point.point)).accelerator for point in points]

        def advance(made: int, _: int, note: str, before: int = done) -> None:
            progress(before + made, total, note)

        found = confirm(trace, designs, memo, advance, synthesis)
        confirmed |= {point.number: one for point, one in zip(points, found, strict=True)}
        done += len(points)
    return dataclasses.replace(study, confirmed={point.number: confirmed[point.number] for point in wanted})


def write_confirmed(confirmed: Mapping[int, Confirmation], folder: Path) -> None:
    """Write ``gates.csv``, or remove it where nothing is confirmed."""
    path = folder / GATES
    if not confirmed:
        path.unlink(missing_ok=True)
        return
    rows = [[str(number), *map(_cell, dataclasses.astuple(one))] for number, one in confirmed.items()]
    columns = ["number", *(field.name for field in dataclasses.fields(Confirmation)), CHECK]
    write_whole(path, table_text(columns, ([*row, _check(row)] for row in rows)))


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else Digits(repr(float(value)))


def _check(cells: Sequence[str]) -> str:
    return f"{zlib.crc32(chr(0).join(cells).encode()):08x}"


def read_confirmed(folder: Path) -> dict[int, Confirmation]:
    """What `write_confirmed` left in `folder`; nothing where it left nothing."""
    path = folder / GATES
    if not os.path.lexists(path):
        return {}
    found: dict[int, Confirmation] = {}
    for line, row in read_table(path, "a table of confirmed designs", TraceError):
        where = f"{path}:{line}"
        check = row.pop(CHECK, None)  # files of earlier versions have none
        if check is not None and check != _check(list(row.values())):
            raise TraceError("a line must match its CRC-32", got=check, where=where)
        try:
            number = int(row.pop("number"))
            values = {name: value if name in _TEXT else float(value) for name, value in row.items()}
            one = Confirmation(**values)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):
            raise TraceError("a line must be a confirmed design", got=row, where=where) from None
        measured = [float(value) for name, value in values.items() if name not in _TEXT]
        if number < 0 or number in found:
            raise TraceError("a design must be confirmed once", got=number, where=where)
        if not all(value >= 0 and value < math.inf for value in measured if not (one.reason and math.isnan(value))):
            raise TraceError("energies and areas must be numbers of at least zero", got=measured, where=where)
        found[number] = one
    if not found:
        raise TraceError("a table of confirmed designs must hold one", where=str(path))
    return found


_TEXT = {field.name for field in dataclasses.fields(Confirmation) if field.type == "str"}

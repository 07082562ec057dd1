"""The front of a study in gates: what its fitted energies and areas are worth, design by design.

Decides what is kept of it: ``gates.csv`` beside the study's tables, one line a design of the front, so that a report
can be written again on a system without Yosys. A study that goes on loses it, as its front may be another one.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError, StorageError, TraceError
from hwsim.evaluation import Confirmation, Memo, Synthesis, confirm

if TYPE_CHECKING:
    from hwsim.search.explorer import Progress
    from hwsim.search.space import DesignSpace
    from hwsim.search.study import Study
    from hwsim.trace import Trace

GATES = "gates.csv"


def confirm_front(
    study: Study,
    space: DesignSpace,
    traces: Iterable[Trace],
    memo: Memo | None = None,
    progress: Progress = lambda done, total, note: None,
    synthesis: Synthesis | None = None,
) -> Study:
    """The study with `Study.confirmed` filled: every design of its front, fitted beside synthesised.

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
    by_name = {trace.name: trace for trace in traces}
    space, _ = space.without(set(by_name))
    if space.digest != study.manifest["space_digest"]:
        raise ArgumentError(
            f"a front is confirmed in the space of its study ({study.manifest['space_digest']})",
            got=space.digest,
            where=f"space {space.name}",
        )
    main, total, done = next(iter(by_name)), len(study.pareto), 0
    confirmed: dict[int, Confirmation] = {}
    for name, trace in by_name.items():
        points = [point for point in study.pareto if (point.model or main) == name]
        designs = [space.design(dict(point.point)).accelerator for point in points]

        def advance(made: int, _: int, note: str, before: int = done) -> None:
            progress(before + made, total, note)

        found = confirm(trace, designs, memo, advance, synthesis)
        confirmed |= {point.number: one for point, one in zip(points, found, strict=True)}
        done += len(points)
    return dataclasses.replace(study, confirmed={point.number: confirmed[point.number] for point in study.pareto})


def write_confirmed(confirmed: Mapping[int, Confirmation], folder: Path) -> None:
    """Write ``gates.csv``, or remove it where nothing is confirmed."""
    path = folder / GATES
    if not confirmed:
        path.unlink(missing_ok=True)
        return
    draft = path.with_suffix(".draft")
    try:
        with draft.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["number", *(field.name for field in dataclasses.fields(Confirmation))])
            table.writerows([number, *dataclasses.astuple(one)] for number, one in confirmed.items())
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"the study's folder must be writable ({error.strerror})", where=str(path)) from None


def read_confirmed(folder: Path) -> dict[int, Confirmation]:
    """What `write_confirmed` left in `folder`; nothing where it left nothing."""
    path = folder / GATES
    if not path.is_file():
        return {}
    text = {field.name for field in dataclasses.fields(Confirmation) if field.type == "str"}
    found = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            try:
                number = int(row.pop("number"))
                values = {name: value if name in text else float(value) for name, value in row.items()}
                found[number] = Confirmation(**values)  # type: ignore[arg-type]
            except (KeyError, TypeError, ValueError):
                raise TraceError("a line must be a confirmed design", got=dict(row), where=f"{path}:{line}") from None
    return found

"""A study: every evaluated point, its file, and its front.

Its log (`hwsim.search.points`) is the only thing that a running study needs. Tables for people are written from it
at the end: ``points.parquet`` (``points.csv`` without pyarrow), ``pareto.csv``, ``manifest.json``, and ``gates.csv``
where the front was confirmed in gates.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hwsim.cost import probability_less
from hwsim.errors import ArgumentError, StorageError, TraceError
from hwsim.evaluation import Confirmation
from hwsim.notebook import heading, table
from hwsim.search.comparison import breakdown
from hwsim.search.confirmation import GATES, read_confirmed, to_confirm, write_confirmed
from hwsim.search.manifest import MANIFEST, read_manifest, write_manifest
from hwsim.search.pareto import front
from hwsim.search.points import LOG, Point, PointLog
from hwsim.search.space import DesignSpace, Value
from hwsim.search.space_file import space_from_dict
from hwsim.search.watching import SO_FAR
from hwsim.storage import without_formulas, write_whole
from hwsim.trace import load_trace

if TYPE_CHECKING:
    from hwsim.search.explorer import Explorer
    from hwsim.search.limits import Where
    from hwsim.search.questions import Answer
    from hwsim.search.thinning import Alike

SHOWN = 20
"""Designs that a notebook shows."""


@dataclass(frozen=True)
class Study:
    """What a search found.

    Attributes:
        points: in the order of their first draw.
        manifest: how they were found.
        confirmed: designs of the front in gates by number, where `hwsim.search.confirm_front` made them.
    """

    points: tuple[Point, ...]
    manifest: Mapping[str, Any]
    confirmed: Mapping[int, Confirmation] = field(default_factory=dict)

    def point(self, number: int) -> Point:
        """The design of that number; `ArgumentError` where there is none."""
        for one in self.points:
            if one.number == number:
                return one
        raise ArgumentError(
            f"a design of the study must have the number (it has {len(self.points)} designs)", got=number,
            where=f"study {self.manifest['space']}",
        )  # fmt: skip

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of the objectives, with units, as keys of `Point.values`."""
        return tuple(self.manifest["objectives"])

    @property
    def certificate(self) -> Mapping[str, Any]:
        """What is known of the front (`hwsim.search.polish.Certificate`); empty while the search runs."""
        found: Mapping[str, Any] = self.manifest.get("certificate", {})
        return found

    @property
    def baselines(self) -> Mapping[str, Mapping[str, float]]:
        """Values of machines that stand beside the front, by name (`hwsim.search.with_baselines`)."""
        found: Mapping[str, Mapping[str, float]] = self.manifest.get("baselines", {})
        return found

    @property
    def space(self) -> DesignSpace:
        """The space that was searched, less the options of models that were not captured.

        Raises:
            TraceError: the manifest is of a version that did not keep it.
        """
        if "space_tables" not in self.manifest:
            raise TraceError("a study's manifest must hold its space", got=self.manifest.get("space"), where=MANIFEST)
        return space_from_dict(self.manifest["space_tables"], where=MANIFEST)

    def evaluate(self, point: Point | Mapping[str, Value]) -> Point:
        """Price any design of the space as the study prices its own, breakdowns and sources too; its number is -1.

        Args:
            point: a design of the study, or values by knob, of which inactive ones may be left out.

        Raises:
            TraceError: a trace of the study is not where it was, or not what it was.
        """
        draw = dict(point.point) if isinstance(point, Point) else point
        return self._explorer.evaluate(-1, self.space.design(draw))

    @functools.cached_property
    def _explorer(self) -> Explorer:
        from hwsim.search.explorer import Explorer, open_evaluators

        traces = []
        for name, facts in self.manifest["traces"].items():
            traces.append(load_trace(facts["path"]))
            if traces[-1].digest != facts["digest"]:
                raise TraceError(
                    "must be the trace of the study", got=traces[-1].digest, where=f"{name}: {facts['path']}"
                )
        return Explorer(self.space, open_evaluators(self.space, traces))

    def probability_less(self, one: Point, other: Point, what: Literal["energy_pj", "area_um2"]) -> float:
        """How sure it is that `one` takes less energy or area than `other`: errors of one cause err together."""
        return probability_less(breakdown(one, what), breakdown(other, what))

    def cost(self, point: Point) -> list[float]:
        """The objectives of a point, signed so that smaller is better."""
        goals = self.manifest["goals"]
        return [point.values[name] * (-1.0 if goals[name] == "max" else 1.0) for name in self.objectives]

    @property
    def front(self) -> tuple[Point, ...]:
        """Feasible points that no other one beats, by rising energy (by the first objective where energy is none)."""
        feasible = [point for point in self.points if point.feasible]
        if not feasible:
            return ()
        costs = np.array([self.cost(point) for point in feasible])
        chosen = [point for point, kept in zip(feasible, front(costs), strict=True) if kept]
        by = "energy_uj" if "energy_uj" in self.objectives else self.objectives[0]
        return tuple(sorted(chosen, key=lambda point: (point.values[by], point.number)))

    def chances(self) -> dict[int, float]:
        """For each design of the front but the last, by rising energy: how sure it is that it takes less energy than
        the next one. Near one half the model cannot tell them apart."""
        members = [point for point in self.front if "causes" in point.detail]
        members.sort(key=lambda point: (point.values["energy_uj"], point.number))
        return {
            one.number: self.probability_less(one, other, "energy_pj") for one, other in itertools.pairwise(members)
        }

    def query(self, minimize: str | None = None, where: Where = (), maximize: str | None = None) -> Answer:
        """The best design under conditions, and how far to trust it (`hwsim.search.questions.query`)."""
        from hwsim.search.questions import query

        return query(self, minimize, where, maximize)

    @property
    def detailed(self) -> tuple[Point, ...]:
        """Designs of the front with breakdowns and sources: all of a drawn one, some of a swept one."""
        return tuple(point for point in self.front if point.broken_down)

    def thinned(self) -> tuple[Alike, ...]:
        """The front as few designs that the model cannot tell from the rest (`hwsim.search.thinning.thinned`)."""
        return self._thinned

    @functools.cached_property
    def _thinned(self) -> tuple[Alike, ...]:
        from hwsim.search.thinning import thinned

        return thinned(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: how it was found, and designs that stand for the front, at most `SHOWN`."""
        made, stand = self.manifest, [one.design for one in self.thinned()][:SHOWN] if self.front else []
        note = f"{len(self.points)} designs, {len(self.front)} on the front; {made.get('sampler', 'search')}"
        rows = [
            (
                point.number,
                str(point.detail.get("numerics", "")),
                str(point.detail.get("array", "")),
                *(point.values[name] for name in self.objectives),
            )
            for point in stand
        ]
        columns = ("number", "arithmetic", "array", *self.objectives)
        return heading(f"Study of {made['space']}", note) + (table(columns, rows, left=3) if rows else "")

    def to_pandas(self) -> Any:
        """All points as a pandas DataFrame: one row a point, parameters, values, state."""
        import pandas as pd

        on_front = {point.number for point in self.front}
        rows = [
            {
                "number": point.number,
                "model": point.model,
                "feasible": point.feasible,
                "pareto": point.number in on_front,
            }
            | dict(point.point)
            | dict(point.values)
            | {"reason": point.reason}
            for point in self.points
        ]
        return pd.DataFrame(rows)

    def write(self, folder: Path) -> None:
        """Write the tables and the manifest into `folder`."""
        frame = self.to_pandas()
        try:
            if importlib.util.find_spec("pyarrow"):
                for column in frame.columns:  # a parameter may mix numbers and names; parquet columns may not
                    if frame[column].dtype == object:
                        frame[column] = frame[column].map(lambda value: None if value is None else str(value))
                write_whole(folder / "points.parquet", frame.to_parquet(index=False))
            else:
                write_whole(folder / "points.csv", _plain(frame).to_csv(index=False))
            if self.front:
                pareto = frame.set_index("number", drop=False).loc[[point.number for point in self.front]]
                chances = self.chances()
                pareto["p_less_energy_than_next"] = [chances.get(number) for number in pareto["number"]]
                if self.confirmed:
                    gates = [self.confirmed.get(number) for number in pareto["number"]]
                    pareto["gates_energy_uj"] = [one.gates_pj * 1e-6 if one else None for one in gates]
                    pareto["synthesized_area_mm2"] = [one.synthesized_um2 * 1e-6 if one else None for one in gates]
                write_whole(folder / "pareto.csv", _plain(pareto).to_csv(index=False))
            else:
                (folder / "pareto.csv").unlink(missing_ok=True)
            write_confirmed(self.confirmed, folder)
            write_manifest(folder, self.manifest)
        except OSError as error:
            raise StorageError(f"the study's folder must be writable ({error.strerror})", where=str(folder)) from None


def load_study(folder: str | Path) -> Study:
    """Read a study that `explore` or `sweep` left in `folder`, finished or not; of a sweep under way the front so
    far."""
    folder = Path(folder)
    if not os.path.lexists(folder / MANIFEST):
        raise TraceError(f"a study's folder must hold {MANIFEST}", got=str(folder))
    manifest = read_manifest(folder)
    points, confirmed = tuple(PointLog(folder).read()), read_confirmed(folder)
    if not points and not manifest.get("finished") and (folder / SO_FAR).is_file():
        points = tuple(PointLog(folder, SO_FAR).read())
    study = Study(points, manifest, confirmed)
    for point in points:
        if missing := [name for name in study.objectives if point.reason is None and name not in point.values]:
            where = f"{folder / LOG}: design {point.number}"
            raise TraceError("a point must have the objectives of its study", got=missing, where=where)
    if (written := _written(manifest)) and len(points) not in written:
        rule = f"a finished study must hold all its designs ({written[0]})"
        raise TraceError(rule, got=len(points), where=str(folder / LOG))
    if confirmed and (missing_gates := {point.number for point in to_confirm(study)} - set(confirmed)):
        rule, where = "designs of the front must be confirmed", str(folder / GATES)
        raise TraceError(rule, got=sorted(missing_gates), where=where)
    return study


def _written(manifest: Mapping[str, Any]) -> tuple[int, ...]:
    """How many designs the log of a finished study holds: the front alone where hardware was enumerated, unless each
    is a search of its own; nothing where an earlier version did not say."""
    if not manifest.get("finished") or "designs" not in manifest:
        return ()
    certificate = manifest.get("certificate", {})
    enumerated = manifest.get("sampler") == "sweep" or certificate.get("arithmetics")
    front = certificate.get("designs") if enumerated else None
    return (front, manifest["designs"]) if front else (manifest["designs"],)


def _plain(table: Any) -> Any:
    """A copy of a DataFrame whose text no spreadsheet takes for a formula."""
    import pandas as pd

    copy = table.copy()
    for column in copy.columns:
        if not pd.api.types.is_numeric_dtype(copy[column]):
            copy[column] = copy[column].map(without_formulas)
    return copy.rename(columns=without_formulas)

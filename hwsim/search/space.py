"""Design spaces: named parameters with ranges; one draw is an Accelerator, and a model that it runs.

A space holds the tables that all designs share (of a machine file, and ``phase`` where it has one), the parameters,
and the constraints. A parameter's name is a dotted path in the tables, unless ``sets`` gives another path; a value
with a table ``[options.PARAMETER.VALUE]`` merges that table instead. ``when`` limits a parameter to some values of
another one: elsewhere it is inactive and not part of the design, so that two draws that differ only in an inactive
parameter are one design. What a file may say: `hwsim.search.space_file`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hwsim.arch import Accelerator
from hwsim.errors import DesignError
from hwsim.evaluation.objectives import Limit

if TYPE_CHECKING:
    from hwsim.evaluation.deployment import Deployment

Value = str | int | float | bool


class Drawn(Protocol):
    """What knows the values of its active knobs, as a point of a study does."""

    @property
    def point(self) -> tuple[tuple[str, Value], ...]:
        """By knob."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One knob: the values it takes, the path that it sets, and when it is active."""

    name: str
    values: tuple[Value, ...]
    sets: str
    when: tuple[tuple[str, tuple[Value, ...]], ...] = ()

    def active(self, point: Mapping[str, Value]) -> bool:
        """Whether this knob matters, given the values of the knobs above it."""
        return all(name in point and point[name] in allowed for name, allowed in self.when)


@dataclass(frozen=True, slots=True)
class Design:
    """One draw of a space: the machine, which of the captured models it runs, and what whole model, on how many such
    chips, where the space states one."""

    accelerator: Accelerator
    model: str | None
    point: tuple[tuple[str, Value], ...]
    deployment: Deployment | None = None


@dataclass(frozen=True, slots=True)
class DesignSpace:
    """Parameters, what they set, and what a design must satisfy. Built by `load_space`."""

    name: str
    title: str
    models: tuple[str, ...]
    objectives: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    constraints: tuple[Limit, ...]
    population: int
    polish: int
    plans: int
    """A search of a space whose designs take at most so many plans sweeps it instead."""
    arithmetics: int
    """Else, where this is not 0, a search chooses so many arithmetics and prices the hardware half of each whole."""
    accuracy: Literal["replay", "rerun"]
    energy: Literal["pann", "trace"]
    tables: str
    """The machine's table, the options and what the model's metric is called with, as JSON: a frozen record holds
    no dictionaries."""

    @property
    def size(self) -> int:
        """Number of draws, inactive parameters counted once."""

        def count(index: int, point: dict[str, Value]) -> int:
            if index == len(self.parameters):
                return 1
            parameter = self.parameters[index]
            if not parameter.active(point):
                return count(index + 1, point)
            if not any(parameter.name == name for later in self.parameters for name, _ in later.when):
                return len(parameter.values) * count(index + 1, point)
            return sum(count(index + 1, point | {parameter.name: value}) for value in parameter.values)

        return count(0, {})

    @property
    def deploys(self) -> bool:
        """Whether designs are chips of a whole model in a phase, and not one machine on a trace."""
        return "phase" in json.loads(self.tables)["machine"]

    @property
    def metric_options(self) -> dict[str, Any]:
        """What the model's ``metric()`` is called with during the search."""
        options: dict[str, Any] = json.loads(self.tables)["metric"]
        return options

    @property
    def noise_seed(self) -> int:
        """Of schemes that round stochastically."""
        return int(json.loads(self.tables).get("noise_seed", 0))

    @property
    def digest(self) -> str:
        """A hash of everything that decides what a draw means."""
        facts = [self.parameters, self.constraints, self.objectives, self.population, self.accuracy, self.energy]
        return hashlib.sha256(f"{facts}{self.tables}".encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """The tables of a space file; `space_from_dict` turns them into an equal space."""
        tables = json.loads(self.tables)
        bounds = ((one.column, {"min": one.least, "max": one.most}) for one in self.constraints)
        return {
            "name": self.name,
            "title": self.title,
            "models": list(self.models),
            "objectives": list(self.objectives),
            "machine": {name: table for name, table in tables["machine"].items() if name != "phase"},
            "parameters": {
                one.name: {"choice": list(one.values), "sets": one.sets}
                | ({"when": {name: list(allowed) for name, allowed in one.when}} if one.when else {})
                for one in self.parameters
            },
            "options": tables["options"],
            "constraints": {
                column: {side: bound for side, bound in sides.items() if bound is not None}
                for column, sides in bounds
            },
            "search": {
                "population": self.population, "polish": self.polish, "plans": self.plans,
                "arithmetics": self.arithmetics,
                "accuracy": self.accuracy, "energy": self.energy, "metric": tables["metric"],
            }
            | ({"noise_seed": self.noise_seed} if self.noise_seed else {}),
        } | ({"phase": tables["machine"]["phase"]} if self.deploys else {})  # fmt: skip

    def canonical(self, draw: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
        """The draw without its inactive parameters: two draws with one canonical form are one design."""
        point: dict[str, Value] = {}
        for parameter in self.parameters:
            if parameter.active(point):
                point[parameter.name] = draw[parameter.name]
        return tuple(point.items())

    def design(self, draw: Mapping[str, Value]) -> Design:
        """The Accelerator of a draw; `DesignError` where the combination is not a machine."""
        point = self.canonical(draw)
        machine = self.machine(dict(point))
        model, phase = machine.pop("model", None), machine.pop("phase", None)
        label = hashlib.sha256(json.dumps(point).encode()).hexdigest()[:8]
        accelerator = Accelerator.from_dict(machine | {"name": f"{self.name}-{label}"}, where=f"space {self.name}")
        if phase is None:
            return Design(accelerator, model, point)
        from hwsim.evaluation.deployment import deployment_of  # most spaces have none, and a question asks for none

        return Design(accelerator, model, point, deployment_of(phase, f"space {self.name}.phase"))

    def machine(self, point: Mapping[str, Value]) -> dict[str, Any]:
        """The tables of a machine file that the values of `point` give, with the keys ``model`` where one is named
        and ``phase`` where the space has one."""
        tables = json.loads(self.tables)
        machine: dict[str, Any] = tables["machine"]
        for parameter in self.parameters:
            if parameter.name in point:
                value = point[parameter.name]
                option = tables["options"].get(parameter.name, {}).get(str(value))
                _merge(machine, option) if option is not None else _assign(machine, parameter.sets, value)
        return machine

    def draws(self) -> Iterator[dict[str, Value]]:
        """Every design once, in the order of the file (for small spaces)."""

        def walk(index: int, point: dict[str, Value]) -> Iterator[dict[str, Value]]:
            if index == len(self.parameters):
                yield point
                return
            parameter = self.parameters[index]
            for value in parameter.values if parameter.active(point) else ():
                yield from walk(index + 1, point | {parameter.name: value})
            if not parameter.active(point):
                yield from walk(index + 1, point)

        yield from walk(0, {})

    def neighbours(self, point: Drawn | Mapping[str, Value]) -> Iterator[dict[str, Value]]:
        """Draws one knob away from `point`, a design of a study or values by knob: every other value of every active
        knob, in the order of the file.

        A knob that becomes active by the change takes its first value.
        """
        draw = point if isinstance(point, Mapping) else dict(point.point)
        for parameter in self.parameters:
            if not parameter.active(draw):
                continue
            for value in parameter.values:
                if value != draw[parameter.name]:
                    moved = {**draw, parameter.name: value}
                    yield {knob.name: moved.get(knob.name, knob.values[0]) for knob in self.parameters}

    def held(self, values: Mapping[str, str]) -> DesignSpace:
        """The space with some knobs held at one value, given as text as the file has it; a knob that exists only for
        other values of them goes.

        Raises:
            DesignError: no such knob, or not one of its values.
        """
        where = f"space {self.name}"
        known_keys(values, tuple(one.name for one in self.parameters), where)
        kept = []
        for parameter in self.parameters:
            text = values.get(parameter.name)
            chosen = tuple(value for value in parameter.values if text is None or str(value) == text)
            if not chosen:
                known = ", ".join(map(str, parameter.values))
                raise DesignError(f"must be one of {known}", got=text, where=f"{where}: {parameter.name}")
            kept.append(replace(parameter, values=chosen))
        return self._with(kept)

    def without(self, models: set[str]) -> tuple[DesignSpace, list[str]]:
        """The space less the options that need a model that was not captured, and the names of those options."""
        options = json.loads(self.tables)["options"]
        dropped: list[str] = []
        kept = []
        for parameter in self.parameters:
            needs = {
                value: options.get(parameter.name, {}).get(str(value), {}).get("model") for value in parameter.values
            }
            values = tuple(value for value in parameter.values if needs[value] is None or needs[value] in models)
            dropped += [f"{parameter.name}={value} (model {needs[value]})" for value in needs if value not in values]
            if not values:
                raise DesignError(
                    "at least one option must be for a captured model",
                    got=sorted(models),
                    where=f"space {self.name}: parameters.{parameter.name}",
                )
            kept.append(replace(parameter, values=values))
        return self._with(kept), dropped

    def _with(self, parameters: list[Parameter]) -> DesignSpace:
        """The space with fewer values of its knobs, less the knobs, conditions and options that can no longer be."""
        able: dict[str, tuple[Value, ...]] = {}
        kept = []
        for one in parameters:
            when = tuple(
                (name, tuple(value for value in allowed if value in able.get(name, ()))) for name, allowed in one.when
            )
            if all(allowed for _, allowed in when):
                able[one.name] = one.values
                kept.append(replace(one, when=when))
        tables = json.loads(self.tables)
        tables["options"] = {
            name: {value: option for value, option in values.items() if value in map(str, able[name])}
            for name, values in tables["options"].items()
            if name in able
        }
        return replace(self, parameters=tuple(kept), tables=json.dumps(tables))


def known_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """That every key of a table is known; an unknown one is told with the nearest that is.

    Raises:
        DesignError: it is not.
    """
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DesignError(f"keys must be among {', '.join(known)}{hint}", got=key, where=where)


def _assign(machine: dict[str, Any], path: str, value: Value) -> None:
    *parents, leaf = path.split(".")
    for parent in parents:
        below = machine.setdefault(parent, {})
        if not isinstance(below, dict):
            raise DesignError("a parameter must set a field of a table", got=path, where=parent)
        machine = below
    machine[leaf] = value


def _merge(machine: dict[str, Any], option: Mapping[str, Any]) -> None:
    for key, value in option.items():
        if isinstance(value, dict) and isinstance(machine.get(key), dict):
            _merge(machine[key], value)
        else:
            machine[key] = value

"""Design spaces: named parameters with ranges, read from TOML; one draw is an Accelerator.

A space file holds the table that all designs share (``[machine]``, the shape of a machine file), the parameters, and
the constraints. A parameter's name is a dotted path in the machine's table, unless ``sets`` gives another path; a
value that has a table ``[options.PARAMETER.VALUE]`` merges that table instead. ``when`` limits a parameter to some
values of another one: elsewhere it is inactive and not part of the design, so that two draws that differ only in an
inactive parameter are one design.

Rejected: an expression language for derived values and conditions. Tables can be checked, shown and diffed.
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from hwsim import workbench
from hwsim.arch import Accelerator
from hwsim.arch.places import line_of
from hwsim.arch.tables import checked_name
from hwsim.errors import DesignError, UnknownName
from hwsim.evaluation.deployment import Deployment, deployment_of
from hwsim.evaluation.objectives import EVERY, PHASE_MEASURES, Limit, limit
from hwsim.storage import Either, Flag, OneOf, Real, Record, Rows, Table, Text, Whole, checked, parse_toml, read_text
from hwsim.storage.reading import LARGEST_TOML

Value = str | int | float | bool

OBJECTIVES = ("accuracy", "energy", "area", "latency")
"""What a space that names no objectives is searched for."""
_SPACE_KEYS = (
    "name", "title", "models", "objectives", "phase", "machine", "parameters", "options", "constraints", "search",
)  # fmt: skip
_PARAMETER_KEYS = ("choice", "int", "float", "log", "step", "sets", "when")
_SEARCH_KEYS = ("population", "accuracy", "energy", "metric", "polish", "plans", "noise_seed")

MOST_VALUES = 4096
"""Values that one parameter may take."""

MOST_PARAMETERS = 200
MOST_CONDITIONS = 100_000
"""Combinations of the parameters that others depend on: the size of a space is found by walking them."""

_ANY = Record({}, open=True)
_VALUE = Either((Flag(), Whole(-(2**53)), Text(), Real()))
_SHAPE = Record(
    {"name": Text(), "machine": _ANY, "parameters": _ANY},
    {
        "title": Text(),
        "models": Rows(Text()),
        "objectives": Rows(Text(), least=1),
        "phase": _ANY,
        "options": Table(Table(_ANY)),
        "constraints": _ANY,
        "search": Record(
            {},
            {
                "population": Whole(2, 100_000),
                "accuracy": OneOf(("replay", "rerun")),
                "energy": OneOf(("pann", "trace")),
                "metric": Table(_VALUE),
            },
            open=True,
        ),
    },
)
_PARAMETER = Record(
    {},
    {
        "choice": Rows(_VALUE, 1, MOST_VALUES),
        "int": Rows(Whole(-(2**53)), 2, 2),
        "float": Rows(Real(), 2, 2),
        "log": Flag(),
        "step": Real(1e-300),
        "sets": Text(),
        "when": Table(Either((Rows(_VALUE), _VALUE))),
    },
)


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
        place = f"space {self.name}.phase"
        return Design(accelerator, model, point, None if phase is None else deployment_of(phase, place))

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
        _known_keys(values, tuple(one.name for one in self.parameters), where)
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


def load_space(name_or_path: str | Path) -> DesignSpace:
    """Read a space by name (``dse/NAME.toml`` of the workbench) or by path; errors say what is wrong and in which
    line."""
    path = workbench.find("dse", name_or_path, ".toml")
    text = read_text(path, "a design space", DesignError, LARGEST_TOML)
    table = parse_toml(text, "a design space", str(path), DesignError)
    try:
        return space_from_dict(table, where=path.stem)
    except (DesignError, UnknownName) as error:
        raise _placed(error, text, path, str(table.get("name", ""))) from None


def _placed(error: DesignError | UnknownName, text: str, path: Path, name: str) -> DesignError | UnknownName:
    """`error` with the line that it is about: of the field, or of the key that is none."""
    where = error.where or path.stem
    field = where.removeprefix(path.stem).lstrip(": ")
    if where.startswith(f"space {name}"):
        field = "machine" + where.removeprefix(f"space {name}")
    got = error.name if isinstance(error, UnknownName) else error.got
    word = got if isinstance(got, str) else ""
    named = [at for at, row in enumerate(text.splitlines(), 1) if word and re.search(rf"\b{re.escape(word)}\b", row)]
    line = named[0] if len(named) == 1 else line_of(text, f"{field}.{word}".strip("."))
    place = f"{where} ({workbench.shown(path)}" + (f", line {line})" if line else ")")
    if isinstance(error, UnknownName):
        return UnknownName(error.kind, error.name, error.known, where=place)
    return DesignError(error.rule, got=error.got, where=place)


def space_from_dict(table: Mapping[str, Any], where: str) -> DesignSpace:
    """Check a space's table and freeze it; errors carry the path of the field below `where`."""
    _known_keys(table, _SPACE_KEYS, where)
    for key in ("name", "machine", "parameters"):
        if key not in table:
            raise DesignError(f"a design space must have the key {key!r}", got=sorted(table), where=where)
    checked(table, _SHAPE, "a design space", where, DesignError)
    checked_name(table["name"], f"{where}: name")
    options = table.get("options", {})
    parameters = tuple(
        _parameter(name, entry, f"{where}: parameters.{name}") for name, entry in table["parameters"].items()
    )
    by_name = {parameter.name: parameter for parameter in parameters}
    if len(parameters) > MOST_PARAMETERS:
        raise DesignError(
            f"a design space must have at most {MOST_PARAMETERS} parameters", got=len(parameters), where=where
        )
    for parameter in parameters:
        for other, allowed in parameter.when:
            place = f"{where}: parameters.{parameter.name}.when"
            _known_keys({other: allowed}, tuple(by_name), place)
            for value in allowed:
                if value not in by_name[other].values:
                    raise DesignError(f"{other} must be able to take the value", got=value, where=place)
    leading = {other for parameter in parameters for other, _ in parameter.when}
    if (ways := math.prod(len(by_name[name].values) for name in leading)) > MOST_CONDITIONS:
        raise DesignError(
            f"parameters that others depend on must combine in at most {MOST_CONDITIONS} ways", got=ways, where=where
        )
    _check_paths(parameters, options, where)
    for name, entry in options.items():
        _known_keys({name: entry}, tuple(by_name), f"{where}: options")
        _known_keys(entry, tuple(str(value) for value in by_name[name].values), f"{where}: options.{name}")
    objectives = tuple(table.get("objectives", OBJECTIVES))
    known = ("accuracy", *(one.name for one in EVERY))
    for objective in objectives:
        _known_keys({objective: None}, known, f"{where}: objectives")
    for key, listed in (("objectives", objectives), ("models", tuple(table.get("models", ())))):
        if len(set(listed)) < len(listed):
            raise DesignError(f"{key} must be different", got=list(listed), where=f"{where}: {key}")
    for one in PHASE_MEASURES:
        if "phase" not in table and (one.name in objectives or one.column in table.get("constraints", {})):
            raise DesignError("a space without the table phase has no such measure", got=one.name, where=where)
    if "phase" in table["machine"]:
        raise DesignError("the phase must be a table of its own", got=sorted(table["machine"]), where=where)
    machine = table["machine"] | ({"phase": table["phase"]} if "phase" in table else {})
    search = table.get("search", {})
    _known_keys(search, _SEARCH_KEYS, f"{where}: search")
    space = DesignSpace(
        name=table["name"],
        title=table.get("title", table["name"]),
        models=tuple(table.get("models", ())),
        objectives=objectives,
        parameters=parameters,
        constraints=_constraints(table.get("constraints", {}), f"{where}: constraints"),
        population=int(search.get("population", 50)),
        polish=_budget(search.get("polish", 0), f"{where}: search.polish"),
        plans=_budget(search.get("plans", 0), f"{where}: search.plans"),
        accuracy=search.get("accuracy", "rerun"),
        energy=search.get("energy", "trace"),
        tables=json.dumps(
            {"machine": machine, "options": options, "metric": search.get("metric", {})}
            | ({"noise_seed": int(search["noise_seed"])} if search.get("noise_seed") else {})
        ),
    )
    space.design({parameter.name: parameter.values[0] for parameter in parameters})  # a misspelt path shows here
    _check_every_option(space)
    return space


def _check_paths(parameters: tuple[Parameter, ...], options: Mapping[str, Any], where: str) -> None:
    """No two knobs that exist at once set one path: the second would drop what the first chose, unseen."""
    plain = [one for one in parameters if one.name not in options]
    for one, other in itertools.combinations(plain, 2):
        if one.sets == other.sets:
            values = dict(one.when)
            apart = any(name in values and not set(values[name]) & set(allowed) for name, allowed in other.when)
            if not apart:
                rule = f"only one parameter at a time may set {one.sets}"
                raise DesignError(rule, got=[one.name, other.name], where=f"{where}: parameters.{other.name}")


def _check_every_option(space: DesignSpace) -> None:
    """Build one machine for each value of each parameter that has options, so that no table is wrong unseen."""
    first = {parameter.name: parameter.values[0] for parameter in space.parameters}
    for parameter in space.parameters:
        if parameter.name in json.loads(space.tables)["options"]:
            for value in parameter.values:
                space.design(first | {parameter.name: value})


def _parameter(name: str, entry: Any, where: str) -> Parameter:
    if not isinstance(entry, dict):
        raise DesignError("a parameter must be a table such as {choice = [8, 16]}", got=entry, where=where)
    _known_keys(entry, _PARAMETER_KEYS, where)
    checked(entry, _PARAMETER, "a parameter", where, DesignError)
    kinds = [kind for kind in ("choice", "int", "float") if kind in entry]
    if len(kinds) != 1:
        raise DesignError("a parameter must have exactly one of choice, int, float", got=kinds, where=where)
    kind = kinds[0]
    if kind == "choice":
        values = tuple(entry["choice"])
        if not values or len(set(values)) != len(values):
            raise DesignError("choice must list different values", got=list(values), where=where)
    else:
        values = _range(kind, entry, where)
    when = tuple(
        (other, tuple(allowed) if isinstance(allowed, list) else (allowed,))
        for other, allowed in entry.get("when", {}).items()
    )
    return Parameter(name, values, entry.get("sets", name), when)


def _range(kind: str, entry: Mapping[str, Any], where: str) -> tuple[Value, ...]:
    bounds = entry[kind]
    if not (isinstance(bounds, list) and len(bounds) == 2 and bounds[0] < bounds[1]):
        raise DesignError(f"{kind} must be [low, high] with low below high", got=bounds, where=where)
    low, high = bounds
    if entry.get("log"):
        if low <= 0:
            raise DesignError("a logarithmic range must start above 0", got=low, where=where)
        factor = entry.get("step", 2)
        if factor <= 1:
            raise DesignError("the step of a logarithmic range must be a factor above 1", got=factor, where=where)
        steps = _steps(math.log(high / low, factor), where)
        return tuple(type(low)(low * factor**step) for step in range(steps + 1))
    step = entry.get("step", 1 if kind == "int" else None)
    if kind == "int" and not isinstance(step, int):
        raise DesignError("the step of a whole range must be whole", got=step, where=where)
    if step is None or step <= 0:
        raise DesignError("a float range must have a step above 0", got=step, where=where)
    steps = _steps((high - low) / step, where)
    return tuple(round(low + index * step, 12) for index in range(steps + 1))


def _steps(spans: float, where: str) -> int:
    if not spans < MOST_VALUES:
        raise DesignError(f"a range must have at most {MOST_VALUES} values", got=math.floor(spans) + 1, where=where)
    return math.floor(spans + 1e-9)


def _budget(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DesignError("must be a number of designs, 0 or more", got=value, where=where)
    return value


def _constraints(table: Mapping[str, Any], where: str) -> tuple[Limit, ...]:
    _known_keys(table, ("accuracy", *(one.column for one in EVERY)), where)
    return tuple(limit(name, bounds, f"{where}.{name}") for name, bounds in table.items())


def _known_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
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

"""What the file of a design space may say, read and checked: TOML in, a frozen `DesignSpace` out.

Every mistake is told with the field that it is about, and with its line where that is sure. What shows only in a
machine shows here too: the first design, and one for each value that has a table of its own, are built.

Rejected: an expression language for derived values and conditions. Tables can be checked, shown and diffed.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwsim import workbench
from hwsim.arch.places import line_of
from hwsim.arch.tables import checked_name
from hwsim.errors import DesignError, UnknownName
from hwsim.evaluation.objectives import EVERY, PHASE_MEASURES, Limit, limit
from hwsim.search.space import DesignSpace, Parameter, Value, known_keys
from hwsim.storage import Either, Flag, OneOf, Real, Record, Rows, Table, Text, Whole, checked, parse_toml, read_text
from hwsim.storage.reading import LARGEST_TOML

OBJECTIVES = ("accuracy", "energy", "area", "latency")
"""What a space that names no objectives is searched for."""

_SPACE_KEYS = (
    "name", "title", "models", "objectives", "phase", "machine", "parameters", "options", "constraints", "search",
)  # fmt: skip
_PARAMETER_KEYS = ("choice", "int", "float", "log", "step", "sets", "when")
_SEARCH_KEYS = ("population", "accuracy", "energy", "metric", "polish", "plans", "arithmetics", "noise_seed")

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
    known_keys(table, _SPACE_KEYS, where)
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
            known_keys({other: allowed}, tuple(by_name), place)
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
        known_keys({name: entry}, tuple(by_name), f"{where}: options")
        known_keys(entry, tuple(str(value) for value in by_name[name].values), f"{where}: options.{name}")
    objectives = tuple(table.get("objectives", OBJECTIVES))
    known = ("accuracy", *(one.name for one in EVERY))
    for objective in objectives:
        known_keys({objective: None}, known, f"{where}: objectives")
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
    known_keys(search, _SEARCH_KEYS, f"{where}: search")
    if "phase" in table and search.get("arithmetics"):
        rule = "a space with the table phase, whose designs have plans of their own, is not searched by arithmetics"
        raise DesignError(rule, got=search["arithmetics"], where=f"{where}: search.arithmetics")
    if table.get("phase", {}).get("phase") == "training" and search.get("energy") != "pann":
        rule = "products of gradients are in no trace that lends flips: the energy of a training step must be pann"
        raise DesignError(rule, got=search.get("energy", "trace"), where=f"{where}: search.energy")
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
        arithmetics=_budget(search.get("arithmetics", 0), f"{where}: search.arithmetics"),
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
    known_keys(entry, _PARAMETER_KEYS, where)
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
    known_keys(table, ("accuracy", *(one.column for one in EVERY)), where)
    return tuple(limit(name, bounds, f"{where}.{name}") for name, bounds in table.items())

"""What one component costs: named sets of coefficients, each number with its source and error.

A set belongs to one cell library, one synthesis tool and one delay model, which it names. Nothing has a default: a
coefficient that a set does not hold is an error, since a silent guess would look like a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from hwsim.cost.quantity import Quantity
from hwsim.cost.tables import FOLDER, read
from hwsim.errors import ArgumentError, UnknownName

DEFAULT = "hwsim45"


@dataclass(frozen=True, slots=True)
class Coefficients:
    """One set. Two sets of the same name and fidelity are equal.

    Args:
        name: the file's name.
        library: cell library, corner and voltage.
        tool: what synthesized.
        delay_model: ``"zero"`` or ``"unit"`` (with glitches).
        node_nm: technology node of the library.
        voltage: its supply, V.
        fidelity: ``"composed"`` from measured components, or ``"fitted"`` to whole units.
        entries: quantities by name.
    """

    name: str
    library: str
    tool: str
    delay_model: str
    node_nm: int
    voltage: float
    fidelity: str
    entries: Mapping[str, Quantity] = field(compare=False, hash=False, repr=False)

    def __getitem__(self, name: str) -> Quantity:
        if name not in self.entries:
            raise UnknownName("coefficient", name, self.entries, where=f"coefficients {self.name}")
        return self.entries[name]

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def with_table(self, path: str | Path | None) -> Coefficients:
        """This set with the coefficients of a table of one's own, as ``hwsim calibrate --unit`` writes it for one
        family; itself without a path.

        Raises:
            ArgumentError: no such table, or one of another library or delay model.
        """
        if path is None:
            return self
        own = load_coefficients(path)
        for fact in ("library", "delay_model", "node_nm"):
            if getattr(own, fact) != getattr(self, fact):
                rule = f"a table of one's own must be of the {fact} of {self.name}, {getattr(self, fact)}"
                raise ArgumentError(rule, got=getattr(own, fact), where=str(path))
        return replace(self, entries=MappingProxyType(dict(own.entries) | dict(self.entries)))

    def value(self, name: str) -> float:
        """The number of a coefficient."""
        return self[name].value


@cache
def load_coefficients(name_or_path: str | Path = DEFAULT) -> Coefficients:
    """A set by name (``hwsim/cost/data/NAME.csv``) or by path.

    Raises:
        ArgumentError: no such file, one without library, tool, delay model, node and voltage, or a coefficient that
            is no finite number or stands twice.
    """
    path = Path(name_or_path)
    if path.suffix != ".csv":
        path = FOLDER / f"{name_or_path}.csv"
    facts, rows = read(path)
    needed = ("library", "tool", "delay_model", "node_nm", "voltage")
    if missing := [key for key in needed if key not in facts]:
        raise ArgumentError(
            "coefficients must state library, tool, delay_model, node_nm and voltage", got=missing, where=str(path)
        )
    columns = {"name", "value", "unit", "relative_error", "source"}
    entries: dict[str, Quantity] = {}
    for row in rows:
        if missing := sorted(columns - set(row)):
            raise ArgumentError(
                "a table of coefficients must have name, value, unit, relative_error and source",
                got=missing,
                where=str(path),
            )
        where = f"{path}: {row['name']}"
        if row["name"] in entries:
            raise ArgumentError("a coefficient must stand once", got=row["name"], where=str(path))
        value = _number(row["value"], -1e12, 1e12, f"{where}: value")
        error = _number(row["relative_error"], 0.0, 1e6, f"{where}: relative_error")
        entries[row["name"]] = Quantity(value, row["unit"], row["source"], error)
    if facts["delay_model"] not in ("zero", "unit"):
        raise ArgumentError("delay_model must be zero or unit", got=facts["delay_model"], where=str(path))
    node_nm = _number(facts["node_nm"], 1, 1000, f"{path}: node_nm")
    if node_nm != int(node_nm):
        raise ArgumentError("node_nm must be a whole number", got=facts["node_nm"], where=str(path))
    return Coefficients(
        name=path.stem,
        library=facts["library"],
        tool=facts["tool"],
        delay_model=facts["delay_model"],
        node_nm=int(node_nm),
        voltage=_number(facts["voltage"], 1e-3, 100.0, f"{path}: voltage"),
        fidelity=facts.get("fidelity", "composed"),
        entries=MappingProxyType(entries),
    )


def _number(text: str, least: float, most: float, where: str) -> float:
    """A finite number within limits; another text, NaN among them, is refused with its place."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ArgumentError(f"must be a number from {least:g} to {most:g}", got=text, where=where)
    return value

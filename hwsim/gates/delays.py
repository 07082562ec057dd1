"""Delays of a Liberty file: for every cell and pair of pins, picoseconds against the load.

Decides what of a delay table is read: the row of the middle input slew, as a line through its loads, for a rising and
a falling output. The dependence on slew is left out (the library that hwsim ships has none). One unit serves every
library: the FO4, an inverter of the library that drives four of itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hwsim.errors import ArgumentError
from hwsim.gates.liberty import Library, read_liberty
from hwsim.gates.liberty_text import Group, LibertyText

_TIMING = frozenset({"timing", "cell_rise", "cell_fall", "lu_table_template"})
_SECONDS = {"ns": 1e3, "ps": 1.0, "us": 1e6, "fs": 1e-3}
_FARADS = {"ff": 1.0, "pf": 1e3, "f": 1e15}


@dataclass(frozen=True, slots=True)
class Line:
    """Delay in ps: `fixed_ps` + `ps_per_ff` times the load in fF."""

    fixed_ps: float
    ps_per_ff: float

    def at(self, load_ff: float) -> float:
        """The delay with this load."""
        return self.fixed_ps + self.ps_per_ff * load_ff


@dataclass(frozen=True, slots=True)
class Arc:
    """From one input (or clock) pin to one output pin: delays of its two edges.

    `sense` is 1 where a rising input makes a rising output, -1 where it makes a falling one, 0 where it may do both.
    """

    rise: Line
    fall: Line
    sense: int


@dataclass(frozen=True, slots=True, eq=False)
class Delays:
    """The delays of a library.

    Attributes:
        arcs: by cell, input pin, output pin.
        fo4_ps: mean of the two edges of an inverter that drives four of itself.
        inverter_ff: capacitance of that inverter's input.
    """

    arcs: Mapping[str, Mapping[tuple[str, str], Arc]]
    fo4_ps: float
    inverter_ff: float


def read_delays(library: Library) -> Delays:
    """Delays of the library's own file, read once a process.

    Raises:
        LibertyError: a table does not have the form of the format. ArgumentError: no inverter, or no delays in it.
    """
    return _read(str(library.path))


@functools.lru_cache(maxsize=8)
def _read(path: str) -> Delays:
    source, library = Path(path), read_liberty(path)
    text = LibertyText(source.read_text(encoding="utf-8", errors="replace"), source.name, _TIMING)
    top = text.library()
    to_ps = _SECONDS.get(_unit(top.attributes.get("time_unit", "1ns")), 1e3)
    number, unit = _pair(top.attributes.get("capacitive_load_unit", "1, pf"))
    to_ff = number * _FARADS.get(unit, 1e3)
    templates = {group.names.strip().strip('"'): group for group in top.of("lu_table_template")}
    arcs: dict[str, dict[tuple[str, str], Arc]] = {}
    for cell in top.of("cell"):
        found: dict[tuple[str, str], Arc] = {}
        for pin in cell.of("pin"):
            for timing in pin.of("timing"):
                _add(found, pin, timing, templates, to_ps, to_ff)
        arcs[cell.names.strip().strip('"')] = found
    fo4_ps, inverter_ff = _fo4(library, arcs)
    return Delays(arcs, fo4_ps, inverter_ff)


def _add(
    found: dict[tuple[str, str], Arc],
    pin: Group,
    timing: Group,
    templates: Mapping[str, Group],
    to_ps: float,
    to_ff: float,
) -> None:
    """The slowest line of every pair of pins, over the conditions for which a library has one each."""
    lines = []
    for kind in ("cell_rise", "cell_fall"):
        tables = list(timing.of(kind))
        if not tables:
            return  # setup, hold and asynchronous arcs have none
        lines.append(_line(tables[0], templates, to_ps, to_ff))
    sense = {"positive_unate": 1, "negative_unate": -1}.get(timing.attributes.get("timing_sense", "").strip('"'), 0)
    for output in re.split(r"[,\s]+", pin.names.replace('"', "").strip()):
        for name in re.split(r"[,\s]+", timing.attributes.get("related_pin", "").replace('"', " ").strip()):
            arc = Arc(lines[0], lines[1], sense)
            if (old := found.get((name, output))) is not None:
                arc = Arc(
                    max(old.rise, arc.rise, key=lambda line: line.at(4.0)),
                    max(old.fall, arc.fall, key=lambda line: line.at(4.0)),
                    sense if sense == old.sense else 0,
                )
            found[name, output] = arc


def _line(table: Group, templates: Mapping[str, Group], to_ps: float, to_ff: float) -> Line:
    """The row of the middle slew; a scalar or a vector of slews has no slope."""
    rows = [_numbers(row) for row in re.findall(r'"([^"]*)"', table.attributes.get("values", ""))]
    template = templates.get(table.names.strip().strip('"'))
    names = template.attributes if template is not None else {}
    loads = "index_2"
    if "capacitance" in names.get("variable_1", ""):  # the other order: a column is one slew
        rows = [list(column) for column in zip(*rows, strict=True)]
        loads = "index_1"
    steps = _numbers(table.attributes.get(loads, names.get(loads, "")).replace('"', ""))
    middle = rows[len(rows) // 2] if rows else []
    if not middle:
        raise ArgumentError("a delay table must have values", got=table.names, where=table.kind)
    if len(steps) < 2 or len(middle) != len(steps):
        return Line(middle[0] * to_ps, 0.0)
    slope = (middle[-1] - middle[0]) / (steps[-1] - steps[0])
    return Line((middle[0] - slope * steps[0]) * to_ps, slope * to_ps / to_ff)


def _fo4(library: Library, arcs: Mapping[str, Mapping[tuple[str, str], Arc]]) -> tuple[float, float]:
    inverters = [
        cell for cell in library.cells.values() if [function.table for function in cell.outputs.values()] == [0b01]
    ]  # the flip-flop's output is its state, a table of 0b10
    inverters = [cell for cell in inverters if cell.flip_flop is None and not cell.latch and arcs.get(cell.name)]
    if not inverters:
        raise ArgumentError("a library must have an inverter with delays", got=library.name, where="liberty")
    cell = min(inverters, key=lambda one: (one.area_um2, one.name))
    (name, _), arc = next(iter(arcs[cell.name].items()))
    load_ff = cell.pins[name].capacitance_ff
    return (arc.rise.at(4 * load_ff) + arc.fall.at(4 * load_ff)) / 2, load_ff


def _unit(text: str) -> str:
    return re.sub(r"[\d.\s\"]", "", text).lower()


def _pair(text: str) -> tuple[float, str]:
    number, _, unit = text.replace('"', "").partition(",")
    return float(number), unit.strip().lower()


def _numbers(text: str) -> list[float]:
    return [float(part) for part in re.split(r"[,\s]+", text.strip()) if part]

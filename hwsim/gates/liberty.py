"""Reader of Liberty files: what a gate computes, how large it is, and what a toggle of it costs.

Decides which numbers of a library reach hwsim: function, area, pin capacitance, the middle entry of every internal
power table, leakage, and the flip-flop groups. Delay tables are skipped unread (unit-delay simulation does not use
them), which is also what makes the reader fast: a library of several megabytes is mostly delay tables. A parser from
the package index was rejected, as the maintained one is under the GPL. Format: Liberty Reference Manual; the unit of
internal energy is ``voltage_unit² × capacitive_load_unit`` per transition.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from hwsim.errors import ArgumentError
from hwsim.gates.boolean import Function, parse
from hwsim.gates.liberty_text import Group, LibertyText

DEFAULT_LIBERTY = Path(__file__).with_name("hwsim45.lib")


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin: capacitance of an input in fF; internal energy of one transition of the pin itself in fJ."""

    name: str
    direction: str
    capacitance_ff: float
    internal_fj: float


@dataclass(frozen=True, slots=True)
class FlipFlop:
    """An edge-triggered flip-flop: `next_state` may name the state itself (an enable), `clear` wins over `preset`.

    `edge` is 1 where the rising edge of `clock` stores, 0 where the falling one does.
    """

    clock: str
    edge: int
    state: str
    next_state: Function
    clear: Function | None
    preset: Function | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        leakage_nw: average leakage power.
        outputs: function of every output pin; of a flip-flop, over its state's name (``IQ``, or inverted ``IQN``).
        flip_flop: the storage of the cell, else None. Latches have `latch` set and cannot be simulated.
    """

    name: str
    area_um2: float
    leakage_nw: float
    pins: Mapping[str, Pin]
    outputs: Mapping[str, Function]
    flip_flop: FlipFlop | None = None
    latch: bool = False


@dataclass(frozen=True, slots=True)
class Library:
    """The cells of one Liberty file at its nominal voltage."""

    name: str
    path: Path
    voltage: float
    cells: Mapping[str, Cell]


def read_liberty(path: str | Path = DEFAULT_LIBERTY) -> Library:
    """The library of a Liberty file; without a path, the one that hwsim ships.

    Raises:
        ArgumentError: there is no such file. LibertyError: it is not Liberty, with file and line.
    """
    source = Path(path)
    if not source.is_file():
        raise ArgumentError("liberty must be a file", got=str(path), where="liberty")
    text = LibertyText(source.read_text(encoding="utf-8", errors="replace"), source.name)
    return _Reader(text, source).library()


_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}


class _Reader:
    def __init__(self, source: LibertyText, path: Path) -> None:
        self.source, self.path, self.error = source, path, source.error

    def library(self) -> Library:
        top = self.source.library()
        voltage_unit = self._unit(top, "voltage_unit", "V", 1.0)
        self.cap_ff = self._capacitance_unit(top) / 1e-15
        self.energy_fj = voltage_unit**2 * self.cap_ff
        self.leakage_nw = self._unit(top, "leakage_power_unit", "W", 1e-9) / 1e-9
        cells = {}
        for group in top.of("cell"):
            cell = self._cell(group)
            cells[cell.name] = cell
        if not cells:
            raise self.error("a library must have cells", top.position)
        return Library(_bare(top.names), self.path, self._voltage(top) * voltage_unit, MappingProxyType(cells))

    def _number(self, group: Group, name: str, default: float | None = None) -> float:
        raw = group.attributes.get(name)
        if raw is None and default is not None:
            return default
        try:
            return float(_bare(raw or ""))
        except ValueError:
            raise self.error(f"{group.kind} must have a number as {name}", group.position, got=raw) from None

    def _unit(self, top: Group, name: str, symbol: str, default: float) -> float:
        raw = top.attributes.get(name)
        if raw is None:
            return default
        match = re.fullmatch(rf"([\d.]+)([fpnumk]?){symbol}", _bare(raw), re.IGNORECASE)
        if match is None:
            raise self.error(f"{name} must be a number and a unit of {symbol}", top.position, got=raw)
        return float(match[1]) * _PREFIXES[match[2].lower()]

    def _capacitance_unit(self, top: Group) -> float:
        raw = top.attributes.get("capacitive_load_unit", "1,pf")
        match = re.fullmatch(r"\s*([\d.eE+-]+)\s*,\s*([fpn])f\s*", raw.replace('"', ""), re.IGNORECASE)
        if match is None:
            raise self.error("capacitive_load_unit must be a number and ff or pf", top.position, got=raw)
        return float(match[1]) * _PREFIXES[match[2].lower()]

    def _voltage(self, top: Group) -> float:
        if "nom_voltage" in top.attributes:
            return self._number(top, "nom_voltage")
        for conditions in top.of("operating_conditions"):
            return self._number(conditions, "voltage")
        raise self.error("a library must state nom_voltage or operating_conditions", top.position)

    def _cell(self, group: Group) -> Cell:
        name = _bare(group.names)
        pins: dict[str, Pin] = {}
        outputs: dict[str, Function] = {}
        for pin_group in [*group.of("pin"), *(p for bus in group.of("bundle") for p in bus.of("pin"))]:
            for pin_name in (_bare(part) for part in pin_group.names.split(",")):
                pins[pin_name] = self._pin(pin_group, pin_name)
                function = pin_group.attributes.get("function")
                if function is not None and "three_state" not in pin_group.attributes:
                    outputs[pin_name] = self._function(function, pin_group)
        latch = any(
            kind in {"latch", "latch_bank", "statetable", "ff_bank"} for kind in (g.kind for g in group.groups)
        )
        flip_flops = [self._flip_flop(ff) for ff in group.of("ff")]
        flip_flop = flip_flops[0] if len(flip_flops) == 1 else None
        inverted = {_bare(part) for ff in group.of("ff") for part in ff.names.split(",")[1:2]}
        if flip_flop is not None:
            outputs = {
                pin: Function((flip_flop.state,), function.table ^ 3) if function.inputs[0] in inverted else function
                for pin, function in outputs.items()
                if len(function.inputs) == 1
            }
        return Cell(
            name=name,
            area_um2=self._number(group, "area", 0.0),
            leakage_nw=self._leakage(group) * self.leakage_nw,
            pins=MappingProxyType(pins),
            outputs=MappingProxyType(outputs),
            flip_flop=flip_flop,
            latch=latch or len(flip_flops) > 1,
        )

    def _pin(self, group: Group, name: str) -> Pin:
        energies = [self._energy(power) for power in group.of("internal_power")]
        return Pin(
            name=name,
            direction=_bare(group.attributes.get("direction", "internal")),
            capacitance_ff=self._number(group, "capacitance", 0.0) * self.cap_ff,
            internal_fj=sum(energies) / len(energies) * self.energy_fj if energies else 0.0,
        )

    def _flip_flop(self, group: Group) -> FlipFlop:
        def optional(name: str) -> Function | None:
            raw = group.attributes.get(name)
            return None if raw is None else self._function(raw, group)

        clock, following = optional("clocked_on"), optional("next_state")
        if clock is None or following is None or len(clock.inputs) != 1:
            raise self.error("ff must have clocked_on, of one pin, and next_state", group.position)
        state = _bare(group.names.split(",")[0])
        return FlipFlop(clock.inputs[0], clock(1), state, following, optional("clear"), optional("preset"))

    def _function(self, raw: str, group: Group) -> Function:
        try:
            return parse(_bare(raw))
        except ArgumentError as problem:
            raise self.error(problem.rule, group.position, got=problem.got) from None

    def _leakage(self, group: Group) -> float:
        if "cell_leakage_power" in group.attributes:
            return self._number(group, "cell_leakage_power")
        states = [self._number(state, "value", 0.0) for state in group.of("leakage_power")]
        return sum(states) / len(states) if states else 0.0

    def _energy(self, group: Group) -> float:
        """Mean over rise and fall of the middle entry of an internal power group's tables."""
        middles = [self._middle(table) for kind in ("rise_power", "fall_power", "power") for table in group.of(kind)]
        return sum(middles) / len(middles) if middles else 0.0

    def _middle(self, table: Group) -> float:
        rows = re.findall(r'"([^"]*)"', table.attributes.get("values", ""))
        entries = re.split(r"[,\s]+", rows[len(rows) // 2].strip()) if rows else [""]
        if len(rows) > 1 and len(entries) == 1:  # one number a string: a vector written downwards
            entries = [row.strip() for row in rows]
        try:
            return float(entries[len(entries) // 2])
        except ValueError:
            raise self.error(f"{table.kind} must have values", table.position, got=entries) from None


def _bare(text: str) -> str:
    return text.strip().strip('"').strip()

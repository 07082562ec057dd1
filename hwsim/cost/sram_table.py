"""The table of SRAM macros as CACTI gave it, and numbers between its rows.

The full grid (8 to 4,096 KiB by 32 to 1,024 bits) is known for one configuration: 22 nm, one port, one bank, low-
standby-power devices. Every other node, port, bank count, device or temperature was run on part of it, and its
ratio to the grid is interpolated. Both on logarithmic axes; a ratio is held at the edge of where it was run. So
each of the 273 rows comes back at its own configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType

from hwsim.cost.tables import FOLDER, read
from hwsim.errors import ArgumentError, UnknownName

SOURCE = "CACTI 7 (hwcomponents-cacti 1.0.40)"
TABLE_NODE = 22
NODES = (22, 32, 45, 65, 90)
KIB = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
WIDTHS = (32, 64, 128, 256, 512, 1024)
BANKS = (1, 4, 16)
TABLE_K, HOT_K = 300.0, 350.0
PORTS: Mapping[str, tuple[int, int, int]] = MappingProxyType({"1rw": (1, 0, 0), "1r1w": (0, 1, 1), "2rw": (2, 0, 0)})
DEVICES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {  # cell, periphery
        "lstp": ("lstp", "lstp"),
        "lop": ("lstp", "lop"),
        "hp": ("lstp", "hp"),
        "lop-cells": ("lop", "lop"),
        "hp-cells": ("hp", "hp"),
    }
)
COLUMNS = ("read_pJ", "write_pJ", "area_mm2", "leak_mW", "cycle_ns", "access_ns")


@dataclass(frozen=True, slots=True)
class Kind:
    """Everything about a macro but its size.

    Args:
        node_nm: 22 to 90 nm; between the table's nodes it is interpolated.
        ports: ``"1rw"``, ``"1r1w"`` or ``"2rw"``.
        device: periphery on low-standby-power cells: ``"lstp"``, ``"lop"`` (low operating power), ``"hp"`` (high
            performance); or ``"lop-cells"``, ``"hp-cells"``, where the cells are of that device too.
        banks: 1 to 16; between 1, 4 and 16 in proportion.
        temperature_k: junction temperature; between and beyond 300 and 350 K by the exponential through both.
    """

    node_nm: float = TABLE_NODE
    ports: str = "1rw"
    device: str = "lstp"
    banks: float = 1
    temperature_k: float = TABLE_K

    def __post_init__(self) -> None:
        if self.ports not in PORTS:
            raise UnknownName("ports", self.ports, PORTS, where="sram.ports")
        if self.device not in DEVICES:
            raise UnknownName("device", self.device, DEVICES, where="sram.device")
        if not NODES[0] <= self.node_nm <= NODES[-1]:
            raise ArgumentError(f"must lie in {NODES[0]}..{NODES[-1]}", got=self.node_nm, where="sram.node_nm")
        if not 1 <= self.banks <= BANKS[-1]:
            raise ArgumentError(f"must lie in 1..{BANKS[-1]}", got=self.banks, where="sram.banks")


@dataclass(frozen=True, slots=True)
class Macro:
    """CACTI's numbers for a macro: energies of one access of the whole port, leakage of the whole macro."""

    read_pj: float
    write_pj: float
    area_mm2: float
    leakage_mw: float
    cycle_ns: float
    access_ns: float


@lru_cache(maxsize=4096)
def macro(kib: float, width_bits: float, kind: Kind = Kind()) -> Macro:
    """A macro as CACTI sees it, before any step or factor of `hwsim.cost.memory`.

    Raises:
        ArgumentError: a size outside the table.
    """
    for value, grid, name in ((kib, KIB, "kib"), (width_bits, WIDTHS, "width_bits")):
        if not grid[0] <= value <= grid[-1]:
            raise ArgumentError(f"must lie in {grid[0]}..{grid[-1]}", got=value, where=f"sram.{name}")
    found = {}
    for column in COLUMNS:
        shift = _field(_log_rows("main", column), kib, width_bits)
        for name, part in _weights(kind):
            shift += part * _field(_ratios(name, column), kib, width_bits)
        found[column] = math.exp(shift)
    return Macro(*(found[column] for column in COLUMNS))


def rows() -> list[tuple[float, float, Kind, Macro]]:
    """All 273 rows: KiB, port width, configuration, numbers."""
    cells = {pair: name for name, pair in DEVICES.items()}
    ports = {counts: name for name, counts in PORTS.items()}
    return [
        (
            float(row["kib"]),
            float(row["width_bits"]),
            Kind(
                int(row["node_nm"]),
                ports[int(row["rw_ports"]), int(row["r_ports"]), int(row["w_ports"])],
                cells[row["cell"], row["periph"]],
                int(row["banks"]),
                float(row["temp_K"]),
            ),
            Macro(*(float(row[column]) for column in COLUMNS)),
        )
        for row in read(FOLDER / "sram.csv")[1]
    ]


def _weights(kind: Kind) -> list[tuple[str, float]]:
    """Groups of rows whose ratio to the grid applies, and how much of it."""
    found = [(f"ports {kind.ports}", 1.0), (f"device {kind.device}", 1.0)]
    for label, knots, (at, part) in (
        ("node", NODES, place(NODES, kind.node_nm)),
        ("banks", BANKS, between_banks(kind.banks)),
    ):
        found += [(f"{label} {knots[at]}", 1 - part), (f"{label} {knots[at + 1]}", part)]
    found.append((f"hot {HOT_K:g}", (kind.temperature_k - TABLE_K) / (HOT_K - TABLE_K)))
    base = Kind()
    bases = {f"ports {base.ports}", f"device {base.device}", f"node {base.node_nm}", f"banks {base.banks}"}
    return [(name, part) for name, part in found if part and name not in bases]


@cache
def _groups() -> dict[str, list[tuple[float, float, Macro]]]:
    """Rows by the one thing in which they differ from the grid."""
    base = Kind()
    groups: dict[str, list[tuple[float, float, Macro]]] = {}
    for kib, width, kind, numbers in rows():
        names = {
            f"node {kind.node_nm}": kind.node_nm != base.node_nm,
            f"ports {kind.ports}": kind.ports != base.ports,
            f"device {kind.device}": kind.device != base.device,
            f"banks {kind.banks}": kind.banks != base.banks,
            f"hot {kind.temperature_k:g}": kind.temperature_k != base.temperature_k,
        }
        differing = [name for name, differs in names.items() if differs] or ["main"]
        assert len(differing) == 1, "a row differs from the grid in one thing"
        groups.setdefault(differing[0], []).append((kib, width, numbers))
    return groups


Field = dict[float, list[tuple[float, float]]]


@cache
def _log_rows(group: str, column: str) -> Field:
    """Logarithm of a column of a group by width, each a list over KiB."""
    at = COLUMNS.index(column)
    field: Field = {}
    for kib, width, numbers in sorted(_groups()[group], key=lambda row: row[:2]):
        value = tuple(getattr(numbers, name) for name in Macro.__slots__)[at]
        field.setdefault(width, []).append((kib, math.log(value)))
    return dict(sorted(field.items()))


@cache
def _ratios(group: str, column: str) -> Field:
    main = {width: dict(row) for width, row in _log_rows("main", column).items()}
    return {
        width: [(kib, value - main[width][kib]) for kib, value in row]
        for width, row in _log_rows(group, column).items()
    }


def _field(field: Field, kib: float, width: float) -> float:
    """Between its points along KiB, then along the width; at its edges it is held."""
    across = [(at, _line(row, kib)) for at, row in field.items()]
    return _line(across, width)


def _line(points: Sequence[tuple[float, float]], at: float) -> float:
    if len(points) == 1:
        return points[0][1]
    knots = [knot for knot, _ in points]
    low, part = place(knots, at)
    return points[low][1] * (1 - part) + points[low + 1][1] * part


def place(knots: Sequence[float], value: float) -> tuple[int, float]:
    """Which of the knots lies below `value`, and the part of the way to the next on a logarithmic axis, 0 to 1."""
    value = min(max(value, knots[0]), knots[-1])
    at = max(index for index, knot in enumerate(knots[:-1]) if knot <= value)
    return at, math.log(value / knots[at]) / math.log(knots[at + 1] / knots[at])


def between_banks(banks: float) -> tuple[int, float]:
    """Which tabulated number of banks lies below, and the part of the way to the next, in proportion to banks: the
    wire of an H-tree of two banks is a third of that of four."""
    at = max(index for index, knot in enumerate(BANKS[:-1]) if knot <= banks)
    return at, (banks - BANKS[at]) / (BANKS[at + 1] - BANKS[at])

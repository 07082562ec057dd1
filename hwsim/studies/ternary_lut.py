"""Ternary lookup tables: the best µ by activation type and reuse, and what they cost beside adders and multipliers.

The published claims are those of the abstract and the repository of Geens et al. (arXiv 2604.25183): their area model
and their table of best parameters are not public, so area is put together here from synthesised parts, and the
composition is compared with whole cores.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.datapaths.ternary.verilog import adders, ternary_core
from hwsim.rtl.multipliers import STYLES
from hwsim.studies import operands
from hwsim.studies.circuits import area_um2, conditions
from hwsim.studies.page import Study, Table
from hwsim.studies.ternary_area import TERMS, Core, baseline_per_weight, core
from hwsim.studies.ternary_energy import group_energy
from hwsim.studies.ternary_findings import PUBLISHED_RATIO, findings

FLOATS = ("add tree", "multiply")
BASELINES = {"int8": ("add tree", "multiply 2 bits", "multiply 8 bits"), "fp16": FLOATS, "bf16": FLOATS}


@dataclass(frozen=True, slots=True)
class Grid:
    """What is swept: µ by activation, readers K, whole cores as (activation, µ, L, K), µ and holding cycles of the
    energy table, cycles of a stream, layers of the BitNet and rows of each that are recorded (None: all), styles of
    the multipliers."""

    groups: dict[str, tuple[int, ...]]
    readers: tuple[int, ...]
    cores: tuple[tuple[str, int, int, int], ...]
    energy_groups: tuple[int, ...]
    held: tuple[int, ...]
    cycles: int
    layers: tuple[str, ...]
    rows: int | None
    styles: tuple[str, ...]


FULL = Grid(
    {"int8": (1, 2, 3, 4, 5, 6), "fp16": (1, 2, 3, 4, 5), "bf16": (1, 2, 3, 4, 5)},
    (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    (
        *(("int8", group, luts, readers) for group in (2, 3) for luts in (1, 2, 4) for readers in (1, 4, 8)),
        *((name, group, 1, readers) for name in ("fp16", "bf16") for group in (2, 3) for readers in (1, 4)),
    ),
    (2, 3, 4, 5),
    (1, 4, 16, 64),
    1 << 14,
    (".up", ".down"),
    None,
    STYLES,
)
QUICK = Grid({"int8": (1, 2), "fp16": (1, 2), "bf16": (1, 2)}, (1, 8), (("int8", 2, 1, 1), ("int8", 2, 2, 2)), (2,),
             (1, 8), 512, ("0.up",), 64, ("array",))  # fmt: skip
READERS = 8  # of the energy table


def study(grid: Grid) -> Study:
    """All tables and what follows from them."""
    best = _best(grid)
    tables = (_adders(), *(_areas(grid, activation) for activation in grid.groups), best, _cores(grid), _energy(grid))
    return Study(
        "ternary_lut",
        "Ternary lookup tables: which µ, how dense, how much energy",
        "Geens, Heldens, Dumoulin and Verhelst (arXiv 2604.25183) find that optimised ternary LUT accelerators take "
        "2.2 times less area than multiplier-based ones, that the activation type decides whether tables pay, and "
        "that one large core is denser than many small ones. Do open circuits say the same?",
        findings({table.name: table for table in tables}),
        conditions(
            areas=f"{TERMS} weights a cycle into each of K outputs that share activations, 10 of them for µ = 5; "
            "INT8 with 32-bit wrapping accumulators, floats with accumulators of their format and adders that round; "
            "no controller, no key memory",
            operands="activations and ternary weights of `models/bitnet.py`, recorded in a forward of held-out text "
            f"({', '.join('`*' + ending + '`' for ending in grid.layers)}); {grid.cycles} cycles a circuit",
            unread="the paper's own table of best µ and its area model were not available; the claims are those of "
            "its abstract and of its repository",
        ),
        tables,
    )


def _adders() -> Table:
    rows = []
    for group in range(2, 7):
        entries = (3**group - 1) // 2
        each = 3**group * (group - 1)
        rows.append((group, entries, each, adders(group), 1 - adders(group) / each, 0.82 if group == 4 else None))
    note = (
        "`separate`: every one of the 3^µ sums by its own µ - 1 adders. `shared`: the tree here, n - µ. "
        "The repository of the paper states up to 82 % fewer at µ = 4; its rule of counting is not given."
    )
    columns = ("µ", "entries n", "separate", "shared", "fewer", "published")
    return Table("adders", "Adders of a table", columns, tuple(rows), note)


def _core(group: int, activation: str) -> Core:
    return core(group, activation, max(TERMS // group, 1))


def _areas(grid: Grid, activation: str) -> Table:
    rows = []
    for readers in grid.readers:
        found = [_core(group, activation).per_weight(readers) for group in grid.groups[activation]]
        others = [baseline_per_weight(kind, activation, grid.styles, readers) for kind in BASELINES[activation]]
        rows.append((readers, *found, *others))
    columns = ("K", *(f"µ={group}" for group in grid.groups[activation]), *BASELINES[activation])
    note = "µm² a weight and cycle. `add tree` selects and adds without tables"
    note += (
        "; `multiply` multiplies INT8 by weights of that width, the smallest of three styles."
        if activation == "int8"
        else "; `multiply` is a significand multiplier and an adder, without exponents and rounding, so less than a "
        "real one."
    )
    return Table(f"area_{activation}", f"Area a weight, {activation.upper()} activations", columns, tuple(rows), note)


def _best(grid: Grid) -> Table:
    rows = []
    for activation, groups in grid.groups.items():
        for readers in grid.readers:
            areas = {group: _core(group, activation).per_weight(readers) for group in groups}
            group = min(areas, key=lambda each: areas[each])
            others = [baseline_per_weight(kind, activation, grid.styles, readers) for kind in BASELINES[activation]]
            held = _core(group, activation).accumulate_per_weight
            rows.append((activation, readers, group, groups[-1], areas[group], held, others[0] / areas[group],
                         others[1] / areas[group], others[-1] / areas[group],
                         (others[1] - held) / (areas[group] - held)))  # fmt: skip
    note = (
        f"How many times the best table core is smaller than each baseline; µ was tried from 1 to `largest µ`. "
        f"Published, against multipliers: {PUBLISHED_RATIO}. `multiply narrow` is by 2-bit weights for INT8, "
        "`multiply wide` by 8-bit ones; for floats both are the one baseline. `bare`: `multiply narrow` with the "
        "accumulators, which both sides have, taken off both."
    )
    columns = ("activation", "K", "best µ", "largest µ", "µm² a weight", "accumulators", "add tree",
               "multiply narrow", "multiply wide", "bare")  # fmt: skip
    return Table("best", "The best µ by activation type and reuse", columns, tuple(rows), note)


def _cores(grid: Grid) -> Table:
    rows = []
    for activation, group, luts, readers in grid.cores:
        whole = area_um2(ternary_core(group, activation, luts, readers))
        weights = luts * group * readers
        parts = core(group, activation, luts).per_weight(readers)
        rows.append((activation, group, luts, readers, weights, whole / weights, parts, parts * weights / whole - 1))
    note = (
        "Cores synthesised whole: L tables of µ activations with K readers each, registers and "
        "accumulators included, and the sum of separately synthesised parts beside them."
    )
    columns = ("activation", "µ", "L", "K", "weights a cycle", "µm² a weight", "from parts", "error of the parts")
    return Table("cores", "Whole cores: density and the error of the composition", columns, tuple(rows), note)


def _energy(grid: Grid) -> Table:
    gemms = operands.captured("bitnet", grid.layers, rows=grid.rows)
    rows = []
    for group in grid.energy_groups:
        for held in grid.held:
            found = group_energy(gemms, group, READERS, held, grid.cycles)
            gated = found.table_clock / held
            rows.append((group, held, *found.tables, *found.tree, *found.accumulate, found.table_clock, gated,
                         found.build_pj[0], found.build_pj[1],
                         (found.tables[0] + gated) / found.tree[0], (found.tables[1] + gated) / found.tree[1],
                         found.tables[0] / found.tree[0]))  # fmt: skip
    columns = ("µ", "cycles held", "table zero fJ", "table unit fJ", "adders zero fJ", "adders unit fJ",
               "accumulate zero fJ", "accumulate unit fJ", "table clock fJ", "clock gated fJ", "build zero pJ",
               "build unit pJ", "ratio zero", "ratio unit", "ratio zero without clock")  # fmt: skip
    note = (
        f"fJ a weight, K = {READERS} readers: build and fetch of a table against selecting and adding the "
        f"same µ weights; what either hands on is accumulated alike. `clock gated`: the table's registers "
        f"are clocked only when they load. Ratios are table with gated clock over adders."
    )
    return Table("energy", "Energy on BitNet's own operands", columns, tuple(rows), note)

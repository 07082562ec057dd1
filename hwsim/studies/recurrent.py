"""Recurrent layers: tiling attention to a layer's own outputs, and keeping a cell's weights on chip over all steps.

Decides two things by counting. The Recurrent Transformer's rows pass the memory as often as its tiles say
(`hwsim.timing.recurrent_tiles`); what that is worth depends on the matrices, which each position reads again unless
they stay on chip. FlashRNN's fused kernel keeps the recurrent matrix in registers and shared memory; how it is cut is
an integer problem, solved here feasible first, as its own solver does, and for the least time of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwsim.studies.page import Study, Table, Value
from hwsim.timing.integers import Constraint, Planned, Term, at_most, divides, equal, plan_integers, term, variable
from hwsim.timing.recurrent_tiles import rows_by_row, rows_tiled

BLOCKS, BYTES, THREADS, LOOPS = 108, 165_000, 1024, 4
"""A100: processors, bytes of registers and shared memory for weights of one, its threads; most turns of a warp."""
MACS, L2_BYTES, CLOCK, HBM = 1024, 5120 / 108, 1.41e9, 2039e9
"""A100: 16-bit products a cycle and bytes a cycle from L2 of a processor (LLMCompass), Hz, bytes a second."""
BATCH_TILE, HIDDEN_TILE, GATE_TILE = 8, 16, 32
UNIT = 47
"""Costs are whole numbers: cycles times the bytes a cycle from L2."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A head of a cell: `gates` of `hidden` elements each from `hidden`, for `batch` sequences."""

    gates: int
    hidden: int
    batch: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Positions of the tiling, cells of the planner."""

    positions: tuple[int, ...]
    cells: tuple[Cell, ...]


FULL = Grid(
    (256, 1024, 4096, 16384, 65536),
    tuple(Cell(4, hidden, batch) for hidden in (64, 128, 256, 512, 768, 1024) for batch in (8, 16, 64)),
)
QUICK = Grid((256, 1024), (Cell(4, 256, 8), Cell(4, 512, 16)))

MODELS = {"150M": (1024, 4096, 12), "300M": (1024, 4096, 24)}
"""Width, hidden width and layers of the paper's code."""


def study(grid: Grid) -> Study:
    """The whole study."""
    tiling, traffic, plans = _tiling(grid), _traffic(grid), _plans(grid)
    return Study(
        "recurrent",
        "Recurrent layers on chip",
        "A Recurrent Transformer (arXiv 2604.21215) attends to its own outputs: how many rows pass the memory row by "
        "row, tiled, and with small tiles on chip? A fused RNN (FlashRNN, arXiv 2412.07752) keeps its matrix on "
        "chip: which cut is best, and what does the first feasible one lose?",
        tuple(_findings(tiling, traffic, plans)),
        {
            "rows": "one of keys with values, or of a query with its running result; counted tile by tile",
            "traffic": "16-bit rows, results in 32 bits with maximum and sum a head; one sequence; a layer reads 2 "
            "matrices of width² for Q and O, 2 for K and V, 2 of the feed-forward network",
            "processor": f"A100: {BLOCKS} processors, {BYTES:,} bytes of weights each, {MACS} products a cycle, "
            "5,120 bytes a cycle of L2 for all",
            "plan": "blocks cut gates, hidden units and batch; warps cut a block's part, each turns at most "
            f"{LOOPS} times in each direction; the matrix stays on chip over all time steps",
            "cost": "products of a block, then its part of the state read and partial gates written and read through "
            "L2, one behind the other; synchronisation is not counted, as no measured value is at hand",
            "what it cannot say": "a time in seconds of FlashRNN: latencies of L2 and of the barrier decide there",
        },
        (tiling, traffic, plans),
    )


def _tiling(grid: Grid) -> Table:
    rows: list[tuple[Value, ...]] = []
    for count in grid.positions:
        plain, tiled = rows_by_row(count), rows_tiled(count)
        small, large = rows_tiled(count, 16), rows_tiled(count, 256) if count > 256 else None
        rows.append((count, plain, tiled, count * (count.bit_length() - 1), small, large, plain / tiled))
    return Table(
        "tiling", "Rows that pass the memory",
        ("N", "row by row", "tiled", "N log2 N", "16 rows on chip", "256 rows on chip", "row by row ÷ tiled"),
        tuple(rows), "On chip: tiles of up to so many rows stay there, which takes twice as many rows of room.",
    )  # fmt: skip


def _traffic(grid: Grid) -> Table:
    """Bytes of a whole model over one sequence."""
    rows: list[tuple[Value, ...]] = []
    for name, (width, hidden, layers) in MODELS.items():
        heads, matrices = 16, 4 * width**2 + 2 * width * hidden
        key, query = 2 * width * 2, width * 2 + 2 * (width * 4 + heads * 8)  # the result is read and written
        for count in grid.positions:
            plain = layers * rows_by_row(count) * key
            tiled = layers * rows_tiled(count) // 2 * (key + query)
            weights = layers * matrices * 2
            rows.append((
                name, count, plain / 1e9, tiled / 1e9, weights * count / 1e9, weights / 1e6,
                (plain + weights * count) / (tiled + weights * count), (plain + weights) / (tiled + weights),
            ))  # fmt: skip
    return Table(
        "traffic", "Bytes of a sequence",
        ("model", "N", "rows GB", "tiled rows GB", "weights GB, read again", "weights MB, resident",
         "saved, weights read again", "saved, weights resident"),
        tuple(rows), "Saved: bytes row by row over bytes tiled, the matrices' own included.",
    )  # fmt: skip


def problem(cell: Cell) -> tuple[dict[str, list[int]], list[Constraint], Term]:
    """Variables with values from large to small, constraints, and 47 times the cycles of a time step."""
    domains = {
        "blocks_gate": _down(BLOCKS), "blocks_hidden": _down(BLOCKS), "blocks_batch": _down(BLOCKS),
        "warps_gate": _down(32), "warps_hidden": _down(32),
        "turns_gate": _down(LOOPS), "turns_hidden": _down(LOOPS), "turns_batch": _down(LOOPS),
    }  # fmt: skip
    bg, bh, bb, wg, wh, tg, th, tb = (variable(name) for name in domains)
    rows, inner = term(cell.gates * cell.hidden), term(cell.hidden)
    gates, hidden, batch = GATE_TILE * wg * tg, HIDDEN_TILE * wh * th, BATCH_TILE * tb  # of a block
    rules = [
        divides(GATE_TILE * bg, rows),
        divides(HIDDEN_TILE * bh, inner),
        at_most(bg * bh * bb, BLOCKS),
        equal(bg * gates, rows),
        equal(bh * hidden, inner),
        equal(bb * batch, -(-cell.batch // BATCH_TILE) * BATCH_TILE),
        at_most(32 * wg * wh, THREADS),
        at_most(2 * gates * hidden + 4 * gates, BYTES),
    ]
    assert GATE_TILE * HIDDEN_TILE * BATCH_TILE == 4 * MACS, "a tile of products takes four cycles"
    cycles = 4 * wg * tg * wh * th * tb
    moved = 2 * batch * hidden + 8 * batch * gates  # the state; partial gates, 4 bytes, out and in
    return domains, rules, UNIT * cycles + moved


def _down(most: int) -> list[int]:
    return list(range(most, 0, -1))


def planned(cell: Cell) -> tuple[Planned | None, int, Planned | None]:
    """The first feasible plan with its cost, and the cheapest plan."""
    domains, rules, cost = problem(cell)
    first = plan_integers(domains, rules)
    spent = 0 if first is None else cost.bounds({name: (one, one) for name, one in first.values.items()})[0]
    return first, spent, None if first is None else plan_integers(domains, rules, cost)


def _plans(grid: Grid) -> Table:
    rows: list[tuple[Value, ...]] = []
    for cell in grid.cells:
        first, spent, best = planned(cell)
        head = cell.gates, cell.hidden, cell.batch
        if first is None or best is None:
            rows.append((*head, "none", None, None, None, None, None, None, None))
            continue
        again = 2 * cell.gates * cell.hidden**2 / HBM * CLOCK  # cycles to read the matrix from memory
        rows.append((
            *head, _told(best), best.cost / UNIT, spent / UNIT, spent / best.cost, first.nodes, best.nodes,
            "yes" if best.optimal else "no", (again + best.cost / UNIT) / (best.cost / UNIT),
        ))  # fmt: skip
    return Table(
        "plans", "A matrix that stays on chip",
        ("gates", "hidden", "batch", "best: blocks, warps, turns", "cycles", "cycles, first feasible",
         "first ÷ best", "tries, first", "tries, best", "optimal", "read each step ÷ resident"),
        tuple(rows),
        "Cycles of a time step. The last column adds the time to read the matrix from memory at its full "
        "bandwidth in each step.",
    )  # fmt: skip


def _told(plan: Planned) -> str:
    v = plan.values
    return (
        f"{v['blocks_gate']}×{v['blocks_hidden']}×{v['blocks_batch']}, {v['warps_gate']}×{v['warps_hidden']}, "
        f"{v['turns_gate']}×{v['turns_hidden']}×{v['turns_batch']}"
    )


def _findings(tiling: Table, traffic: Table, plans: Table) -> Iterator[str]:
    last = tiling.select({})[-1]
    equal_rows = all(row["tiled"] == row["N log2 N"] for row in tiling.select({}))
    yield (
        f"Tiled rows are N log2 N exactly at every N here: {'yes' if equal_rows else 'no'}. At N = {last['N']:,} "
        f"{last['tiled']:,} pass instead of {last['row by row']:,} ({last['row by row ÷ tiled']:.0f} times fewer), "
        f"{last['16 rows on chip']:,} with tiles of up to 16 rows on chip."
    )
    for name in MODELS:
        row = traffic.select({"model": name})[-1]
        yield (
            f"{name} at N = {row['N']:,}: with matrices read again at each position tiling saves a factor of "
            f"{row['saved, weights read again']:.2f} of all bytes, with resident ones "
            f"{row['saved, weights resident']:.0f}; {row['weights MB, resident']:.0f} MB would have to stay on "
            "chip. The paper's claim, N log N instead of N², is of the rows alone."
        )
    found = [row for row in plans.select({}) if row["cycles"] is not None]
    none = [row for row in plans.select({}) if row["cycles"] is None]
    worst = max(found, key=lambda row: row["first ÷ best"])
    yield (
        f"Cuts of a resident matrix: {len(found)} of {len(found) + len(none)} cells fit; the first feasible cut "
        f"takes up to {worst['first ÷ best']:.2f} times the cycles of the best ({worst['hidden']} hidden, batch "
        f"{worst['batch']}), {sum(row['first ÷ best'] == 1 for row in found)} times it is the best. The optimum "
        f"takes at most {max(row['tries, best'] for row in found):,} tries, the first plan at most "
        f"{max(row['tries, first'] for row in found):,}."
    )
    gains = [row["read each step ÷ resident"] for row in found]
    yield (
        "Claim beside ours: the authors report 2 to 5 times over alternating kernels; here reading the matrix "
        f"again in each step takes {min(gains):.1f} to {max(gains):.1f} times as long as keeping it, launches not "
        "counted."
    )

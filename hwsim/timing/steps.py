"""The step of a plan that a group makes with its tile: traffic, products, vector work and time, in integers.

The numbers are those of `hwsim.timing.moves`, the formulas those by which its search weighs a tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from hwsim.arch.plan import Product, Step, Timeline, Traffic, VectorWork
from hwsim.timing import counts as c
from hwsim.timing import fused_tiles as f
from hwsim.timing import tiles as t
from hwsim.timing.groups import Choice, Flow, Part, totals
from hwsim.timing.moves import Group
from hwsim.timing.stages import Staged, vector_cycles

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.timing.fusing import Fusion
    from hwsim.timing.wiring import Wiring


UNTIMED = Timeline(0, 0, 0, (), 0, 0, 0)


@dataclass(slots=True)
class Work:
    """What a group does with its tile.

    Attributes:
        words: the tile, for a reader.
        flows, products: what moves, and what the array does.
        tiles: how many equal pieces the step has.
        first, last: DRAM bits before the array starts, and after it ends.
        cycles, vector: of the array and of the vector unit.
        prologues: how often the vector work in front of the product is done.
    """

    words: str
    flows: list[Flow]
    products: list[Product]
    tiles: int
    first: Fraction
    last: Fraction
    cycles: int
    vector: int
    prologues: int


def step_of(
    group: Group, work: Work, staged: Staged, machine: Accelerator, wires: Wiring, timed: bool = True
) -> Step:
    """The step of a plan in which a group does `work` (`work_of`); without cycles where it is not `timed`."""
    return Step(
        tuple(part.stage.layer for part in group.parts),
        tuple(place for part in group.parts for place in part.stage.operators),
        work.words,
        _rows(work.flows, wires),
        tuple(work.products),
        _vector_work(group, staged, machine),
        _timeline(work, wires) if timed else UNTIMED,
    )


def work_of(group: Group, choice: Choice, staged: Staged, wires: Wiring) -> Work:
    """What a group does with the tile `choice`; its masked products take the sides that were chosen with it."""
    for par in group.pars:
        if choice.sides and par[c.CAUSAL]:
            par[c.SIDE_R : c.SIDE_C + 1] = [int(side) for side in choice.sides]
    if not group.pars:
        return _elementwise(group)
    if group.how is None:
        return _tiled(group, choice, staged, wires)
    return _fused(group, group.how, choice, staged, wires)


def _elementwise(group: Group) -> Work:
    tiles, step = group.parts[0].vector_rows, group.step
    loads = sum(flow.bits for flow in group.flows if 0 in flow.read)
    first, last = Fraction(loads, tiles), Fraction(step[t.STORE_BITS], tiles)
    return Work("elementwise", group.flows, [], tiles, first, last, 0, int(step[t.VECTOR_CYCLES]), 0)


def _tiled(group: Group, choice: Choice, staged: Staged, wires: Wiring) -> Work:
    par, part, step = group.pars[0], group.parts[0], group.step
    tile_m, tile_n, tile_k, order = (int(value) for value in choice.tile)
    problems, rows, n, k = par[c.PROBLEMS], par[c.ROWS], par[c.N], par[c.K]
    row_tiles = -(-rows // tile_m) * problems
    whole, ragged = divmod(rows, tile_m)
    last_tiles = problems if ragged else 0
    counted = c.array_counts(par, row_tiles, (tile_m, ragged), (whole * problems, last_tiles), tile_n, tile_k)
    _pm, pn, pk, again_a, again_b, visits = c.passes(par, tile_m, tile_n, tile_k, order)
    array_flows, product = _array(par, part, counted, staged, wires)
    first = Fraction(0)
    if par[t.A_WAITS]:
        first += (Fraction(par[t.A_FIX]) + tile_m * Fraction(par[t.A_ROW])) * Fraction(tile_k, k)
    if par[t.B_WAITS]:
        first += par[c.B_BITS] * Fraction(tile_n * tile_k, n * k)
    loops = ("mnk", "mkn", "nmk", "nkm", "kmn", "knm")[order]
    return Work(
        f"tiles of {tile_m} x {tile_n} x {tile_k} of {rows} x {n} x {k}, loops {loops}",
        [*group.flows, *_single_flows(par, part, again_a, again_b, visits, wires), *array_flows],
        [product],
        row_tiles * pn * pk,
        first,
        Fraction(step[t.STORE_BITS] * tile_m * tile_n, problems * rows * n),
        counted[0],
        int(step[t.VECTOR_CYCLES]) + part.pre_cycles * again_a,
        int(again_a),
    )


def _fused(group: Group, how: Fusion, choice: Choice, staged: Staged, wires: Wiring) -> Work:
    step, flows, products, cycles = group.step, list(group.flows), list[Product](), 0
    tile_m, cut, held = (int(value) for value in choice.tile)
    blocks, outer = -(-how.block // tile_m), how.common // how.block
    first, pieces = step[t.FIRST_ROW_BITS] * tile_m, 1
    kept, streamed = list[str](), list[str]()
    for place, (par, part) in enumerate(zip(group.pars, group.parts, strict=True)):
        side = par[c.K] if par[f.MODE] == f.SECOND else par[c.N]
        chunk = -(-side // cut)
        pieces = max(pieces, -(-side // chunk))
        counted = f.fused_counts(par, tile_m, blocks, outer, chunk)
        array_flows, product = _array(par, part, counted, staged, wires)
        flows += array_flows
        products.append(product)
        cycles += counted[0]
        source, is_held = par[f.FUSED_SOURCE], held >> place & 1
        if place == 0 and par[f.FUSED_WAITS]:
            first += par[c.B_BITS] * (par[f.B_PER_BLOCK] if is_held else Fraction(chunk, side))
        if source < 0:
            continue
        fill = par[c.B_BITS] * par[f.B_COUNT] if is_held else f.streamed_bits(par, tile_m, blocks, outer)
        (kept if is_held else streamed).append(part.b_source)
        flows.append(Flow(part.stage.layer, part.b_source, int(fill), (source,), (wires.outer[t.WEIGHT],)))
    words = f"{tile_m} rows of {how.block} at a time, columns in {pieces} parts"
    words += f", {' and '.join(kept)} held" * bool(kept) + f", {' and '.join(streamed)} streamed" * bool(streamed)
    last = Fraction(step[t.STORE_BITS] * tile_m, how.common)
    return Work(words, flows, products, outer * blocks * pieces, first, last, cycles, int(step[t.VECTOR_CYCLES]), 1)


def _single_flows(par: list[Any], part: Part, again_a: int, again_b: int, visits: int, wires: Wiring) -> list[Flow]:
    layer, (level_in, level_w, level_out) = part.stage.layer, wires.outer
    flows = []
    if par[t.A_SOURCE] >= 0:
        flows.append(Flow(layer, part.a_source, par[t.A_FILL] * again_a, (par[t.A_SOURCE],), (level_in,)))
    if par[t.PRE_READ]:
        flows.append(Flow(layer, part.a_source, par[t.PRE_READ] * again_a, (level_in,)))
        flows.append(Flow(layer, part.a_source, par[t.PRE_WRITE] * again_a, (), (level_in,)))
    if par[t.B_SOURCE] >= 0:
        flows.append(Flow(layer, part.b_source, par[t.B_TOTAL] * again_b, (par[t.B_SOURCE],), (level_w,)))
    if visits > 1:
        spill = par[c.PROBLEMS] * par[c.ROWS] * par[c.N] * (visits - 1) * par[c.SUM_BITS]
        flows.append(Flow(layer, f"{layer}:partial", spill, (level_out, 0), (0, level_out)))
    return flows


def _array(par: list[Any], part: Part, counted: Any, staged: Staged, wires: Wiring) -> tuple[list[Flow], Product]:
    """What passes between the array and the memories beside it, and what the array does."""
    cycles, folds, used_rows, used_cols, a, b, visits, shown, of = counted
    layer = part.stage.layer

    def seen(bits: int) -> int:
        return int(-(-bits * shown // of))

    rows, n, k = par[c.PROBLEMS] * par[c.ROWS], par[c.N], par[c.K]
    sums = rows * n * par[c.SUM_BITS]
    flows = [
        Flow(layer, part.a_source, seen(par[c.A_VIEW] * a), (wires.array[t.INPUT],)),
        Flow(layer, part.b_source, seen(par[c.B_BITS] * b), (wires.array[t.WEIGHT],)),
        Flow(layer, f"{layer}:partial", seen(sums * (visits - 1)), (wires.array[t.OUTPUT],)),
        Flow(layer, f"{layer}:partial", seen(sums * visits), (), (wires.array[t.OUTPUT],)),
    ]
    for operand, index in ((t.INPUT, 0), (t.WEIGHT, 1)):
        if wires.registers[operand] >= 0:
            flows.append(Flow(layer, flows[index].tensor, flows[index].bits, (), (wires.registers[operand],)))
    place = part.stage.product
    assert place is not None
    operator = staged.graph.operators[place]
    every, steps = rows * n * k, -(-k // par[c.WIDE])
    a_reads, b_reads = seen(rows * k * a), seen(n * k * b)
    product = Product(
        layer,
        operator.record,
        staged.numerics[place].key,
        seen(every),
        seen(ceil(rows * n * steps * par[c.PACE])),
        seen(folds),
        ceil(cycles),
        used_rows,
        used_cols,
        a_reads,
        b_reads,
        a_reads if par[c.FLOW] == c.IS else seen(every),
        b_reads if par[c.FLOW] == c.WS else seen(every),
    )
    return flows, product


def _rows(flows: list[Flow], wires: Wiring) -> tuple[Traffic, ...]:
    table: dict[tuple[str, str, int], list[int]] = {}
    for flow in flows:
        for side, levels in enumerate((flow.read, flow.written)):
            for level in levels:
                if flow.bits:
                    table.setdefault((flow.layer, flow.tensor, level), [0, 0])[side] += int(flow.bits)
    return tuple(
        Traffic(layer, tensor, wires.names[level], read, written)
        for (layer, tensor, level), (read, written) in table.items()
    )


def _timeline(work: Work, wires: Wiring) -> Timeline:
    reads, writes = totals(work.flows, len(wires.names))
    pace = Fraction(wires.bits_per_cycle)
    ports = {
        name: ceil(max(Fraction(reads[level], int(wires.prices[level, 2])),
                       Fraction(writes[level], int(wires.prices[level, 3])),
                       Fraction(reads[level] + writes[level], int(wires.prices[level, 4]))))
        for level, name in enumerate(wires.names) if level
    }  # fmt: skip
    load, store = reads[0] / pace, writes[0] / pace
    busy = max([work.cycles, *ports.values()])
    head, tail = min(work.first / pace, load), min(work.last / pace, store)
    if wires.overlaps:
        latency = c.pipeline(head, tail, load, store, Fraction(busy), Fraction(work.vector), work.tiles)
    else:
        latency = load + store + busy + work.vector
    return Timeline(
        ceil(latency),
        ceil(work.cycles),
        work.vector,
        tuple(ports.items()),
        ceil(load + store),
        ceil(head),
        ceil(tail),
    )


def _vector_work(group: Group, staged: Staged, machine: Accelerator) -> tuple[VectorWork, ...]:
    width, found = machine.vector.lanes, []
    for part in group.parts:
        for place in (*part.stage.before, *part.stage.after):
            operator = staged.graph.operators[place]
            found.append(VectorWork(operator.layer, operator.kind, operator.elements, vector_cycles(operator, width)))
        if part.problem is not None:
            rows = int(part.problem[c.PROBLEMS] * part.problem[c.ROWS])
            if part.raw and not part.stage.before:
                elements = rows * int(part.problem[c.K])
                found.append(VectorWork(part.stage.layer, "requantize", elements, part.pre_cycles))
            if not part.stage.after:
                elements = rows * int(part.problem[c.N])
                found.append(VectorWork(part.stage.layer, "requantize", elements, part.vector_cycles))
            if elements := _turned(part, staged):
                found.append(VectorWork(part.stage.layer, "rotate", elements, 0))
    return tuple(found)


def _turned(part: Part, staged: Staged) -> int:
    """Elements that a rotation turns for a product, those that fill its tiles included.

    The network stands in the pipeline of the requantisation and adds no cycles. Weights are turned before they are
    stored; what is stored quantized was turned once for all of its readers, and counts at the first.
    """
    assert part.stage.product is not None
    operator, numerics = staged.graph.operators[part.stage.product], staged.numerics[part.stage.product]
    shape = operator.gemm
    if numerics.rotation is None or shape is None:
        return 0
    k, found = numerics.padded(shape.k), 0

    def is_first(tensor: str) -> bool:
        uses = [number for number, use in staged.uses.get(tensor, ()) if use != "vector"]
        return tensor in staged.wide or part.number <= min(uses, default=part.number)

    if part.raw or is_first(part.a_source):
        found += shape.batch * shape.m * k
    if shape.b_role != "weight" and is_first(operator.inputs[1].tensor):
        found += shape.groups * shape.n * k
    return found

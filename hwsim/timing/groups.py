"""A group: consecutive stages that run fused, and what it moves for given places of the tensors that it shares.

A group of one stage is tiled over M, N and K (`single_tile`). A group of several products runs row block by row
block: intermediate results exist for the rows of a block alone; an operand b is held on chip whole, or streamed again
for every block; two products that meet over their inner dimension are worked on some columns at a time, the second
accumulating, softmax with a running maximum and sum of each row. Flash attention and a fused MLP are such groups.

Where a tensor lies is a number: `DRAM`, or the operand (0 input, 1 weight) in whose memory it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from hwsim.arch.units import storage_bits
from hwsim.errors import DesignError
from hwsim.timing import counts as c
from hwsim.timing.stages import REDUCING_KINDS, Stage, Staged, vector_cycles
from hwsim.trace.graph import Access, Operator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwsim.arch import Accelerator

DRAM = -1

FUSED_TILE = 3
"""Numbers of a tile of `fused_tiles.fused_tile`."""

STATISTIC_BITS = 2 * 32
"""A row's running maximum and sum in float32, while softmax is online."""

FLOWS = {"ws": c.WS, "os": c.OS, "is": c.IS, "rs": c.PACKED}
OVERLAPS = {"none": c.NONE, "fill": c.FILL, "ideal": c.IDEAL}


@dataclass(slots=True)
class Part:
    """One stage of a group, in numbers.

    Attributes:
        number: of the stage.
        stage: it.
        problem: the product's numbers, as `counts` reads them, or None.
        a_source, b_source: tensors of its operands, as they are stored.
        a_bits: bits of operand a's source that it reads.
        raw: whether operand a is requantised, or worked on, before the product reads it.
        window: bits of operand a's tile: fixed ones and those of a row, for a convolution.
        pre_cycles, vector_cycles: of the vector unit, in front of and behind the product.
        whole_depth, whole_row: whether the vector work needs all of K, all of N at once.
        online: whether the work behind it can be done on some columns at a time.
        softmax: whether it normalises rows by a running maximum.
        extra: what its vector work reads: tensor and bits.
    """

    number: int
    stage: Stage
    problem: list[float] | None
    a_source: str
    b_source: str
    a_bits: int
    b_total: int
    raw: bool
    window: tuple[float, float] | None
    pre_cycles: int
    vector_cycles: int
    whole_depth: bool
    whole_row: bool
    online: bool
    softmax: bool
    extra: tuple[tuple[str, int], ...]
    batch: int = 1
    groups: int = 1
    rows: int = 1
    macs: int = 0
    vector_rows: int = 1
    key: tuple[object, ...] = field(default=())


def part(staged: Staged, number: int, machine: Accelerator, additions: dict[int, float] | None = None) -> Part:
    """The numbers of a stage."""
    graph, stage = staged.graph, staged.stages[number]
    operators = graph.operators
    width = machine.vector.lanes
    before = [operators[place] for place in stage.before]
    after = [operators[place] for place in stage.after]
    a_reads = [read for read in stage.reads if read.use == "a"]
    extra = tuple((read.tensor, read.bits) for read in stage.reads if read.use == "vector")
    reduces = any(operator.kind in REDUCING_KINDS for operator in after)
    softmax = any(operator.kind == "softmax" for operator in after)
    online = not any(operator.kind in REDUCING_KINDS - {"softmax"} for operator in after)
    if stage.product is None:
        first = operators[stage.operators[0]]
        rows = max(1, first.elements // max(1, staged.rows[first.output]))
        cycles = sum(vector_cycles(operator, width) for operator in after)
        extra = (*extra, *((read.tensor, read.bits) for read in a_reads))
        made = Part(
            number, stage, None, "", "", 0, 0, False, None, 0, cycles, False, reduces, online, softmax, extra,
            vector_rows=rows,
        )  # fmt: skip
    else:
        made = _product_part(staged, number, machine, before, after, extra, (additions or {}).get(stage.product))
        made.whole_row, made.online, made.softmax = reduces, online, softmax
    made.key = _key(made, staged)
    return made


def _product_part(
    staged: Staged,
    number: int,
    machine: Accelerator,
    before: list[Operator],
    after: list[Operator],
    extra: tuple[tuple[str, int], ...],
    additions: float | None,
) -> Part:
    stage = staged.stages[number]
    assert stage.product is not None
    operator, width = staged.graph.operators[stage.product], machine.vector.lanes
    shape, numerics, array = operator.gemm, staged.numerics[stage.product], machine.array
    assert shape is not None
    a, b = operator.inputs[0], operator.inputs[1]
    if numerics.rotation is not None and a.window is not None:
        raise DesignError(
            "operands must lie in rows to be turned before they are stored, a convolution gathers its own",
            got=f"a rotation of {numerics.rotation.size}", where=operator.layer,
        )  # fmt: skip
    causal = (2 if _masks_depth(staged, operator) else 1) if shape.causal else 0
    problems = 1 if shape.groups == 1 else (shape.batch if causal else shape.groups)
    rows = shape.batch * shape.m // problems
    pace, k = numerics.datapath.cycles_per_step(additions), numerics.padded(shape.k)
    view = storage_bits(numerics, "activation", shape.batch * shape.m, shape.k)
    b_bits = storage_bits(numerics, shape.b_role, shape.n, shape.k)
    a_read = next((read for read in stage.reads if read.use == "a"), None)
    source = a.tensor if a_read is None else a_read.tensor
    b_read = next((read.bits for read in stage.reads if read.use == "b"), shape.groups * b_bits)
    raw = bool(before) or source in staged.wide
    pre = sum(vector_cycles(o, width) for o in before) or (-(-a.elements // width) if raw else 0)
    behind = sum(vector_cycles(o, width) for o in after) or -(-shape.batch * shape.m * shape.n // width)
    if causal == 1:
        shown, of = c.visible(shape.m, shape.n, 1)
        behind = -(-behind * shown // of)
    problem: list[float] = [0] * c.SIZE
    for place, value in (
        (c.PROBLEMS, problems),
        (c.ROWS, rows),
        (c.N, shape.n),
        (c.K, k),
        (c.WIDE, numerics.datapath.lanes),
        (c.PACE, int(pace) if pace == int(pace) else pace),
        (c.FLOW, FLOWS[array.dataflow.name]),
        (c.OVERLAP, OVERLAPS[array.overlap]),
        (c.ARRAYS, array.count),
        (c.CAUSAL, causal),
        (c.B_BITS, b_bits),
        (c.SUM_BITS, numerics.datapath.accumulator_bits),
        (c.A_VIEW, view),
        (c.SIDE_R, array.rows),
        (c.SIDE_C, array.cols),
    ):
        problem[place] = value
    if array.dataflow.packs:
        sizes = {"m": rows, "n": shape.n, "k": -(-k // int(problem[c.WIDE]))}
        if a.window is not None:
            sizes |= {"filter_rows": a.window.kernel[0], "output_rows": a.window.outputs[0]}
        problem[c.FOLDS], problem[c.STEPS], _ = array.dataflow.fold(sizes, array.rows, array.cols)
    a_bits = 0 if a_read is None else a_read.bits
    return Part(
        number,
        stage,
        problem,
        source,
        b.tensor,
        a_bits,
        b_read * (problems // shape.groups if problems > shape.groups else 1),
        raw,
        _window(a, a_bits),
        pre,
        behind,
        any(o.kind in REDUCING_KINDS for o in before),
        False,
        True,
        False,
        extra,
        shape.batch,
        shape.groups,
        shape.batch * shape.m,
        shape.macs,
    )


def _masks_depth(staged: Staged, operator: Operator) -> bool:
    """Whether the masked operand of a causal product is its operand a: it is made by a softmax."""
    makers = staged.makers
    place = makers.get(operator.inputs[0].tensor)
    return place is not None and staged.graph.operators[place].kind == "softmax"


def _window(access: Access, bits: int) -> tuple[float, float] | None:
    """Bits of a convolution's input tile: fixed ones and those of an output pixel."""
    window = access.window
    if access.kind != "window" or window is None:
        return None
    row = bits / (window.images * window.sizes[0])  # of one input row along the first spatial axis
    across = prod(window.outputs[1:])
    halo = window.input_rows(1) + window.stride[0] - 1
    return halo * row, row * window.stride[0] / across


def _key(made: Part, staged: Staged) -> tuple[object, ...]:
    problem = None if made.problem is None else tuple(made.problem)
    return (
        problem,
        made.a_bits,
        made.b_total,
        made.raw,
        made.window,
        made.pre_cycles,
        made.vector_cycles,
        made.whole_depth,
        made.whole_row,
        made.online,
        made.softmax,
        tuple(bits for _, bits in made.extra),
        made.batch,
        made.groups,
        made.vector_rows,
        tuple(staged.bits[name] for name in made.stage.writes),
    )


class Flow(NamedTuple):
    """Bits of a tensor that are read from some levels and written into others."""

    layer: str
    tensor: str
    bits: int
    read: tuple[int, ...] = ()
    written: tuple[int, ...] = ()


def totals(flows: Iterable[Flow], levels: int) -> tuple[list[int], list[int]]:
    """Bits read from and written into each of the levels."""
    reads, writes = [0] * levels, [0] * levels
    for flow in flows:
        for level in flow.read:
            reads[level] += int(flow.bits)
        for level in flow.written:
            writes[level] += int(flow.bits)
    return reads, writes


@dataclass(frozen=True, slots=True)
class Places:
    """Where the tensors of a group lie.

    Attributes:
        home: of each tensor that it reads from others or writes for others: `DRAM` or an operand's number.
        loads: those that it brings on chip whole, for later groups too.
        stores: those that it writes to DRAM: what has its home there, and what the model returns.
        room: bits that each pool has left beside everything that lies on chip meanwhile.
    """

    home: dict[str, int]
    loads: frozenset[str]
    stores: frozenset[str]
    room: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """The best tile of a group (`single_tile`, `fused_tile`), its cost and latency as the search saw them, and the
    bits of each pool that it takes: in any room between those and where it was found it is the best too. `sides` are
    the rows and columns of the array that its masked products may use, empty for all."""

    cost: float
    latency: float
    tile: tuple[float, ...]
    used: tuple[float, ...] = ()
    sides: tuple[float, ...] = ()

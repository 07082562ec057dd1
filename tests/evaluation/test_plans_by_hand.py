"""Counts of small plans, worked out by hand: what a plan says is what prices multiply."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from types import SimpleNamespace

import pytest

import hwsim
from hwsim.arch.dataflow import dataflow
from hwsim.arch.memory import Port
from hwsim.arch.row_stationary import Convolution, Pass, passes
from hwsim.arch.units import storage_bits
from hwsim.errors import DesignError
from hwsim.timing import counts as c
from hwsim.timing import plan
from hwsim.timing import tiles as t
from hwsim.timing.groups import _window
from hwsim.timing.planning import BrokenPlan, check, energy_of
from hwsim.timing.stages import stage, vector_cycles
from hwsim.timing.steps import _single_flows
from hwsim.timing.wiring import PlanPrices, wiring
from hwsim.trace.graph import Access, Operator, Window


def product(flow: int, overlap: int = c.FILL, rows: int = 10, n: int = 7, k: int = 9, **more) -> list[int]:
    """A product on 4 x 4 units of one lane, as counts have it."""
    fields = {"PROBLEMS": 1, "ROWS": rows, "N": n, "K": k, "WIDE": 1, "PACE": 1, "FLOW": flow, "OVERLAP": overlap,
              "ARRAYS": 1, "SIDE_R": 4, "SIDE_C": 4} | more  # fmt: skip
    par = [0] * c.SIZE
    for name, value in fields.items():
        par[getattr(c, name)] = value
    return par


@pytest.mark.parametrize(
    ("flow", "overlap", "tile", "expected"),
    [
        # weights stay: 2 folds along N, 3 along K, 10 rows stream through each; an edge is 2 x 4 + 4 - 2 = 10
        (c.WS, c.IDEAL, (10, 7, 9), (60, 6, 2, 1, 3)),
        (c.WS, c.FILL, (10, 7, 9), (60 + 10, 6, 2, 1, 3)),
        (c.WS, c.NONE, (10, 7, 9), (60 + 6 * 10, 6, 2, 1, 3)),
        (c.WS, c.NONE, (4, 7, 9), (60 + 18 * 10, 18, 2, 3, 3)),  # three row tiles: every weight is read three times
        # inputs stay: 3 folds along K, 3 along M, 7 columns stream
        (c.IS, c.FILL, (10, 7, 9), (63 + 10, 9, 1, 3, 3)),
        (c.IS, c.FILL, (10, 4, 9), (63 + 10, 18, 2, 3, 3)),  # two column tiles: every input is read twice
        # results stay: 3 folds along M, 2 along N, 9 steps stream; an edge is 4 + 4 - 2
        (c.OS, c.FILL, (10, 7, 9), (54 + 6, 6, 2, 3, 1)),
        (c.OS, c.NONE, (10, 7, 3), (54 + 18 * 6, 18, 2, 3, 3)),  # three depths: sums are written three times
    ],
)
def test_array(flow, overlap, tile, expected):
    rows, cols, depth = tile
    par = product(flow, overlap)
    whole, ragged = divmod(10, rows)
    tiles = -(-10 // rows)
    cycles, folds, used_rows, used_cols, a, b, visits, shown, of = c.array_counts(
        par, tiles, (rows, ragged), (whole, 1 if ragged else 0), cols, depth
    )
    assert (cycles, folds, a, b, visits) == expected
    assert (used_rows, used_cols, shown, of) == (4, 4, 1, 1)


def test_a_mask_leaves_what_blocks_of_units_see():
    # 16 rows, 16 columns in blocks of 4: seen by 16, 12, 8 and 4 rows of 16
    assert c.visible(16, 16, 4) == (16 + 12 + 8 + 4, 4 * 16)
    assert c.visible(16, 16, 1) == (16 * 17 // 2, 16 * 16)
    assert c.visible(4, 16, 16) == (4, 4)
    par = product(c.WS, c.IDEAL, rows=16, n=16, k=8, CAUSAL=1)
    assert c.array_counts(par, 1, (16, 0), (1, 0), 16, 8)[0] == 16 * 4 * 2 * 40 // 64


@pytest.mark.parametrize(
    ("order", "expected"),
    [  # 2 x 3 x 5 tiles along M, N, K: an operand comes again for each tile of the loop that does not index it
        ("mnk", (3, 2, 1)), ("mkn", (1, 2, 5)), ("nmk", (3, 2, 1)),
        ("nkm", (3, 1, 5)), ("kmn", (1, 2, 5)), ("knm", (3, 1, 5)),
    ],
)  # fmt: skip
def test_loops_over_tiles(order, expected):
    place = ("mnk", "mkn", "nmk", "nkm", "kmn", "knm").index(order)
    found = c.passes(product(c.WS, rows=8, n=9, k=20), 4, 3, 4, place)
    assert found == (2, 3, 5, *expected)


@pytest.mark.parametrize(
    ("first", "last", "load", "store", "work", "vector", "tiles", "cycles"),
    [
        (10, 6, 40, 12, 100, 20, 4, 10 + 6 + 30 + 75),  # the array: three of four tiles behind the first
        (10, 6, 200, 12, 100, 20, 4, 10 + 6 + 30 + 190 + 6),  # the channel: loads and stores one after the other
        (10, 6, 40, 12, 20, 100, 4, 10 + 6 + 30 + 75),  # the vector unit
        (40, 12, 40, 12, 100, 20, 1, 40 + 100 + 20 + 12),  # one tile: nothing overlaps
    ],
)
def test_double_buffers(first, last, load, store, work, vector, tiles, cycles):
    assert c.pipeline(first, last, load, store, work, vector, tiles) == cycles


def moved(made, layer: str) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (row.tensor, row.level): (row.read_bits, row.written_bits)
        for step in made.steps for row in step.traffic if row.layer == layer
    }  # fmt: skip


def alone(make, **fields):
    """Every product alone on 4 x 4 units; 16 GB/s at 1 GHz are 128 bits a cycle."""
    return make.three_memories(1, 1, 1, rows=4, cols=4, fused=False, gbyte_s=1.6, clock_ghz=0.1, **fields)


def test_a_product_whose_results_stay(make):
    made = plan(make.gemm(10, 7, 9), alone(make, flow="os"))
    assert moved(made, "y") == {
        ("x", "dram"): (90 * 8, 0),
        ("x", "activation"): (90 * 8 * 2, 90 * 8),  # twice to the array, for 7 columns on 4
        ("w", "dram"): (63 * 8, 0),
        ("w", "weight"): (63 * 8 * 3, 63 * 8),  # three times, for 10 rows on 4
        # in nine tiles of one step: 8 readings of 32-bit sums and the vector unit's
        ("y:partial", "output"): (70 * 32 * (8 + 1), 70 * 32 * 9),
        ("y", "output"): (70 * 16, 70 * 16),
        ("y", "dram"): (0, 70 * 16),
    }
    (step,) = made.steps
    (done,) = step.products
    assert (done.macs, done.updates, done.a_reads, done.b_reads) == (630, 630, 180, 189)
    assert (done.a_loads, done.b_loads) == (630, 630)  # both stream
    assert done.array_cycles == 60 * 16
    (work,) = step.vector
    assert (work.kind, work.elements, work.cycles) == ("requantize", 70, 5)  # 16 lanes
    # in: 90 x 8 + 63 x 8 bits, of which one of 9 depths first; out 70 x 16; 128 bits a cycle
    assert (step.cycles.dram, step.cycles.first_load, step.cycles.last_store) == (19, 2, 9)
    assert dict(step.cycles.ports) == {"activation": 3, "weight": 3, "output": 42}
    assert step.cycles.compute == 54 + 6
    # 1224 / 9 bits first, 65 cycles of array and vector unit over 9 tiles, then 8 / 9 of the array's 60
    assert step.cycles.latency == 71  # 1.06 + 8.75 + 65 / 9 + 53.33 = 70.4


def test_a_product_whose_weights_stay(make):
    made = plan(make.gemm(10, 7, 9), alone(make, flow="ws"))
    found = moved(made, "y")
    assert found["x", "activation"] == (90 * 8 * 2, 90 * 8)
    assert found["w", "dram"] == (63 * 8, 0)
    assert found["w", "weight"][1] == 63 * 8
    assert found["y:partial", "output"] == (70 * 32 * (2 + 1), 70 * 32 * 3)  # three folds along K
    (done,) = made.steps[0].products
    assert done.b_loads == done.b_reads == found["w", "weight"][0] // 8
    assert done.a_loads == 630


def test_inputs_that_stay_load_once(make):
    (done,) = plan(make.gemm(10, 7, 9), alone(make, flow="is")).steps[0].products
    assert done.a_loads == done.a_reads
    assert done.b_loads == 630


@pytest.mark.parametrize("room", [(512, 512, 2048), (512, 512, 65536), (256, 1024, 65536), (1024, 256, 4096)])
def test_memories_that_hold_no_tile_whole(make, room):
    machine = make.three_memories(*(bits / 8192 for bits in room), rows=4, cols=4, fused=False)
    made = plan(make.gemm(32, 32, 32), machine)
    found = moved(made, "y")
    sides = [int(side) for side in t.grid(32)]
    # the best of all tiles and orders: each operand again for each tile of the other side, two buffers of everything
    best = min(
        8 * 1024 * (again_a + again_b) + 2 * 32 * 1024 * (visits - 1)
        for m, n, k in itertools.product(sides, sides, sides)
        if 2 * m * k * 8 <= room[0] and 2 * n * k * 8 <= room[1] and 2 * m * n * 32 <= room[2]
        for order in range(6)
        for _, _, _, again_a, again_b, visits in [c.passes(product(c.WS, rows=32, n=32, k=32), m, n, k, order)]
    )
    inputs, weights = found["x", "dram"][0], found["w", "dram"][0]
    spilled = found.get(("y:partial", "dram"), (0, 0))
    assert spilled[0] == spilled[1]
    assert inputs + weights + sum(spilled) == best
    assert found["x", "activation"][1] == inputs
    assert found["w", "weight"][1] == weights


def test_a_batch_with_one_weight_is_more_rows(make):
    made = plan(make.gemm(6, 8, 8, batch=3, groups=1), alone(make))
    (done,) = made.steps[0].products
    assert (done.macs, done.updates) == (3 * 6 * 64, 3 * 6 * 64)
    assert moved(made, "y")["w", "dram"] == (64 * 8, 0)


def test_a_plan_that_weighs_energy_loads_weights_once(make):
    level = dict.fromkeys(("dram", "activation", "weight", "output"), 1.0)
    machine = dataclasses.replace(alone(make), objective="energy")
    (done,) = plan(make.gemm(10, 7, 9), machine, PlanPrices(level, level)).steps[0].products
    assert (done.b_loads, done.b_reads, done.a_loads) == (63, 63, 630)  # one tile: each weight into one unit


def test_rows_that_stay_pack_planes():
    # 12 x 14 units hold four planes of 3 x 5: 10 x 7 x 9 products are 42 steps of one plane, 11 of four
    sizes = {"m": 10, "n": 7, "k": 9, "filter_rows": 3, "output_rows": 5}
    assert dataflow("rs").fold(sizes, 12, 14) == (1, 11, 12 + 14 - 2)


def test_row_stationary_weights_come_again_for_each_batch_and_round():
    machine = hwsim.load_accelerator(Path(__file__).parents[2] / "dse" / "machines" / "published" / "eyeriss.toml")
    window = Window(4, 2, (8, 8), (3, 3), (1, 1), (1, 1), (1, 1), (8, 8))
    one = Pass(
        filters=2, channels=1, channel_sets=1, filter_sets=1, strip_sets=1, strip=4, images=2, buffered_filters=4
    )
    found = passes(machine, Convolution(window, 4), one)
    # two strips of four rows, two pairs of filters, two channels, two batches of two images
    assert found.count == 2 * 2 * 2 * 2
    assert found.dram_weights == 4 * 2 * 9 * 2 * 2
    assert found.dram_outputs == 4 * 4 * 64
    assert found.sum_accesses == 2 * 4 * 4 * 64 * 2


def test_sums_that_do_not_stay_go_both_ways(make):
    wires = wiring(make.three_memories(2, 2, 2), None)  # levels: 0 DRAM, 1 activation, 2 weight, 3 output
    par = [*product(c.WS, rows=4, n=5, k=6, SUM_BITS=32), *[0] * (t.SINGLE - c.SIZE)]
    par[t.A_SOURCE], par[t.A_FILL], par[t.B_SOURCE], par[t.B_TOTAL] = 0, 100, 0, 50
    part = SimpleNamespace(stage=SimpleNamespace(layer="y"), a_source="x", b_source="w")
    flows = _single_flows(par, part, 2, 3, 3, wires)
    spilled = 4 * 5 * 32 * 2  # out and back between three visits
    assert [(one.tensor, one.bits, one.read, one.written) for one in flows] == [
        ("x", 200, (0,), (1,)), ("w", 150, (0,), (2,)), ("y:partial", spilled, (3, 0), (0, 3)),
    ]  # fmt: skip
    par[t.A_SOURCE] = par[t.B_SOURCE] = -1  # both lie where they are needed
    assert _single_flows(par, part, 2, 3, 1, wires) == []


def test_experts_have_weights_of_their_own(make):
    made = plan(make.gemm(6, 8, 8, batch=2, groups=2), alone(make))
    found = moved(made, "y")
    (done,) = made.steps[0].products
    assert found["w", "dram"] == (2 * 64 * 8, 0)
    rows = int(made.steps[0].tiling.split()[2])
    assert found["w", "weight"] == (-(-6 // rows) * 2 * 64 * 8, 2 * 64 * 8)  # each once a row tile of its own rows
    assert (done.macs, done.b_reads) == (2 * 6 * 64, -(-6 // rows) * 2 * 64)
    assert made.steps[0].tiling.split()[8] == "6"


def test_masked_products_are_not_done(make):
    machine = make.three_memories(4, 4, 4, rows=4, cols=4, fused=False)
    made = plan(make.attention(2, 16, 8, causal=True), machine)
    scores = made.steps[0].products[0]
    assert scores.macs == 2 * 16 * 16 * 8 * 40 // 64  # blocks of 4 columns: 40 of 64 row blocks
    found = moved(made, "att.qk")
    assert found["q", "activation"][0] == 2 * 16 * 8 * 8 * 4 * 40 // 64  # four folds of columns
    rows = int(made.steps[0].tiling.split()[2])
    assert found["k", "weight"][0] == 2 * 16 * 8 * 8 * (16 // rows) * 40 // 64
    softmax = next(work for step in made.steps for work in step.vector if work.kind == "softmax")
    assert (softmax.elements, softmax.cycles) == (512, 96)  # three passes, 16 lanes


def test_a_unit_of_several_lanes_pads_its_last_step(make):
    machine = hwsim.load_accelerator("edge-ternary")
    (done,) = plan(make.gemm(8, 8, 16), machine).steps[0].products
    assert (done.macs, done.updates) == (1024, 8 * 8 * 6)  # 16 weights, three at a time


def test_halos(make):
    window = Window(1, 4, (8, 8), (3, 3), (2, 2), (1, 1), (1, 1), (4, 4))
    bits = 4 * 8 * 8 * 8
    # a row of 256 bits; three rows and one more while the window moves by two; half a row an output pixel
    assert _window(Access("x", 256, "window", window), bits) == (4 * 256, 256 * 2 / 4)


def test_vector_cycles():
    def cycles(kind: str) -> int:
        return vector_cycles(Operator("l", kind, "forward", (), "y", 100), 16)

    # 100 elements on 16 lanes: 7 cycles a pass, passes without a gap
    assert (cycles("add"), cycles("rmsnorm"), cycles("softmax"), cycles("layernorm")) == (7, 13, 19, 19)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_stored_bits(make, bits):
    b = make.Builder()
    b.tensor("ids", 6, dtype="int64")
    b.weight("table", 10, 8)
    b.weight("w", 4, 8)
    b.vector("embedding", "x", "table", "ids", shape=(6, 8), gather=48)
    b.gemm("x", "w", "y", 6, 4, 8)
    staged = stage(b.graph("y"), make.three_memories(1, 1, 1, output_bits=bits))
    assert staged.bits["ids"] == 6 * 32  # of torch's 64
    assert staged.bits["y"] == 6 * 4 * bits
    assert staged.bits["w"] == 4 * 8 * 8


def test_storage_of_scales():
    int8 = hwsim.load_accelerator("edge-int8").policy.default
    assert storage_bits(int8, "activation", 6, 100) == 6 * 100 * 8 + 6 * 32  # a float32 a row
    nvfp4 = hwsim.load_accelerator("edge-nvfp4").policy.default
    # blocks of 16, the last of four; E4M3 scales; the tensor's own
    assert storage_bits(nvfp4, "weight", 6, 100) == 6 * (100 * 4 + 7 * 8) + 32


def test_rooms_and_ports(make):
    machine = make.three_memories(1, 2, 4, port=64)
    wires = wiring(machine, None)
    assert wires.rooms == (8192, 16384, 32768)
    assert (wires.double, wires.overlaps) == ((2, 2, 2), True)
    assert wires.prices[0, :2].tolist() == [1, 1]
    assert wires.prices[1].tolist() == [0, 0, 64, 64, 128]
    ports = Port(128, "read"), Port(32, "write")
    memories = [
        dataclasses.replace(one, ports=ports, copies=2) if one.name == "weight" else one for one in machine.memories
    ]
    wires = wiring(dataclasses.replace(machine, memories=tuple(memories)), None)
    assert wires.prices[2].tolist() == [0, 0, 256, 64, 320]
    one = make.buffer_machine(1)
    shared = wiring(one, None)
    assert (shared.rooms, shared.pool, shared.double) == ((8192,), (0, 0, 0), (1, 1, 1))
    glb = dataclasses.replace(one.memories[1], split=(0.5, 0.25, 0.25))
    assert wiring(dataclasses.replace(one, memories=(one.memories[0], glb)), None).rooms == (4096, 2048, 2048)
    with pytest.raises(DesignError, match=r"memory\.activation: must have a price"):
        wiring(machine, PlanPrices({"dram": 1.0}, {"dram": 1.0}))


def test_energy_that_a_search_weighs(make, made_plan):
    machine = make.three_memories(8, 16, 32)
    reads = {"dram": 2.0, "activation": 3.0, "weight": 5.0, "output": 7.0}
    writes = {"dram": 11.0, "activation": 13.0, "weight": 17.0, "output": 19.0}
    wires = wiring(machine, PlanPrices(reads, writes, 0.5))
    assert energy_of(made_plan(machine.policy.default.key), wires) == (
        1400 * 2 + 500 * 11 + 3000 * 3 + 1000 * 13 + 700 * 5 + 400 * 17 + 550 * 7 + 90 * 19 + 175 * 0.5
    )


def test_single_buffers_wait(make):
    machine = alone(make, flow="os")
    memories = tuple(dataclasses.replace(one, double_buffered=False) for one in machine.memories)
    (step,) = plan(make.gemm(10, 7, 9), dataclasses.replace(machine, memories=memories)).steps
    load, store = (720 + 504) / 128, 1120 / 128
    assert step.cycles.latency == -(-(load + store + 60 + 5) // 1)


def test_broken_plans_are_found(make):
    graph, machine = make.gemm(10, 7, 9), alone(make)
    made = plan(graph, machine)
    (step,) = made.steps

    def without(**gone):
        rows = tuple(
            row._replace(**{key: 0 for key in gone if (row.tensor, row.level) == gone[key]}) for row in step.traffic
        )
        return dataclasses.replace(made, steps=(dataclasses.replace(step, traffic=rows),))

    check(made, graph)
    with pytest.raises(BrokenPlan, match="what is read must have been written"):
        check(without(written_bits=("x", "activation")), graph)
    with pytest.raises(BrokenPlan, match="the input must be loaded"):
        check(without(read_bits=("x", "dram")), graph)
    with pytest.raises(BrokenPlan, match="the output must be stored"):
        check(without(written_bits=("y", "dram")), graph)
    with pytest.raises(BrokenPlan, match="every operator must run once"):
        check(dataclasses.replace(made, steps=(step, step)), graph)

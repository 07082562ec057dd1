"""Plans: published optima of fused networks, counts worked out by hand, and what must hold for every machine.

Rows marked AccelForge are its proven optima (FFM of accelforge 1.0.467: one buffer above DRAM, eight bits a value, no
double buffering, objective least DRAM bits).
"""

from __future__ import annotations

import importlib.util
import random
import sys
from dataclasses import replace
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from hwsim.arch import load_accelerator
from hwsim.arch.plan import Plan, Traffic
from hwsim.errors import DesignError, HwsimError
from hwsim.timing import PlanPrices, plan, schedule, steps
from hwsim.timing.planning import BrokenPlan, check
from hwsim.trace.gemm import Workload
from hwsim.trace.graph import Graph


def _builders() -> Any:
    spec = importlib.util.spec_from_file_location("plan_builders", Path(__file__).with_name("builders.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


make = _builders()


PRICES = PlanPrices({"dram": 8.0, "activation": 0.06, "weight": 0.06, "output": 0.06},
                    {"dram": 8.0, "activation": 0.07, "weight": 0.07, "output": 0.07}, 20.0)  # fmt: skip


def dram(made: Plan) -> int:
    return made.dram_read_bits + made.dram_write_bits


ATTENTION = [  # heads, tokens, width, KiB, AccelForge's DRAM bits
    (1, 128, 32, 8, 196_608), (1, 128, 32, 16, 131_072), (6, 256, 32, 16, 2_359_296), (6, 256, 32, 64, 1_572_864),
    (6, 256, 32, 224, 1_572_864), (4, 256, 64, 32, 3_145_728), (4, 256, 64, 128, 2_097_152),
    (1, 512, 64, 64, 1_572_864), (1, 512, 64, 256, 1_048_576),
]  # fmt: skip


@pytest.mark.parametrize(("heads", "tokens", "width", "kib", "bits"), ATTENTION)
def test_fused_attention_is_accelforges_optimum(heads: int, tokens: int, width: int, kib: int, bits: int) -> None:
    made = plan(make.attention(heads, tokens, width), make.buffer_machine(kib))
    assert dram(made) == bits
    # closed form: Q and O once, K and V once for each of the S/m row blocks
    blocks = (bits // (heads * tokens * width * 8) - 2) // 2
    assert bits == heads * (2 + 2 * blocks) * tokens * width * 8


def test_ragged_row_blocks_go_below_divisors() -> None:
    """H1 S512 D64, 16 KiB: divisors allow 64 rows, 4,718,592 bits; 103 rows are five blocks, and 3,145,728 bits
    without the running statistics; here 2 x 32 of them a row leave 86 rows: six blocks."""
    made = plan(make.attention(1, 512, 64), make.buffer_machine(16))
    assert dram(made) == (2 + 2 * 6) * 512 * 64 * 8 == 3_670_016


MLP = [  # tokens, width, hidden, KiB, AccelForge's DRAM bits
    (128, 192, 768, 32, 4_325_376), (128, 192, 768, 128, 2_752_512), (256, 192, 768, 32, 8_650_752),
    (256, 192, 768, 64, 5_505_024), (256, 192, 768, 128, 3_145_728), (512, 384, 1536, 128, 34_603_008),
    (512, 384, 1536, 512, 12_582_912),
]  # fmt: skip


@pytest.mark.parametrize(("tokens", "width", "hidden", "kib", "bits"), MLP)
def test_fused_mlp_is_accelforges_optimum(tokens: int, width: int, hidden: int, kib: int, bits: int) -> None:
    assert dram(plan(make.mlp(tokens, width, hidden), make.buffer_machine(kib))) == bits


@pytest.mark.parametrize(("kib", "bits"), [(16, 6_684_672), (64, 3_145_728)])
def test_one_product_is_accelforges_optimum(kib: int, bits: int) -> None:
    """256 x 192 x 768: at 16 KiB the input's 64 rows lie on chip and W is read four times."""
    assert dram(plan(make.gemm(256, 768, 192), make.buffer_machine(kib))) == bits
    assert bits == 256 * 192 * 8 + (4 if kib == 16 else 1) * 192 * 768 * 8 + 256 * 768 * 8


@pytest.mark.parametrize(("kib", "theirs"), [(16, 557_056), (32, 524_288), (64, 524_288)])
def test_a_whole_layer_is_not_worse_than_accelforges(kib: int, theirs: int) -> None:
    """Compulsory: x and result of 64 x 64, four matrices of 64 x 64 and two of 64 x 256, eight bits: 458,752."""
    assert 458_752 <= dram(plan(make.layer(2, 64, 32, 256), make.buffer_machine(kib))) <= theirs


@pytest.mark.parametrize(
    ("graph", "kib", "bits"),
    [
        (make.attention(6, 256, 32), 64, 14_155_776),
        (make.attention(4, 256, 64), 64, 10_485_760),
        (make.mlp(256, 192, 768), 128, 6_291_456),
    ],
)
def test_unfused_rows_are_accelforges(graph: Graph, kib: int, bits: int) -> None:
    assert dram(plan(graph, make.buffer_machine(kib, fused=False))) == bits


def rows_of(made: Plan) -> dict[tuple[str, str], tuple[int, int]]:
    table: dict[tuple[str, str], tuple[int, int]] = {}
    for step in made.steps:
        for row in step.traffic:
            read, written = table.get((row.tensor, row.level), (0, 0))
            table[row.tensor, row.level] = read + row.read_bits, written + row.written_bits
    return table


def test_every_count_of_one_product_by_hand() -> None:
    """64 x 48 x 80 on 16 x 8 weight-stationary units, everything fits: K has 5 folds, N has 6."""
    made = plan(make.gemm(64, 48, 80), make.three_memories(64, 64, 64, rows=16, cols=8, objective="energy"), PRICES)
    assert rows_of(made) == {
        ("x", "dram"): (64 * 80 * 8, 0),
        ("x", "activation"): (64 * 80 * 8 * 6, 64 * 80 * 8),  # read for each of the 6 folds along N
        ("w", "dram"): (48 * 80 * 8, 0),
        ("w", "weight"): (48 * 80 * 8, 48 * 80 * 8),
        ("y:partial", "output"): (
            64 * 48 * 32 * 4 + 64 * 48 * 32,
            64 * 48 * 32 * 5,
        ),  # back 4 times, then requantised
        ("y", "output"): (64 * 48 * 16, 64 * 48 * 16),
        ("y", "dram"): (0, 64 * 48 * 16),
    }
    (product,) = made.steps[0].products
    assert (product.macs, product.folds, product.compute_cycles) == (64 * 48 * 80, 30, 30 * 64 + 2 * 16 + 8 - 2)
    assert (product.a_reads, product.b_reads) == (64 * 80 * 6, 48 * 80)
    assert (product.used_rows, product.used_cols, product.updates) == (16, 8, 64 * 48 * 80)


def test_the_channel_takes_what_passes_it() -> None:
    """25.6 GB/s at 0.5 GHz are 409.6 bits a cycle; 64 x 80 and 48 x 80 bytes come, 64 x 48 x 2 go: 295 cycles."""
    made = plan(make.gemm(64, 48, 80), make.three_memories(64, 64, 64))
    assert made.steps[0].cycles.dram == -(-(64 * 80 * 8 + 48 * 80 * 8 + 64 * 48 * 16) * 10 // 4096) == 295


def test_masked_blocks_are_skipped() -> None:
    """Scores of 256 x 256 in columns of 32: of 8 blocks, 8 + 7 + .. + 1 of 8 x 8 are computed."""
    machine = make.three_memories(64, 64, 64, overlap="ideal", objective="energy")
    full, half = (plan(make.attention(1, 256, 32, causal=causal), machine, PRICES) for causal in (False, True))
    cycles = [[product.compute_cycles for step in made.steps for product in step.products] for made in (full, half)]
    assert cycles == [[8 * 256, 8 * 256], [36 * 32, 36 * 32]]


def test_expert_and_grouped_weights_count_whole() -> None:
    """Eight experts of 32 x 64 are eight times one weight; as one product or as eight, the same DRAM bits."""
    one = plan(make.gemm(16, 64, 32, batch=8, groups=8), make.three_memories(64, 64, 64))
    assert rows_of(one)["w", "dram"] == (8 * 64 * 32 * 8, 0)
    alone = plan(make.gemm(16, 64, 32), make.three_memories(64, 64, 64))
    assert dram(one) == 8 * dram(alone)


def test_a_convolution_reads_its_input_once() -> None:
    """3 x 3, 16 channels, 32 x 32: 16,384 stored values, of which an im2col matrix would make 9 times as many."""
    b = make.Builder()
    b.tensor("x", 1, 16, 32, 32)
    b.weight("w", 8, 144)
    window = make.Window(1, 16, (32, 32), (3, 3), (1, 1), (1, 1), (1, 1), (32, 32))
    b.gemm("x", "w", "y", 1024, 8, 144, window=window)
    made = plan(b.graph("y"), make.three_memories(64, 64, 64))
    assert rows_of(made)["x", "dram"] == (16 * 32 * 32 * 8, 0)


def test_a_weight_that_two_products_share_is_loaded_once() -> None:
    b = make.Builder()
    b.tensor("x0", 1, 64)
    b.weight("w", 64, 64)
    x = "x0"
    for step in range(4):
        x = b.gemm(x, "w", f"h{step}", 1, 64, 64)
    assert rows_of(plan(b.graph(x), make.three_memories(64, 64, 64)))["w", "dram"] == (64 * 64 * 8, 0)
    tight = plan(b.graph(x), make.three_memories(2, 2, 64))
    assert rows_of(tight)["w", "dram"] == (4 * 64 * 64 * 8, 0)  # 4 KiB do not fit in 2


COMPULSORY = (4 * (192 * 576 + 192 * 192 + 2 * 192 * 768) + 192 * 256) * 8 + 256 * 192 * 16 + 256 * 256 * 16
"""The GPT's weights at 8 bits, the embeddings of 256 tokens and the logits at 16."""


def test_the_gpt_moves_little_more_than_it_must() -> None:
    made = plan(make.gpt(), make.three_memories(512, 512, 512))
    assert dram(made) == COMPULSORY + 256 * 32  # and the tokens
    assert all(row.written_bits == 0 or row.tensor == "head" for step in made.steps for row in step.traffic
               if row.level == "dram")  # fmt: skip


def test_each_objective_is_best_at_its_own() -> None:
    plans = {aim: plan(make.gpt(1), make.three_memories(64, 64, 64, objective=aim), PRICES)
             for aim in ("traffic", "energy", "time", "edp")}  # fmt: skip

    def energy(made: Plan) -> float:
        rows = [row for step in made.steps for row in step.traffic]
        moved = sum(r.read_bits * PRICES.read_pj[r.level] + r.written_bits * PRICES.write_pj[r.level] for r in rows)
        return moved + PRICES.idle_pj_per_cycle * made.latency_cycles

    for measure, aim in ((dram, "traffic"), (energy, "energy"), (lambda made: made.latency_cycles, "time"),
                         (lambda made: energy(made) * made.latency_cycles, "edp")):  # fmt: skip
        best = measure(plans[aim])
        assert all(best <= measure(made) * (1 + 1e-4) for made in plans.values()), aim


def test_a_plan_that_reads_what_nobody_wrote_is_found() -> None:
    graph = make.mlp(16, 32, 64)
    made = plan(graph, make.three_memories(64, 64, 64))
    check(made, graph)
    step = made.steps[-1]
    stolen = Traffic("down", "relu", "activation", 8, 0)
    with pytest.raises(
        BrokenPlan, match=r"step \d+, level activation: what is read must have been written, got 'relu'"
    ):
        check(replace(made, steps=(*made.steps[:-1], replace(step, traffic=(*step.traffic, stolen)))), graph)
    with pytest.raises(BrokenPlan, match="every operator must run once"):
        check(replace(made, steps=()), graph)
    kept = tuple(row for row in step.traffic if row.tensor != "down")
    with pytest.raises(BrokenPlan, match="output must be stored, got 'down'"):
        check(replace(made, steps=(*made.steps[:-1], replace(step, traffic=kept))), graph)


def test_sizes_of_zero_and_memories_too_small_are_one_clear_error() -> None:
    with pytest.raises(DesignError, match="sizes of a product must be at least 1"):
        plan(make.gemm(0, 8, 8), make.three_memories(8, 8, 8))
    with pytest.raises(DesignError, match="memories must hold a tile of every stage, got 'y'"):
        plan(make.gemm(8, 8, 8), make.three_memories(8, 8, 2**-11))
    assert plan(Workload("none", (), Graph((), ())), make.three_memories(8, 8, 8)).steps == ()
    with pytest.raises(HwsimError, match="must hold a graph"):
        plan(Workload("none", ()), make.three_memories(8, 8, 8))


def _runs(tiles: int, totals: tuple[int, int, int, int], first: int, last: int) -> list[schedule.Run]:
    """Tiles of a step: the first load and the last store as they are, all else shared evenly."""
    load, compute, vector, store = totals
    if tiles == 1:
        return [schedule.Run(1, totals)]
    rest = tiles - 1

    def tile(at: int) -> tuple[int, int, int, int]:
        loads = first if at == 0 else (load - first) // rest + (at - 1 < (load - first) % rest)
        stores = last if at == rest else (store - last) // rest + (at < (store - last) % rest)
        return (loads, compute // tiles + (at < compute % tiles), vector // tiles + (at < vector % tiles), stores)

    borders = {0, 1, rest, tiles, compute % tiles, vector % tiles, 1 + (load - first) % rest, (store - last) % rest}
    ordered = sorted(border for border in borders if border <= tiles)
    return [schedule.Run(end - at, tile(at)) for at, end in pairwise(ordered)]


@pytest.mark.parametrize("aim", ["traffic", "energy", "time"])
def test_latency_is_the_recurrences(aim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline of equal tiles against the recurrence over the same tiles in whole cycles: within 3 %, and a
    cycle a tile, by which short tiles are rounded up."""
    seen: list[float] = []
    original = steps._timeline

    def compared(work: Any, wires: Any) -> Any:
        made, tiles = original(work, wires), work.tiles
        load, store = (
            ceil(sum(f.bits for f in work.flows if 0 in side(f)) / wires.bits_per_cycle)
            for side in (lambda f: f.read, lambda f: f.written)
        )
        busy = max(made.compute, *(cycles for _, cycles in made.ports))
        runs = _runs(tiles, (load, busy, work.vector, store), min(load, made.first_load), min(store, made.last_store))
        exact = schedule.latency(runs).latency
        seen.append(min(exact, max(made.latency, exact - tiles)) / made.latency)
        return made

    monkeypatch.setattr(steps, "_timeline", compared)
    for graph in (make.gpt(1), make.mlp(100, 64, 128), make.gemm(300, 200, 100), make.attention(2, 100, 32)):
        for kib in (16, 128):
            plan(graph, make.three_memories(kib, kib, kib, objective=aim), PRICES)
    assert len(seen) >= 16
    assert all(0.97 <= ratio <= 1.03 for ratio in seen), sorted(seen)


def test_levels_inside_the_chip_are_filled_from_the_level_above() -> None:
    """Eyeriss: filters pass from DRAM into their memory, then into the scratchpads; inputs are read by each unit."""
    machine = load_accelerator("eyeriss")
    prices = PlanPrices(
        {level.name: 1.0 for level in machine.memories}, {level.name: 1.0 for level in machine.memories}
    )
    table = rows_of(plan(make.gemm(64, 48, 80), machine, prices))
    assert table["w", "dram"][0] == table["w", "filters"][1] == 48 * 80 * 16
    assert table["w", "filters"][0] == table["w", "filter-spad"][1] == 48 * 80 * 16
    assert table["x", "input-spad"][0] == 64 * 48 * 80 * 16  # a register is read once a multiplication


def test_huge_products_are_exact() -> None:
    """2^24 cubed: 2^72 products; a visit of the 2^48 sums writes 2^53 bits, and what is read back is what was written
    but for the last visit, which the requantisation reads."""
    side = 1 << 24
    made = plan(make.gemm(side, side, side), make.three_memories(1024, 1024, 1024, rows=4096, cols=4096))
    (product,) = made.steps[0].products
    assert product.macs == product.updates == 1 << 72
    assert product.compute_cycles >= 1 << 48
    table = rows_of(made)
    read, written = table["y:partial", "output"]
    spilled = table.get(("y:partial", "dram"), (0, 0))[0]
    assert read == written
    assert written % (1 << 53) == spilled % (1 << 53) == 0
    assert dram(made) >= (2 * 8 + 16) << 48
    assert dram(made) % (1 << 48) == 0


def random_graph(draw: random.Random) -> Graph:
    def side(most: int = 300) -> int:
        return draw.choice([1, 2, 3, draw.randint(1, most), 2 ** draw.randint(0, 8)])

    kind = draw.choice(["gemm", "attention", "mlp", "layer"])
    if kind == "gemm":
        batch = draw.choice([1, 1, 2, 3])
        return make.gemm(side(), side(), side(), batch=batch, groups=draw.choice([1, batch]),
                         role=draw.choice(["weight", "activation"]))  # fmt: skip
    if kind == "attention":
        return make.attention(draw.choice([1, 2, 3]), side(), side(64), causal=draw.random() < 0.5)
    if kind == "mlp":
        return make.mlp(side(), side(), side(), relu=draw.random() < 0.5)
    return make.layer(draw.choice([1, 2]), draw.choice([3, 16, 33]), draw.choice([4, 8]), draw.choice([16, 30]))


def properties(seed: int, count: int) -> None:
    draw = random.Random(seed)
    for _ in range(count):
        graph = random_graph(draw)
        kib = [draw.choice([1, 2, 4, 8, 16, 32, 64, 128]) for _ in range(3)]
        aim = draw.choice(["traffic", "time", "energy"])
        fields: dict[str, Any] = {
            "rows": draw.choice([1, 2, 3, 8, 16, 32]), "cols": draw.choice([1, 2, 5, 8, 16, 32]),
            "flow": draw.choice(["ws", "os", "is"]), "overlap": draw.choice(["none", "fill", "ideal"]),
            "port": draw.choice([32, 128, 512]), "gbyte_s": draw.choice([1.0, 12.8, 100.0]),
            "output_bits": draw.choice([8, 16, 32]), "objective": aim,
        }  # fmt: skip
        made = plan(graph, make.three_memories(*kib, **fields))  # asserts that nothing is read before it is written
        told = (graph.operators[0].gemm, kib, fields)
        compulsory = sum(8 * t.elements for t in graph.tensors if t.source != "computed") + sum(
            fields["output_bits"] * t.elements for t in graph.tensors if t.is_output
        )
        assert dram(made) >= compulsory, told
        for step in made.steps:
            at = step.cycles
            steady = max(at.compute, at.vector, at.dram - 1, *(cycles for _, cycles in at.ports))
            every = at.compute + at.vector + at.dram + max(cycles for _, cycles in at.ports) + 4
            assert steady <= at.latency <= every, told
        if aim == "traffic":
            assert dram(made) <= dram(plan(graph, make.three_memories(*kib, **fields, fused=False))), told
        if aim == "energy":
            continue
        measure = dram if aim == "traffic" else (lambda one: one.latency_cycles)
        rounding = len(made.steps) if aim == "time" else 0  # each step's cycles are rounded up
        more = [
            *(([size * (1 + (place == at)) for at, size in enumerate(kib)], {}) for place in range(3)),
            *((kib, {name: fields[name] * 2}) for name in ("rows", "cols", "port", "gbyte_s")),
        ]
        for sizes, change in more:
            larger = plan(graph, make.three_memories(*sizes, **fields | change))
            assert measure(larger) <= measure(made) + rounding, (told, sizes, change)


@pytest.mark.parametrize(
    ("attention", "kib", "fields", "side"),
    [
        ((2, 299, 4), (128, 4, 128), {"rows": 1, "cols": 32, "flow": "os", "port": 32, "output_bits": 8}, "cols"),
        ((3, 185, 47), (2, 1, 4), {"rows": 8, "cols": 16, "flow": "os", "port": 32, "output_bits": 16}, "rows"),
    ],
)
def test_a_larger_array_leaves_sides_idle_where_ports_bind(
    attention: tuple[int, int, int], kib: tuple[int, ...], fields: dict[str, Any], side: str
) -> None:
    # in whole folds of a mask the larger array has fewer cycles of its own, and more to read from 32 bits a cycle
    fields = fields | {"gbyte_s": 100.0 if side == "rows" else 12.8, "overlap": "ideal", "objective": "time"}
    small, large = (
        plan(
            make.attention(*attention, causal=True),
            make.three_memories(*kib, **fields | {side: times * fields[side]}),
        )
        for times in (1, 2)
    )
    assert large.latency_cycles <= small.latency_cycles + len(small.steps)


def test_random_machines_and_graphs() -> None:
    properties(0, 60)


@pytest.mark.slow
def test_many_random_machines_and_graphs() -> None:
    for seed in range(1, 11):
        properties(seed, 1000)

"""Phases of decoders on a machine: values by hand, whole graphs beside folded ones, borrowed statistics."""

from __future__ import annotations

import math

import pytest

from hwsim.arch import load_accelerator
from hwsim.cost.toggles import Toggles
from hwsim.errors import ArgumentError
from hwsim.evaluation import Evaluation, Evaluator, evaluate, evaluate_phase, evaluate_workload
from hwsim.evaluation.borrowing import kind_of, mean_toggles
from hwsim.evaluation.phases import memory_bytes
from hwsim.timing.clusters import Link
from hwsim.trace import GemmShape, Workload, load_trace
from hwsim.workloads import ModelConfig, decode, folded, load_model, prefill, sharded
from hwsim.workloads.config import Attention, Feed
from hwsim.workloads.decoder import Step
from hwsim.workloads.sizes import parameters

SMALL = ModelConfig(
    "small", "test", "decoder", 4, 256, 1000, attention=Attention(8, 4, 32), feed=Feed(512), tied=True
)  # fmt: skip


@pytest.mark.parametrize("name", ["llama3-8b", "deepseek-v3", "nemotron-h-8b", "gpt2", "mixtral-8x7b"])
def test_parts_are_the_whole(name: str) -> None:
    """Products and parameters of the parts, as often as each runs, are the step's; a tied table is in one part."""
    model = load_model(name)
    for step, whole in ((Step(2, 1, 100), decode(model, 100, 2)), (Step(2, 64, 64), prefill(model, 64, 2))):
        parts = folded(model, step)
        assert sum(work.macs * count for work, count in parts) == whole.macs
        assert sum(parameters(work) * count for work, count in parts) == parameters(whole)


@pytest.mark.parametrize(("phase", "context"), [("decode", 512), ("prefill", 64)])
def test_folded_and_whole_differ_by_the_residual_stream(phase: str, context: int) -> None:
    """Each of 5 parts may write and read the stream, 2 x rows x width x 16 bits, once more than the whole does, and
    vector work in front of it as well: 4 times in all, and as much time as that takes at 307 GB/s."""
    machine = load_accelerator("hbm-int8")
    whole = evaluate(decode(SMALL, context, 2) if phase == "decode" else prefill(SMALL, context, 2), machine)
    parts = evaluate_phase(SMALL, machine, phase, 2, context)  # type: ignore[arg-type]
    rows = 2 * (1 if phase == "decode" else context)
    stream = 4 * 5 * rows * 256 * machine.output_bits
    moved = sum((one.dram_read_bits + one.dram_write_bits) * count for one, count in parts.parts)
    assert abs(moved - whole.dram_read_bits - whole.dram_write_bits) <= stream
    assert parts.macs == whole.macs
    assert abs(parts.latency_s - whole.latency_s) <= stream / 8 / 307e9


def test_decode_reads_what_it_must_and_no_less() -> None:
    """Llama-3-8B, 8 sequences of 4,096 tokens in 8 bits: 7.50 G weights and 2.15 G of cache at 307 GB/s, 31.4 ms."""
    found = evaluate_phase(load_model("llama3-8b"), load_accelerator("hbm-int8"), "decode", 8, 4096)
    weights, cache = 6_979_321_856 + 525_336_576, 8 * 4096 * 65_536
    read = sum(one.dram_read_bits * count for one, count in found.parts) / 8
    assert read == pytest.approx(weights + cache, rel=0.01)  # scales of channels, norms, activations
    assert read > weights + cache - 8 * 65_536  # the newest row need not be read back
    least_s = (weights + cache) / 307e9
    assert least_s < found.latency_s < 1.05 * least_s
    assert found.tokens_s == pytest.approx(8 / found.latency_s)
    assert found.values()["tpot_ms"] == pytest.approx(found.latency_s * 1e3)
    assert math.isclose(found.energy_per_token_pj * 8, found.energy_pj)


def test_memory_by_hand() -> None:
    """Two linear layers in int8 with a 32-bit scale a channel; the table, tied to the head, likewise; norms at 16."""
    machine = load_accelerator("hbm-int8")
    scale = machine.policy.default.scheme("weight").scale_bits
    found = evaluate_phase(SMALL, machine, "decode", 2, 100)
    layer = (512 * 256, 512), (256 * 256, 256), (1024 * 256, 1024), (256 * 512, 256)
    bits = 4 * sum(elements * 8 + channels * scale for elements, channels in layer)
    bits += 1000 * 256 * 8 + 1000 * scale
    bits += 9 * 256 * machine.output_bits
    keys = 2 * 4 * 100 * 32
    # scores read keys row by row, [100, 32] of a head; values are read as columns, [32, 100]
    bits += 4 * (keys * 8 + keys / 32 * scale + keys * 8 + keys / 100 * scale)
    assert found.memory_bytes == pytest.approx(bits / 8, rel=1e-12)
    assert memory_bytes(decode(SMALL, 100, 2), machine) == pytest.approx(bits / 8, rel=1e-12)


def test_chips_share_what_they_can() -> None:
    """Llama-3-70B on 8: 160 all-reduces of 8 rows of 8,192 at 16 bits; an eighth of the layers' weights on each."""
    machine, link = load_accelerator("hbm-int8"), Link(1e-6, 100e9)
    model = load_model("llama3-70b")
    one, eight = (evaluate_phase(model, machine, "decode", 8, 512, chips=n, link=link) for n in (1, 8))
    size = 8 * 8192 * machine.output_bits / 8
    assert eight.collectives_s == pytest.approx(160 * (14e-6 + 1.75 * size / 100e9))
    assert one.collectives_s == 0.0
    assert eight.macs == one.macs
    assert (eight.latency_s - eight.collectives_s) * 8 == pytest.approx(one.latency_s, rel=0.03)
    held = sharded(model, 8)
    assert held.attention == Attention(8, 1, 128)
    assert held.feed == Feed(3584)
    assert "energy of links and of waiting" in eight.note
    assert eight.links is None


def test_links_are_charged_where_their_energy_is_known() -> None:
    """8 chips, 160 all-reduces of 2 sequences: 14 vectors of 8,192 pass links in each; half of them with p = 1/2."""
    machine, model = load_accelerator("hbm-int8"), load_model("llama3-70b")
    plain, priced, half = (
        evaluate_phase(model, machine, "decode", 2, 512, chips=8, link=link, share=share)
        for link, share in ((Link(1e-6, 1e11), 1.0), (Link(1e-6, 1e11, 9.0), 1.0), (Link(1e-6, 1e11, 9.0), 0.5))
    )
    bits = 160 * 14 * 2 * 8192 * machine.output_bits
    assert priced.links is not None
    assert half.links is not None
    assert priced.links.value == pytest.approx(bits * 9.0)
    assert priced.energy_pj == pytest.approx(plain.energy_pj + bits * 9.0)
    assert half.links.value == pytest.approx(bits * 9.0 / 2)
    assert half.collectives_s == pytest.approx(160 * (14e-6 + 1.75 * 8192 * machine.output_bits / 8 / 1e11))
    assert "recalled, no measurement" in priced.note
    with pytest.raises(ArgumentError, match="share must be a part"):
        evaluate_phase(model, machine, share=2.0)


def test_what_cannot_be_shared_is_said() -> None:
    with pytest.raises(ArgumentError, match="gpt2-xl: kv_heads must be divisible by 8 chips, got 25"):
        sharded(load_model("gpt2-xl"), 8)
    with pytest.raises(ArgumentError, match="several chips need a link, got 8"):
        evaluate_phase(SMALL, load_accelerator("hbm-int8"), chips=8)
    with pytest.raises(ArgumentError, match="phase must be prefill, decode or training, got 'verify'"):
        evaluate_phase(SMALL, load_accelerator("hbm-int8"), "verify")  # type: ignore[arg-type]


def test_mean_flips_by_hand() -> None:
    one = Toggles("a", "ws", 1.0, 2.0, 0.0, 0.0, 4.0, 8.0, 1.0, {"x": 2.0}, {})
    two = Toggles("b", "ws", 3.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.5, {"y": 4.0}, {})
    mean = mean_toggles([one, two], [1.0, 3.0])
    assert (mean.a_element, mean.b_element, mean.addend, mean.sum, mean.sampled) == (2.5, 2.0, 1.0, 2.0, 0.625)
    assert mean.inner == {"x": 0.5, "y": 3.0}


def test_kinds_of_products() -> None:
    linear = GemmShape("layers.0.feed.up", "linear", "forward", 1, 2, 3, 4, "weight")
    scores = GemmShape("layers.0.attention.qk", "attention", "forward", 1, 2, 3, 4, "activation")
    states = GemmShape("layers.0.cb", "matmul", "forward", 1, 2, 3, 4, "activation")
    assert [kind_of(one) for one in (linear, scores, states)] == ["linear", "qk", "product of activations"]


def test_a_trace_that_lends_to_its_own_shapes_keeps_its_energy() -> None:
    """Means by products, weighted by multiply-accumulates, keep every sum that goes with updates: those of linear
    layers, as a mask leaves another part of each layer's scores."""
    trace, machine = load_trace("traces/gpt-small"), load_accelerator("edge-int8")

    def of_linear(found: Evaluation, component: str) -> float:
        return math.fsum(one.amount for one in found.energy.charges if one.component == component
                         and not one.layer.endswith((".qk", ".pv")))  # fmt: skip

    own = evaluate(trace, machine)
    lent = evaluate_workload(trace.workload, machine, trace)
    assert lent.borrowed.startswith("flips borrowed from gpt by kind of product: linear from 17")
    assert lent.energy.fidelity == "trace"
    assert math.isnan(lent.accuracy)
    for name in ("products", "accumulation"):
        assert of_linear(lent, name) == pytest.approx(of_linear(own, name), rel=1e-9)


def test_a_kind_that_the_trace_lacks_is_not_replaced() -> None:
    trace = load_trace("traces/gpt-small")
    states = GemmShape("layers.0.cb", "matmul", "forward", 1, 64, 64, 64, "activation")
    with pytest.raises(ArgumentError, match=r"layers\.0\.cb: statistics must hold a product of the kind 'product of"):
        evaluate_workload(Workload("states", (states,)), load_accelerator("edge-int8"), Evaluator(trace))


def test_without_statistics_widths_decide_and_it_is_said() -> None:
    found = evaluate_phase(SMALL, load_accelerator("edge-int8"), "decode", 1, 64)
    assert found.note == "no operands: flips of units follow from their widths"
    assert found.parts[0][0].energy.fidelity == "pann"

"""Chips that share a phase: one chip as before, and every degree's exchanges worked out by hand."""

from __future__ import annotations

import json

import pytest

from hwsim.arch import load_accelerator
from hwsim.cli import run
from hwsim.errors import ArgumentError
from hwsim.evaluation import evaluate_phase
from hwsim.evaluation.phases import attention_s, memory_bytes
from hwsim.evaluation.serving import planned
from hwsim.timing.clusters import Link
from hwsim.workloads import ModelConfig, Parallel, Step, folded, load_model, stages
from hwsim.workloads.config import Attention, Experts, Feed
from hwsim.workloads.sizes import sizes
from hwsim.workloads.training import newton_schulz_macs, training_step

SMALL = ModelConfig("small", "test", "decoder", 4, 256, 1000, attention=Attention(8, 4, 32), feed=Feed(512))
MIXED = ModelConfig(
    "mixed", "test", "decoder", 4, 256, 1000, attention=Attention(8, 4, 32), experts=Experts(8, 2, 128)
)  # fmt: skip
WIRE = Link(1e-6, 1e9, 10.0)
"""1 us, a byte a nanosecond, 10 pJ a bit. Outputs of the machine are 16 bits wide."""


@pytest.fixture(scope="module")
def machine():
    made = load_accelerator("hbm-int8")
    assert made.output_bits == 16
    return made


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_one_chip_is_one_chip(machine, phase):
    """All degrees 1: the very sum of the parts, with or without a link, and nothing on links."""
    for chips in (1, Parallel()):
        for link in (None, WIRE):
            found = evaluate_phase(SMALL, machine, phase, 2, 64, chips=chips, link=link)
            assert found.latency_s == sum(one.latency_s * count for one, count in found.parts)
            assert found.energy_pj == sum(one.energy_pj * count for one, count in found.parts)
            assert [count for _, count in found.parts] == [4, 1]
            assert (found.collectives_s, found.links, found.exchanges, found.chips) == (0.0, None, (), 1)
            assert found.memory_bytes == found.chip_bytes


def _ends(machine, phase, batch, context):
    """Seconds of a block and of embedding, norm and head on one chip."""
    found = evaluate_phase(SMALL, machine, phase, batch, context)
    return tuple(one.latency_s for one, _ in found.parts), found


def test_the_bubble_of_a_pipeline(machine):
    """4 stages of a block b, the last with the ends e too; 4 micro-batches of 2 prompts of 64 tokens. The first takes
    4 b + e and three passes of 2 x 64 x 256 x 2 bytes = 65,536 ns and 1 us; each further one the slowest stage."""
    (b, e), one = _ends(machine, "prefill", 2, 64)
    found = evaluate_phase(SMALL, machine, "prefill", 8, 64, chips=Parallel(1, 4, microbatches=4), link=WIRE)
    passed = 1e-6 + 65536e-9
    assert found.latency_s == pytest.approx(4 * b + e + 3 * passed + 3 * max(b + e, passed), rel=1e-12)
    assert found.chips == 4
    assert found.energy_pj == pytest.approx(4 * one.energy_pj + 4 * 3 * 65536 * 8 * 10.0, rel=1e-12)
    assert found.links.value == pytest.approx(4 * 3 * 65536 * 8 * 10.0)
    assert found.macs == 4 * one.macs


def test_tokens_go_round_a_pipeline(machine):
    """Decode of 8 sequences in 4 micro-batches: a token waits for its round of 4 b + e, three passes of 2 x 256 x 2
    bytes and 1 us back; or, with 8 micro-batches in two stages, for 8 of them in the slower one."""
    (b, e), _ = _ends(machine, "decode", 2, 64)
    found = evaluate_phase(SMALL, machine, "decode", 8, 64, chips=Parallel(1, 4, microbatches=4), link=WIRE)
    assert found.latency_s == pytest.approx(max(4 * b + e + 3 * (1e-6 + 1024e-9) + 1e-6, 4 * (b + e)), rel=1e-12)
    (b, e), _ = _ends(machine, "decode", 1, 64)
    fast = Link(1e-9, 1e15)
    found = evaluate_phase(SMALL, machine, "decode", 8, 64, chips=Parallel(1, 2, microbatches=8), link=fast)
    assert found.latency_s == pytest.approx(8 * (2 * b + e), rel=1e-12)


def test_rings_of_tensor_parallel_chips(machine):
    """2 copies of 2 chips, 4 sequences each: 8 all-reduces of 4 x 256 x 2 = 2,048 bytes; a chip sends a half twice.
    On links 2 x 2,048 bytes an all-reduce, in both copies."""
    found = evaluate_phase(SMALL, machine, "decode", 8, 64, chips=Parallel(2, data=2), link=WIRE)
    assert found.collectives_s == pytest.approx(8 * 2 * (1e-6 + 1024e-9))
    assert found.links.value == pytest.approx(2 * 8 * 2 * 2048 * 8 * 10.0)
    one = evaluate_phase(SMALL, machine, "decode", 4, 64, chips=2, link=WIRE)
    assert found.latency_s == one.latency_s
    assert found.energy_pj == pytest.approx(2 * one.energy_pj)
    assert found.memory_bytes == 2 * one.memory_bytes


def test_experts_on_several_chips(machine):
    """16 sequences on 4 chips: each sends 4 x 2 visits of 256 x 2 bytes = 4,096 bytes, a quarter to each chip, in
    three steps there and three back, in 4 layers. Of 8 experts 16 tokens touch 7.9, each chip its 2 of them with
    ceil(32 / 8) = 4 rows."""
    found = evaluate_phase(MIXED, machine, "decode", 16, 64, chips=Parallel(expert=4), link=WIRE)
    assert found.collectives_s == pytest.approx(4 * 2 * 3 * (1e-6 + 1024e-9))
    assert found.links.value == pytest.approx(4 * 2 * 3 * 4096 * 8 * 10.0)
    work = folded(MIXED, Step(4, 1, 64, spread=4))[0][0]
    ups = [gemm for gemm in work.gemms if gemm.layer.endswith("experts.up")]
    assert [(gemm.batch, gemm.m, gemm.n, gemm.k) for gemm in ups] == [(2, 4, 256, 256)]
    held = next(t for t in work.graph.tensors if t.name.endswith("experts.up.weight"))
    assert held.shape == (2, 256, 256)


def test_a_context_on_several_chips(machine):
    """Decode: 2 chips with 32 of 64 tokens each merge 2 x 8 heads of 32 + 2 numbers, 1,088 bytes, in 4 layers. In a
    prompt each passes keys and values of its 2 x 32 tokens on, 2 x 4 heads of 32 in 2 bytes, 32,768 bytes; what the
    attention of half the keys does not hide of that is waited for."""
    found = evaluate_phase(SMALL, machine, "decode", 2, 64, chips=Parallel(context=2), link=WIRE)
    assert found.collectives_s == pytest.approx(4 * 2 * (1e-6 + 544e-9))
    assert found.links.value == pytest.approx(4 * 2 * 1088 * 8 * 10.0)
    (half, _), _ = _ends(machine, "decode", 2, 32)
    assert found.parts[0][0].latency_s == half
    found = evaluate_phase(SMALL, machine, "prefill", 2, 64, chips=Parallel(context=2), link=WIRE)
    waits = 1e-6 + 32768e-9 - attention_s(found.parts[0][0]) / 2
    assert waits > 0
    assert found.collectives_s == pytest.approx(4 * waits)
    assert found.links.value == pytest.approx(4 * 2 * 32768 * 8 * 10.0)
    scores = next(gemm for gemm in folded(SMALL, Step(2, 32, 33))[0][0].gemms if gemm.layer.endswith("qk"))
    assert found.parts[0][0].plan.steps  # 32 queries that see 33 keys in the mean: (1 + 64) / 2 and rounded up
    assert (scores.m, scores.n) == (32, 33)
    fast = evaluate_phase(SMALL, machine, "prefill", 2, 64, chips=Parallel(context=2), link=Link(1e-12, 1e15))
    assert fast.collectives_s < 1e-18
    whole = sum(memory_bytes(work, machine) * count for work, count in folded(SMALL, Step(2, 32, 32)))
    assert fast.memory_bytes == 2 * whole


def test_micro_batches_keep_their_caches(machine):
    plain = evaluate_phase(SMALL, machine, "decode", 8, 64)
    found = evaluate_phase(SMALL, machine, "decode", 8, 64, chips=Parallel(1, 2, microbatches=4), link=WIRE)
    assert found.memory_bytes == plain.memory_bytes
    assert found.chip_bytes > plain.memory_bytes / 2  # the last stage holds the ends too


def test_what_does_not_divide_is_one_error(machine):
    wrong = Parallel(3, 3, 2, 2, 5)
    with pytest.raises(ArgumentError) as error:
        evaluate_phase(SMALL, machine, "decode", 6, 64, chips=wrong, link=WIRE)
    assert str(error.value).startswith(
        "small: pipeline 3 must divide 4 blocks; expert 2 must divide 0 experts; data x expert x microbatches = 4 "
        "must divide 6 sequences; context 5 must divide 64 tokens; tensor 3 must divide 8 heads, got Parallel(tensor"
    )
    with pytest.raises(ArgumentError, match="attention to all keys and values of heads in every mixer"):
        Parallel(context=2).check(load_model("nemotron-h-8b"), 2, 64)
    with pytest.raises(ArgumentError, match="tensor 8 must divide 25 heads"):
        Parallel(8).check(load_model("gpt2-xl"), 8, 64)
    with pytest.raises(ArgumentError, match="stages must divide 4 blocks, got 3"):
        stages(SMALL, 3)
    with pytest.raises(ArgumentError, match=r"chips must be a multiple of .* = 3, got 8"):
        Parallel.on(8, pipeline=3)
    with pytest.raises(ArgumentError, match=r"Parallel\.data: must be at least 1, got 0"):
        Parallel(data=0)
    assert Parallel.on(16, pipeline=2, data=2) == Parallel(4, 2, 2)


def test_stages_hold_every_block_once():
    model = load_model("deepseek-v3")  # 3 dense blocks, 58 with experts
    assert [sum(column) for column in zip(*stages(model, 61), strict=True)] == [3, 58, 1]
    assert stages(SMALL, 2) == ((2, 0), (2, 1))


def test_a_training_step(machine):
    """Three times the products of the forward pass, scores once more where they are not saved; 16 bytes a weight."""
    forward = evaluate_phase(SMALL, machine, "prefill", 2, 64)
    # the head runs on every token, not on the last one of each sequence
    macs = forward.macs + 2 * 63 * 1000 * 256
    scores = 4 * 2 * 8 * 64 * 64 * 32
    found = {
        saving: evaluate_phase(SMALL, machine, "training", 2, 64, saving=saving)
        for saving in ("all", "fused", "inputs")
    }
    assert found["all"].macs == 3 * macs
    assert found["fused"].macs == 3 * macs + scores
    assert found["inputs"].macs == 4 * macs - 128 * 1000 * 256 + scores
    counted = training_step(SMALL, 2, 64)
    assert found["fused"].memory_bytes == pytest.approx(counted.state_bytes + counted.saved_bytes)
    assert counted.state_bytes == 16 * sizes(SMALL).parameters
    one = found["fused"]
    assert one.latency_s == pytest.approx(sum(part.latency_s * count for part, count in one.parts))
    assert one.tokens == 128
    assert one.values()["step_ms"] == pytest.approx(one.latency_s * 1e3)
    muon = evaluate_phase(SMALL, machine, "training", 2, 64, optimizer="muon")
    assert muon.macs == one.macs + newton_schulz_macs(SMALL)
    # the update moves 28 bytes a weight: 14 in, 14 out, and little else
    last = one.parts[-2][0]
    weights = (512 + 256 + 1024 + 512) * 256 + 2 * 256
    assert (last.dram_read_bits, last.dram_write_bits) == (14 * 8 * weights, 14 * 8 * weights)


def test_training_on_several_chips(machine):
    """2 copies add gradients of 2 bytes a weight in 4 buckets, of which the last waits for the end; 2 stages pass
    2 x 64 rows of 512 bytes both ways; 2 tensor parallel chips add four times a block."""
    one = evaluate_phase(SMALL, machine, "training", 2, 64)
    two = evaluate_phase(SMALL, machine, "training", 4, 64, chips=Parallel(data=2), link=WIRE)
    size = 2 * sizes(SMALL).parameters
    behind = sum(part.latency_s * count for part, count in one.parts[2:4])
    bucket = 2 * (1e-6 + size / 4 / 2 / 1e9)
    assert two.latency_s == pytest.approx(one.latency_s + max(bucket, 4 * bucket - behind * 3 / 4))
    assert two.links.value == pytest.approx(2 * size * 8 * 10.0)
    assert two.memory_bytes == 2 * one.memory_bytes
    piped = evaluate_phase(SMALL, machine, "training", 4, 64, chips=Parallel(1, 2, microbatches=2), link=WIRE)
    assert piped.links.value == pytest.approx(2 * 2 * 65536 * 8 * 10.0)
    assert piped.macs == 2 * one.macs
    b, e = ((one.parts[place][0].latency_s + one.parts[place + 2][0].latency_s) for place in (0, 1))
    assert piped.latency_s > 2 * (2 * b + e)  # the slower stage's work, and a bubble
    tensor = evaluate_phase(SMALL, machine, "training", 2, 64, chips=2, link=WIRE)
    assert tensor.collectives_s == pytest.approx(4 * 4 * 2 * (1e-6 + 32768e-9))
    for wrong in (Parallel(context=2), Parallel(expert=2)):
        with pytest.raises(ArgumentError, match="training must be tensor, pipeline and data parallel alone"):
            evaluate_phase(SMALL, machine, "training", 4, 64, chips=wrong, link=WIRE)


def test_the_engine_of_chips_that_share(machine):
    """The closed form meets the step of one sequence a chip that it was made from."""
    for model, chips in ((SMALL, Parallel(2, 2)), (MIXED, Parallel(expert=4))):
        made = planned(model, machine, chips=chips, link=WIRE)
        step = evaluate_phase(model, machine, "decode", chips.expert, 2048, chips=chips, link=WIRE)
        assert made.cost.step_ns(1, 1, 1, 2048, 2048) * 1e-9 == pytest.approx(step.latency_s, rel=2e-3)
        energy = made.step_pj + made.token_pj + 2048 * made.row_pj
        assert energy * chips.expert == pytest.approx(step.energy_pj, rel=1e-9)
    with pytest.raises(ArgumentError, match="served by tensor, pipeline and expert parallel chips"):
        planned(SMALL, machine, chips=Parallel(context=2), link=WIRE)


def test_the_command(capsys):
    def asked(*arguments: str):
        assert run(["evaluate", "smollm2-135m", "hbm-int8", "--batch", "2", "--context", "64", *arguments]) == 0
        return capsys.readouterr().out

    found = json.loads(asked("--chips", "6", "--pipeline", "2", "--json"))
    assert found["chips"] == {
        "tensor": 3, "pipeline": 2, "data": 1, "expert": 1, "context": 1, "microbatches": 1,
    }  # fmt: skip
    assert [(one["exchange"], one["times"]) for one in found["exchanges"]] == [("tensor", 60), ("pipeline", 0)]
    told = asked("--phase", "training", "--optimizer", "muon", "--saving", "inputs")
    assert "step_ms" in told
    assert "smollm2-135m.layers.0.update" in told
    assert run(["evaluate", "smollm2-135m", "hbm-int8", "--chips", "4", "--data", "3"]) == 2
    assert "chips must be a multiple of pipeline x data x expert x context = 3, got 4" in capsys.readouterr().err

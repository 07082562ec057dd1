"""A training step in numbers: published totals, sums by hand, limits."""

import pytest

from hwsim.errors import ArgumentError, UnknownName
from hwsim.workloads import load_model
from hwsim.workloads.config import Attention, Feed, ModelConfig
from hwsim.workloads.training import newton_schulz_macs, training_step

GPT2 = load_model("gpt2")
LINEAR, HEAD = 84_934_656, 38_597_376


def test_operations_of_gpt2():
    """1,024 tokens: three passes of the matrices, attention of 12 layers and heads of 64, 524,800 pairs."""
    step = training_step(GPT2, 2, 1024, saving="all")
    pairs = 2 * 1024 * 1025 // 2
    attention = 2 * 12 * 12 * 64 * pairs
    assert step.forward_macs == 2048 * (LINEAR + HEAD) + attention
    assert step.dgrad_macs == 2048 * (LINEAR + HEAD) + 2 * attention
    assert step.wgrad_macs == 2048 * (LINEAR + HEAD)
    assert (step.recomputed_macs, step.newton_schulz_macs) == (0, 0)
    assert step.macs == 3 * 2048 * (LINEAR + HEAD) + 3 * attention  # 6 P T operations and attention
    assert training_step(GPT2, 2, 1024).recomputed_macs == attention // 2  # scores: five products for four
    whole = training_step(GPT2, 2, 1024, saving="inputs")
    assert whole.recomputed_macs == 2048 * LINEAR + attention + attention // 2  # 8 P T of the layers


def test_saved_activations_are_the_published_formula():
    """Tokens x width x (34 + 5 heads x tokens / width) bytes a layer; 34 with fused attention; 2 of inputs alone."""
    for tokens in (128, 1024):
        cells = 12 * 3 * tokens * 768
        found = {
            name: training_step(GPT2, 3, tokens, saving=name, dropout=True).saved_bytes
            for name in ("all", "fused", "inputs")
        }
        assert found == {"all": cells * (34 + 5 * 12 * tokens / 768), "fused": cells * 34, "inputs": cells * 2}


def test_states_and_the_update():
    """16 bytes a weight and 28 moved by AdamW; of Llama-2-7B 108 and 189 GB, 59 ms on H100 by its data sheet
    (3,352 GB/s, 56 ms)."""
    model = load_model("llama2-7b")
    step = training_step(model, 1, 2048)
    assert (step.state_bytes, step.optimizer_bytes) == (16 * 6_738_415_616, 28 * 6_738_415_616)
    assert step.optimizer_bytes / 3352e9 == pytest.approx(0.0563, abs=1e-4)
    muon = training_step(model, 1, 2048, optimizer="muon")
    assert step.state_bytes - muon.state_bytes == 4 * 6_476_005_376
    assert step.optimizer_bytes - muon.optimizer_bytes == 8 * 6_476_005_376


def test_newton_schulz():
    """One 4,096 x 4,096 matrix takes 15 m^3 products; of a step of 4 M tokens 0.5 %, of GPT-2's at 0.5 M 0.6 %."""
    torch_free = ModelConfig("square", "test", "decoder", 1, 4096, 8, attention=Attention(32, 32, 128),
                             feed=Feed(4096, gated=False))  # fmt: skip
    assert newton_schulz_macs(torch_free) == 5 * (2 * 4096**2 * 3 * 4096 + 4096**3) + 3 * 15 * 4096**3
    one = (newton_schulz_macs(torch_free) - 5 * (6 * 4096**3 + 4096**3)) / 3  # queries, keys and values are one of 3
    assert one / (3 * 4096**2 * 4e6) == pytest.approx(0.005, abs=2e-4)
    share = newton_schulz_macs(GPT2) / (3 * LINEAR * 0.5e6)
    assert share == pytest.approx(0.006, abs=1e-3)
    assert training_step(GPT2, 1, 8, optimizer="muon").newton_schulz_macs == newton_schulz_macs(GPT2)


def test_newton_schulz_is_what_muon_multiplies():
    pytest.importorskip("torch")
    from hwsim.nn.muon import products

    shapes = ((2304, 768), (768, 768), (3072, 768), (768, 3072))
    assert newton_schulz_macs(GPT2) == 12 * sum(m * n * k for one in shapes for m, n, k in products(*one))


def test_few_bits_and_frozen_matrices():
    """A GPT-2 block, fused, no dropout: norms 2 x 768, GELU 3,072 at 4.25 bits; operands and result of attention
    4 x 768 of 2 bytes; inputs of matrices alone go with them: 2 x 768 + 3,072 of 2 bytes."""
    plain = training_step(GPT2, 1, 64).saved_bytes / (12 * 64)
    few = training_step(GPT2, 1, 64, stored_bits=4.25).saved_bytes / (12 * 64)
    frozen = training_step(GPT2, 1, 64, stored_bits=4.25, trained=False)
    assert plain == 2 * (1536 + 3072 + 4 * 768 + 1536 + 3072)
    assert few == 4608 * 4.25 / 8 + 2 * (4 * 768 + 4608)
    assert frozen.saved_bytes / (12 * 64) == 4608 * 4.25 / 8 + 2 * 4 * 768
    assert frozen.wgrad_macs == 64 * HEAD
    assert frozen.newton_schulz_macs == 0
    assert frozen.state_bytes == 16 * (124_439_808 - LINEAR) + 2 * LINEAR


def test_what_is_refused():
    with pytest.raises(UnknownName, match="optimizer must be one of"):
        training_step(GPT2, 1, 1, optimizer="sgd")
    with pytest.raises(UnknownName, match="saving must be one of"):
        training_step(GPT2, 1, 1, saving="none")
    with pytest.raises(ArgumentError, match="a decoder of attention and one feed-forward network"):
        training_step(load_model("mixtral-8x7b"), 1, 1)
    with pytest.raises(ArgumentError, match="must have a sequence and a token"):
        training_step(GPT2, 0, 1)

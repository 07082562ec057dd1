"""Models that are no decoders, beside their published totals."""

from __future__ import annotations

from collections import Counter

import pytest

from hwsim.errors import ArgumentError
from hwsim.workloads import load_model
from hwsim.workloads.encoders import bert, recurrent, resnet, vit, whisper_decode, whisper_encode
from hwsim.workloads.sizes import parameters


def test_vit() -> None:
    work = vit(load_model("vit-b16"))
    assert work.macs == 17_563_828_224
    assert parameters(work) == 86_567_656


@pytest.mark.parametrize(("tokens", "giga"), [(128, "11.17"), (384, "35.33"), (512, "48.32")])
def test_bert(tokens: int, giga: str) -> None:
    work = bert(load_model("bert-base"), tokens)
    assert f"{work.macs / 1e9:.2f}" == giga
    assert parameters(work) == 109_482_240


def test_whisper() -> None:
    """The encoder's convolutions, and each clip's keys and values of cross attention, 8 x 1,500 x 384 x 384; a token:
    28,173,696 products of weights, 4,608,000 of cross attention and 3,072 a token of context."""
    model = load_model("whisper-tiny")
    encoder, step = whisper_encode(model), whisper_decode(model, 100)
    assert [g.macs for g in encoder.gemms[:2]] == [3000 * 384 * 240, 1500 * 384 * 1152]
    assert sum(g.macs for g in encoder.gemms if "cross" in g.layer) == 1_769_472_000
    # the states of cross attention are what the encoder left; its products stay with it
    linear = sum(g.macs for g in step.gemms if g.b_role == "weight")
    assert linear == 28_173_696
    assert sum(g.macs for g in step.gemms if ".cross." in g.layer and g.op == "attention") == 4_608_000
    assert sum(g.macs for g in step.gemms if ".attention." in g.layer and g.op == "attention") == 100 * 3_072
    assert parameters(encoder) + parameters(step) == 37_184_640


def test_resnet() -> None:
    """Rows, columns and depth of every product as published, with how often each occurs."""
    work = resnet(load_model("resnet50"))
    assert work.macs == 4_089_184_256
    assert parameters(work) == 25_502_912 + 1000
    assert parameters(resnet(load_model("resnet50"), folded=False)) == 25_557_032
    expected = {
        12544: {(64, 147): 1},
        3136: {(64, 64): 1, (64, 576): 3, (64, 256): 2, (256, 64): 4, (128, 256): 1},
        784: {(128, 1152): 4, (512, 128): 4, (512, 256): 1, (128, 512): 3, (256, 512): 1},
        196: {(256, 2304): 6, (1024, 256): 6, (1024, 512): 1, (256, 1024): 5, (512, 1024): 1},
        49: {(512, 4608): 3, (2048, 512): 3, (2048, 1024): 1, (512, 2048): 2},
        1: {(1000, 2048): 1},
    }
    found = Counter((g.m, g.n, g.k) for g in work.gemms)
    assert found == Counter({(m, *nk): times for m, rest in expected.items() for nk, times in rest.items()})


def test_a_recurrent_layer() -> None:
    """The example of FlashRNN: 8 sequences, 3 heads of 256, 4 gates; one weight for all steps."""
    work = recurrent(load_model("slstm"), 8, 5)
    assert work.macs == 5 * 8 * 3 * 4 * 256 * 256
    assert parameters(work) == 3 * 4 * 256 * 256 + 4 * 768
    assert work.graph is not None
    assert sum(t.source == "state" for t in work.graph.tensors) == 4
    assert sum(t.is_output for t in work.graph.tensors) == 4


def test_another_kind_is_refused() -> None:
    with pytest.raises(ArgumentError, match="gpt2: must be a model of the kind vit, got 'decoder'"):
        vit(load_model("gpt2"))

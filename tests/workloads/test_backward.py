"""Backward passes and updates as graphs: products by hand, and the counts of the closed forms."""

from __future__ import annotations

import pytest

from hwsim.errors import ArgumentError
from hwsim.workloads import Network, Step, folded, load_model, training_step
from hwsim.workloads.backward import backward, update
from hwsim.workloads.sizes import parameters

NAMES = ("gpt2", "llama3-8b", "bitnet-2b4t", "qwen3-8b")


@pytest.mark.parametrize("name", NAMES)
def test_products_are_twice_those_of_the_forward_pass(name):
    """Attention and matrices alike; scores once more where they are computed again, as the closed form has it."""
    model = load_model(name)
    step = Step(2, 64, 64, 64)
    for saving, recomputed in (("all", False), ("fused", True)):
        counted = training_step(model, 2, 64, saving=saving)
        found = {"forward": 0, "dgrad": 0, "wgrad": 0}
        for work, count in folded(model, step):
            assert work.macs * 2 == backward(work).macs
            for gemm in backward(work, recomputed).gemms:
                found[gemm.phase] += count * gemm.macs
        assert found["wgrad"] == counted.wgrad_macs
        one = model.attention
        masked = model.layers * 2 * one.heads * one.head * 64 * (64 - 1) // 2  # products above the diagonal
        assert found["dgrad"] == counted.dgrad_macs + 4 * masked
        assert found["forward"] == counted.recomputed_macs + (masked if recomputed else 0)


def test_a_linear_layer_by_hand():
    """Y [6, 5] = X [6, 3] W': dX [6, 3] = dY W, dW [5, 3] = dY' X; a bias takes the sum over rows."""
    net = Network("one")
    work = net.finish(net.linear("fc", net.input(6, 3), 5, bias=True))
    made = backward(work)
    shapes = [(gemm.phase, gemm.m, gemm.n, gemm.k, gemm.b_role) for gemm in made.gemms]
    assert shapes == [("dgrad", 6, 3, 5, "weight"), ("wgrad", 5, 3, 6, "activation")]
    assert [operator.kind for operator in made.graph.operators] == ["gemm", "gemm", "reduce"]
    assert {tensor.name for tensor in made.graph.tensors if tensor.is_output} == {
        "fc:dgrad", "fc:wgrad", "fc:reduce",
    }  # fmt: skip


def test_heads_that_share_keys_add_their_gradients():
    """Llama-3-8B, one sequence of 8 tokens: 32 heads on 8 keys of 128, so dK of 32 x 8 x 128 becomes 8 x 8 x 128."""
    made = backward(folded(load_model("llama3-8b"), Step(1, 8, 8, 8))[0][0])
    sums = [one for one in made.graph.operators if one.kind == "reduce" and one.layer.endswith((".qk", ".pv"))]
    assert [one.elements for one in sums] == [32 * 8 * 128] * 2
    assert all(made.graph.tensor(one.output).elements == 8 * 8 * 128 for one in sums)


def test_gradients_that_meet_are_added_and_parts_are_joined():
    """x feeds a norm and the stream behind it: two gradients, one sum; queries, keys and values are one tensor."""
    made = backward(folded(load_model("smollm2-135m"), Step(1, 4, 4, 4))[0][0])
    graph = made.graph
    assert [one.layer for one in graph.operators if one.kind == "add" and one.layer == "input.0"] == ["input.0"]
    joined = [one for one in graph.operators if one.kind == "copy" and one.layer.endswith("qkv:out.0")]
    assert [one.elements for one in joined] == [4 * (9 + 2 * 3) * 64]
    returned = [tensor for tensor in graph.tensors if tensor.is_output]
    assert sum(tensor.shape == (4, 576) for tensor in returned) == 1  # the gradient of the stream


@pytest.mark.parametrize("name", NAMES)
def test_updates_move_what_the_closed_form_says(name):
    """28 bytes a weight, half in and half out; with Muon 20 of matrices of layers, and its iterations."""
    model = load_model(name)
    for optimizer in ("adamw", "muon"):
        counted = training_step(model, 1, 8, optimizer=optimizer)
        macs, moved = 0, 0
        for work, count in folded(model, Step(1, 8, 8, 8)):
            made = update(work, optimizer, 16)
            macs += count * made.macs
            words = sum(
                tensor.elements for tensor in made.graph.tensors if tensor.name in ("adamw.state", "muon.state")
            )
            moved += count * 2 * 2 * words
        assert macs == counted.newton_schulz_macs
        assert moved == counted.optimizer_bytes


def test_an_operator_without_a_known_gradient_is_refused():
    net = Network("pooled")
    work = net.finish(net.vector("pool", "pool", net.input(4, 4)))
    with pytest.raises(ArgumentError, match="pool: gradients must be known of every operator, got 'pool'"):
        backward(work)
    assert parameters(work) == 0

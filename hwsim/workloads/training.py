"""A training step in numbers: multiply-accumulates of each pass and of the optimizer, and the bytes that it holds.

Every linear layer of N x K weights runs three times on T tokens: forward (T, N, K), gradient of its input (T, K, N),
gradient of its weights (N, K, T). Attention has four products backward for two forward, five where its scores are
computed again. What is saved for the backward pass is counted tensor by tensor; for the shape of GPT it is the
34 bytes a token and element of arXiv 2205.05198. Storing derivatives of operators without weights in few bits is S2A
(arXiv 2503.08154, abstract).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from hwsim.errors import ArgumentError, UnknownName
from hwsim.workloads.config import ModelConfig
from hwsim.workloads.decoder import decode
from hwsim.workloads.sizes import sizes

Optimizer = Literal["adamw", "muon"]
Saving = Literal["all", "fused", "inputs"]
"""What is saved: everything; everything but scores, which a fused attention computes again; the input of each block
alone, so that its forward pass runs twice."""

ITERATIONS = 5
STATE_BYTES: dict[Optimizer, int] = {"adamw": 16, "muon": 12}
"""Bytes of a weight: 16-bit weight and gradient, 32-bit master, and 32-bit moments, two of AdamW, one of Muon."""
MOVED_BYTES: dict[Optimizer, int] = {"adamw": 28, "muon": 20}
"""Bytes that the update of a weight moves: AdamW reads gradient, master and two moments, and writes master, moments
and weight; Muon has one moment less."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """Counts of one step of one chip that holds the whole model.

    Attributes:
        forward_macs: of the forward pass, masked pairs left out.
        recomputed_macs: of what the backward pass computes again.
        dgrad_macs: gradients of inputs, attention's included.
        wgrad_macs: gradients of weights.
        newton_schulz_macs: of Muon's iterations.
        optimizer_bytes: that the update moves.
        state_bytes: of weights, gradients and moments.
        saved_bytes: of activations at the end of the forward pass.
    """

    forward_macs: int
    recomputed_macs: int
    dgrad_macs: int
    wgrad_macs: int
    newton_schulz_macs: int
    optimizer_bytes: int
    state_bytes: int
    saved_bytes: float

    @property
    def macs(self) -> int:
        """Of the whole step."""
        passes = self.forward_macs + self.recomputed_macs + self.dgrad_macs + self.wgrad_macs
        return passes + self.newton_schulz_macs


def training_step(
    model: ModelConfig,
    batch: int,
    tokens: int,
    optimizer: Optimizer = "adamw",
    saving: Saving = "fused",
    stored_bits: float = 16.0,
    trained: bool = True,
    dropout: bool = False,
) -> TrainingStep:
    """Count a step of `batch` sequences of `tokens` tokens.

    Args:
        model: a decoder all of whose blocks have attention and one feed-forward network.
        batch: sequences.
        tokens: of each.
        optimizer: ``"muon"`` for matrices of layers, with AdamW for all else, or ``"adamw"`` for all.
        saving: of activations.
        stored_bits: of an element that an operator without weights (norm, activation, softmax) saves; 16 as it is, 4
            and a share of a scale in S2A.
        trained: whether matrices of layers learn; if not, their inputs are not saved and they have no gradient, no
            optimizer state and no update.
        dropout: whether masks of a byte are saved behind attention, softmax and the feed-forward network.

    Raises:
        UnknownName: another optimizer or saving. ArgumentError: another kind of model, or no token.
    """
    if optimizer not in STATE_BYTES:
        raise UnknownName("optimizer", optimizer, STATE_BYTES)
    if saving not in get_args(Saving):
        raise UnknownName("saving", saving, get_args(Saving))
    if model.kind != "decoder" or set(model.blocks) != {"T"} or model.attention is None or model.experts is not None:
        raise ArgumentError("must be a decoder of attention and one feed-forward network", got=model.name)
    if min(batch, tokens) < 1:
        raise ArgumentError("must have a sequence and a token", got=(batch, tokens), where="training_step")
    one, rows = sizes(model), batch * tokens
    layers, head = rows * one.layer_macs, rows * one.head_macs
    attention = batch * one.pair_macs * tokens * (tokens + 1) // 2
    again = {"all": 0, "fused": attention // 2, "inputs": layers + attention + attention // 2}[saving]
    matrices = one.layer_macs
    learnt = one.parameters if trained else one.parameters - matrices
    iterated = matrices if trained and optimizer == "muon" else 0
    return TrainingStep(
        forward_macs=layers + head + attention,
        recomputed_macs=again,
        dgrad_macs=layers + head + 2 * attention,
        wgrad_macs=(layers if trained else 0) + head,
        newton_schulz_macs=newton_schulz_macs(model) if iterated else 0,
        optimizer_bytes=iterated * MOVED_BYTES["muon"] + (learnt - iterated) * MOVED_BYTES["adamw"],
        state_bytes=iterated * STATE_BYTES["muon"]
        + (learnt - iterated) * STATE_BYTES["adamw"]
        + 2 * (one.parameters - learnt),
        saved_bytes=model.layers * rows * _saved(model, tokens, saving, stored_bits, trained, dropout),
    )


def _saved(
    model: ModelConfig, tokens: int, saving: Saving, stored_bits: float, trained: bool, dropout: bool
) -> float:
    """Bytes that a block saves a token."""
    assert model.attention is not None, "checked by the caller"
    assert model.feed is not None, "blocks have one where there are no experts"
    width, one, feed = model.width, model.attention, model.feed
    if saving == "inputs":
        return 2.0 * width
    stored = stored_bits / 8
    queries, inner = one.heads * one.head, feed.hidden * (2 if feed.gated else 1)
    bytes_ = 2 * width * stored  # inputs of both norms
    bytes_ += 2 * (queries + 2 * one.kv_heads * one.head)  # operands of attention
    bytes_ += inner * stored  # of the activation
    if trained:
        bytes_ += 2 * (2 * width + feed.hidden)  # inputs of three matrices
    if trained or saving == "fused":
        bytes_ += 2 * queries  # the result of attention: input of the fourth, and what its fused backward reads
    if dropout:
        bytes_ += 2 * width
    if saving == "all":
        scores = one.heads * tokens
        bytes_ += scores * stored + (3 * scores if dropout else 0)  # softmax; its mask and what is left of it
    return bytes_


def newton_schulz_macs(model: ModelConfig) -> int:
    """Multiply-accumulates of Muon's five iterations on every matrix of the layers: of m x n, m the smaller side,
    ``5 (2 m² n + m³)``."""
    shapes = [
        (min(shape.n, shape.k), max(shape.n, shape.k), shape.groups)
        for shape in decode(model, 2).gemms
        if shape.b_role == "weight" and shape.layer.startswith("layers.")
    ]
    return sum(ITERATIONS * copies * (2 * m * m * n + m**3) for m, n, copies in shapes)

"""A graph that is written beside the graph that is watched on torch's meta device."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.nn.workload import meta_workload
from hwsim.trace import Workload
from hwsim.workloads import ModelConfig, prefill
from hwsim.workloads.config import Attention, Feed
from hwsim.workloads.sizes import parameters

WIDTH, WORDS, LAYERS, HEAD = 64, 100, 3, 16


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    one, two = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-two, one), dim=-1) * sin


class Layer(nn.Module):
    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.attention, self.feed = model.attention, model.feed
        heads, kept, wide = self.attention.heads, self.attention.kv_heads, self.feed.hidden
        rms = model.norm == "rms"
        self.norm_1, self.norm_2 = (nn.RMSNorm(WIDTH) if rms else nn.LayerNorm(WIDTH) for _ in range(2))
        self.qkv = nn.Linear(WIDTH, (heads + 2 * kept) * HEAD, bias=self.attention.bias)
        self.out = nn.Linear(heads * HEAD, WIDTH, bias=self.attention.out_bias)
        self.up = nn.Linear(WIDTH, wide * (2 if self.feed.gated else 1), bias=self.feed.bias)
        self.down = nn.Linear(wide, WIDTH, bias=self.feed.bias)
        if self.attention.rotary:
            self.register_buffer("cos", torch.ones(8, HEAD))
            self.register_buffer("sin", torch.ones(8, HEAD))

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        heads, kept = self.attention.heads, self.attention.kv_heads
        q, k, v = self.qkv(self.norm_1(x)).split((heads * HEAD, kept * HEAD, kept * HEAD), dim=-1)
        q, k, v = (one.view(batch, tokens, -1, HEAD).transpose(1, 2) for one in (q, k, v))
        if self.attention.rotary:
            q, k = _turned(q, self.cos, self.sin), _turned(k, self.cos, self.sin)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kept)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, -1))
        y = self.up(self.norm_2(x))
        if self.feed.gated:
            gate, y = y.chunk(2, dim=-1)
            return x + self.down(functional.silu(gate) * y)
        return x + self.down(functional.gelu(y))


class Net(nn.Module):
    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Embedding(model.positions, WIDTH) if model.positions else None
        self.layers = nn.ModuleList([Layer(model) for _ in range(LAYERS)])
        self.norm = nn.RMSNorm(WIDTH) if model.norm == "rms" else nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, WORDS, bias=False)
        if model.tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        if self.positions is not None:
            x = x + self.positions.weight[: tokens.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


MODELS = {
    "grouped": ModelConfig(
        "grouped", "test", "decoder", LAYERS, WIDTH, WORDS, attention=Attention(4, 2, HEAD), feed=Feed(128)
    ),
    "gpt": ModelConfig(
        "gpt", "test", "decoder", LAYERS, WIDTH, WORDS, tied=True, norm="layer", positions=8,
        attention=Attention(4, 4, HEAD, bias=True, out_bias=True, rotary=False),
        feed=Feed(256, gated=False, activation="gelu", bias=True),
    ),
}  # fmt: skip


def _shapes(work: Workload) -> list[tuple[object, ...]]:
    return [(g.op, g.batch, g.m, g.n, g.k, g.b_role, g.groups, g.causal) for g in work.gemms]


def _vectors(work: Workload) -> Counter[str]:
    """Elements of each kind; what a cache takes is only in the written graph."""
    found: Counter[str] = Counter()
    assert work.graph is not None
    for one in work.graph.operators:
        if one.gemm is None and one.kind != "cache":
            found[one.kind] += one.elements
    return found


@pytest.mark.parametrize("name", MODELS)
def test_written_and_watched_graphs_agree(name: str) -> None:
    model = MODELS[name]
    written = prefill(model, 8, batch=2, logits=8)
    watched = meta_workload(lambda: Net(model), [(torch.zeros(2, 8, dtype=torch.int64),)], name=name)
    assert _shapes(written) == _shapes(watched)
    assert _vectors(written) == _vectors(watched)
    assert parameters(written) == sum(p.numel() for p in Net(model).parameters())

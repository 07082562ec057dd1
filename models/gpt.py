"""A byte-level GPT, small enough to train on one processor core: the default model of every study.

RMS norm without parameters, rotary positions, normalised queries and keys, squared ReLU, no biases, untied head.
All inner sizes are multiples of 32, so that blocks of 16 and of 32 elements fill. It learns the sources of the
Python standard library, which every machine has; its metric is bits per byte on held-out files.

Retrain with ``hwsim train gpt``. Trained parameters lie beside this file in bfloat16 and are loaded as float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from hwsim.nn import Muon, Training
from hwsim.nn.corpus import stdlib

CHECKPOINT = Path(__file__).with_suffix(".safetensors")
WIDTH, LAYERS, HEADS, CONTEXT = 192, 4, 6, 256


def norm(x: Tensor) -> Tensor:
    """RMS norm over the last axis."""
    return functional.rms_norm(x, (x.shape[-1],))


def rotate(x: Tensor) -> Tensor:
    """Rotary positions: pairs (i, i + D/2) of x ``[B, H, T, D]`` turned by t · 10000^(-2i/D)."""
    half = x.shape[-1] // 2
    frequency = 10000.0 ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(x.shape[-2], device=x.device)[:, None] * frequency
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    left, right = x[..., :half], x[..., half:]
    return torch.cat((left * cos - right * sin, left * sin + right * cos), dim=-1)


class Attention(nn.Module):
    """Causal self-attention of `heads` heads."""

    def __init__(self, width: int, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mix x ``[B, T, width]`` over the T earlier bytes."""
        batch, time, width = x.shape
        qkv = self.qkv(x).view(batch, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = rotate(norm(qkv[0])), rotate(norm(qkv[1])), qkv[2]
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class Block(nn.Module):
    """Attention, then a squared-ReLU network of four times the width."""

    def __init__(self, width: int, heads: int = HEADS) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add both to the residual stream x ``[B, T, width]``."""
        x = x + self.attention(norm(x))
        return x + self.down(functional.relu(self.up(norm(x))).square())


class GPT(nn.Module):
    """Bytes ``[B, T]`` to logits of the byte after each ``[B, T, 256]``, T at most `CONTEXT`."""

    def __init__(self, width: int = WIDTH, layers: int = LAYERS) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.head = nn.Linear(width, 256, bias=False)
        nn.init.normal_(self.embed.weight)
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "down.weight", "head.weight")):
                nn.init.zeros_(parameter)  # each block starts as the identity
            elif parameter.ndim == 2 and not name.startswith("embed"):
                nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32."""
        x = norm(self.embed(tokens))
        for block in self.blocks:
            x = block(x)
        return self.head(norm(x)).float()


def build(checkpoint: bool = True, seed: int = 0) -> nn.Module:
    """The network, trained, or initialised from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = GPT()
    if checkpoint:
        model.load_state_dict({name: value.float() for name, value in load_file(CHECKPOINT).items()})
    return model.eval()


def _windows(starts: Tensor, text: Tensor) -> Tensor:
    return text[starts[:, None] + torch.arange(CONTEXT + 1)].long()


def batches(count: int = 1, size: int = 1, seed: int = 0) -> Iterator[Tensor]:
    """`count` batches of held-out text, bytes ``[size, CONTEXT]``, at places that follow from `seed`."""
    text = torch.from_numpy(stdlib().validation.copy())
    for step in range(count):
        yield _draw(text, step, size, seed)[:, :-1]


def _draw(text: Tensor, step: int, size: int, seed: int) -> Tensor:
    """Windows of step `step`: a function of (seed, step), so that a resumed training sees what it would have seen."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
    return _windows(torch.randint(len(text) - CONTEXT, (size,), generator=generator), text)


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    """Mean cross-entropy in nats per byte of each byte of ``[B, T]`` from those before it."""
    return functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def metric(model: nn.Module, bytes: int | None = None) -> dict[str, float | int | str | bool]:
    """Bits per byte on held-out text: `bytes` of it in evenly spaced windows of `CONTEXT`, or all of it (None)."""
    corpus = stdlib()
    text = torch.from_numpy(corpus.validation.copy())
    most = (len(text) - 1) // CONTEXT
    count = most if bytes is None else max(1, min(most, bytes // CONTEXT))
    starts = torch.arange(count) * most // count * CONTEXT
    nats = 0.0
    for some in starts.split(32):
        nats += float(loss(model, _windows(some, text))) * len(some)
    return {
        "bits_per_byte": nats / count / math.log(2),
        "lower_is_better": True,
        "bytes": count * CONTEXT,
        "corpus": corpus.hash,
        "python": corpus.python,
    }


def provenance() -> dict[str, str]:
    """What a trace records beside versions: the text that `batches` reads."""
    return {"corpus": stdlib().hash}


def training(model: nn.Module) -> Training:
    """Muon for the matrices of the blocks, AdamW for embedding and head; the rate falls over the last 60 %."""
    text = torch.from_numpy(stdlib().train.copy())
    matrices = [p for name, p in model.named_parameters() if name.startswith("blocks.")]
    others = [p for name, p in model.named_parameters() if not name.startswith("blocks.")]
    return Training(
        steps=2000,
        batch=lambda step, seed: _draw(text, step, 16, seed + 1),
        loss=loss,
        optimizers=[
            Muon(matrices, lr=0.02, weight_decay=0.01),
            torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0),
        ],
        rate=lambda done: min(1.0, (1.0 - done) / 0.6 + 0.01),
        metric=metric,
    )

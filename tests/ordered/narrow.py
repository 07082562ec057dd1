"""A transformer of one block whose searches take seconds: for `test_processors`. Its weights are whole numbers
divided, as torch's normal ones depend on the processor; its context is longer than a register of any width."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as f


def numbers(*shape: int) -> Tensor:
    """Within ± 1.5."""
    word = torch.arange(1, torch.Size(shape).numel() + 1) * 2654435761 % 4294967291 * 48271 % 2147483647
    return ((word.double() / 2147483647 - 0.5) * 3).float().reshape(shape)


class Narrow(nn.Module):
    """Embedding, attention of two heads, GELU, both norms, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = nn.Embedding(256, 32)
        self.norm, self.last = nn.LayerNorm(32), nn.RMSNorm(32)
        self.qkv, self.out, self.up, self.down, self.head = (
            nn.Linear(k, n, bias=False) for k, n in ((32, 96), (32, 32), (32, 64), (64, 32), (32, 256))
        )
        with torch.no_grad():
            for at, parameter in enumerate(self.parameters()):
                parameter.copy_(numbers(*parameter.shape) * (0.3 + 0.01 * at))

    def forward(self, x: Tensor) -> Tensor:
        """Bytes ``[B, T]`` to ``[B, T, 256]``."""
        x = self.bytes(x)
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, 16)).permute(2, 0, 3, 1, 4)
        x = x + self.out(f.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return self.head(self.last(x + self.down(f.gelu(self.up(x)))))


def build() -> nn.Module:
    """The model; there is nothing to load."""
    return Narrow()


def text() -> Tensor:
    """Two lines of 72 bytes."""
    return (torch.arange(2 * 72) * 2654435761 % 251).reshape(2, 72)


def batches() -> Iterator[Tensor]:
    """One batch, for a capture."""
    yield text()[:, :-1]


def metric(model: nn.Module) -> dict[str, float | bool]:
    """Cross-entropy of the next byte, in nats."""
    seen = text()
    with torch.no_grad():
        loss = f.cross_entropy(model(seen[:, :-1]).flatten(0, 1), seen[:, 1:].flatten())
    return {"nats": float(loss), "lower_is_better": True}

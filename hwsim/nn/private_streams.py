"""CAAT-Net in the accuracy emulator: tensor parallel ranks that add up only a share of the channels.

Each of t ranks holds a part of the heads and of the feed-forward network, and a residual stream of its own. After
attention and after the feed-forward network the first `share` of the channels are added over all ranks; in the others
a rank adds what it computed itself, so that norms, products and their rounding differ from rank to rank. Behind the
last block all that ranks added is summed once, so that ``share = 1`` is the network itself. Source of the idea:
arXiv 2506.19645, known by its abstract; what its ranks do behind the last block is not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwsim.errors import ArgumentError
from hwsim.nn.corpus import stdlib
from hwsim.nn.models import ModelFile, load_file


def gpt_module() -> Any:
    """The module that defines the byte-level GPT."""
    return load_file(ModelFile.find("gpt").path)


class PrivateStreams(nn.Module):
    """A GPT of `models/gpt.py` on several ranks.

    Args:
        model: the network; its parameters are used in place.
        ranks: that share heads and hidden units.
        share: of the channels that are added over ranks.

    Raises:
        ArgumentError: ranks do not divide heads and hidden units, or the share is no part.
    """

    def __init__(self, model: Any, ranks: int, share: float) -> None:
        super().__init__()
        heads, hidden = model.blocks[0].attention.heads, model.blocks[0].up.weight.shape[0]
        if ranks < 1 or heads % ranks or hidden % ranks:
            raise ArgumentError(f"ranks must divide {heads} heads and {hidden} hidden units", got=ranks)
        if not 0 <= share <= 1:
            raise ArgumentError("share must be a part of the channels", got=share)
        self.model, self.ranks, self.module = model, ranks, gpt_module()
        self.shared = round(share * model.embed.weight.shape[1])

    def forward(self, tokens: Tensor) -> Tensor:
        """Bytes ``[B, T]`` to logits ``[B, T, 256]``, float32."""
        model, norm = self.model, self.module.norm
        start = norm(model.embed(tokens))
        streams = [start] * self.ranks
        for block in model.blocks:
            streams = self._added(streams, [self._attention(block.attention, norm(x), r)
                                            for r, x in enumerate(streams)])  # fmt: skip
            streams = self._added(streams, [self._feed(block, norm(x), r) for r, x in enumerate(streams)])
        apart = sum(x[..., self.shared :] - start[..., self.shared :] for x in streams)
        last = torch.cat((streams[0][..., : self.shared], start[..., self.shared :] + apart), dim=-1)
        logits: Tensor = model.head(norm(last)).float()
        return logits

    def _added(self, streams: list[Tensor], results: list[Tensor]) -> list[Tensor]:
        total = torch.stack([one[..., : self.shared] for one in results]).sum(dim=0)
        return [
            x + torch.cat((total, one[..., self.shared :]), dim=-1) for x, one in zip(streams, results, strict=True)
        ]

    def _attention(self, attention: Any, x: Tensor, rank: int) -> Tensor:
        batch, time, width = x.shape
        heads, size = attention.heads // self.ranks, width // attention.heads
        rows = slice(rank * heads * size, (rank + 1) * heads * size)
        weight = attention.qkv.weight.view(3, width, width)[:, rows].reshape(-1, width)
        q, k, v = functional.linear(x, weight).view(batch, time, 3, heads, size).permute(2, 0, 3, 1, 4)
        rotate, norm = self.module.rotate, self.module.norm
        mixed = functional.scaled_dot_product_attention(rotate(norm(q)), rotate(norm(k)), v, is_causal=True)
        mixed = mixed.transpose(1, 2).reshape(batch, time, heads * size)
        return functional.linear(mixed, attention.out.weight[:, rows])

    def _feed(self, block: Any, x: Tensor, rank: int) -> Tensor:
        part = block.up.weight.shape[0] // self.ranks
        rows = slice(rank * part, (rank + 1) * part)
        hidden = functional.relu(functional.linear(x, block.up.weight[rows])).square()
        return functional.linear(hidden, block.down.weight[:, rows])


def train_streams(
    size: tuple[int, int], ranks: int, share: float, steps: int, windows: int, context: int, seed: int
) -> tuple[PrivateStreams, float]:
    """Train a GPT of `size` = (width, layers) on ranks, `windows` windows of `context` bytes a step.

    Returns:
        The network, and its loss on 64 held-out windows, nats a byte. Every training of one seed starts from the same
        weights and sees the same windows.
    """
    module, corpus = gpt_module(), stdlib()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PrivateStreams(module.GPT(*size), ranks, share)
    text = torch.from_numpy(corpus.train.copy())
    optimizer = torch.optim.AdamW(net.parameters(), lr=6e-3, betas=(0.9, 0.95), weight_decay=0.0)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (1.0 - step / steps) / 0.6 + 0.01))
    for step in range(steps):
        optimizer.zero_grad(set_to_none=True)
        module.loss(net, _windows(text, windows, context, seed * 1_000_003 + step + 1)).backward()
        optimizer.step()
        rate.step()
    return net, held_out_loss(net, context)


@torch.no_grad()
def held_out_loss(net: nn.Module, context: int, windows: int = 64) -> float:
    """Nats a byte on fixed windows of held-out text."""
    text = torch.from_numpy(stdlib().validation.copy())
    return float(gpt_module().loss(net, _windows(text, windows, context, 0)))


def _windows(text: Tensor, count: int, context: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(text) - context - 1, (count,), generator=generator)
    return text[starts[:, None] + torch.arange(context + 1)].long()

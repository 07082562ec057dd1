"""A small vision transformer on scikit-learn's digits: patches of 2 x 2, two blocks, mean over the 16 places.

Layer norm with parameters, GELU, biases, attention without a mask: what the GPT beside it does not have. Retrain with
``hwsim train vit`` (about a minute). Trained parameters lie beside this file in bfloat16, loaded as float32.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from hwsim.nn import Training
from hwsim.nn import load_file as load_python

CHECKPOINT = Path(__file__).with_suffix(".safetensors")
WIDTH, LAYERS, HEADS, PATCH, PLACES = 64, 2, 4, 2, 16

digits = load_python(Path(__file__).with_name("_digits.py"))
batches, loss, metric = digits.batches, digits.loss, digits.metric


class Block(nn.Module):
    """Attention, then a GELU network of four times the width, each after a layer norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Add both to x ``[B, PLACES, WIDTH]``."""
        batch, places, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, places, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, places, width))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    """Images ``[B, 1, 8, 8]`` to logits ``[B, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, WIDTH, PATCH, stride=PATCH)
        self.places = nn.Parameter(torch.randn(PLACES, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(dim=1)).float()


def build(checkpoint: bool = True, seed: int = 0) -> nn.Module:
    """The network, trained, or initialised from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ViT()
    if checkpoint:
        model.load_state_dict({name: value.float() for name, value in load_file(CHECKPOINT).items()})
    return model.eval()


def training(model: nn.Module) -> Training:
    """AdamW; the rate falls over the second half."""
    return Training(
        steps=2500,
        batch=digits.draw,
        loss=loss,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=1.5e-3, weight_decay=0.05)],
        rate=lambda done: min(1.0, 2 * (1.0 - done) + 0.01),
        metric=metric,
    )

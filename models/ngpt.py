"""A byte-level nGPT: every vector of the network lies on the unit sphere, and no norm layer has a parameter.

Loshchilov et al., "nGPT: Normalized Transformer with Representation Learning on the Hypersphere" (arXiv 2410.01131),
in the form that arXiv 2605.06067 trains in NVFP4: h <- norm(norm(h) + |alpha| (norm(B) - norm(h))) after each block
output B; queries and keys normalised, queries scaled by sqk squared; hidden vectors scaled by suv; logits by sz. The
rows of embedding, head, qkv and up, and the columns of out and down are unit vectors after every optimizer step
(`normalise`). What that paper adds for four bits, a norm of the attention context and of the hidden vector before
their second matrices, is here too. Attention scores are multiplied by sqrt(head size) through sqk.

Two norms are in use and differ: ``"default"`` x / (|x| + 1e-6), ``"rsqrt"`` x (sum x^2 + 1e-6)^(-1/2), which is
what compiled and Triton kernels compute. At |x| = 1 they differ by 5e-7, at |x| below 1e-3 by a factor.

Corpus, batches and metric are those of ``gpt.py``. Retrain with ``hwsim train ngpt``. Trained parameters lie beside
this file in bfloat16, loaded as float32: their vectors are of length 1 to that precision.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from hwsim.nn import Training
from hwsim.nn import load_file as load_python

CHECKPOINT = Path(__file__).with_suffix(".safetensors")
WIDTH, LAYERS, HEADS = 128, 3, 4
EPS = 1e-6
ALPHA = 0.05

NormMode = Literal["default", "rsqrt"]

gpt = load_python(Path(__file__).with_name("gpt.py"))
batches, loss, metric, provenance, rotate = gpt.batches, gpt.loss, gpt.metric, gpt.provenance, gpt.rotate


def unit(x: Tensor, mode: NormMode = "default", dim: int = -1) -> Tensor:
    """x over its length along `dim`, in one of the two modes of the module docstring; float32."""
    if mode == "rsqrt":
        return x.float() * (x.float().square().sum(dim, keepdim=True) + EPS).rsqrt()
    return x.float() / (x.float().norm(dim=dim, keepdim=True) + EPS)


class Scale(nn.Module):
    """A vector of factors, kept as ``initial * factor`` with all parameters of one size, as the reference does.

    The parameter starts at `stored` and stands for ``initial / stored`` times itself.
    """

    def __init__(self, size: int, initial: float, stored: float) -> None:
        super().__init__()
        self.parameter = nn.Parameter(torch.full((size,), stored))
        self.factor = initial / stored

    def forward(self) -> Tensor:
        """The factors ``[size]``."""
        return self.parameter * self.factor


class Block(nn.Module):
    """Attention and a squared-ReLU network of four times the width, each a step along the sphere."""

    def __init__(self, width: int, mode: NormMode) -> None:
        super().__init__()
        self.mode: NormMode = mode
        stored = width**-0.5
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        self.sqk = Scale(width, math.sqrt(width // HEADS), 1.0)
        self.suv = Scale(4 * width, math.sqrt(width), 1.0)
        self.alpha_attention = Scale(width, ALPHA, stored)
        self.alpha_hidden = Scale(width, ALPHA, stored)

    def _attention(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        qkv = self.qkv(x).view(batch, time, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        scale = self.sqk().view(HEADS, 1, width // HEADS).square()
        q = scale * unit(rotate(qkv[0]), self.mode)
        k = unit(rotate(qkv[1]), self.mode)
        mixed = functional.scaled_dot_product_attention(q, k, qkv[2].float(), is_causal=True)
        return self.out(unit(mixed.transpose(1, 2).reshape(batch, time, width), self.mode))

    def _hidden(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.suv() * self.up(x)).square()
        return self.down(unit(hidden, self.mode))

    def _step(self, x: Tensor, target: Tensor, alpha: Tensor) -> Tensor:
        return unit(x + alpha.abs() * (unit(target, self.mode) - x), self.mode)

    def forward(self, x: Tensor) -> Tensor:
        """Move x ``[B, T, width]``, unit vectors, along the sphere twice."""
        x = self._step(x, self._attention(x), self.alpha_attention())
        return self._step(x, self._hidden(x), self.alpha_hidden())


class NGPT(nn.Module):
    """Bytes ``[B, T]`` to logits of the byte after each ``[B, T, 256]``."""

    def __init__(self, width: int = WIDTH, layers: int = LAYERS, mode: NormMode = "default") -> None:
        super().__init__()
        self.mode: NormMode = mode
        self.embed = nn.Embedding(256, width)
        self.blocks = nn.ModuleList(Block(width, mode) for _ in range(layers))
        self.head = nn.Linear(width, 256, bias=False)
        self.sz = Scale(256, math.sqrt(width), width**-0.5)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter)
        normalise(self)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32."""
        x = unit(self.embed(tokens), self.mode)
        for block in self.blocks:
            x = block(x)
        return self.sz() * self.head(x).float()


@torch.no_grad()
def normalise(model: nn.Module) -> None:
    """Make unit vectors of the matrices: rows of those that read the stream, columns of those that write to it."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            parameter.copy_(unit(parameter, dim=0 if name.endswith(("out.weight", "down.weight")) else 1))


def build(checkpoint: bool = True, seed: int = 0, mode: NormMode = "default") -> nn.Module:
    """The network, trained, or initialised from `seed`; `mode` is the norm."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = NGPT(mode=mode)
    if checkpoint:
        model.load_state_dict({name: value.float() for name, value in load_file(CHECKPOINT).items()})
    return model.eval()


def training(model: nn.Module) -> Training:
    """AdamW without decay or warm-up, the matrices normalised after each step; the rate falls over the last 60 %."""
    text = torch.from_numpy(gpt.stdlib().train.copy())
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, betas=(0.9, 0.95), weight_decay=0.0)
    optimizer.register_step_post_hook(lambda *_: normalise(model))
    return Training(
        steps=1000,
        batch=lambda step, seed: gpt._draw(text, step, 4, seed + 1),
        loss=loss,
        optimizers=[optimizer],
        rate=lambda done: min(1.0, (1.0 - done) / 0.6 + 0.01),
        metric=metric,
    )

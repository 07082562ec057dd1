"""A byte-level hybrid of Mamba-2 and attention: three state-space blocks, a block of the GPT before the last one.

Dao and Gu, "Transformers are SSMs" (arXiv 2405.21060): a block reads z, x, B, C and dt from one matrix, passes x, B
and C through a causal depthwise convolution and SiLU, and computes h_t = exp(dt A) h_{t-1} + dt B x^T, y_t = C h_t +
D x in chunks: inside a chunk as masked attention, C B^T times decays, between chunks by a state. All of it is matrix
products; the decays are kept in float32. One group of B and C.

Corpus, batches and metric are those of ``gpt.py``. Retrain with ``hwsim train mamba``. Trained parameters lie beside
this file in bfloat16, loaded as float32.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from hwsim.nn import Training
from hwsim.nn import load_file as load_python

CHECKPOINT = Path(__file__).with_suffix(".safetensors")
WIDTH, STATE, HEAD, CHUNK, TAPS = 128, 32, 32, 64, 4
INNER = 2 * WIDTH
HEADS = INNER // HEAD

gpt = load_python(Path(__file__).with_name("gpt.py"))
batches, loss, metric, provenance, norm = gpt.batches, gpt.loss, gpt.metric, gpt.provenance, gpt.norm


def scan(x: Tensor, decay: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """y_t = c_t h_t with h_t = exp(decay_t) h_{t-1} + b_t x_t^T, h before the first step zero, in chunks.

    Args:
        x: ``[B, H, T, P]``, T a multiple of the chunk or shorter than it.
        decay: logarithms, at most 0, ``[B, H, T]``.
        b: ``[B, T, N]``, the same for all heads.
        c: ``[B, T, N]``.

    Returns:
        ``[B, H, T, P]``.
    """
    batch, heads, time, size = x.shape
    chunk = min(CHUNK, time)
    x = x.view(batch, heads, -1, chunk, size)
    total = decay.view(batch, heads, -1, chunk).cumsum(-1)
    b, c = (values.view(batch, 1, -1, chunk, values.shape[-1]) for values in (b, c))
    later = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
    between = (total[..., :, None] - total[..., None, :]).masked_fill(later, -math.inf).exp()
    inside = ((c @ b.mT) * between) @ x
    last = total[..., -1:]
    written = (b * (last - total).exp()[..., None]).mT @ x  # what each chunk adds to the state, [B, H, chunks, N, P]
    states, state = [], torch.zeros_like(written[:, :, 0])
    for number in range(written.shape[2]):
        states.append(state)
        state = state * last[:, :, number, :, None].exp() + written[:, :, number]
    carried = (c @ torch.stack(states, dim=2)) * total.exp()[..., None]
    return (inside + carried).reshape(batch, heads, time, size)


class Mamba(nn.Module):
    """A Mamba-2 mixer of `HEADS` heads."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(WIDTH, 2 * INNER + 2 * STATE + HEADS, bias=False)
        self.conv = nn.Conv1d(INNER + 2 * STATE, INNER + 2 * STATE, TAPS, groups=INNER + 2 * STATE)
        self.leave = nn.Linear(INNER, WIDTH, bias=False)
        self.rate = nn.Parameter(torch.linspace(1, HEADS, HEADS).log())
        self.skip = nn.Parameter(torch.ones(HEADS))
        steps = torch.exp(torch.linspace(math.log(1e-3), math.log(1e-1), HEADS))
        self.step_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))  # softplus gives the steps

    def forward(self, x: Tensor) -> Tensor:
        """Mix x ``[B, T, WIDTH]`` over the T earlier bytes."""
        batch, time, _ = x.shape
        gate, mixed, step = self.enter(x).split((INNER, INNER + 2 * STATE, HEADS), dim=-1)
        mixed = functional.silu(self.conv(functional.pad(mixed.mT, (TAPS - 1, 0))).mT)
        values, b, c = mixed.float().split((INNER, STATE, STATE), dim=-1)
        step = functional.softplus(step.float() + self.step_bias).mT  # [B, HEADS, T]
        values = values.view(batch, time, HEADS, HEAD).transpose(1, 2)
        y = scan(values * step[..., None], -step * self.rate.exp()[:, None], b, c)
        y = (y + self.skip[:, None, None] * values).transpose(1, 2).reshape(batch, time, INNER)
        return self.leave(norm(y * functional.silu(gate.float())))


class Hybrid(nn.Module):
    """Bytes ``[B, T]`` to logits of the byte after each ``[B, T, 256]``."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, WIDTH)
        self.mixers = nn.ModuleList([Mamba(), Mamba(), gpt.Block(WIDTH, heads=4), Mamba()])
        self.head = nn.Linear(WIDTH, 256, bias=False)
        for name, parameter in self.named_parameters():
            if name.endswith(("leave.weight", "out.weight", "down.weight", "head.weight")):
                nn.init.zeros_(parameter)  # each block starts as the identity

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32."""
        x = norm(self.embed(tokens))
        for mixer in self.mixers:
            x = x + mixer(norm(x)) if isinstance(mixer, Mamba) else mixer(x)
        return self.head(norm(x)).float()


def build(checkpoint: bool = True, seed: int = 0) -> nn.Module:
    """The network, trained, or initialised from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Hybrid()
    if checkpoint:
        model.load_state_dict({name: value.float() for name, value in load_file(CHECKPOINT).items()})
    return model.eval()


def training(model: nn.Module) -> Training:
    """AdamW; the rate falls over the last 60 %."""
    text = torch.from_numpy(gpt.stdlib().train.copy())
    return Training(
        steps=450,
        batch=lambda step, seed: gpt._draw(text, step, 4, seed + 1),
        loss=loss,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0)],
        rate=lambda done: min(1.0, (1.0 - done) / 0.6 + 0.01),
        metric=metric,
    )

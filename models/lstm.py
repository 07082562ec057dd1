"""A byte-level LSTM: two layers of torch's own `nn.LSTM` and an untied head.

Its matrix products are small and follow one another in time, where a transformer's are large and do not. Corpus,
batches and metric are those of ``gpt.py``; each window starts from a state of zeros. Retrain with ``hwsim train
lstm``. Trained parameters lie beside this file in bfloat16, loaded as float32.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hwsim.nn import Training
from hwsim.nn import load_file as load_python

CHECKPOINT = Path(__file__).with_suffix(".safetensors")
WIDTH, LAYERS = 192, 2

gpt = load_python(Path(__file__).with_name("gpt.py"))
batches, loss, metric, provenance = gpt.batches, gpt.loss, gpt.metric, gpt.provenance


class ByteLSTM(nn.Module):
    """Bytes ``[B, T]`` to logits of the byte after each ``[B, T, 256]``."""

    def __init__(self, width: int = WIDTH, layers: int = LAYERS) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, 256)
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_ih"):
                nn.init.ones_(parameter[width : 2 * width])  # forget gates start open

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits, float32."""
        return self.head(self.lstm(self.embed(tokens))[0]).float()


def build(checkpoint: bool = True, seed: int = 0) -> nn.Module:
    """The network, trained, or initialised from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ByteLSTM()
    if checkpoint:
        model.load_state_dict({name: value.float() for name, value in load_file(CHECKPOINT).items()})
    return model.eval()


def training(model: nn.Module) -> Training:
    """AdamW; the rate falls over the last 60 %."""
    text = torch.from_numpy(gpt.stdlib().train.copy())
    return Training(
        steps=450,
        batch=lambda step, seed: gpt._draw(text, step, 16, seed + 1),
        loss=loss,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=5e-3, betas=(0.9, 0.95), weight_decay=0.0)],
        rate=lambda done: min(1.0, (1.0 - done) / 0.6 + 0.01),
        metric=metric,
    )

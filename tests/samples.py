"""What several test files begin with: a space of four small INT4 machines, a model to train, a remembered step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hwsim.evaluation.steps import BY_LAYER, Step

SPACE: dict[str, Any] = {
    "name": "small",
    "search": {"population": 6, "accuracy": "replay"},
    "machine": {
        "array": {"rows": 8, "cols": 8, "dataflow": "ws"},
        "memory": {
            "activation_kib": 128, "weight_kib": 128, "output_kib": 128, "port_bits": 256, "output_bits": 32,
            "dram": "lpddr4", "dram_gbyte_s": 12.8,
        },
        "technology": {"clock_ghz": 0.5, "node_nm": 16},
        "numerics": {
            "activation": "int4.channel", "weight": "int4.channel",
            "datapath": {"family": "integer", "a_bits": 4, "b_bits": 4, "acc_bits": 16},
        },
    },
    "parameters": {
        "bits": {"choice": [12, 16], "sets": "numerics.datapath.acc_bits"},
        "rows": {"choice": [4, 8], "sets": "array.rows"},
    },
}  # fmt: skip


LINEAR = """
import torch
def build():
    model = torch.nn.Linear(32, 8, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linspace(-1, 1, 256).reshape(8, 32).sin())
    return model
def batches():
    yield torch.linspace(-3, 3, 512).reshape(16, 32).cos()
"""
"""A model file of one layer, less its ``metric()``."""


TRAINED = """
import torch
from hwsim.nn import Training
def build(checkpoint=True, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(8, 8)
def batch(step, seed):
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(1000 * seed + step))
def loss(model, x):
    return (model(x) - x).square().mean()
def training(model):
    return Training(steps=STEPS, batch=batch, loss=loss, rate=lambda done: 1 - done,
                  optimizers=[torch.optim.AdamW(model.parameters(), lr=0.05)],
                  metric=lambda model: float(model.weight.detach().trace()))
"""
"""A model file; ``STEPS`` stands for a number."""


@dataclass(frozen=True)
class Halves(Step[dict[str, float]]):
    """A step whose only input is a word: half of the number that it says."""

    word: str

    @property
    def codec(self):
        return BY_LAYER

    def result(self):
        return {"layer": 0.5 * float(self.word)}

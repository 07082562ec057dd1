"""A model whose linear layers run on the add-only unit, or on an integer unit of the same power.

Decides the arithmetic of the comparison: activations get one step a layer, of least squared error on the first batch
that the layer sees; weights get one step an output channel, PANN's for a number of additions, or the one of least
squared error for a number of bits. Every product is the datapath's own. Products of two activations, in attention,
have no weights to add and stay in float32 on both sides.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths import integer, pann
from hwsim.datapaths.base import Datapath
from hwsim.nn import ModelFile, emulate
from hwsim.quant.clipping import least_error_clip
from hwsim.quant.pann_weights import quantize_additions
from hwsim.studies.operands import largest

CALIBRATED = 256  # rows of the first batch that decide an activation's step


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """Integers ``[N, K]`` and a step for each row."""

    codes: NDArray[np.int32]
    step: NDArray[np.float32]


class Layer:
    """Arithmetic of one layer, in the shape that `hwsim.nn.emulate` asks for."""

    def __init__(self, bits: int, additions: float | None, weight_bits: int, signed: bool) -> None:
        self.bits, self.additions, self.weight_bits, self.signed = bits, additions, weight_bits, signed
        self.unit: Datapath = (
            integer(bits if signed else bits + 1, weight_bits, 32)
            if additions is None
            else pann(bits, additions, 32, signed=signed)
        )
        self._step: np.float32 | None = None
        self.spent = 0.0  # additions an element that the weights really take

    @property
    def key(self) -> str:
        """Names the arithmetic."""
        return self.unit.name

    def prepare_b(self, b: NDArray[np.float32], role: str = "weight") -> Weights:
        """Weights ``[N, K]`` as integers."""
        if self.additions is not None:
            found = quantize_additions(b, self.additions, channel_axis=0)
            self.spent = found.additions
            return Weights(found.codes, found.step.reshape(-1))
        top = largest(self.weight_bits, True)
        step = np.array([least_error_clip(row, top, candidates=64) for row in b], np.float32) / np.float32(top)
        codes = np.clip(np.rint(b / np.where(step > 0, step, 1)[:, None]), -top, top)
        return Weights(codes.astype(np.int32), step)

    def gemm(self, a: NDArray[np.float32], b: Weights, role: str = "weight") -> NDArray[np.float32]:
        """``a @ b.T``, float32."""
        top = largest(self.bits, self.signed)
        if self._step is None:
            rows = a[np.unique(np.linspace(0, len(a) - 1, CALIBRATED).astype(int))]
            self._step = np.float32(least_error_clip(rows, top, candidates=64) / top)
        x = np.clip(np.rint(a / self._step), -top if self.signed else 0, top).astype(np.int16)
        w = b.codes.astype(np.int8) if np.abs(b.codes).max(initial=0) < 128 else b.codes
        return np.asarray(self.unit.matmul(x, w), np.float32) * self._step * b.step


class EveryLinear:
    """One `Layer` for each layer of a model; those behind a squared ReLU are unsigned.

    Args:
        bits: of the activations, and of the weights with their sign unless `weight_bits` says otherwise.
        additions: R of an add-only unit; None for a multiplying one.
        weight_bits: of the multiplying unit's weights.
    """

    def __init__(self, bits: int, additions: float | None = None, weight_bits: int | None = None) -> None:
        self._make = (bits, additions, weight_bits or bits)
        self.layers: dict[str, Layer] = {}

    def for_gemm(self, layer: str, b_role: str) -> Any:
        """The arithmetic of a product, None for those of two activations."""
        if b_role != "weight":
            return None
        if layer not in self.layers:
            self.layers[layer] = Layer(*self._make, signed=not layer.endswith(".down"))
        return self.layers[layer]

    @property
    def additions(self) -> float:
        """Additions an element, the mean over the layers."""
        return float(np.mean([layer.spent for layer in self.layers.values()]))


@functools.cache
def _gpt() -> tuple[Any, Callable[..., Any]]:
    file = ModelFile.find("gpt")
    metric = file.get("metric")
    assert metric is not None
    return file.build().eval(), metric


def bits_per_byte(policy: EveryLinear | None, size: int) -> float:
    """The GPT's metric on `size` bytes of held-out text, float32 without a policy."""
    model, metric = _gpt()
    if policy is None:
        return float(metric(model, bytes=size)["bits_per_byte"])
    with emulate(model, policy=policy):
        return float(metric(model, bytes=size)["bits_per_byte"])

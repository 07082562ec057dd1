"""What recipes do beside quantizing operands: patches of hot channels, low-bit softmax, saved activations, resets."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.errors import ArgumentError
from hwsim.recipes.operands import Draw, Operand, Quantizer

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HotChannels:
    """CHON's patch: the residuals of the channels that lose most are multiplied again and added.

    ``y = X̂ Ŵᵀ + ΔX_I Ŵ_Iᵀ + X̂_I ΔW_Iᵀ``, the term of second order dropped. I are the channels with the largest
    product of the norms of x's residual and of w; the paper's own score was not at hand.

    Args:
        share: of the channels that are patched, at least one.
    """

    share: float = 1 / 16

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ArgumentError("share must lie in 0..1", got=self.share, where="hot channels")

    @property
    def name(self) -> str:
        """``hot-channels.0.0625``."""
        return f"hot-channels.{self.share:g}"

    def columns(self, a: Floats, a_taken: Floats, b: Floats, b_taken: Floats, draw: Draw) -> tuple[Floats, Floats]:
        """``[ΔX_I, X̂_I]`` and ``[Ŵ_I, ΔW_I]``."""
        a_rest, b_rest = a - a_taken, b - b_taken
        score = _norms(a_rest) * _norms(b)
        count = max(1, round(self.share * a.shape[1]))
        hot = np.sort(np.argsort(-score, kind="stable")[:count])
        left = np.concatenate([a_rest[:, hot], a_taken[:, hot]], axis=1)
        right = np.concatenate([b_taken[:, hot], b_rest[:, hot]], axis=1)
        return left, right


def _norms(x: Floats) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.square(x, dtype=np.float64).sum(axis=0)))


@dataclass(frozen=True, slots=True)
class ExaqSoftmax:
    """EXAQ's softmax unit (`hwsim.datapaths.softmax`), its clip measured in each call.

    The published code takes the mean of its first 25 calls.
    """

    bits: int = 2
    clip: Literal["gauss", "laplace", "table"] = "gauss"

    def __post_init__(self) -> None:
        _ = _softmax(self.bits, self.clip)

    @property
    def name(self) -> str:
        """``softmax2.gauss``."""
        return str(_softmax(self.bits, self.clip).name)

    def apply(self, scores: Floats, draw: Draw) -> Floats:
        """Probabilities; what is -inf counts as masked."""
        made: Floats = _softmax(self.bits, self.clip).apply(scores)
        return made


@functools.cache
def _softmax(bits: int, clip: str) -> Any:
    from hwsim.datapaths.softmax import Softmax

    return Softmax(bits, clip)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class FourBitSaver:
    """S2A: derivatives of GELU and SiLU, and groups of norms and softmaxes, on 16 levels; a bit for ReLU
    (`hwsim.quant.saved`). Tensors of one number a row (means, reciprocal deviations) and vectors stay."""

    name = "s2a.4bit"

    def saves(self, op: str) -> bool:
        """By the name of the autograd node."""
        return op in _SAVED

    def pack(self, op: str, x: Floats, draw: Draw) -> tuple[Any, int]:
        """Codes two to a byte, and the bytes."""
        kind = _SAVED[op]
        if x.ndim < 2 or x.shape[-1] == 1:
            return ("whole", x.shape, x), x.nbytes
        if kind == "relu":
            bits = np.packbits(x.reshape(-1) > 0)
            return (kind, x.shape, bits), bits.nbytes
        if kind == "group":
            codes, least, step = quant.group_codes(x)
            packed = _paired(codes)
            return (kind, x.shape, packed, least, step), packed.nbytes + least.nbytes + step.nbytes
        packed = _paired(quant.derivative_codes(x, kind).reshape(-1))  # type: ignore[arg-type]
        return (kind, x.shape, packed), packed.nbytes

    def unpack(self, packed: Any) -> Floats:
        """An x whose derivative is the level, 0 or 1 for ReLU, values of groups."""
        kind, shape, data, *rest = packed
        count = int(np.prod(shape))
        if kind == "whole":
            return np.asarray(data, np.float32)
        if kind == "relu":
            return np.unpackbits(data, count=count).astype(np.float32).reshape(shape)
        codes = np.stack([data >> 4, data & 15], axis=1).reshape(-1)[:count]
        if kind == "group":
            return quant.group_values(codes, *rest).reshape(shape)
        return np.asarray(quant.derivative_points(kind)[codes].reshape(shape))


_SAVED = {
    "GeluBackward0": "gelu",
    "SiluBackward0": "silu",
    "ReluBackward0": "relu",
    "NativeLayerNormBackward0": "group",
    "FusedRmsNormBackward0": "group",
    "SoftmaxBackward0": "group",
}
"""How what each autograd node keeps is packed."""


def _paired(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    even = np.append(codes, np.uint8(0)) if codes.size % 2 else codes
    return np.asarray(even[0::2] << 4 | even[1::2], dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class OsciReset:
    """TetraJet-v2's reset of oscillating weights (`hwsim.quant.oscillation`).

    Args:
        start: fraction of the training after which it begins.
        period: steps between the beginnings of two windows.
        window: steps over which movement is added up; weights are reset at its end.
        threshold: D_q / D at which a weight is reset.
    """

    start: float = 15_000 / 25_500
    period: int = 200
    window: int = 50
    threshold: float = 8.0

    def __post_init__(self) -> None:
        if not 0 <= self.start <= 1:
            raise ArgumentError("start must lie in 0..1", got=self.start, where="reset")
        if not 1 <= self.window < self.period:
            raise ArgumentError("window must lie in 1..period - 1", got=self.window, where="reset")

    @property
    def name(self) -> str:
        """With all that decides bits."""
        return f"osci-reset.{self.start:.4g}.{self.period}.{self.window}.{self.threshold:g}"

    def apply(self, layer: str, weight: Floats, scheme: Operand, step: int, steps: int, memory: Any) -> Any:
        """See `hwsim.recipes.recipe.AfterStep`.

        Raises:
            ArgumentError: the number of steps is not known.
        """
        if steps <= 0:
            raise ArgumentError("steps of the training must be known", got=steps, where=f"{self.name}, {layer}")
        since = step - int(self.start * steps)
        place = since % self.period
        if since < 0 or place > self.window:
            return None
        quantized = _nearest(weight, scheme, layer, step)
        if place == 0 or memory is None:
            return _packed(quant.Movement.start(weight, quantized))
        movement = quant.Movement(*memory).moved(weight, quantized)
        if place < self.window:
            return _packed(movement)
        reset = movement.oscillates(self.threshold)
        weight[reset] = quantized[reset]
        return None


def _packed(movement: quant.Movement) -> tuple[Floats, Floats, Floats, Floats]:
    return movement.last, movement.quantized, movement.distance, movement.distance_quantized


def _nearest(weight: Floats, operand: Operand, layer: str, step: int) -> Floats:
    scheme = operand.scheme
    if scheme is None or operand.stochastic:
        raise ArgumentError("weights must be quantized and not at random", got=operand.label, where=layer)
    if isinstance(scheme, Quantizer):
        return scheme.take(np.ascontiguousarray(weight), Draw(0, 0, layer, "fprop", step)).values
    return quant.fake_quantize(weight, scheme)

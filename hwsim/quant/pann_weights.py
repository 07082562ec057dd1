"""Weights as numbers of additions: the quantizer of PANN (Spingarn Eliezer et al., arXiv 2202.02783).

A weight integer q costs |q| additions of its input, so the step is chosen for a budget of additions and not for a
number of bits: ``step = ||w||_1 / (R d)`` makes the mean of ``|w| / step`` exactly R. Integers are not clipped: a
large weight is allowed to take many additions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.quant.layout import float32_array


@dataclass(frozen=True, slots=True)
class AdditionCodes:
    """Weights as integers of unbounded range.

    Args:
        codes: int32, the shape of the weights.
        step: float32, () for one step, else the weights' shape with the other axes as 1.
    """

    codes: NDArray[np.int32]
    step: NDArray[np.float32]

    @property
    def additions(self) -> float:
        """Additions that an element really takes on average, within 1/2 of the budget."""
        return float(np.abs(self.codes.astype(np.int64)).mean())

    def dequantize(self) -> NDArray[np.float32]:
        """``codes * step``, float32; exact but for one rounding."""
        return (self.codes * self.step.astype(np.float64)).astype(np.float32)


def quantize_additions(w: ArrayLike, additions: float, channel_axis: int | None = None) -> AdditionCodes:
    """Quantize weights to a mean number of additions an element.

    Args:
        w: float32, finite, not empty.
        additions: R > 0.
        channel_axis: an axis along which each slice gets its own step; None gives the tensor one.

    Returns:
        codes ``rint(w / step)`` (nearest even, from float64), and the steps. An all-zero slice has step 0 and codes
        0.

    Raises:
        ArgumentError: additions not positive, values not finite, no elements, or an integer beyond int32.
    """
    array = float32_array(w)
    if not (np.isfinite(additions) and additions > 0):
        raise ArgumentError("additions must be positive", got=additions)
    if not array.size:
        raise ArgumentError("w must have elements", got=array.shape)
    if not np.isfinite(array).all():
        raise ArgumentError("w must be finite", got=float(array[~np.isfinite(array)][0]))
    axes = None
    if channel_axis is not None:
        if not -array.ndim <= channel_axis < array.ndim:
            raise ArgumentError(f"channel_axis must be an axis of {array.ndim}", got=channel_axis)
        axes = tuple(axis for axis in range(array.ndim) if axis != channel_axis % array.ndim)
    mean = np.abs(array).astype(np.float64).mean(axis=axes, keepdims=channel_axis is not None)
    step = np.asarray(mean / additions, dtype=np.float32)
    wide = step.astype(np.float64)
    ratio = np.divide(array, wide, out=np.zeros(array.shape), where=np.broadcast_to(wide > 0, array.shape))
    if np.abs(ratio).max() >= 2**31 - 1:
        raise ArgumentError("integers must fit int32: fewer additions, or a step per channel", got=additions)
    return AdditionCodes(np.rint(ratio).astype(np.int32), step)

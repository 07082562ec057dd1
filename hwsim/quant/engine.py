"""quantize, dequantize and fake_quantize of whole tensors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.quant import reference
from hwsim.quant.catalog import get
from hwsim.quant.layout import float32_array
from hwsim.quant.quantized import Quantized
from hwsim.quant.scheme import Scheme


def quantize(x: ArrayLike, scheme: str | Scheme, axis: int = -1, seed: int | None = None) -> Quantized:
    """Quantize `x`."""
    return reference.quantize(float32_array(x), get(scheme), axis)


def dequantize(q: Quantized) -> NDArray[np.float32]:
    """See `Quantized.dequantize`."""
    return reference.dequantize(q)


def fake_quantize(
    x: ArrayLike,
    scheme: str | Scheme,
    axis: int = -1,
    seed: int | None = None,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """``quantize(x, scheme, axis, seed).dequantize()``, bit for bit."""
    values = quantize(x, scheme, axis, seed).dequantize()
    if out is None:
        return values
    out[...] = values
    return out

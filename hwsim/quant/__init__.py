"""Quantization: how a tensor becomes codes and scales, bit for bit as a named library does it.

>>> import numpy as np
>>> from hwsim import quant
>>> q = quant.quantize(np.arange(32, dtype=np.float32), "nvfp4.te")
>>> q.codes.dtype, q.scales.shape, q.bits
(dtype('uint8'), (2,), 176)

Schemes are data and cost nothing to import; everything that computes is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwsim.quant.catalog import block_scheme, get, names
from hwsim.quant.quantized import Quantized
from hwsim.quant.scheme import Scheme

if TYPE_CHECKING:
    from hwsim.quant.engine import fake_quantize, quantize
    from hwsim.quant.random_bits import random_words
    from hwsim.quant.rotation import hadamard

_HOME = {
    "quantize": "hwsim.quant.engine",
    "fake_quantize": "hwsim.quant.engine",
    "hadamard": "hwsim.quant.rotation",
    "random_words": "hwsim.quant.random_bits",
}

__all__ = [
    "Quantized",
    "Scheme",
    "block_scheme",
    "fake_quantize",
    "get",
    "hadamard",
    "names",
    "quantize",
    "random_words",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hwsim.quant' has no attribute {name!r}")

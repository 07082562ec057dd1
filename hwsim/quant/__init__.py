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

from hwsim.quant.catalog import block_scheme, flashinfer_fast, get, names
from hwsim.quant.quantized import Quantized
from hwsim.quant.scheme import Scheme

if TYPE_CHECKING:
    from hwsim.quant.clipping import exaq_clip, least_error_clip, sawb_clip
    from hwsim.quant.engine import fake_quantize, quantize
    from hwsim.quant.luq import LogCodes, hindsight_maximum, quantize_luq, quantize_luq_averaged
    from hwsim.quant.pann_weights import quantize_additions
    from hwsim.quant.random_bits import random_words
    from hwsim.quant.rotation import hadamard
    from hwsim.quant.sparsity import keep_largest, sparsify_2_4_approximate, sparsify_unbiased
    from hwsim.quant.stochastic import round_stochastically

_HOME = {
    "quantize": "hwsim.quant.engine",
    "fake_quantize": "hwsim.quant.engine",
    "hadamard": "hwsim.quant.rotation",
    "random_words": "hwsim.quant.random_bits",
    "round_stochastically": "hwsim.quant.stochastic",
    "LogCodes": "hwsim.quant.luq",
    "hindsight_maximum": "hwsim.quant.luq",
    "quantize_luq": "hwsim.quant.luq",
    "quantize_luq_averaged": "hwsim.quant.luq",
    "keep_largest": "hwsim.quant.sparsity",
    "sparsify_2_4_approximate": "hwsim.quant.sparsity",
    "sparsify_unbiased": "hwsim.quant.sparsity",
    "exaq_clip": "hwsim.quant.clipping",
    "least_error_clip": "hwsim.quant.clipping",
    "sawb_clip": "hwsim.quant.clipping",
    "quantize_additions": "hwsim.quant.pann_weights",
}

__all__ = [
    "LogCodes",
    "Quantized",
    "Scheme",
    "block_scheme",
    "exaq_clip",
    "fake_quantize",
    "flashinfer_fast",
    "get",
    "hadamard",
    "hindsight_maximum",
    "keep_largest",
    "least_error_clip",
    "names",
    "quantize",
    "quantize_additions",
    "quantize_luq",
    "quantize_luq_averaged",
    "random_words",
    "round_stochastically",
    "sawb_clip",
    "sparsify_2_4_approximate",
    "sparsify_unbiased",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hwsim.quant' has no attribute {name!r}")

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
from hwsim.quant.rotated import Rotation
from hwsim.quant.scheme import Scheme

if TYPE_CHECKING:
    from hwsim.quant.clipping import exaq_clip, least_error_clip, sawb_clip
    from hwsim.quant.engine import fake_quantize, quantize
    from hwsim.quant.low_rank import joined, leading
    from hwsim.quant.luq import LogCodes, hindsight_maximum, quantize_luq, quantize_luq_averaged
    from hwsim.quant.oscillation import Movement
    from hwsim.quant.pann_weights import quantize_additions
    from hwsim.quant.random_bits import random_words
    from hwsim.quant.rotation import hadamard
    from hwsim.quant.saved import derivative_codes, derivative_points, group_codes, group_values
    from hwsim.quant.sparsity import keep_largest, sparsify_2_4_approximate, sparsify_unbiased
    from hwsim.quant.stochastic import round_stochastically
    from hwsim.quant.training import quantize_double_block, quantize_eden, quantize_quest, quantize_three_quarters

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
    "joined": "hwsim.quant.low_rank",
    "leading": "hwsim.quant.low_rank",
    "Movement": "hwsim.quant.oscillation",
    "derivative_codes": "hwsim.quant.saved",
    "derivative_points": "hwsim.quant.saved",
    "group_codes": "hwsim.quant.saved",
    "group_values": "hwsim.quant.saved",
    "quantize_double_block": "hwsim.quant.training",
    "quantize_eden": "hwsim.quant.training",
    "quantize_quest": "hwsim.quant.training",
    "quantize_three_quarters": "hwsim.quant.training",
}

__all__ = [
    "LogCodes",
    "Movement",
    "Quantized",
    "Rotation",
    "Scheme",
    "block_scheme",
    "derivative_codes",
    "derivative_points",
    "exaq_clip",
    "fake_quantize",
    "flashinfer_fast",
    "get",
    "group_codes",
    "group_values",
    "hadamard",
    "hindsight_maximum",
    "joined",
    "keep_largest",
    "leading",
    "least_error_clip",
    "names",
    "quantize",
    "quantize_additions",
    "quantize_double_block",
    "quantize_eden",
    "quantize_luq",
    "quantize_luq_averaged",
    "quantize_quest",
    "quantize_three_quarters",
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

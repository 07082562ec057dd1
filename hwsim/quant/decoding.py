"""From codes and scales to values, by the kernel; `Quantized.dequantize` is the call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import parallel_rows
from hwsim.quant import element_kernels
from hwsim.quant.layout import flat_scales, grain, layout, split_evenly
from hwsim.quant.reference_scales import decode_factors, decode_scale
from hwsim.quant.scheme import Scheme

F = np.float32


def dequantize(
    codes: NDArray[Any], scales: NDArray[Any], amax: np.float32, scheme: Scheme, axis: int
) -> NDArray[np.float32]:
    """The values of a tensor from the fields of its `Quantized`, in the scheme's decode order."""
    if scheme.scale_rule == "none":
        return scheme.element_format.decode(codes)
    if codes.size == 0:
        return np.empty(codes.shape, F)
    where = layout(codes.shape, scheme, axis)
    split = split_evenly(where)
    rows = where.to_rows(codes).reshape(split.rows, split.length)
    order = element_kernels.PLAIN
    if scheme.decode == "fp4atw":
        order = element_kernels.INVERTED
    elif scheme.decode == "code_first" and scheme.tensor_scale:
        order = element_kernels.CODE_FIRST
    factors = decode_factors(flat_scales(scales, where, scheme), amax, scheme).reshape(-1, split.blocks)
    out = np.empty(rows.shape, F)
    with np.errstate(all="ignore"):
        P = decode_scale(F(amax), scheme)
    table = scheme.element_format.values * F(scheme.element_unit)
    parallel_rows(
        element_kernels.value_rows, split.rows, rows, split.block, split.height, split.plane, factors, order,
        F(amax), F(scheme.product_max), P, table, out, grain=grain(split.length),
    )  # fmt: skip
    return where.from_rows(out.reshape(where.rows, where.length), codes.shape)

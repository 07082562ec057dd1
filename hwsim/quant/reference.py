"""Every scheme written down once, slowly: one numpy float32 operation for each operation of its source, in its order.

This is the definition that the kernels must equal bit for bit. Nothing is fused, hoisted or replaced by an
equivalent; conversions to small formats are those of `hwsim.formats`. NaN and infinity follow the same operations,
except that the maxima are taken as the sources take them: CUDA's ``fmaxf`` ignores NaN (TransformerEngine,
FlashInfer, and `exact`, which shares their scales), ``torch.amax`` does not (all others).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.quant.layout import Layout, flat_scales, layout, scale_array
from hwsim.quant.quantized import Quantized
from hwsim.quant.reference_scales import (
    DIVIDING,
    FLT_MAX,
    NAN_IGNORING_RULES,
    F,
    Floats,
    absolute_mean,
    addition_steps,
    block_scales,
    decode_factors,
    decode_scale,
    maximum,
    stored,
    te_encode_scale,
    te_multiplier,
    tensor_scale,
)
from hwsim.quant.scheme import Scheme

Codes = NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True)
class Blocks:
    """A quantized tensor in blocks: codes [blocks, elements], one scale and one decode factor a block."""

    codes: Codes
    scales: NDArray
    amax: np.float32


def quantize_blocks(
    x: Floats, valid: NDArray[np.bool_], scheme: Scheme, amax: np.float32 | None, random: Floats | None
) -> Blocks:
    """Quantize blocks that each share one scale.

    Args:
        x: float32 [blocks, elements]; padding is +0.
        valid: bool [blocks, elements]: False for padding, which no error sum counts.
        scheme: what to do.
        amax: the tensor's largest magnitude where known beforehand; None: that of `x`.
        random: uniform integers below 2^sr_bits as float32 [blocks, elements], for ``sr``.
    """
    a = maximum(x, axis=1, ignore_nan=scheme.scale_rule in NAN_IGNORING_RULES)
    A = F(maximum(a, axis=0, ignore_nan=False)) if amax is None else amax
    with np.errstate(all="ignore"):
        if scheme.scale_rule == "none":
            return Blocks(scheme.element_format.encode(x), np.empty(0, np.float32), F(1))
        if scheme.scale_rule == "te_4over6":
            return Blocks(*_four_over_six(x, valid, a, A, scheme), A)
        if scheme.scale_rule == "absmean":
            A = absolute_mean(x[valid])
            a = np.full(a.shape, A)
        if scheme.additions is not None:
            a = addition_steps(x, scheme.additions)  # a channel is one block, without padding
            A = F(maximum(a, axis=0, ignore_nan=False))
        scales, multiplier = block_scales(a, A, scheme)
        codes = _elements(x, multiplier[:, None], scales, A, scheme, random)
    return Blocks(codes, scales, A)


def _elements(
    x: Floats, multiplier: Floats, scales: NDArray, A: np.float32, scheme: Scheme, random: Floats | None
) -> Codes:
    rule, form = scheme.scale_rule, scheme.element_format
    if rule == "exact":
        return _exact_elements(x, scales, A, scheme)
    if rule == "fp4atw":
        v = (x / decode_scale(A, scheme)) * multiplier
    else:
        v = x / multiplier if rule in DIVIDING else x * multiplier
    v = v / F(scheme.element_unit)
    top = F(scheme.element_top / scheme.element_unit)
    v = np.where(np.isnan(v), v, np.clip(v, -top, top))
    codes = form.encode(v) if random is None else _stochastic(v, random, scheme)
    if rule == "torchao" and not form.is_integer:
        codes = np.where(np.isnan(v), torchao_nan_code(scheme), codes).astype(form.code_dtype)
    if rule == "vllm_ref":
        codes = np.where(v == 0, 0, codes).astype(form.code_dtype)  # torch.sign(-0.0) is 0
    return codes


def torchao_nan_code(scheme: Scheme) -> int:
    """What torchao's float32 -> E2M1 makes of a NaN, seen on x86: its exponent arithmetic wraps. The scale is NaN
    too."""
    if scheme.element != "e2m1":
        return int(scheme.element_format.encode(F(np.nan)))
    return 12 if scheme.tensor_scale else 4


def _stochastic(v: Floats, random: Floats, scheme: Scheme) -> Codes:
    """TransformerEngine's software model of ``cvt.rs``: the step of |v| first, that of the sum for the truncation."""
    form = scheme.element_format
    magnitude = np.abs(v)
    step = _step(magnitude, scheme)
    t = random * F(2.0**-scheme.sr_bits) * step + magnitude  # the product is exact, so this is the source's fma
    step = _step(t, scheme)
    q = np.minimum(np.floor(t / step) * step, F(scheme.element_top / scheme.element_unit))
    return form.encode(np.where(np.isnan(v), v, np.copysign(q, v)))


def _step(magnitude: Floats, scheme: Scheme) -> Floats:
    form = scheme.element_format
    if form.is_integer:
        return np.ones_like(magnitude)
    exponent = np.maximum(np.frexp(np.maximum(magnitude, F(form.min_normal)))[1] - 1, form.min_exponent)
    return np.asarray(np.ldexp(F(1), exponent - form.mantissa_bits), dtype=np.float32)


def _exact_elements(x: Floats, scales: NDArray, A: np.float32, scheme: Scheme) -> Codes:
    """x S / s in exact rational arithmetic up to a sticky bit: float64 holds x S exactly, and its quotient by s,
    which has a short significand, cannot come closer to a tie than float64 resolves without being one."""
    S = np.float64(te_encode_scale(A, scheme, FLT_MAX))
    s = formats.get(str(scheme.scale_format)).decode(scales).astype(np.float64)[:, None]
    quotient = np.where(s == 0, np.where(np.isnan(x), x, np.copysign(F(0), x)), x.astype(np.float64) * S / s)
    quotient = np.where(np.isnan(quotient), quotient, np.clip(quotient, -scheme.element_top, scheme.element_top))
    nearest = quotient.astype(np.float32)
    # round to odd: float32 has more than two bits beyond any element, so the second rounding then sees the right side
    off = (nearest != quotient) & np.isfinite(quotient) & np.isfinite(nearest)
    odd = (nearest.view(np.uint32) & 1).astype(bool)
    toward = np.where(quotient > nearest, F(np.inf), F(-np.inf))
    return scheme.element_format.encode(np.where(off & ~odd, np.nextafter(nearest, toward), nearest))


def _four_over_six(
    x: Floats, valid: NDArray[np.bool_], a: Floats, A: np.float32, scheme: Scheme
) -> tuple[Codes, NDArray]:
    """Both maps, the largest element onto 6 or onto 4; the second only where its error in the input's domain is
    smaller."""
    S = te_encode_scale(A, scheme, FLT_MAX)
    base = (a / F(scheme.element_max)) * S
    limit = F(formats.get(str(scheme.scale_format)).max)
    candidates = []
    for v in (base, base * F(1.5)):
        scales, s = stored(np.minimum(v, limit), scheme)
        codes = _elements(x, te_multiplier(s, S)[:, None], scales, A, scheme, None)
        q = scheme.element_format.decode(codes)
        value = ((q * s[:, None]) * A) / F(scheme.product_max) if scheme.tensor_scale else q * s[:, None]
        error = np.zeros(a.shape, np.float32)
        for column in range(x.shape[1]):
            error = np.where(valid[:, column], error + np.abs(value[:, column] - x[:, column]), error)
        candidates.append((codes, scales, error))
    (codes6, scales6, error6), (codes4, scales4, error4) = candidates
    four = error4 < error6
    return np.where(four[:, None], codes4, codes6), np.where(four, scales4, scales6)


# Back to numbers


def decode_blocks(codes: Codes, scales: NDArray, amax: np.float32, scheme: Scheme) -> Floats:
    """float32 values of codes [blocks, elements] in the scheme's decode order; scales [blocks]."""
    q = scheme.element_format.decode(codes)
    if scheme.scale_rule == "none":
        return q
    d = decode_factors(scales, amax, scheme)[:, None]
    A, product = F(amax), F(scheme.product_max)
    with np.errstate(all="ignore"):
        if scheme.decode == "fp4atw":
            return (q / d) * decode_scale(A, scheme)
        if scheme.decode == "code_first" and scheme.tensor_scale:
            return ((q * d) * A) / product
        return q * (d * F(scheme.element_unit))


# Whole tensors


def quantize(
    x: Floats, scheme: Scheme, axis: int = -1, amax: np.float32 | None = None, random: Floats | None = None
) -> Quantized:
    """`hwsim.quant.quantize` by the functions above; `random` [rows, length] in the layout's order."""
    where = layout(x.shape, scheme, axis)
    rows = where.to_rows(x)
    if scheme.scale_rule == "none":
        return Quantized(scheme.element_format.encode(x), np.empty(0, np.float32), F(1), scheme, where.axis, F(1))
    blocks = _blocked(rows, where)
    valid = _blocked(np.ones(rows.shape, dtype=bool), where)
    noise = None if random is None else _blocked(random, where)
    result = quantize_blocks(blocks, valid, scheme, amax, noise)
    codes = where.from_rows(_unblocked(result.codes, where), x.shape)
    scales = scale_array(result.scales, where, scheme)
    return Quantized(codes, scales, tensor_scale(result.amax, scheme), scheme, where.axis, result.amax)


def dequantize(q: Quantized) -> Floats:
    """`Quantized.dequantize` by the functions above."""
    where = layout(q.codes.shape, q.scheme, q.axis)
    if q.scheme.scale_rule == "none":
        return q.scheme.element_format.decode(q.codes)
    codes = _blocked(where.to_rows(q.codes), where)
    values = decode_blocks(codes, flat_scales(q.scales, where, q.scheme), q.amax, q.scheme)
    return where.from_rows(_unblocked(values, where), q.codes.shape)


def _blocked(rows: NDArray, where: Layout) -> NDArray:
    """[blocks, elements] of a matrix [rows, length], padded with zeros; a square or a tensor becomes one long
    block."""
    planes = where.rows // where.plane
    tall, wide = -(-where.plane // where.height), where.blocks
    padded = np.zeros((planes, tall * where.height, wide * where.block), rows.dtype)
    padded[:, : where.plane, : where.length] = rows.reshape(planes, where.plane, where.length)
    split = padded.reshape(planes, tall, where.height, wide, where.block)
    return split.transpose(0, 1, 3, 2, 4).reshape(-1, where.height * where.block)


def _unblocked(blocks: NDArray, where: Layout) -> NDArray:
    planes = where.rows // where.plane
    tall, wide = -(-where.plane // where.height), where.blocks
    split = blocks.reshape(planes, tall, wide, where.height, where.block).transpose(0, 1, 3, 2, 4)
    padded = split.reshape(planes, tall * where.height, wide * where.block)
    return padded[:, : where.plane, : where.length].reshape(where.rows, where.length)

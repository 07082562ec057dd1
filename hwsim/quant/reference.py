"""Every scheme written down once, slowly: one numpy float32 operation for each operation of its source, in its order.

This is the definition that the kernels must equal bit for bit. Nothing is fused, hoisted or replaced by an equivalent;
conversions to small formats are those of `hwsim.formats`. NaN and infinity follow the same operations, except that the
maxima are taken as the sources take them: CUDA's ``fmaxf`` ignores NaN (TransformerEngine, FlashInfer, and `exact`,
which shares their scales), ``torch.amax`` does not (all others).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.quant.layout import Layout, layout
from hwsim.quant.quantized import Quantized
from hwsim.quant.scheme import E8M0_RULES, FLOAT_RULES, Scheme

F = np.float32
FLT_MAX = F(np.finfo(np.float32).max)
BF16_MAX = formats.get("bf16").decode(np.uint16(0x7F7F))
NAN_IGNORING_RULES = ("te", "te_4over6", "te_fast", "flashinfer_exact", "flashinfer_fast", "exact")

Floats = NDArray[np.float32]
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
    A = maximum(a, axis=0, ignore_nan=False)[()] if amax is None else amax
    with np.errstate(all="ignore"):
        if scheme.scale_rule == "none":
            return Blocks(scheme.element_format.encode(x), np.empty(0, np.float32), F(1))
        if scheme.scale_rule == "te_4over6":
            return Blocks(*_four_over_six(x, valid, a, A, scheme), A)
        if scheme.scale_rule == "absmean":
            A = absolute_mean(x[valid])
            a = np.full(a.shape, A)
        scales, multiplier = block_scales(a, A, scheme)
        codes = _elements(x, multiplier[:, None], scales, A, scheme, random)
    return Blocks(codes, scales, A)


def maximum(x: Floats, axis: int, ignore_nan: bool) -> Floats:
    """The largest magnitude along `axis`, 0 of nothing; NaN is ignored as ``fmaxf`` does, or wins."""
    reduce = np.fmax.reduce if ignore_nan else np.maximum.reduce
    return np.asarray(reduce(np.abs(x), axis=axis, initial=F(0)), dtype=np.float32)


def absolute_mean(x: Floats) -> np.float32:
    """mean |x|, at least 1e-5 as BitNet's training code clamps it; summed in float64, rounded once."""
    with np.errstate(all="ignore"):
        mean = F(np.abs(x).sum(dtype=np.float64) / max(x.size, 1))
    return F(np.nan) if np.isnan(mean) else max(mean, F(1e-5))


def block_scales(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    """Stored scales (bytes, or float32), and the float32 that each element is multiplied with (divided by: `DIVIDING`)."""
    if scheme.scale_rule in FLOAT_RULES:
        return _float_scales(a, scheme)
    if scheme.scale_rule in E8M0_RULES:
        return _power_scales(a, scheme)
    return _MINIFLOAT[scheme.scale_rule](a, A, scheme)


DIVIDING = ("modelopt", "absmax")
"""Rules whose sources divide each element by its scale; a product with the reciprocal would round twice."""


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
    top = F(scheme.element_max / scheme.element_unit)
    v = np.where(np.isnan(v), v, np.clip(v, -top, top))
    codes = form.encode(v) if random is None else _stochastic(v, random, scheme)
    if rule == "torchao" and not form.is_integer:
        codes = np.where(np.isnan(v), torchao_nan_code(scheme), codes).astype(form.code_dtype)
    if rule == "vllm_ref":
        codes = np.where(v == 0, 0, codes).astype(form.code_dtype)  # torch.sign(-0.0) is 0
    return codes


def torchao_nan_code(scheme: Scheme) -> int:
    """What torchao's float32 -> E2M1 makes of a NaN, seen on x86: its exponent arithmetic wraps. The scale is NaN too."""
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
    q = np.minimum(np.floor(t / step) * step, F(scheme.element_max / scheme.element_unit))
    return form.encode(np.where(np.isnan(v), v, np.copysign(q, v)))


def _step(magnitude: Floats, scheme: Scheme) -> Floats:
    form = scheme.element_format
    if form.is_integer:
        return np.ones_like(magnitude)
    exponent = np.maximum(np.frexp(np.maximum(magnitude, F(form.min_normal)))[1] - 1, form.min_exponent)
    return np.ldexp(F(1), exponent - form.mantissa_bits).astype(np.float32)


def _exact_elements(x: Floats, scales: NDArray, A: np.float32, scheme: Scheme) -> Codes:
    """x S / s in exact rational arithmetic up to a sticky bit: float64 holds x S exactly, and its quotient by s, which has
    a short significand, cannot come closer to a tie than float64 resolves without being one."""
    S = np.float64(te_encode_scale(A, scheme, FLT_MAX))
    s = formats.get(str(scheme.scale_format)).decode(scales).astype(np.float64)[:, None]
    quotient = np.where(s == 0, np.where(np.isnan(x), x, np.copysign(F(0), x)), x.astype(np.float64) * S / s)
    nearest = quotient.astype(np.float32)
    # round to odd: float32 has more than two bits beyond any element, so the second rounding then sees the right side
    off = (nearest != quotient) & np.isfinite(quotient) & np.isfinite(nearest)
    odd = (nearest.view(np.uint32) & 1).astype(bool)
    toward = np.where(quotient > nearest, F(np.inf), F(-np.inf))
    return scheme.element_format.encode(np.where(off & ~odd, np.nextafter(nearest, toward), nearest))


# Scales in a small float format: NVFP4 and its relatives


def _stored(v: Floats, scheme: Scheme) -> tuple[NDArray[np.uint8], Floats]:
    form = formats.get(str(scheme.scale_format))
    codes = form.encode(v).astype(np.uint8)
    return codes, form.decode(codes)


def te_encode_scale(A: np.float32, scheme: Scheme, largest: np.float32) -> np.float32:
    if not scheme.tensor_scale:
        return F(1)
    S = np.minimum(F(scheme.product_max) / A, largest)
    return F(1) if A == 0 or S == 0 else F(S)


def decode_scale(A: np.float32, scheme: Scheme) -> np.float32:
    return F(A / F(scheme.product_max)) if scheme.tensor_scale else F(1)


def _te(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    S = te_encode_scale(A, scheme, FLT_MAX)
    codes, s = _stored(np.minimum(a * (S * (F(1) / F(scheme.element_max))), FLT_MAX), scheme)
    return codes, _te_multiplier(s, S)


def _te_multiplier(s: Floats, S: np.float32) -> Floats:
    return np.minimum(F(1) / (s * (F(1) / S)), FLT_MAX)


def _te_fast(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    S = te_encode_scale(A, scheme, F(BF16_MAX))
    codes, s = _stored(a * (S * (F(1) / F(scheme.element_max))), scheme)
    bf16 = formats.get("bf16")
    return codes, bf16.decode(bf16.encode(np.minimum(S / s, F(BF16_MAX))))


def _flashinfer_exact(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    S = te_encode_scale(A, scheme, FLT_MAX)
    codes, s = _stored(np.where(a == 0, F(0), a * (S * (F(1) / F(scheme.element_max)))), scheme)
    return codes, np.where(a == 0, F(0), _te_multiplier(s, S))


def _flashinfer_fast(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    table = scheme.reciprocals
    assert table is not None
    S = te_encode_scale(A, scheme, FLT_MAX)
    codes, s = _stored(S * (a * reciprocal_ftz(F(scheme.element_max), table)), scheme)
    inverse = reciprocal_ftz(_flushed(s * reciprocal_ftz(S, table)), table)
    return codes, np.where(a != 0, inverse, F(0))


def _flushed(x: Floats) -> Floats:
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, F(0), x).astype(np.float32)


def reciprocal_ftz(x: Floats | np.float32, table: Floats) -> Floats:
    """``rcp.approx.ftz.f32`` of a non-negative x from its table of 1/1.m: scaled by the exponent, subnormals flushed."""
    bits = np.asarray(x, dtype=np.float32).view(np.uint32)
    exponent, mantissa = (bits >> 23).astype(np.int64), bits & 0x7FFFFF
    normal = _flushed(np.ldexp(table[mantissa], 127 - exponent).astype(np.float32))
    special = np.where(exponent == 0, F(np.inf), np.where(mantissa == 0, F(0), F(np.nan)))
    return np.where((exponent == 0) | (exponent == 255), special, normal).astype(np.float32)


def _vllm_ref(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    S = te_encode_scale(A, scheme, FLT_MAX)
    codes, s = _stored(S * (a * (F(1) / F(scheme.element_max))), scheme)
    return codes, _reciprocal_or_zero(s * _reciprocal_or_zero(S))


def _reciprocal_or_zero(x: Floats | np.float32) -> Floats:
    return np.where(x == 0, F(0), F(1) / x).astype(np.float32)


def _torchao(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    form = formats.get(str(scheme.scale_format))
    P = decode_scale(A, scheme)
    v = (a / F(scheme.element_max)) / P if scheme.tensor_scale else a / F(scheme.element_max)
    v = np.maximum(v, F(form.min_normal))
    codes, s = _stored(np.minimum(v, F(form.max)), scheme)
    if scheme.tensor_scale and form.signed and (A == 0 or np.isinf(A)):
        codes = np.where(np.isnan(v), codes | 0x80, codes).astype(np.uint8)  # x86 makes 0/0 a negative NaN
    return codes, (F(1) / P) / s


def _modelopt(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    P = decode_scale(A, scheme)
    v = a / (F(scheme.element_max) * P)
    codes, s = _stored(np.where(v == 0, F(1), v), scheme)
    return codes, s * P


def _fp4atw(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    v = F(scheme.element_max) / (a / decode_scale(A, scheme))
    return _stored(np.where((v == 0) | np.isinf(v), F(1), v), scheme)


def _four_over_six(
    x: Floats, valid: NDArray[np.bool_], a: Floats, A: np.float32, scheme: Scheme
) -> tuple[Codes, NDArray]:
    """Both maps, the largest element onto 6 or onto 4; the second only where its error in the input's domain is smaller."""
    S = te_encode_scale(A, scheme, FLT_MAX)
    base = (a / F(scheme.element_max)) * S
    limit = F(formats.get(str(scheme.scale_format)).max)
    candidates = []
    for v in (base, base * F(1.5)):
        scales, s = _stored(np.minimum(v, limit), scheme)
        codes = _elements(x, _te_multiplier(s, S)[:, None], scales, A, scheme, None)
        q = scheme.element_format.decode(codes)
        value = ((q * s[:, None]) * A) / F(scheme.product_max) if scheme.tensor_scale else q * s[:, None]
        error = np.zeros(a.shape, np.float32)
        for column in range(x.shape[1]):
            error = np.where(valid[:, column], error + np.abs(value[:, column] - x[:, column]), error)
        candidates.append((codes, scales, error))
    (codes6, scales6, error6), (codes4, scales4, error4) = candidates
    four = error4 < error6
    return np.where(four[:, None], codes4, codes6), np.where(four, scales4, scales6)


_MINIFLOAT = {
    "te": _te,
    "te_fast": _te_fast,
    "flashinfer_exact": _flashinfer_exact,
    "flashinfer_fast": _flashinfer_fast,
    "vllm_ref": _vllm_ref,
    "torchao": _torchao,
    "modelopt": _modelopt,
    "fp4atw": _fp4atw,
    "exact": _te,
}


# Powers of two, and float32


def _power_scales(a: Floats, scheme: Scheme) -> tuple[NDArray, Floats]:
    """E8M0 by the bits of the block maximum. Zero gives code 0 (2^-127), NaN 255, whose values are all NaN."""
    form, rule = scheme.element_format, scheme.scale_rule
    bits = a.view(np.uint32).astype(np.int64)
    precision = form.mantissa_bits - form.is_integer
    largest = int(np.frexp(scheme.element_max)[1]) - 1  # emax of OCP 6.3
    if rule in ("rceil", "rceil_te"):
        codes = formats.get("e8m0").encode(a / F(scheme.element_max), "rp").astype(np.int64)
    elif rule == "even":
        codes = ((bits + (1 << (22 - precision))) >> 23) - largest
    elif rule == "ceil":
        codes = (bits >> 23) + ((bits & 0x7FFFFF) != 0) - largest
    else:
        codes = (bits >> 23) - largest
    codes = np.where(np.isnan(a), 255, np.clip(codes, 0, 254)).astype(np.int64)
    multiplier = np.ldexp(F(1), 127 - codes).astype(np.float32)
    if rule == "rceil_te":
        multiplier = np.where(codes == 0, F(1), multiplier)
    return codes.astype(np.uint8), np.where(codes == 255, F(np.nan), multiplier).astype(np.float32)


def _float_scales(a: Floats, scheme: Scheme) -> tuple[NDArray, Floats]:
    """``absmax``: a scale of a / largest code, 1 where that is 0. ``absmean``: the scale is the mean itself."""
    if scheme.scale_rule == "absmean":
        return a, F(1) / a
    s = a / F(scheme.element_max)
    s = np.where(s == 0, F(1), np.where(np.isnan(s), F(np.nan), s)).astype(np.float32)
    return s, s


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


def decode_factors(scales: NDArray, amax: np.float32, scheme: Scheme) -> Floats:
    """What the value of an element is multiplied with, one a block; the scale itself where the decode order starts with it."""
    A = F(amax)
    with np.errstate(all="ignore"):
        s = scales if scheme.scale_format == "fp32" else formats.get(str(scheme.scale_format)).decode(scales)
        if scheme.decode in ("scale", "fp4atw", "code_first") or not scheme.tensor_scale:
            return s
        if scheme.decode == "te":
            return (s * A) * (F(1) / F(scheme.product_max))
        if scheme.decode == "torchao":
            return s * decode_scale(A, scheme)
        return s / te_encode_scale(A, scheme, FLT_MAX)


def tensor_scale(amax: np.float32, scheme: Scheme) -> np.float32:
    """What stands above the block scales: value = code * scale * tensor_scale up to the decode order."""
    if not scheme.tensor_scale:
        return F(1)
    with np.errstate(all="ignore"):
        if scheme.decode == "te":
            return F(F(amax) * (F(1) / F(scheme.product_max)))
        if scheme.decode == "vllm":
            return F(F(1) / te_encode_scale(F(amax), scheme, FLT_MAX))
        return decode_scale(F(amax), scheme)


# Whole tensors


def quantize(
    x: Floats, scheme: Scheme, axis: int = -1, amax: np.float32 | None = None, random: Floats | None = None
) -> Quantized:
    """`hwsim.quant.quantize` by the functions above; `random` [rows, length] in the layout's order."""
    where = layout(x, scheme, axis)
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
    where = layout(np.empty(q.codes.shape, np.float32), q.scheme, q.axis)
    if q.scheme.scale_rule == "none":
        return q.scheme.element_format.decode(q.codes)
    codes = _blocked(where.to_rows(q.codes), where)
    values = decode_blocks(codes, flat_scales(q.scales, where, q.scheme), q.amax, q.scheme)
    return where.from_rows(_unblocked(values, where), q.codes.shape)


def _blocked(rows: NDArray, where: Layout) -> NDArray:
    """[blocks, elements] of a matrix [rows, length], padded with zeros; a square or a tensor becomes one long block."""
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


def scale_array(scales: NDArray, where: Layout, scheme: Scheme) -> NDArray:
    """Scales of all blocks, in the shape that `Quantized` documents."""
    if scheme.granularity == "tensor":
        return scales.reshape(-1)[:1].reshape(()) if scales.size else np.ones((), scales.dtype)
    if scheme.granularity == "block2d":
        return scales.reshape(*where.shape[:-2], -(-where.shape[-2] // where.height), where.blocks)
    return where.from_rows(scales.reshape(where.rows, where.blocks))


def flat_scales(scales: NDArray, where: Layout, scheme: Scheme) -> NDArray:
    """The inverse of `scale_array`: one scale a block."""
    if scheme.granularity in ("tensor", "block2d"):
        return scales.reshape(-1)
    return np.ascontiguousarray(np.moveaxis(scales, where.axis, -1)).reshape(-1)

"""Every scale rule written down once: one numpy float32 operation for each operation of its source, in its order.

What is said at `hwsim.quant.reference` holds here. A block's maximum is `a`, the tensor's `A`, the encode scale of
the tensor S = F / A, its decode scale P = A / F, with F the largest element times the largest scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.quant.scheme import E8M0_RULES, FLOAT_RULES, Scheme

F = np.float32
FLT_MAX = F(np.finfo(np.float32).max)
BF16_MAX = F(formats.get("bf16").decode(np.uint16(0x7F7F)))
NAN_IGNORING_RULES = ("te", "te_4over6", "te_fast", "flashinfer_exact", "flashinfer_fast", "exact")

Floats = NDArray[np.float32]


DIVIDING = ("modelopt", "absmax", "additions")
"""Rules whose sources divide each element by its scale; a product with the reciprocal would round twice."""


def maximum(x: Floats, axis: int, ignore_nan: bool) -> Floats:
    """The largest magnitude along `axis`, 0 of nothing; NaN is ignored as ``fmaxf`` does, or wins."""
    size = np.abs(x)
    if ignore_nan:  # not np.fmax, which lets a signalling NaN through
        size = np.where(np.isnan(size), F(0), size)
    return np.asarray(np.max(size, axis=axis, initial=F(0)), dtype=np.float32)


def absolute_mean(x: Floats) -> np.float32:
    """mean |x|, at least 1e-5 as BitNet's training code clamps it; summed in float64, rounded once."""
    with np.errstate(all="ignore"):
        mean = F(np.abs(x).sum(dtype=np.float64) / max(x.size, 1))
    return F(np.nan) if np.isnan(mean) else max(mean, F(1e-5))


def addition_steps(x: Floats, additions: float) -> Floats:
    """PANN's step of each row of x ``[rows, K]``, ``||x||_1 / (R K)``; summed in float64, rounded once."""
    with np.errstate(all="ignore"):
        mean = np.abs(x).astype(np.float64).mean(axis=1) if x.shape[1] else np.zeros(len(x))
        return np.asarray(mean / additions, dtype=np.float32)


def block_scales(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    """Stored scales (bytes, or float32), and the float32 that each element is multiplied with (divided by:
    `DIVIDING`)."""
    if scheme.scale_rule in FLOAT_RULES:
        return _float_scales(a, scheme)
    if scheme.scale_rule in E8M0_RULES:
        return _power_scales(a, scheme)
    return _MINIFLOAT[scheme.scale_rule](a, A, scheme)


# Scales in a small float format: NVFP4 and its relatives


def stored(v: Floats, scheme: Scheme) -> tuple[NDArray[np.uint8], Floats]:
    """Bytes and values of non-negative scales in the scheme's scale format, to nearest even, saturating."""
    form = formats.get(str(scheme.scale_format))
    codes = form.encode(v).astype(np.uint8)
    return codes, form.decode(codes)


def te_encode_scale(A: np.float32, scheme: Scheme, largest: np.float32) -> np.float32:
    """S, at most `largest`; 1 where A is zero or infinite, and without a tensor scale."""
    if not scheme.tensor_scale:
        return F(1)
    S = np.minimum(F(scheme.product_max) / A, largest)
    return F(1) if A == 0 or S == 0 else F(S)


def decode_scale(A: np.float32, scheme: Scheme) -> np.float32:
    """P; 1 without a tensor scale."""
    return F(A / F(scheme.product_max)) if scheme.tensor_scale else F(1)


def _te(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    S = te_encode_scale(A, scheme, FLT_MAX)
    codes, s = stored(np.minimum(a * (S * (F(1) / F(scheme.element_max))), FLT_MAX), scheme)
    return codes, te_multiplier(s, S)


def te_multiplier(s: Floats, S: np.float32) -> Floats:
    """What TransformerEngine multiplies an element with; FLT_MAX where the scale is zero."""
    return np.asarray(np.minimum(F(1) / (s * (F(1) / S)), FLT_MAX), dtype=np.float32)


def _te_fast(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    S = te_encode_scale(A, scheme, BF16_MAX)
    codes, s = stored(a * (S * (F(1) / F(scheme.element_max))), scheme)
    bf16 = formats.get("bf16")
    return codes, bf16.decode(bf16.encode(np.minimum(S / s, BF16_MAX)))


def _flashinfer_exact(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    S = te_encode_scale(A, scheme, FLT_MAX)
    codes, s = stored(np.where(a == 0, F(0), a * (S * (F(1) / F(scheme.element_max)))), scheme)
    return codes, np.where(a == 0, F(0), te_multiplier(s, S))


def _flashinfer_fast(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    table = scheme.reciprocals
    assert table is not None
    S = te_encode_scale(A, scheme, FLT_MAX)
    codes, s = stored(S * (a * reciprocal_ftz(F(scheme.element_max), table)), scheme)
    inverse = reciprocal_ftz(_flushed(s * reciprocal_ftz(S, table)), table)
    return codes, np.where(a != 0, inverse, F(0))


def _flushed(x: Floats) -> Floats:
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, F(0), x).astype(np.float32)


def reciprocal_ftz(x: Floats | np.float32, table: Floats) -> Floats:
    """``rcp.approx.ftz.f32`` of a non-negative x from its table of 1/1.m: scaled by the exponent, subnormals
    flushed."""
    bits = np.asarray(x, dtype=np.float32).view(np.uint32)
    exponent, mantissa = (bits >> 23).astype(np.int64), bits & 0x7FFFFF
    normal = _flushed(np.ldexp(table[mantissa], 127 - exponent).astype(np.float32))
    special = np.where(exponent == 0, F(np.inf), np.where(mantissa == 0, F(0), F(np.nan)))
    return np.where((exponent == 0) | (exponent == 255), special, normal).astype(np.float32)


def _vllm_ref(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    S = te_encode_scale(A, scheme, FLT_MAX)
    codes, s = stored(S * (a * (F(1) / F(scheme.element_max))), scheme)
    return codes, _reciprocal_or_zero(s * _reciprocal_or_zero(S))


def _reciprocal_or_zero(x: Floats | np.float32) -> Floats:
    return np.where(x == 0, F(0), F(1) / x).astype(np.float32)


def _torchao(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    form = formats.get(str(scheme.scale_format))
    P = decode_scale(A, scheme)
    v = (a / F(scheme.element_max)) / P if scheme.tensor_scale else a / F(scheme.element_max)
    v = np.maximum(v, F(form.min_normal))
    codes, s = stored(np.minimum(v, F(form.max)), scheme)
    if scheme.tensor_scale and form.signed and (A == 0 or np.isinf(A)):
        codes = np.where(np.isnan(v), codes | 0x80, codes).astype(np.uint8)  # x86 makes 0/0 a negative NaN
    return codes, (F(1) / P) / s


def _modelopt(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    P = decode_scale(A, scheme)
    v = a / (F(scheme.element_max) * P)
    codes, s = stored(np.where(v == 0, F(1), v), scheme)
    return codes, s * P


def _fp4atw(a: Floats, A: np.float32, scheme: Scheme) -> tuple[NDArray, Floats]:
    v = F(scheme.element_max) / (a / decode_scale(A, scheme))
    return stored(np.where((v == 0) | np.isinf(v), F(1), v), scheme)


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
    """``absmax``: a scale of a / largest code, 1 where that is 0. ``absmean``: the scale is the mean itself.
    ``additions``: `a` is the step already."""
    if scheme.scale_rule == "absmean":
        return a, F(1) / a
    s = a if scheme.scale_rule == "additions" else a / F(scheme.element_max)
    s = np.where(s == 0, F(1), np.where(np.isnan(s), F(np.nan), s)).astype(np.float32)
    return s, s


# Back to numbers


def decode_factors(scales: NDArray, amax: np.float32, scheme: Scheme) -> Floats:
    """What the value of an element is multiplied with, one a block; the scale itself where the decode order starts
    with it."""
    A = F(amax)
    with np.errstate(all="ignore"):
        s: Floats = scales if scheme.scale_format == "fp32" else formats.get(str(scheme.scale_format)).decode(scales)
        if scheme.decode in ("scale", "fp4atw", "code_first") or not scheme.tensor_scale:
            return s
        if scheme.decode == "te":
            return (s * A) * (F(1) / F(scheme.product_max))
        if scheme.decode == "torchao":
            return s * decode_scale(A, scheme)
        return np.asarray(s / te_encode_scale(A, scheme, FLT_MAX), dtype=np.float32)


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

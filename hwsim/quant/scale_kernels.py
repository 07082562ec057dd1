"""Kernels for scales: block maxima, and every scale rule as one loop over the blocks of a row.

The operations are those of `hwsim.quant.reference`, in its order. Maxima are taken on bits, as integers: exact, and
fast without permission to reorder float operations. A rule is a number here so that all rules are compiled once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim import formats
from hwsim.jit import njit
from hwsim.quant import reference_scales
from hwsim.quant.bits import (
    INF,
    MAGNITUDE,
    NAN,
    ZERO,
    Grid,
    U,
    bits_of,
    coded,
    float_of,
    rounded,
)
from hwsim.quant.lanes import LANES, largest_of_16
from hwsim.quant.scheme import Scheme

F = np.float32
ONE, THREE_HALVES = F(1), F(1.5)
FLT_MAX = reference_scales.FLT_MAX
BF16_MAX = reference_scales.BF16_MAX

(
    TE,
    TE_FAST,
    FLASHINFER,
    VLLM,
    TORCHAO,
    MODELOPT,
    FP4ATW,
    EXACT,
    FLOOR,
    CEIL,
    EVEN,
    RCEIL,
    RCEIL_TE,
    ABSMAX,
    ABSMEAN,
    FOUR_OVER_SIX,
) = range(16)
RULES = {
    "te": TE,
    "te_4over6": FOUR_OVER_SIX,
    "te_fast": TE_FAST,
    "flashinfer_exact": FLASHINFER,
    "vllm_ref": VLLM,
    "torchao": TORCHAO,
    "modelopt": MODELOPT,
    "fp4atw": FP4ATW,
    "exact": EXACT,
    "floor": FLOOR,
    "ceil": CEIL,
    "even": EVEN,
    "rceil": RCEIL,
    "rceil_te": RCEIL_TE,
    "absmax": ABSMAX,
    "absmean": ABSMEAN,
    "additions": ABSMAX,  # the maximum is the step already, so that `top` is 1
}

# How a block scale becomes the factor of an element's value
TIMES_ONE, TIMES_AMAX, TIMES_P, OVER_S = range(4)


class ScaleConstants:
    """What `scale_row` needs to know of a scheme and of a tensor whose largest magnitude is `amax`."""

    def __init__(self, scheme: Scheme, amax: np.float32) -> None:
        with np.errstate(all="ignore"):
            largest = BF16_MAX if scheme.scale_rule == "te_fast" else FLT_MAX
            S = reference_scales.te_encode_scale(amax, scheme, largest)
            top = F(scheme.element_max if scheme.additions is None else 1)
            product = F(scheme.product_max)
            P = reference_scales.decode_scale(amax, scheme)
            small, nan, grid = F(0), 0, Grid(3, -6, 448.0)
            if scheme.scale_format not in ("fp32", "e8m0"):
                form = formats.get(str(scheme.scale_format))
                grid = Grid(form.mantissa_bits, form.min_exponent, form.max)
                small, nan = F(form.min_normal), form.nan_magnitude or 0
                if (
                    scheme.scale_rule == "torchao"
                    and scheme.tensor_scale
                    and form.signed
                    and (amax == 0 or np.isinf(amax))
                ):
                    nan |= 0x80
            weigh = (amax, product) if scheme.tensor_scale else (ONE, ONE)  # of an error in four-over-six
            self.floats = np.array([S, P, top, ONE / top, amax, ONE / product, small, *weigh], dtype=np.float32)
        emax = int(np.frexp(scheme.element_max)[1]) - 1
        half = 1 << (22 - (scheme.element_format.mantissa_bits - scheme.element_format.is_integer))
        self.words = np.array(
            [grid.top, grid.low, grid.offset, grid.shift, grid.base, nan, emax, half], dtype=np.uint32
        )
        self.rule = RULES[scheme.scale_rule]
        self.factor = TIMES_ONE
        if scheme.tensor_scale:
            self.factor = {"te": TIMES_AMAX, "torchao": TIMES_P, "vllm": OVER_S}.get(scheme.decode, TIMES_ONE)


@njit(error_model="numpy")
def maxima_row(row: Any, block: int, ceiling: Any, maxima: Any) -> None:
    """The bits of the largest magnitude of each block of a row, uint32; words above `ceiling` count as 0."""
    length = row.size
    for at in range(maxima.size):
        first = at * block
        last = min(first + block, length)
        best = ZERO
        place = first
        while place + LANES <= last:
            found = largest_of_16(row, place, ceiling)
            best = found if found > best else best
            place += LANES
        while place < last:
            found = U(row[place] & MAGNITUDE)
            found = found if found <= ceiling else ZERO
            best = found if found > best else best
            place += 1
        maxima[at] = best


@njit(error_model="numpy")
def maxima_rows(start: int, stop: int, bits: Any, block: int, ceiling: Any, maxima: Any) -> None:
    """`maxima_row` of rows [rows, length] into [rows, blocks]."""
    for row in range(start, stop):
        maxima_row(bits[row], block, ceiling, maxima[row])


@njit(inline="always")
def _stored(v: Any, top: Any, low: Any, offset: Any, shift: Any, base: Any, nan: Any) -> Any:
    """A non-negative float32 in the scale format: its value and its code."""
    bits = bits_of(v)
    value = rounded(bits if bits < top else top, low, offset)
    code = coded(value, low, shift, base)
    lost = bits > INF
    return (NAN if lost else value), (nan if lost else code)


@njit(inline="always")
def te_multiplier(s: Any, s_decode: Any) -> Any:
    """What elements of a block with scale s are multiplied with, by rule ``te``."""
    inverse = ONE / (s * s_decode)
    return inverse if inverse < FLT_MAX else FLT_MAX


@njit(inline="always")
def _or_zero(x: Any) -> Any:
    return F(0) if x == F(0) else ONE / x


@njit(error_model="numpy")
def scale_row(
    rule: int,
    factor: int,
    floats: Any,
    words: Any,
    maxima: Any,
    codes: Any,
    scales: Any,
    multiplier: Any,
    decode: Any,
) -> None:
    """Scales of a row of blocks.

    Args:
        rule: one of `RULES`, but `FOUR_OVER_SIX`, which looks at elements (`choice_kernels`).
        factor: how a scale becomes the factor of a value.
        floats, words: `ScaleConstants`.
        maxima: uint32 [blocks], bits.
        codes: uint8 [blocks], written: the stored byte; nothing for float32 scales.
        scales: float32 [blocks], written: the value of the stored scale.
        multiplier: float32 [blocks], written: what elements are multiplied with (divided by for
            `reference_scales.DIVIDING`; for `EXACT` the scale itself).
        decode: float32 [blocks], written: what an element's value is multiplied with.
    """
    S, P, top, top_inverse, small = floats[0], floats[1], floats[2], floats[3], floats[6]
    big, low, offset, shift, base, nan = words[0], words[1], words[2], words[3], words[4], words[5]
    count = maxima.size
    if rule in (TE, EXACT, FLASHINFER):
        m, s_decode = S * top_inverse, ONE / S
        for at in range(count):
            v = float_of(maxima[at]) * m
            s, code = _stored(v if v < FLT_MAX else FLT_MAX, big, low, offset, shift, base, nan)
            codes[at] = code
            scales[at] = s
            multiplier[at] = s if rule == EXACT else te_multiplier(s, s_decode)
        if rule == FLASHINFER:
            for at in range(count):
                multiplier[at] = F(0) if maxima[at] == ZERO else multiplier[at]
    elif rule == TE_FAST:
        m = S * top_inverse
        for at in range(count):
            s, code = _stored(float_of(maxima[at]) * m, big, low, offset, shift, base, nan)
            codes[at] = code
            scales[at] = s
            inverse = S / s
            bits = bits_of(inverse if inverse < BF16_MAX else BF16_MAX)
            multiplier[at] = float_of(U(U(bits + U(0x7FFF) + (U(bits >> U(16)) & U(1))) & U(0xFFFF0000)))
    elif rule == VLLM:
        s_decode = _or_zero(S)
        for at in range(count):
            s, code = _stored(S * (float_of(maxima[at]) * top_inverse), big, low, offset, shift, base, nan)
            codes[at] = code
            scales[at] = s
            multiplier[at] = _or_zero(s * s_decode)
    elif rule == TORCHAO:
        inverse = ONE / P
        for at in range(count):
            v = (float_of(maxima[at]) / top) / P
            s, code = _stored(small if v < small else v, big, low, offset, shift, base, nan)
            codes[at] = code
            scales[at] = s
            multiplier[at] = inverse / s
    elif rule == MODELOPT:
        m = top * P
        for at in range(count):
            v = float_of(maxima[at]) / m
            s, code = _stored(ONE if v == F(0) else v, big, low, offset, shift, base, nan)
            codes[at] = code
            scales[at] = s
            multiplier[at] = s * P
    elif rule == FP4ATW:
        for at in range(count):
            v = top / (float_of(maxima[at]) / P)
            s, code = _stored(ONE if v == F(0) or v == F(np.inf) else v, big, low, offset, shift, base, nan)
            codes[at] = code
            scales[at] = s
            multiplier[at] = s
    elif rule in (ABSMAX, ABSMEAN):
        for at in range(count):
            a = float_of(maxima[at])
            s = a if rule == ABSMEAN else a / top
            s = ONE if s == F(0) else NAN if s != s else s
            scales[at] = s
            multiplier[at] = ONE / s if rule == ABSMEAN else s
    else:
        _power_row(rule, top, words, maxima, codes, scales, multiplier)
    decode_row(factor, floats, scales, decode)


@njit(inline="always")
def decode_row(factor: int, floats: Any, scales: Any, decode: Any) -> None:
    """What the values of elements are multiplied with, from the block scales of a row."""
    S, P, amax, product_inverse = floats[0], floats[1], floats[4], floats[5]
    for at in range(scales.size):
        s = scales[at]
        if factor == TIMES_AMAX:
            s = (s * amax) * product_inverse
        elif factor == TIMES_P:
            s = s * P
        elif factor == OVER_S:
            s = s / S
        decode[at] = s


@njit(error_model="numpy")
def _power_row(rule: int, top: Any, words: Any, maxima: Any, codes: Any, scales: Any, multiplier: Any) -> None:
    emax, half = np.int32(words[6]), words[7]
    for at in range(maxima.size):
        bits = maxima[at]
        if rule == FLOOR:
            code = np.int32(bits >> U(23)) - emax
        elif rule == CEIL:
            code = np.int32(bits >> U(23)) + np.int32((bits & U(0x7FFFFF)) != ZERO) - emax
        elif rule == EVEN:
            code = np.int32(U(bits + half) >> U(23)) - emax
        else:
            quotient = bits_of(float_of(bits) / top)
            code = np.int32(quotient >> U(23)) + np.int32((quotient & U(0x7FFFFF)) != ZERO)
            code = np.int32(quotient > U(0x400000)) if quotient < U(0x800000) else code  # 2^-127 is code 0
        code = np.int32(0) if code < 0 else np.int32(254) if code > 254 else code
        lost = bits > INF
        exponent = U(code)
        scale = float_of(U(0x400000) if exponent == ZERO else U(exponent << U(23)))
        inverse = float_of(U(0x400000) if exponent == U(254) else U(U(U(254) - exponent) << U(23)))
        if rule == RCEIL_TE:
            inverse = ONE if exponent == ZERO else inverse
        codes[at] = U(255) if lost else exponent
        scales[at] = NAN if lost else scale
        multiplier[at] = NAN if lost else inverse


@njit(error_model="numpy")
def scale_rows(
    start: int,
    stop: int,
    rule: int,
    factor: int,
    floats: Any,
    words: Any,
    maxima: Any,
    codes: Any,
    scales: Any,
    multiplier: Any,
    decode: Any,
) -> None:
    """`scale_row` of rows [rows, blocks]."""
    for row in range(start, stop):
        scale_row(rule, factor, floats, words, maxima[row], codes[row], scales[row], multiplier[row], decode[row])

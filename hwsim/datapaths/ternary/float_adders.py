"""Compiled adders of ternary lookup-table units with FP16 or BF16 activations; `reference` is their definition.

Numbers are float32 that hold 16-bit values. An addition is the float32 sum rounded to `precision` bits: float32 has
24 >= 2 p + 2 significant bits for p = 11 and 8, so rounding twice equals rounding once (Figueroa, 1995). A sum below
the least normal number is a multiple of the least subnormal with fewer than p bits, hence exact, and rounding to p
bits leaves it alone. Rounding works on the bits of the sum: FP16 differs from float32 in range only at the top, where
a rounded sum of 65536 becomes infinite.

The ``kul`` adder equals this one except where `kul_may_differ` says so; there an integer transcription decides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.jit import njit


@njit(inline="always")
def rounded(total: np.float32, dropped: np.uint32) -> Any:
    """Nearest float32 whose low `dropped` mantissa bits are zero, ties to even; with 13 dropped, FP16's range."""
    # each step is cast back to 32 bits, as the compiler would widen the lanes to 64
    bits = np.float32(total).view(np.uint32)
    step = np.uint32(np.uint32(1) << dropped)
    odd = np.uint32(np.uint32(bits >> dropped) & np.uint32(1))
    half = np.uint32((step >> np.uint32(1)) - np.uint32(1))
    magnitude = np.uint32(np.uint32(bits & np.uint32(0x7FFFFFFF)) + np.uint32(half + odd))
    magnitude = np.uint32(magnitude & np.uint32(~np.uint32(step - np.uint32(1))))
    limit = np.uint32(0x47800000) if dropped == np.uint32(13) else np.uint32(0x7F800000)
    over = (magnitude >= limit) & (magnitude < np.uint32(0x7F800000))
    magnitude = np.uint32(0x7F800000) if over else magnitude
    return np.uint32(np.uint32(bits & np.uint32(0x80000000)) | magnitude).view(np.float32)


@njit(inline="always")
def kul_may_differ(a: np.float32, b: np.float32, dropped: np.uint32) -> Any:
    """Whether the kul adder can differ from IEEE: zero operand or result, subnormal first operand, far exponents."""
    bits_a = np.float32(a).view(np.uint32)
    bits_b = np.float32(b).view(np.uint32)
    field_a = np.int32(np.uint32(bits_a << np.uint32(1)) >> np.uint32(24))
    field_b = np.int32(np.uint32(bits_b << np.uint32(1)) >> np.uint32(24))
    least = np.int32(113) if dropped == np.uint32(13) else np.int32(1)
    gap = np.int32(field_a - field_b)
    reach = np.int32(np.int32(25) - np.int32(dropped))
    far = (gap > reach) | (gap < np.int32(-reach))
    opposite = np.uint32(bits_a ^ bits_b) >= np.uint32(0x80000000)
    nonzero = (a != np.float32(0)) & (b != np.float32(0))
    return (a + b == np.float32(0)) | (nonzero & ((field_a < least) | (far & opposite)))


@njit
def kul_add(a: int, b: int, exponent_bits: int, mantissa_bits: int) -> int:
    """Code of a + b for two codes, as the signals of the adder compute it."""
    precision = mantissa_bits + 1
    fields = (1 << exponent_bits) - 1
    sign_a, sign_b = a >> 15, b >> 15
    field_a, field_b = a >> mantissa_bits & fields, b >> mantissa_bits & fields
    mant_a, mant_b = a & ((1 << mantissa_bits) - 1), b & ((1 << mantissa_bits) - 1)
    infinity = fields << mantissa_bits
    if a & 0x7FFF > infinity or b & 0x7FFF > infinity:
        return infinity | 1 << (mantissa_bits - 1)
    if a & 0x7FFF == infinity or b & 0x7FFF == infinity:
        if a & b & 0x7FFF == infinity and sign_a != sign_b:
            return infinity | 1 << (mantissa_bits - 1)
        return a if a & 0x7FFF == infinity else b
    zero_a, zero_b = a & 0x7FFF == 0, b & 0x7FFF == 0
    if zero_a and zero_b:
        return 0
    difference = 0 if zero_a or zero_b else max(field_a, 1) - max(field_b, 1)
    tentative = field_b if difference < 0 or zero_a else field_a
    if field_a:
        mant_a |= 1 << mantissa_bits
    if field_b:
        mant_b |= 1 << mantissa_bits
    addend_a = mant_a << (precision + 1) >> min(max(-difference, 0), precision + 1)
    addend_b = mant_b << (precision + 1) >> min(max(difference, 0), precision + 1)
    subtract = sign_a != sign_b
    total = abs(addend_a - addend_b) if subtract else addend_a + addend_b
    first_larger = difference > 0 or (difference == 0 and mant_a > mant_b)
    sign = sign_a if not subtract or first_larger else sign_b
    width = 2 * precision + 2
    zeros = width
    rest = total
    while rest:
        rest >>= 1
        zeros -= 1
    if total and tentative - zeros + 1 > 0:
        exponent, shift = tentative - zeros + 1, zeros
    else:
        exponent, shift = 0, max(tentative, 1)
    total = (total << shift) & ((1 << width) - 1)
    rest = total & ((1 << (precision + 2)) - 1)  # the round bit and all below it
    code = exponent << mantissa_bits | total >> (precision + 2) & ((1 << mantissa_bits) - 1)
    if exponent >= fields:
        code = infinity
    elif rest > 1 << (precision + 1) or (rest == 1 << (precision + 1) and code & 1):
        code += 1
    return sign << 15 | code


@njit
def kul_add_values(a: np.float32, b: np.float32, dropped: np.uint32) -> Any:
    """`kul_add` on values."""
    if dropped == np.uint32(16):
        return _bf16_value(kul_add(_bf16_code(a), _bf16_code(b), 8, 7))
    return _fp16_value(kul_add(_fp16_code(a), _fp16_code(b), 5, 10))


@njit
def _bf16_code(value: np.float32) -> Any:
    return np.int64(np.float32(value).view(np.uint32) >> np.uint32(16))


@njit
def _bf16_value(code: int) -> Any:
    return np.uint32(np.uint32(code) << np.uint32(16)).view(np.float32)


@njit
def _fp16_code(value: np.float32) -> Any:
    bits = np.int64(np.float32(value).view(np.uint32))
    sign, field, mantissa = bits >> 31, bits >> 23 & 255, bits & 0x7FFFFF
    if field == 255:
        return sign << 15 | 0x7C00 | mantissa >> 13
    if field > 112:
        return sign << 15 | (field - 112) << 10 | mantissa >> 13
    if field == 0:
        return sign << 15
    return sign << 15 | (mantissa | 0x800000) >> (126 - field)


@njit
def _fp16_value(code: int) -> Any:
    field, mantissa = code >> 10 & 31, code & 1023
    if field == 31:
        bits = 0x7F800000 | mantissa << 13
    elif field:
        bits = (field + 112) << 23 | mantissa << 13
    else:
        sign = np.float32(-1) if code >> 15 else np.float32(1)
        return sign * np.float32(mantissa) * np.float32(2.0**-24)
    return np.uint32(bits | (code >> 15) << 31).view(np.float32)


@njit
def added(a: np.float32, b: np.float32, dropped: int, kul: bool) -> Any:
    """a + b by either adder."""
    if kul:
        return kul_add_values(a, b, np.uint32(dropped))
    return rounded(np.float32(a + b), np.uint32(dropped))

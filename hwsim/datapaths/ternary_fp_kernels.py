"""Compiled tables, fetches and sums of ternary lookup-table units with FP16 or BF16 activations.

Numbers are float32 that hold 16-bit values. An addition is the float32 sum rounded to `precision` bits: float32 has
24 >= 2 p + 2 significant bits for p = 11 and 8, so rounding twice equals rounding once (Figueroa, 1995). A sum below
the least normal number is a multiple of the least subnormal with fewer than p bits, hence exact, and rounding to p
bits leaves it alone. Rounding works on the bits of the sum: FP16 differs from float32 in range only at the top, where
a rounded sum of 65536 becomes infinite.

The ``kul`` adder equals this one except where `_kul_may_differ` says so; there an integer transcription decides.

Rows of activations run in lanes: one fetch reads the entries of all of them, so no lane gathers. Calls cost about
40 ns, hence lanes by the hundred.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.jit import njit


@njit(inline="always")
def _rounded(total: np.float32, dropped: np.uint32) -> Any:
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
def _kul_may_differ(a: np.float32, b: np.float32, dropped: np.uint32) -> Any:
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
def _kul_add_values(a: np.float32, b: np.float32, dropped: np.uint32) -> Any:
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
def _sum_lanes(
    out: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32], dropped: np.uint32, kul: bool
) -> None:
    """out = a + b in every lane; out is neither a nor b, so that lanes run side by side."""
    for r in range(a.size):
        out[r] = _rounded(np.float32(a[r] + b[r]), dropped)
    if kul:
        doubtful = np.int32(0)
        for r in range(a.size):
            doubtful = np.int32(doubtful + np.int32(_kul_may_differ(a[r], b[r], dropped)))
        if doubtful:
            for r in range(a.size):
                if _kul_may_differ(a[r], b[r], dropped):
                    out[r] = _kul_add_values(a[r], b[r], dropped)


@njit
def _copy_lanes(out: NDArray[np.float32], a: NDArray[np.float32], sign: np.float32) -> None:
    for r in range(a.size):
        out[r] = sign * a[r]


@njit
def add_rows(
    start: int,
    stop: int,
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    out: NDArray[np.float32],
    dropped: int,
    kul: bool,
) -> None:
    """out = a + b, rows start..stop."""
    for i in range(start, stop):
        _sum_lanes(out[i], a[i], b[i], np.uint32(dropped), kul)


@njit
def lut_rows(
    start: int,
    stop: int,
    x: NDArray[np.float32],
    adders: NDArray[np.int32],
    fetches: NDArray[np.int32],
    out: NDArray[np.float32],
    luts: int,
    dropped: int,
    kul: bool,
    through: bool,
) -> None:
    """Blocks start..stop of rows through the unit; a block's rows are lanes that follow the same keys.

    Args:
        x: ``[blocks, groups, group, lanes]``; groups is a multiple of `luts`.
        adders: ``[adders, 4]``: sum, first operand, second operand, whether it is subtracted, as register numbers.
            Register 0 is zero, 1..group are the activations, the others are sums in order.
        fetches: ``[groups, N]``: the register that each key reads; those past all sums are the negated registers.
        out: ``[blocks, N, lanes]``: what the accumulators start from, then the results.
        through: write the sum of the only step without an addition.
    """
    groups, columns = fetches.shape
    group, lanes = x.shape[2:]
    half = 1 + group + len(adders)
    low = np.uint32(dropped)
    registers = np.zeros((luts, 2 * half, lanes), np.float32)
    total = np.empty(lanes, np.float32)
    chain = np.empty(lanes, np.float32)
    for block in range(start, stop):
        for first in range(0, groups, luts):
            for j in range(luts):
                file = registers[j]
                for i in range(group):
                    _copy_lanes(file[1 + i], x[block, first + j, i], np.float32(1))
                    _copy_lanes(file[half + 1 + i], x[block, first + j, i], np.float32(-1))
                for i in range(len(adders)):
                    second = adders[i, 2] + half if adders[i, 3] else adders[i, 2]
                    _sum_lanes(file[adders[i, 0]], file[adders[i, 1]], file[second], low, kul)
                    _copy_lanes(file[half + adders[i, 0]], file[adders[i, 0]], np.float32(-1))
                _copy_lanes(file[half], file[0], np.float32(-1))
            for n in range(columns):
                _copy_lanes(chain, registers[0, fetches[first, n]], np.float32(1))
                for j in range(1, luts):
                    _sum_lanes(total, registers[j, fetches[first + j, n]], chain, low, kul)
                    _copy_lanes(chain, total, np.float32(1))
                if not through:
                    _sum_lanes(total, out[block, n], chain, low, kul)
                    _copy_lanes(chain, total, np.float32(1))
                _copy_lanes(out[block, n], chain, np.float32(1))


@njit
def lut_dots(
    start: int,
    stop: int,
    x: NDArray[np.float32],
    weights: NDArray[np.int8],
    flipped: NDArray[np.uint8],
    out: NDArray[np.float32],
    luts: int,
    dropped: int,
    kul: bool,
    through: bool,
) -> None:
    """Dot products start..stop, each through its own entries: x, weights ``[dots, groups, group]``, out ``[dots]``.

    `weights` are those of the entry that is read, `flipped` ``[dots, groups]`` says where it is negated after.
    """
    group = x.shape[2]
    for d in range(start, stop):
        for first in range(0, x.shape[1], luts):
            chain = np.float32(0)
            for j in range(luts):
                entry = _entry(x[d, first + j], weights[d, first + j], group, dropped, kul)
                entry = -entry if flipped[d, first + j] else entry
                chain = _sum(entry, chain, dropped, kul) if j else entry
            out[d] = chain if through else _sum(out[d], chain, dropped, kul)


@njit
def _entry(x: NDArray[np.float32], w: NDArray[np.int8], group: int, dropped: int, kul: bool) -> Any:
    head = np.float32(0)
    if group > 1 and w[0] and w[1]:
        head = _sum(x[0], np.float32(w[1]) * x[1], dropped, kul)
    elif w[0]:
        head = x[0]
    elif group > 1 and w[1]:
        head = x[1]
    if group < 3:
        return head
    tail = np.float32(0)
    for i in range(group - 1, 1, -1):
        if w[i]:
            tail = _sum(tail, np.float32(w[i]) * x[i], dropped, kul)
    return _sum(head, tail, dropped, kul) if w[0] or w[1] else tail


@njit
def _sum(a: np.float32, b: np.float32, dropped: int, kul: bool) -> Any:
    if kul:
        return _kul_add_values(a, b, np.uint32(dropped))
    return _rounded(np.float32(a + b), np.uint32(dropped))

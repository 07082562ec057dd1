"""Words to float32 and back for whole arrays, from float64 too, by integer arithmetic on bits.

No floating-point operation decides a bit here, so the result does not depend on the processor's rounding mode or on
flushing of subnormals. Encoding works on pieces that stay in the cache. The definition that it must equal is
`hwsim.formats.reference`.

Into a narrow format the upper half of a float32 word decides, with one bit that says whether the lower half is zero:
the seven mantissa bits of the upper half hold every kept bit and the one that rounds. So deterministic encoding is a
table of 2^17 codes, filled once by the general arithmetic.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.formats.facts import ROUNDINGS, Facts
from hwsim.formats.inputs import singles_or_doubles

PIECE = 1 << 14
"""Elements encoded at a time: some ten int64 temporaries of a piece fit a second-level cache."""

_Words = tuple[int, int]
SINGLE: _Words = (23, 127)
DOUBLE: _Words = (52, 1023)
"""Bits of the mantissa and bias of float32 and float64."""

_NAN = 0x7FC00000
_INF = 0x7F800000


def decode(form: Facts, codes: ArrayLike) -> NDArray[np.float32]:
    """See `Format.decode`."""
    words = np.asarray(codes)
    if words.dtype.kind not in "iu":
        raise ArgumentError("codes must be unsigned integers", got=words.dtype.name, where=form.name)
    if words.size and (int(words.max()) >= form.code_count or (words.dtype.kind == "i" and int(words.min()) < 0)):
        wrong = words.ravel()[np.argmax((words.ravel() < 0) | (words.ravel() >= form.code_count))]
        raise ArgumentError(f"codes must lie in 0..{form.code_count - 1}", got=int(wrong), where=form.name)
    if form.code_count <= 1 << 16:
        return np.asarray(values(form)[words], dtype=np.float32)
    return decode_words(form, words.astype(np.int64))


@cache
def values(form: Facts) -> NDArray[np.float32]:
    """See `Format.values`."""
    table = decode_words(form, np.arange(form.code_count, dtype=np.int64))
    table.flags.writeable = False
    return table


def decode_words(form: Facts, words: NDArray[np.int64]) -> NDArray[np.float32]:
    """`decode` without a table and without checks."""
    if form.is_integer:
        sign = 1 << form.mantissa_bits
        return ((words ^ sign) - sign).astype(np.float32)
    width, mantissa_bits = form.exponent_bits + form.mantissa_bits, form.mantissa_bits
    fields = words >> form.padding_bits
    magnitude = fields & ((1 << width) - 1)
    negative = (fields >> width) & 1 if form.sign == "magnitude" else np.zeros_like(words)
    exponent, mantissa = magnitude >> mantissa_bits, magnitude & ((1 << mantissa_bits) - 1)
    # Into float32 fields: a normal number keeps its mantissa, a subnormal one is normalised if float32 has room.
    leading = np.zeros_like(mantissa)
    for bit in range(mantissa_bits):
        leading = np.where(
            mantissa >> bit != 0, mantissa_bits - bit, leading
        )  # distance of the top one from the point
    subnormal = (exponent == 0) if form.zero else np.zeros(words.shape, dtype=bool)
    scale = np.where(subnormal, form.min_exponent - leading, exponent - form.bias)
    significand = np.where(subnormal, mantissa << leading, mantissa | 1 << mantissa_bits) << (23 - mantissa_bits)
    deep = np.clip(-126 - scale, 0, 31)
    bits = np.where(deep > 0, significand >> deep, ((scale + 127) << 23) | (significand & 0x7FFFFF))
    bits = np.where(subnormal & (mantissa == 0), 0, bits)
    if form.inf_magnitude is not None:
        bits = np.where(magnitude == form.inf_magnitude, _INF, bits)
    bits |= negative << 31
    if form.specials == "fnuz":
        bits = np.where(bits == 1 << 31, _NAN, bits)
    elif form.specials != "none":
        bits = np.where(magnitude > (form.inf_magnitude or form.max_magnitude), _NAN, bits)
    return bits.astype(np.uint32).view(np.float32)


def encode(
    form: Facts,
    values: ArrayLike,
    rounding: str,
    random_bits: NDArray[np.uint32] | None,
    saturate: bool,
    sr_bits: int,
) -> NDArray[Any]:
    """See `Format.encode`."""
    given = singles_or_doubles(values, form.name)
    array = np.ascontiguousarray(given)
    if rounding not in ROUNDINGS:
        raise ArgumentError(f"rounding must be one of {', '.join(ROUNDINGS)}", got=rounding, where=form.name)
    if (rounding == "sr") != (random_bits is not None):
        raise ArgumentError('random_bits must be given for "sr" and only there', got=rounding, where=form.name)
    if not 1 <= sr_bits <= 32:
        raise ArgumentError("sr_bits must lie in 1..32", got=sr_bits, where=form.name)
    noise: NDArray[np.uint32] | None = None
    if random_bits is not None:
        noise = np.ascontiguousarray(random_bits)
        if noise.dtype != np.uint32 or noise.shape != array.shape:
            raise ArgumentError(
                f"random_bits must be uint32 of shape {array.shape}",
                got=(noise.dtype.name, noise.shape),
                where=form.name,
            )
        noise = noise.reshape(-1)
    wide = array.dtype == np.float64
    bits: NDArray[Any] = array.reshape(-1).view(np.int64 if wide else np.uint32)
    codes: NDArray[Any] = np.empty(bits.shape, dtype=form.code_dtype)
    table = _table(form, rounding, saturate) if noise is None and not wide and _is_narrow(form) else None
    for start in range(0, bits.size, PIECE):
        piece = slice(start, start + PIECE)
        if table is not None:
            index: Any = _halves(bits[piece])
            np.take(table, index, out=codes[piece], mode="clip")  # no index is out of range
            continue
        words = bits[piece].astype(np.int64)
        random = None if noise is None else noise[piece].astype(np.int64) >> (32 - sr_bits)
        codes[piece] = _encode_words(form, words, rounding, random, saturate, sr_bits, DOUBLE if wide else SINGLE)
    return codes.reshape(given.shape)


def _is_narrow(form: Facts) -> bool:
    # an integer of eight bits has seven before the point, the first of them implicit, and one behind it that rounds
    return form.bits <= 8 if form.is_integer else form.bits <= 8 and form.mantissa_bits <= 6


def _halves(bits: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Upper half and whether the lower one holds anything, as an index of `_table`."""
    sticky = (bits & np.uint32(0xFFFF)) != 0
    halves: NDArray[np.uint32] = ((bits >> np.uint32(16)) << np.uint32(1)) | sticky.view(np.uint8)
    return halves


@cache
def _table(form: Facts, rounding: str, saturate: bool) -> NDArray[Any]:
    index = np.arange(1 << 17, dtype=np.int64)
    return _encode_words(form, (index >> 1 << 16) | (index & 1), rounding, None, saturate, 32).astype(form.code_dtype)


def _encode_words(
    form: Facts,
    words: NDArray[np.int64],
    rounding: str,
    random: NDArray[np.int64] | None,
    saturate: bool,
    sr_bits: int,
    words_are: _Words = SINGLE,
) -> NDArray[np.int64]:
    """Codes of the floats whose `words` these are."""
    point, bias = words_are
    one = 1 << point
    negative = (words >> (63 if words_are is DOUBLE else 31)) & 1
    magnitude = words & ((one << (11 if words_are is DOUBLE else 8)) - 1)
    infinity = (2 * bias + 1) << point
    special = np.sign(magnitude - infinity)  # 0: infinite, 1: NaN
    biased = np.maximum(magnitude >> point, 1)
    significand = (magnitude & (one - 1)) | ((magnitude >= one).astype(np.int64) << point)
    exponent = biased - bias
    if not form.zero:  # its smallest binade is the upper half of the subnormal float32
        below = magnitude < one
        exponent, significand = exponent - below, significand << below.astype(np.int64)
    field = np.maximum(exponent, form.min_exponent)
    quantum = 0 if form.is_integer else field - form.mantissa_bits
    shift = quantum - exponent + point  # the significand counts quanta of 2^(exponent - point)
    kept, up = _rounded(significand, shift, rounding, random, sr_bits, negative if form.signed else None)
    kept += up
    if form.is_integer:
        return _integer(form, kept, exponent, negative, special)
    lowest = form.min_exponent - (1 if form.zero else 0)
    result = ((field - lowest) << form.mantissa_bits) + kept - (1 << form.mantissa_bits)
    result = np.maximum(result, 0)  # a format without zero: everything below its smallest value
    return _finished(form, result, special, negative, rounding, saturate)


def _rounded(
    significand: NDArray[np.int64],
    shift: NDArray[np.int64],
    rounding: str,
    random: NDArray[np.int64] | None,
    sr_bits: int,
    negative: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """``significand / 2^shift`` rounded down, and whether to go up by one."""
    far = np.maximum(shift, 0)
    shift = np.minimum(far, 62)  # beyond, nothing is kept and all of at most 53 bits is less than a half
    kept = significand >> shift
    rest = significand - (kept << shift)
    if random is not None:
        # floor(rest 2^sr_bits / 2^far); rest lies below 2^far, so that nothing leaves 63 bits
        part = (rest << np.maximum(sr_bits - far, 0)) >> np.clip(far - sr_bits, 0, 63)
        return kept, random + part >= 1 << sr_bits
    if rounding == "rz":
        return kept, np.zeros(kept.shape, dtype=bool)
    if rounding == "rp":
        return kept, (rest != 0) if negative is None else (rest != 0) & (negative == 0)
    twice, whole = rest << 1, np.left_shift(1, shift)
    return kept, (twice > whole) | ((twice == whole) & ((kept & 1 != 0) | (rounding == "away")))


def _integer(
    form: Facts,
    kept: NDArray[np.int64],
    exponent: NDArray[np.int64],
    negative: NDArray[np.int64],
    special: NDArray[np.int64],
) -> NDArray[np.int64]:
    kept = np.where(exponent > 22, 1 << 22, kept)  # far beyond eight bits, where the shift would be negative
    value = np.where(negative != 0, -kept, kept)
    value = np.clip(value, -form.max_magnitude - 1, form.max_magnitude)
    value = np.where(special > 0, 0, value)
    return value & (form.code_count - 1)


def _finished(
    form: Facts,
    result: NDArray[np.int64],
    special: NDArray[np.int64],
    negative: NDArray[np.int64],
    rounding: str,
    saturate: bool,
) -> NDArray[np.int64]:
    """Overflow, infinity, NaN, sign and padding put on a rounded magnitude."""
    over, infinite = result > form.max_magnitude, special == 0
    largest = form.max_magnitude
    beyond = largest if saturate or form.nan_magnitude is None else (form.inf_magnitude or form.nan_magnitude)
    result = np.where(over, beyond, result)
    if rounding == "rz":
        result = np.where(over & ~infinite, largest, result)
    elif rounding == "rp" and form.signed:
        result = np.where(over & ~infinite & (negative != 0), largest, result)
    if form.specials == "fnuz":
        negative = negative & (result != 0)
    if form.sign == "magnitude":
        result = result | (negative << (form.bits - 1))
    nan = form.max_magnitude if form.nan_magnitude is None else form.nan_magnitude
    result = np.where(special > 0, nan, result)
    return result << form.padding_bits

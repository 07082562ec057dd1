"""Quantize and dequantize in one pass: rows of float32 in, rows of float32 out, no codes between.

A row's scales are made while the row is in the cache, and 16 elements at a time are multiplied, rounded and
multiplied again in vector registers. One kernel a way of rounding: to nearest, stochastic, and the quotient rounded
once.

Random numbers are made where they are used: the words of the counter that belong to a piece of a row, into a buffer
that stays in the cache. An array of them for the whole tensor was rejected: it is written to memory and read again.

Walking rows backwards, to find in the cache what the pass over the maxima read last, was tried and rejected: the
processor's prefetching follows addresses upwards, and the pass took twice as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.jit import njit
from hwsim.quant.bits import MAGNITUDE, U, bits_of, float_of
from hwsim.quant.choice_kernels import choose_row
from hwsim.quant.element_kernels import quotient, stochastic
from hwsim.quant.fake_values import nearest_value, signed_value
from hwsim.quant.lanes import LANES, fake_16, fake_16_divided, noisy_16, noisy_16_divided, quotient_16
from hwsim.quant.random_bits import fill_words
from hwsim.quant.scale_kernels import FOUR_OVER_SIX, decode_row, maxima_row, scale_row

F = np.float32
PIECE = 1024
"""Elements whose random words are made at a time."""


@njit(error_model="numpy")
def fake_rows(
    start: int,
    stop: int,
    x: Any,
    bits: Any,
    block: int,
    height: int,
    plane: int,
    ceiling: Any,
    maxima: Any,
    rule: int,
    factor: int,
    scale_floats: Any,
    scale_words: Any,
    divide: bool,
    words: Any,
    floats: Any,
    out: Any,
) -> None:
    """Quantize and dequantize rows [rows, length], to nearest.

    `maxima` is uint32 [scale rows, blocks], or, but for four-over-six, has no rows: then every row has scales of its
    own, made here.
    """
    length = x.shape[1]
    blocks = (length + block - 1) // block
    own, codes = np.empty(blocks, np.uint32), np.empty(blocks, np.uint8)
    scales, multiplier, decode = np.empty(blocks, F), np.empty(blocks, F), np.empty(blocks, F)
    top, low, offset, zero, nan = words[0], words[1], words[2], floats[0], floats[1]
    tall = (plane + height - 1) // height
    made = -1
    for row in range(start, stop):
        source, target = x[row], out[row]
        if maxima.shape[0] == 0:
            maxima_row(bits[row], block, ceiling, own)
            scale_row(rule, factor, scale_floats, scale_words, own, codes, scales, multiplier, decode)
        elif rule == FOUR_OVER_SIX:  # blocks of one row: no other granularity has it
            choose_row(
                source, block, scale_floats, scale_words, words, floats, maxima[row], codes, scales, multiplier
            )
            decode_row(factor, scale_floats, scales, decode)
        else:
            shared = (row // plane) * tall + (row % plane) // height
            if shared != made:
                made = shared
                scale_row(rule, factor, scale_floats, scale_words, maxima[shared], codes, scales, multiplier, decode)
        for at in range(blocks):
            m, d = multiplier[at], decode[at]
            first = at * block
            last = min(first + block, length)
            whole = first + (last - first) // LANES * LANES
            if divide:
                for place in range(first, whole, LANES):
                    fake_16_divided(source, target, place, m, d, top, low, offset, zero, nan)
                for place in range(whole, last):
                    target[place] = nearest_value(source[place] / m, top, low, offset, zero, nan) * d
            else:
                for place in range(first, whole, LANES):
                    fake_16(source, target, place, m, d, top, low, offset, zero, nan)
                for place in range(whole, last):
                    target[place] = nearest_value(source[place] * m, top, low, offset, zero, nan) * d


@njit(error_model="numpy")
def fake_noisy_rows(
    start: int,
    stop: int,
    x: Any,
    bits: Any,
    block: int,
    height: int,
    plane: int,
    ceiling: Any,
    maxima: Any,
    rule: int,
    factor: int,
    scale_floats: Any,
    scale_words: Any,
    divide: bool,
    words: Any,
    floats: Any,
    key: Any,
    kind: Any,
    noise_shift: Any,
    noise_unit: Any,
    out: Any,
) -> None:
    """`fake_rows` with stochastic rounding: element i of row r takes number ``r * length + i`` of the random ones.

    `kind`, an array without elements, is of the dtype of these numbers: bytes, or whole words. `key`: see
    `random_bits.stream_key`.
    """
    length = x.shape[1]
    blocks = (length + block - 1) // block
    own, codes = np.empty(blocks, np.uint32), np.empty(blocks, np.uint8)
    scales, multiplier, decode = np.empty(blocks, F), np.empty(blocks, F), np.empty(blocks, F)
    top, low, shift, zero, nan = words[0], words[1], words[3], floats[0], floats[1]
    step = U(U(U(23) - shift) << U(23))
    numbers = 16 // kind.itemsize  # of four words
    random = np.empty(PIECE + 8 * LANES, np.uint32)
    noise = random.view(kind.dtype)
    tall = (plane + height - 1) // height
    made = -1
    for row in range(start, stop):
        source, target = x[row], out[row]
        if maxima.shape[0] == 0:
            maxima_row(bits[row], block, ceiling, own)
            scale_row(rule, factor, scale_floats, scale_words, own, codes, scales, multiplier, decode)
        else:
            shared = (row // plane) * tall + (row % plane) // height
            if shared != made:
                made = shared
                scale_row(rule, factor, scale_floats, scale_words, maxima[shared], codes, scales, multiplier, decode)
        for begin in range(0, length, PIECE):
            end = min(begin + PIECE, length)
            counter = (row * length + begin) // numbers
            skipped = row * length + begin - counter * numbers - begin
            groups = ((skipped + end + numbers - 1) // numbers + LANES - 1) // LANES
            fill_words(0, groups * LANES, random, counter, 0, key)  # whole vectors, also beyond the end
            place = begin
            while place < end:
                at = place // block
                m, d = multiplier[at], decode[at]
                last = min(at * block + block, end)
                whole = place + (last - place) // LANES * LANES
                while place < whole:
                    if divide:
                        noisy_16_divided(
                            source, target, place, noise, skipped + place, U(noise_shift), noise_unit, m, d, top, low,
                            step, zero, nan,
                        )  # fmt: skip
                    else:
                        noisy_16(
                            source, target, place, noise, skipped + place, U(noise_shift), noise_unit, m, d, top, low,
                            step, zero, nan,
                        )  # fmt: skip
                    place += LANES
                while place < last:
                    word = bits_of(source[place] / m if divide else source[place] * m)
                    size = U(word & MAGNITUDE)
                    share = F(noise[skipped + place] >> noise_shift) * noise_unit
                    near = stochastic(size if size < top else top, share, top, low, shift)
                    target[place] = signed_value(near, word, zero, nan) * d
                    place += 1


@njit(error_model="numpy")
def fake_quotient_rows(
    start: int,
    stop: int,
    x: Any,
    bits: Any,
    block: int,
    height: int,
    plane: int,
    ceiling: Any,
    maxima: Any,
    rule: int,
    factor: int,
    scale_floats: Any,
    scale_words: Any,
    words: Any,
    floats: Any,
    out: Any,
) -> None:
    """`fake_rows` of the quotients ``x * S / s``, each rounded once."""
    length = x.shape[1]
    blocks = (length + block - 1) // block
    own, codes = np.empty(blocks, np.uint32), np.empty(blocks, np.uint8)
    scales, multiplier, decode = np.empty(blocks, F), np.empty(blocks, F), np.empty(blocks, F)
    top, low, shift, zero, nan = words[0], words[1], words[3], floats[0], floats[1]
    S = scale_floats[0]
    largest, smallest = np.float64(float_of(top)), np.float64(float_of(low))
    offset = (np.uint64(U(29) + shift) << np.uint64(52)) + np.uint64(1 << 51)
    tall = (plane + height - 1) // height
    made = -1
    for row in range(start, stop):
        source, target = x[row], out[row]
        if maxima.shape[0] == 0:
            maxima_row(bits[row], block, ceiling, own)
            scale_row(rule, factor, scale_floats, scale_words, own, codes, scales, multiplier, decode)
        else:
            shared = (row // plane) * tall + (row % plane) // height
            if shared != made:
                made = shared
                scale_row(rule, factor, scale_floats, scale_words, maxima[shared], codes, scales, multiplier, decode)
        for at in range(blocks):
            s, d = scales[at], decode[at]
            place = at * block
            last = min(place + block, length)
            while s != F(0) and place + LANES <= last:
                quotient_16(
                    source, target, place, np.float64(S), np.float64(s), d, largest, smallest, offset, zero, nan
                )
                place += LANES
            while place < last:
                near = quotient(source[place], S, s, top, low, shift)
                target[place] = signed_value(near, bits[row, place], zero, nan) * d
                place += 1

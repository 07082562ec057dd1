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

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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


class Blocks(NamedTuple):
    """Which elements share a scale, and how it is made.

    Args:
        size, height, plane: elements along a row, rows, and rows between which no block reaches (`Layout`).
        ceiling: uint32, bits above which a magnitude is no number.
        maxima: uint32 [scale rows, blocks], or, but for four-over-six, without rows: then every row has scales of its
            own, made where it is read.
        rule, factor, floats, words: `scale_kernels.ScaleConstants`.
    """

    size: int
    height: int
    plane: int
    ceiling: np.uint32
    maxima: NDArray[np.uint32]
    rule: int
    factor: int
    floats: NDArray[np.float32]
    words: NDArray[np.uint32]


@njit(inline="always")
def _ready(
    row: int, bits: Any, b: Any, tall: int, made: int, own: Any, codes: Any, scales: Any, multiplier: Any, decode: Any
) -> Any:
    """Have scales, multipliers and decode factors of a row's blocks, [blocks] each; `made`: the row of scales that
    they are of, which is returned as it is now."""
    if b.maxima.shape[0] == 0:
        maxima_row(bits[row], b.size, b.ceiling, own)
        scale_row(b.rule, b.factor, b.floats, b.words, own, codes, scales, multiplier, decode)
    else:
        shared = (row // b.plane) * tall + (row % b.plane) // b.height
        if shared != made:
            scale_row(b.rule, b.factor, b.floats, b.words, b.maxima[shared], codes, scales, multiplier, decode)
            made = shared
    return made


@njit(error_model="numpy")
def fake_rows(
    start: int, stop: int, x: Any, bits: Any, b: Blocks, divide: bool, words: Any, floats: Any, out: Any
) -> None:
    """Quantize and dequantize rows [rows, length], to nearest."""
    length, block = x.shape[1], b.size
    blocks = (length + block - 1) // block
    own, codes = np.empty(blocks, np.uint32), np.empty(blocks, np.uint8)
    scales, multiplier, decode = np.empty(blocks, F), np.empty(blocks, F), np.empty(blocks, F)
    top, low, offset, zero, nan = words[0], words[1], words[2], floats[0], floats[1]
    tall = (b.plane + b.height - 1) // b.height
    made = -1
    for row in range(start, stop):
        source, target = x[row], out[row]
        if b.rule == FOUR_OVER_SIX:  # blocks of one row, maxima known: no other granularity has it
            choose_row(source, block, b.floats, b.words, words, floats, b.maxima[row], codes, scales, multiplier)
            decode_row(b.factor, b.floats, scales, decode)
        else:
            made = _ready(row, bits, b, tall, made, own, codes, scales, multiplier, decode)
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
    b: Blocks,
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
    length, block = x.shape[1], b.size
    blocks = (length + block - 1) // block
    own, codes = np.empty(blocks, np.uint32), np.empty(blocks, np.uint8)
    scales, multiplier, decode = np.empty(blocks, F), np.empty(blocks, F), np.empty(blocks, F)
    top, low, shift, zero, nan = words[0], words[1], words[3], floats[0], floats[1]
    step = U(U(U(23) - shift) << U(23))
    numbers = 16 // kind.itemsize  # of four words
    random = np.empty(PIECE + 8 * LANES, np.uint32)
    noise = random.view(kind.dtype)
    tall = (b.plane + b.height - 1) // b.height
    made = -1
    for row in range(start, stop):
        source, target = x[row], out[row]
        made = _ready(row, bits, b, tall, made, own, codes, scales, multiplier, decode)
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
    start: int, stop: int, x: Any, bits: Any, b: Blocks, words: Any, floats: Any, out: Any
) -> None:
    """`fake_rows` of the quotients ``x * S / s``, each rounded once."""
    length, block = x.shape[1], b.size
    blocks = (length + block - 1) // block
    own, codes = np.empty(blocks, np.uint32), np.empty(blocks, np.uint8)
    scales, multiplier, decode = np.empty(blocks, F), np.empty(blocks, F), np.empty(blocks, F)
    top, low, shift, zero, nan = words[0], words[1], words[3], floats[0], floats[1]
    S = b.floats[0]
    largest, smallest = np.float64(float_of(top)), np.float64(float_of(low))
    offset = (np.uint64(U(29) + shift) << np.uint64(52)) + np.uint64(1 << 51)
    tall = (b.plane + b.height - 1) // b.height
    made = -1
    for row in range(start, stop):
        source, target = x[row], out[row]
        made = _ready(row, bits, b, tall, made, own, codes, scales, multiplier, decode)
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

"""The scales of four-over-six: each block takes the better of two, by the error that its elements would have.

Both candidates of a block are tried while its elements are in the cache: 16 errors at once, then their sum in
float32, k ascending, which is what the source compares. The order of that sum is part of the result, so it stays
scalar; but both sums run side by side and the choice is no branch, so that the processor overlaps blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.jit import njit
from hwsim.quant.bits import bits_of, coded, float_of, rounded
from hwsim.quant.fake_values import nearest_value
from hwsim.quant.lanes import LANES, errors_16
from hwsim.quant.scale_kernels import te_multiplier

F = np.float32


@njit(error_model="numpy")
def choose_row(
    row: Any,
    block: int,
    floats: Any,
    scale_words: Any,
    words: Any,
    constants: Any,
    maxima: Any,
    codes: Any,
    scales: Any,
    multiplier: Any,
) -> None:
    """Scales of a row of blocks, as `scale_kernels.scale_row` writes them.

    Args:
        row: float32 [length].
        floats, scale_words: `scale_kernels.ScaleConstants`.
        words, constants: `element_kernels.ElementConstants`.
        maxima: uint32 [blocks], bits.
        codes, scales, multiplier: [blocks], written.
    """
    S, top, amax, product = floats[0], floats[2], floats[7], floats[8]
    limit, scale_low, scale_offset = float_of(scale_words[0]), scale_words[1], scale_words[2]
    large, low, offset, zero, nan = words[0], words[1], words[2], constants[0], constants[1]
    s_decode = F(1) / S
    s_other, m_other = np.empty(maxima.size, F), np.empty(maxima.size, F)
    for at in range(maxima.size):
        six = (float_of(maxima[at]) / top) * S
        four = six * F(1.5)
        s_six = rounded(bits_of(six if six < limit else limit), scale_low, scale_offset)
        s_four = rounded(bits_of(four if four < limit else limit), scale_low, scale_offset)
        scales[at], multiplier[at] = s_six, te_multiplier(s_six, s_decode)
        s_other[at], m_other[at] = s_four, te_multiplier(s_four, s_decode)
    errors, errors_other = np.empty(LANES, F), np.empty(LANES, F)
    for at in range(maxima.size):
        s_six, s_four, m_six, m_four = scales[at], s_other[at], multiplier[at], m_other[at]
        place = at * block
        last = min(place + block, row.size)
        total, total_other = F(0), F(0)
        while place + LANES <= last:
            errors_16(row, errors, place, m_six, s_six, amax, product, large, low, offset, zero, nan)
            errors_16(row, errors_other, place, m_four, s_four, amax, product, large, low, offset, zero, nan)
            for lane in range(LANES):
                total += errors[lane]
                total_other += errors_other[lane]
            place += LANES
        while place < last:
            x = row[place]
            value = ((nearest_value(x * m_six, large, low, offset, zero, nan) * s_six) * amax) / product
            total += np.abs(value - x)
            value = ((nearest_value(x * m_four, large, low, offset, zero, nan) * s_four) * amax) / product
            total_other += np.abs(value - x)
            place += 1
        better = total_other < total
        scales[at] = s_four if better else s_six
        multiplier[at] = m_four if better else m_six
    for at in range(maxima.size):
        codes[at] = coded(scales[at], scale_low, scale_words[3], scale_words[4])


@njit(error_model="numpy")
def choose_rows(
    start: int,
    stop: int,
    x: Any,
    block: int,
    floats: Any,
    scale_words: Any,
    words: Any,
    constants: Any,
    maxima: Any,
    codes: Any,
    scales: Any,
    multiplier: Any,
) -> None:
    """`choose_row` of rows [rows, length]."""
    for row in range(start, stop):
        choose_row(
            x[row], block, floats, scale_words, words, constants, maxima[row], codes[row], scales[row],
            multiplier[row],
        )  # fmt: skip

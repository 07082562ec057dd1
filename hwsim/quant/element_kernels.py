"""Kernels between elements and codes, and what all kernels know of the elements of a scheme.

Stochastic rounding and the quotient rounded once are defined here, one element at a time; `fake_kernels` has both as
vector instructions too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.jit import njit
from hwsim.quant.bits import (
    EXPONENT64,
    INF,
    MAGNITUDE,
    ZERO,
    Grid,
    U,
    bits_of,
    bits_of_64,
    coded,
    float_of,
    float_of_64,
    rounded,
)
from hwsim.quant.lanes import LANES
from hwsim.quant.scheme import Scheme

F = np.float32

MULTIPLY, DIVIDE, PRESCALED, QUOTIENT = range(4)
MODES = {"modelopt": DIVIDE, "absmax": DIVIDE, "additions": DIVIDE, "fp4atw": PRESCALED, "exact": QUOTIENT}


KEPT, OF_UNDERFLOW, NEVER = range(3)
"""Negative zeros in codes: as they come; of numbers that underflow only; none, as the format has none."""


class ElementConstants:
    """What the kernels below need to know of the elements of a scheme."""

    def __init__(self, scheme: Scheme, nan_code: int) -> None:
        form, unit = scheme.element_format, int(np.frexp(scheme.element_unit)[1]) - 1
        if form.is_integer:  # the subnormal numbers of a float format, see Grid
            grid = Grid(form.bits - 1, form.bits - 1 + unit, scheme.element_top)
        else:
            grid = Grid(form.mantissa_bits, form.min_exponent, scheme.element_top)
        sign_shift = 32 - form.bits
        code_mask = form.code_count - 1
        minus_zero = KEPT
        if form.specials == "fnuz":
            minus_zero = NEVER
        elif scheme.scale_rule == "vllm_ref":
            minus_zero = OF_UNDERFLOW
        self.words = np.array(
            [
                *(grid.top, grid.low, grid.offset, grid.shift, grid.base),
                *(
                    sign_shift,
                    code_mask,
                    nan_code,
                    form.is_integer,
                    minus_zero,
                ),
            ],
            dtype=np.uint32,
        )
        self.mode = MODES.get(scheme.scale_rule, MULTIPLY)
        # -0.0 leaves every value as it is; where there is no negative zero, adding +0.0 removes it
        zero = F(0.0) if form.is_integer or minus_zero == NEVER else F(-0.0)
        nan = form.decode(np.array([nan_code], dtype=form.code_dtype))[0] * F(scheme.element_unit)
        self.floats = np.array([zero, nan], dtype=np.float32)


@njit(inline="always")
def _code(
    bits: Any, near: Any, low: Any, shift: Any, base: Any, sign_shift: Any, mask: Any, nan: Any, integer: bool
) -> Any:
    """The code of a rounded magnitude `near` whose sign and NaN are those of `bits`."""
    negative = U(bits >> U(31))
    code = coded(near, low, shift, base)
    if integer:
        code = U(U(ZERO - code) & mask) if negative else code
    else:
        code = U(code | U(U(negative << U(31)) >> sign_shift))
    return nan if U(bits & MAGNITUDE) > INF else code


@njit(inline="always")
def _step(magnitude: Any, low: Any, shift: Any) -> Any:
    """The distance of neighbours at a magnitude given as bits."""
    exponent = U((magnitude if magnitude > low else low) & INF)
    return float_of(U(exponent - U(U(U(23) - shift) << U(23))))


@njit(inline="always")
def stochastic(magnitude: Any, noise: Any, top: Any, low: Any, shift: Any) -> Any:
    """A magnitude, given as bits, plus `noise` steps, cut to the steps where the sum lies; float32."""
    size = float_of(magnitude)
    total = (
        noise * _step(magnitude, low, shift) + size
    )  # the product is exact: contraction to an fma would change nothing
    step = _step(bits_of(total), low, shift)
    down = np.floor(total / step) * step
    largest = float_of(top)
    return down if down < largest else largest


@njit(inline="always")
def quotient(x: Any, S: Any, s: Any, top: Any, low: Any, shift: Any) -> Any:
    """|x| S / s rounded once: float64 holds the product exactly and no quotient comes near a tie without being
    one."""
    size = np.abs(np.float64(x)) * np.float64(S) / np.float64(s)
    if s == F(0):
        return F(0)
    largest, smallest = np.float64(float_of(top)), np.float64(float_of(low))
    size = size if size < largest else largest
    exponent = bits_of_64(size if size > smallest else smallest) & EXPONENT64
    anchor = float_of_64(np.uint64(exponent + (np.uint64(U(29) + shift) << np.uint64(52)) + np.uint64(1 << 51)))
    return F((size + anchor) - anchor)


@njit(error_model="numpy")
def code_rows(
    start: int,
    stop: int,
    x: Any,
    block: int,
    height: int,
    plane: int,
    multiplier: Any,
    mode: int,
    prescale: Any,
    words: Any,
    noise: Any,
    noise_shift: Any,
    noise_unit: Any,
    codes: Any,
) -> None:
    """Codes of rows [rows, length]; `multiplier` [scale rows, blocks]; `noise` [rows, length], or without rows: to
    nearest.

    `prescale` is P for `PRESCALED` and S for `QUOTIENT`.
    """
    length = x.shape[1]
    tall = (plane + height - 1) // height
    top, low, offset, shift, base = words[0], words[1], words[2], words[3], words[4]
    sign_shift, mask, nan, integer = words[5], words[6], words[7], words[8] != ZERO
    minus_zero, divide = words[9], mode == DIVIDE
    plain = (divide or mode == MULTIPLY) and noise.shape[0] == 0 and minus_zero == U(KEPT)
    for row in range(start, stop):
        shared = multiplier[(row // plane) * tall + (row % plane) // height]
        source, target = x[row], codes[row]
        for at in range(shared.size):
            m = shared[at]
            first = at * block
            last = min(first + block, length)
            if plain:
                whole = first + (last - first) // LANES * LANES
                for place in range(first, whole, LANES):
                    some, there = source[place : place + LANES], target[place : place + LANES]
                    for lane in range(LANES):
                        bits = bits_of(some[lane] / m if divide else some[lane] * m)
                        size = U(bits & MAGNITUDE)
                        near = rounded(size if size < top else top, low, offset)
                        there[lane] = _code(bits, near, low, shift, base, sign_shift, mask, nan, integer)
                first = whole
            for place in range(first, last):
                v = source[place]
                if mode == DIVIDE:
                    v = v / m
                elif mode == PRESCALED:
                    v = (v / prescale) * m
                elif mode == MULTIPLY:
                    v = v * m
                bits = bits_of(v)
                size = U(bits & MAGNITUDE)
                size = size if size < top else top
                if mode == QUOTIENT:
                    near = quotient(v, prescale, m, top, low, shift)
                elif noise.shape[0] != 0:
                    near = stochastic(size, F(noise[row, place] >> noise_shift) * noise_unit, top, low, shift)
                else:
                    near = rounded(size, low, offset)
                dropped = U(bits & MAGNITUDE) == ZERO if minus_zero == U(OF_UNDERFLOW) else near == F(0)
                if dropped and minus_zero != U(KEPT):
                    bits = ZERO
                target[place] = _code(bits, near, low, shift, base, sign_shift, mask, nan, integer)


PLAIN, CODE_FIRST, INVERTED = range(3)


@njit(error_model="numpy")
def value_rows(
    start: int,
    stop: int,
    codes: Any,
    block: int,
    height: int,
    plane: int,
    factors: Any,
    order: int,
    amax: Any,
    product: Any,
    P: Any,
    table: Any,
    out: Any,
) -> None:
    """Values of codes [rows, length]; `factors` [scale rows, blocks] are decode factors, or scales unless `PLAIN`."""
    length = codes.shape[1]
    tall = (plane + height - 1) // height
    for row in range(start, stop):
        shared = factors[(row // plane) * tall + (row % plane) // height]
        source, target = codes[row], out[row]
        for at in range(shared.size):
            d = shared[at]
            first = at * block
            last = min(first + block, length)
            if order == PLAIN:
                for place in range(first, last):
                    target[place] = table[source[place]] * d
            elif order == CODE_FIRST:
                for place in range(first, last):
                    target[place] = ((table[source[place]] * d) * amax) / product
            else:
                for place in range(first, last):
                    target[place] = (table[source[place]] / d) * P

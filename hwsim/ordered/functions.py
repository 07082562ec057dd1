"""Elementary functions of float64 from additions, multiplications, divisions and bits alone.

Errors are a few units in the last place of float64, so that a result rounded to float32 is the nearest but for about
one case in 10^8; the bits are the same wherever IEEE arithmetic is. Splittings of ln 2 and pi/2 and the reductions
are those of fdlibm (Sun Microsystems, 1993); series are Taylor's, long enough for their reduced ranges.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwsim.jit import njit

LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # 32 low bits of the first are zero
PI_1, PI_2 = 1.57079632673412561417e00, 6.07710050630396597660e-11  # pi/2: 33 bits each, thrice, and 53
PI_3, PI_4 = 2.02226624871116645580e-21, 8.47842766036889956997e-32
TWO_BY_PI = 6.36619772367581382433e-01
TWO_BY_ROOT_PI = 1.1283791670955126
ROOT_TWO_BY_PI = 0.7978845608028654
ROOT_HALF = 0.7071067811865476
WIDEST_ANGLE = 1e5
"""Angle up to which 33-bit pieces of pi/2 times a whole number of quarter turns are exact."""

_ROUNDER = 6755399441055744.0  # 1.5 * 2^52: what is added to it is rounded to a whole number
_ROUNDER_BITS = 0x4338000000000000

E2, E3, E4, E5, E6, E7, E8, E9, E10, E11, E12, E13, E14, E15, E16, E17, E18 = (
    1.0 / math.factorial(n) for n in range(2, 19)
)
ODD = tuple(2.0 / (2 * n + 1) for n in range(1, 200))
L3, L5, L7, L9, L11, L13, L15, L17, L19, L21, L23 = (1.0 / n for n in range(3, 24, 2))


@njit(inline="always")
def _power_of_two(n: Any) -> Any:
    """2^n for -1022 <= n <= 1023."""
    return np.int64((np.int64(n) + np.int64(1023)) << np.int64(52)).view(np.float64)


@njit(inline="always")
def _beyond_one(r: Any) -> Any:
    """e^r - 1 for |r| below 0.36."""
    high = r * (E8 + r * (E9 + r * (E10 + r * (E11 + r * (E12 + r * (E13 + r * E14))))))
    return r + r * r * (0.5 + r * (E3 + r * (E4 + r * (E5 + r * (E6 + r * (E7 + high))))))


@njit(inline="always")
def exp(x: Any) -> Any:
    """e^x."""
    held = min(max(x, -746.0), 710.0)
    shifted = held * LOG2_E + _ROUNDER
    k = shifted - _ROUNDER
    r = (held - k * LN2_HIGH) - k * LN2_LOW
    n = np.float64(shifted).view(np.int64) - np.int64(_ROUNDER_BITS)
    half = n >> np.int64(1)
    value = (1.0 + _beyond_one(r)) * _power_of_two(half) * _power_of_two(n - half)
    return value if x == x else x


@njit(inline="always")
def expm1(x: Any) -> Any:
    """e^x - 1, also next to zero."""
    small = abs(x) < 0.35
    near = _beyond_one(x if small else 0.0)
    return (x if x == 0.0 else near) if small else exp(x) - 1.0


@njit(inline="always")
def log(x: Any) -> Any:
    """Natural logarithm; NaN below zero."""
    tiny = x < 2.2250738585072014e-308
    bits = np.float64(x * 18014398509481984.0 if tiny else x).view(np.int64)  # 2^54
    bits += np.int64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)  # significands from the root of a half to that of two
    k = np.float64((bits >> np.int64(52)) - np.int64(1023 + (54 if tiny else 0)))
    m = np.int64((bits & np.int64(0xFFFFFFFFFFFFF)) + np.int64(0x3FE6A09E667F3BCD)).view(np.float64)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    tail = z * (L13 + z * (L15 + z * (L17 + z * (L19 + z * (L21 + z * L23)))))
    series = z * (L3 + z * (L5 + z * (L7 + z * (L9 + z * (L11 + tail)))))
    value = k * LN2_HIGH + (2.0 * s + (2.0 * s * series + k * LN2_LOW))
    outside = -np.inf if x == 0.0 else np.nan
    return x if x == np.inf else (value if x > 0.0 else outside)


@njit(inline="always")
def log1p(x: Any) -> Any:
    """log(1 + x), also next to zero."""
    u = 1.0 + x
    lost = u - 1.0
    if u == np.inf:
        return u
    return x if lost == 0.0 else log(u) * (x / lost)


@njit(inline="always")
def sine(x: Any, quarter: Any) -> Any:
    """sin(x + quarter * pi/2) for |x| up to `WIDEST_ANGLE`."""
    shifted = x * TWO_BY_PI + _ROUNDER
    q = shifted - _ROUNDER
    r = (((x - q * PI_1) - q * PI_2) - q * PI_3) - q * PI_4
    n = np.float64(shifted).view(np.int64) + np.int64(quarter)
    z = r * r
    odd = z * (E3 - z * (E5 - z * (E7 - z * (E9 - z * (E11 - z * (E13 - z * (E15 - z * E17)))))))
    even = z * (0.5 - z * (E4 - z * (E6 - z * (E8 - z * (E10 - z * (E12 - z * (E14 - z * (E16 - z * E18))))))))
    value = 1.0 - even if n & np.int64(1) else r - r * odd
    return -value if n & np.int64(2) else value


@njit(inline="always")
def sin(x: Any) -> Any:
    """Sine."""
    return x if x == 0.0 else sine(x, 0)


@njit(inline="always")
def cos(x: Any) -> Any:
    """Cosine."""
    return sine(x, 1)


@njit(inline="always")
def tanh(x: Any) -> Any:
    """Hyperbolic tangent."""
    e = expm1(2.0 * min(abs(x), 22.0))
    value = e / (e + 2.0)
    value = -value if x < 0.0 else value
    return x if x == 0.0 or x != x else value


@njit(inline="always")
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + exp(-x))


@njit(inline="always")
def erf(x: Any) -> Any:
    """Error function, by its series of positive terms 2/sqrt(pi) e^(-x^2) sum of 2^n x^(2n+1) / (2n+1)!!."""
    a = min(abs(x), 6.0)
    if x != x:
        return x
    term, total, square, n = a, a, a * a, 0
    while term > total * 1e-18:
        term = term * square * ODD[n]
        total += term
        n += 1
    value = 1.0 if a == 6.0 else TWO_BY_ROOT_PI * exp(-a * a) * total
    return -value if x < 0.0 else (x if x == 0.0 else value)


@njit(inline="always")
def power(x: Any, y: Any) -> Any:
    """x^y, as IEEE 754 has it for zeros, infinities and negative x."""
    if y == 0.0 or x == 1.0:
        return 1.0
    if x != x or y != y:
        return np.nan
    whole = abs(y) >= 4503599627370496.0 or y == np.floor(y)
    odd = whole and abs(y) < 9007199254740992.0 and y - 2.0 * np.floor(y * 0.5) == 1.0
    a = abs(x)
    if x < 0.0 and not whole and a != np.inf:
        return np.nan
    if a == 1.0:
        value = 1.0
    elif a == 0.0 or a == np.inf or abs(y) == np.inf:
        value = np.inf if (a > 1.0) == (y > 0.0) else 0.0
    else:
        value = exp(y * log(a))
    negative = np.float64(x).view(np.int64) < 0
    return -value if negative and odd else value


@njit(inline="always")
def gelu(x: Any) -> Any:
    """x times the normal distribution at x."""
    return 0.5 * x * (1.0 + erf(x * ROOT_HALF))


@njit(inline="always")
def gelu_tanh(x: Any) -> Any:
    """The same, approximated by a hyperbolic tangent."""
    return 0.5 * x * (1.0 + tanh(ROOT_TWO_BY_PI * (x + 0.044715 * x * x * x)))


@njit(inline="always")
def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    return log1p(exp(x))

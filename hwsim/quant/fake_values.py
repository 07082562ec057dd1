"""The value of one element after rounding: the ends of blocks that do not fill a vector."""

from __future__ import annotations

from typing import Any

from hwsim.jit import njit
from hwsim.quant.bits import INF, MAGNITUDE, SIGN, U, bits_of, float_of, rounded


@njit(inline="always")
def signed_value(near: Any, bits: Any, zero: Any, nan: Any) -> Any:
    """A rounded magnitude with the sign of `bits`; `nan` where these are NaN."""
    signed = float_of(U(bits_of(near) | U(bits & SIGN)))
    return (nan if U(bits & MAGNITUDE) > INF else signed) + zero


@njit(inline="always")
def nearest_value(v: Any, top: Any, low: Any, offset: Any, zero: Any, nan: Any) -> Any:
    """The element of the grid nearest to v, sign included."""
    bits = bits_of(v)
    magnitude = U(bits & MAGNITUDE)
    return signed_value(rounded(magnitude if magnitude < top else top, low, offset), bits, zero, nan)

"""Float32 as bits inside kernels: what Numba has no word for, and rounding to a small format by one float addition.

Adding and subtracting 1.5 * 2^(e + 23 - m) rounds a magnitude of exponent e to m mantissa bits, to nearest even,
because that is how float32 addition rounds: three operations that vectorise, against a ladder of comparisons that
does not. Below the smallest normal number e stays, so that subnormals come out right. No option that lets the
compiler reorder float operations may reach these functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.jit import intrinsic, ir, njit, types

U = np.uint32
MAGNITUDE, SIGN, INF, ZERO = U(0x7FFFFFFF), U(0x80000000), U(0x7F800000), U(0)
NAN = np.float32(np.nan)
EXPONENT64 = np.uint64(0x7FF0000000000000)


def _bits_of(context: Any, value: Any) -> Any:
    """The bits of a float32, uint32."""
    return types.uint32(types.float32), lambda _, build, __, args: build.bitcast(args[0], ir.IntType(32))


def _float_of(context: Any, bits: Any) -> Any:
    """The float32 of uint32 bits."""
    return types.float32(types.uint32), lambda _, build, __, args: build.bitcast(args[0], ir.FloatType())


def _bits_of_64(context: Any, value: Any) -> Any:
    """The bits of a float64, uint64."""
    return types.uint64(types.float64), lambda _, build, __, args: build.bitcast(args[0], ir.IntType(64))


def _float_of_64(context: Any, bits: Any) -> Any:
    """The float64 of uint64 bits."""
    return types.float64(types.uint64), lambda _, build, __, args: build.bitcast(args[0], ir.DoubleType())


bits_of: Any = intrinsic(_bits_of)
float_of: Any = intrinsic(_float_of)
bits_of_64: Any = intrinsic(_bits_of_64)
float_of_64: Any = intrinsic(_float_of_64)


@njit(inline="always")
def rounded(magnitude: Any, low: Any, offset: Any) -> Any:
    """A non-negative float, given as bits, rounded to nearest even in a format (see `Grid`); float32."""
    exponent = U((magnitude if magnitude > low else low) & INF)
    anchor = float_of(U(exponent + offset))
    return (float_of(magnitude) + anchor) - anchor


@njit(inline="always")
def coded(value: Any, low: Any, shift: Any, base: Any) -> Any:
    """The code, sign aside, of a non-negative float32 that the format holds (see `Grid`); uint32."""
    smallest = float_of(low)
    below = value < smallest
    bits = bits_of(value + smallest) if below else bits_of(value)
    return U(U(bits >> shift) - (U(base + (U(1) << U(U(23) - shift))) if below else base))


class Grid:
    """The numbers of a format of at most 8 bits, as kernels take them.

    Args:
        mantissa_bits: m, of a normal number.
        min_exponent: exponent of the smallest normal number. Integers of b bits are the subnormal numbers of a format
            with m = b - 1: all below 2^(b - 1), all at distance 1.
        largest: where conversion saturates.
    """

    def __init__(self, mantissa_bits: int, min_exponent: int, largest: float) -> None:
        self.top = U(np.float32(largest).view(np.uint32))
        self.low = U((min_exponent + 127) << 23)
        self.offset = U(((23 - mantissa_bits) << 23) + 0x400000)
        self.shift = U(23 - mantissa_bits)
        self.base = U((min_exponent + 126) << mantissa_bits)

"""Float32 as bits inside kernels: what Numba has no word for, and rounding to a small format by one float addition.

Adding and subtracting 1.5 * 2^(e + 23 - m) rounds a magnitude of exponent e to m mantissa bits, to nearest even, because
that is how float32 addition rounds: three operations that vectorise, against a ladder of comparisons that does not.
Below the smallest normal number e stays, so that subnormals come out right. No option that lets the compiler reorder
float operations may reach these functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim.jit import intrinsic, ir, njit, types

U = np.uint32
MAGNITUDE, SIGN, INF, ZERO = U(0x7FFFFFFF), U(0x80000000), U(0x7F800000), U(0)
NAN = np.float32(np.nan)
EXPONENT64 = np.uint64(0x7FF0000000000000)

OPTIONS = {"error_model": "numpy"}
"""Division by zero gives infinity or NaN, as everywhere outside Python."""


@intrinsic
def bits_of(context: Any, value: Any) -> Any:
    """The bits of a float32, uint32."""
    return types.uint32(types.float32), lambda _, build, __, args: build.bitcast(args[0], ir.IntType(32))


@intrinsic
def float_of(context: Any, bits: Any) -> Any:
    """The float32 of uint32 bits."""
    return types.float32(types.uint32), lambda _, build, __, args: build.bitcast(args[0], ir.FloatType())


@intrinsic
def bits_of_64(context: Any, value: Any) -> Any:
    """The bits of a float64, uint64."""
    return types.uint64(types.float64), lambda _, build, __, args: build.bitcast(args[0], ir.IntType(64))


@intrinsic
def float_of_64(context: Any, bits: Any) -> Any:
    """The float64 of uint64 bits."""
    return types.float64(types.uint64), lambda _, build, __, args: build.bitcast(args[0], ir.DoubleType())


LANES = 16


@intrinsic
def largest_of_16(context: Any, bits: Any, at: Any, ceiling: Any) -> Any:
    """The largest of ``bits[at : at + 16] & 0x7FFFFFFF``, words above `ceiling` counted as 0; uint32.

    Written as vector instructions, since a loop of 16 is unrolled before it can be vectorised: 20 times slower.
    """

    def generate(compiler: Any, build: Any, signature: Any, args: Any) -> Any:
        word, index = ir.IntType(32), ir.IntType(32)
        array = compiler.make_array(signature.args[0])(compiler, build, args[0])
        vector = ir.VectorType(word, LANES)
        undefined = ir.Constant(vector, ir.Undefined)
        loaded = build.load(build.bitcast(build.gep(array.data, [args[1]]), vector.as_pointer()))
        loaded.align = 4
        best = build.and_(loaded, ir.Constant(vector, [0x7FFFFFFF] * LANES))
        first = build.insert_element(undefined, args[2], ir.Constant(index, 0))
        limit = build.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))
        best = build.select(build.icmp_unsigned("<=", best, limit), best, ir.Constant(vector, [0] * LANES))
        half = LANES // 2
        while half:
            mask = ir.VectorType(index, half)
            empty = ir.Constant(best.type, ir.Undefined)
            low = build.shuffle_vector(best, empty, ir.Constant(mask, list(range(half))))
            high = build.shuffle_vector(best, empty, ir.Constant(mask, list(range(half, 2 * half))))
            best = build.select(build.icmp_unsigned(">", low, high), low, high)
            half //= 2
        return build.extract_element(best, ir.Constant(index, 0))

    return types.uint32(bits, types.intp, types.uint32), generate


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

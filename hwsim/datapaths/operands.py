"""What integer units read from the arrays that a caller hands them: values, checked against the width of the port.

Codes are unsigned words (uint8 up to 8 bits, uint16 above) that hold two's complement masked to the width, as the
formats ``int<b>`` write them. Signed arrays are taken as values, since that is what quantisers of other libraries
return. Bits above the width are an error rather than being dropped: a stray bit is a caller's mistake, and real
ports have no wire for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError


def integer_range(bits: int, signed: bool) -> tuple[int, int]:
    """Least and greatest value of an integer of `bits` bits."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def integer_name(bits: int, signed: bool) -> str:
    """``int<bits>`` or ``uint<bits>``."""
    return f"{'' if signed else 'u'}int{bits}"


def integer_values(operand: NDArray[Any], bits: int, signed: bool, where: str) -> NDArray[Any]:
    """The values of an operand, as an int8, int16, int32, uint8 or uint16 array of its shape.

    Args:
        operand: uint8 (bits <= 8) or uint16 (bits > 8) codes, or an array of signed integers, which are values.
        bits: width of the port, 2 to 16.
        signed: whether codes are two's complement.
        where: name of the argument, for messages.

    Raises:
        ArgumentError: another dtype, or an element that does not fit the width.
    """
    operand = np.asarray(operand)
    if operand.dtype == (np.uint8 if bits <= 8 else np.uint16):
        word = operand.dtype.itemsize * 8
        if bits < word and operand.size and int(operand.max()) >> bits:
            raise ArgumentError(
                f"codes of {bits} bits must be below {1 << bits}", got=int(operand.max()), where=where
            )
        if not signed:
            return operand
        value = operand.view(np.int8 if word == 8 else np.int16)
        return value if bits == word else np.right_shift(np.left_shift(value, word - bits), word - bits)
    if operand.dtype.kind != "i":
        wanted = "uint8" if bits <= 8 else "uint16"
        rule = f"an operand of {bits} bits must be {wanted} codes or signed integer values"
        raise ArgumentError(rule, got=operand.dtype.name, where=where)
    least, greatest = integer_range(bits, signed)
    if operand.size and (int(operand.min()) < least or int(operand.max()) > greatest):
        worst = int(operand.min()) if int(operand.min()) < least else int(operand.max())
        raise ArgumentError(f"values of {bits} bits must lie in [{least}, {greatest}]", got=worst, where=where)
    return operand.astype(
        np.int8 if least >= -128 and greatest <= 127 else np.int32 if not signed else np.int16, copy=False
    )


def integer_start(c: NDArray[Any], where: str) -> NDArray[np.int64]:
    """What integer accumulators hold before the first product; words of 64 bits are taken modulo 2^64.

    Raises:
        ArgumentError: not integers.
    """
    start = np.asarray(c)
    if start.dtype.kind not in "iu":
        raise ArgumentError("c must hold integers", got=start.dtype.name, where=where)
    return start.astype(np.int64, copy=False)


def wrapped(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Two's complement of `bits` bits: values modulo 2^bits."""
    unused = np.int64(64 - bits)
    return np.asarray(np.asarray(values) << unused >> unused)


def values_of(words: NDArray[np.uint64], bits: int, signed: bool) -> NDArray[np.int64]:
    """Values of the unsigned words of a stream, `bits` wide."""
    narrow = words.astype(np.uint8 if bits <= 8 else np.uint16)
    return np.asarray(integer_values(narrow, bits, signed, "stream").astype(np.int64))

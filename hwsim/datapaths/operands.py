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


def check_matmul(a: NDArray[Any], b: NDArray[Any], c: NDArray[Any] | None) -> None:
    """Raise unless a ``[M, K]``, b ``[N, K]`` and c ``[M, N]`` fit together."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ArgumentError("matmul needs a [M, K] and b [N, K] with one K", got=(a.shape, b.shape), where="matmul")
    if c is not None and c.shape != (a.shape[0], b.shape[0]):
        raise ArgumentError(f"c must have shape {(a.shape[0], b.shape[0])}", got=c.shape, where="matmul.c")


def check_no_scales(scale_a: object, scale_b: object, family: str) -> None:
    """Raise if block scales came to a unit that multiplies none."""
    if scale_a is not None or scale_b is not None:
        raise ArgumentError(f"{family} units take no block scales: scale the result", where="scale_a, scale_b")

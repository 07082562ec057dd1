"""Keys of ternary weight groups and the integer tables they index; `hwsim.datapaths.ternary.bits` defines both."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray


def encode_groups(values: NDArray[Any], group: int) -> NDArray[Any]:
    """Keys of ternary values ``[..., K]``; see `hwsim.datapaths.ternary.bits.TernaryLut.encode`."""
    groups = -(-values.shape[-1] // group)
    digits = 1 - grouped(values, groups, group).astype(np.int32)
    v = np.zeros(digits.shape[:-1], np.int32)
    for i in range(group):
        v = 3 * v + digits[..., i]
    border = (3**group - 1) // 2
    flag = v > border
    keys: NDArray[Any] = np.where(flag, 2 * border - v, v) | flag << border.bit_length()
    return keys.astype(np.uint8 if border.bit_length() < 8 else np.uint16)


@functools.cache
def key_weights(group: int) -> NDArray[np.int8]:
    """Weights int8 ``[2^key_bits, group]`` that each key stands for; zeros where a key has no entry."""
    border = (3**group - 1) // 2
    flag = 1 << border.bit_length()
    table = np.zeros((2 * flag, group), np.int8)
    for v in range(border):
        rest = v
        for i in reversed(range(group)):
            rest, digit = divmod(rest, 3)
            table[v, i] = 1 - digit
    table[flag : flag + border] = -table[:border]
    table.flags.writeable = False
    return table


def int_tables(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tables ``[..., 2^(key_bits - 1)]`` of grouped activations ``[..., group]``, one adder level per activation.

    The sums of a group are those of its tail with x_0 added, passed through, or subtracted; only the first half and
    the middle are kept, as the rest is their mirror image.
    """
    group = x.shape[-1]
    sums = np.zeros((*x.shape[:-1], 1), np.int64)
    for i in reversed(range(group)):
        head = x[..., i : i + 1]
        sums = np.concatenate([sums + head, sums, sums - head], axis=-1)
    border = (3**group - 1) // 2
    table = np.zeros((*x.shape[:-1], 1 << border.bit_length()), np.int64)
    table[..., :border] = sums[..., :border]
    return table


def grouped(values: NDArray[Any], groups: int, group: int) -> NDArray[Any]:
    """``[..., K]`` -> ``[..., groups, group]``, filled with zeros."""
    missing = groups * group - values.shape[-1]
    if missing:
        values = np.concatenate([values, np.zeros((*values.shape[:-1], missing), values.dtype)], axis=-1)
    return values.reshape(*values.shape[:-1], groups, group)

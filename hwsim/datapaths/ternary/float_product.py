"""Products of ternary lookup-table units with FP16 or BF16 activations: how operands are laid out for the kernels."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.ternary.keys import key_weights
from hwsim.datapaths.ternary.reference import Binary16


@dataclass(frozen=True, slots=True)
class FloatTables:
    """What of a unit decides its floating-point sums."""

    group: int
    luts: int
    form: Binary16
    kul: bool


def float_matmul(
    unit: FloatTables, x: NDArray[np.float32], keys: NDArray[Any], start: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """The product of a unit with FP16 or BF16 activations: x ``[M, K]`` values, keys ``[N, groups]``."""
    from hwsim.datapaths.ternary.float_kernels import lut_rows
    from hwsim.jit import parallel_rows, thread_count

    (m, _), (n, groups) = x.shape, keys.shape
    luts, filled, through = _steps(unit, groups, start)
    lanes = min(256, max(16, -(-m // (16 * thread_count())) * 16))
    blocks = -(-m // lanes)
    padded = np.zeros((blocks * lanes, filled * unit.group), np.float32)
    padded[:m, : x.shape[1]] = x
    by_lane = np.ascontiguousarray(padded.reshape(blocks, lanes, filled, unit.group).transpose(0, 2, 3, 1))
    adders, _ = adder_tree(unit.group)
    fetches = np.zeros((filled, n), np.int32)
    fetches[:groups] = _registers(unit.group)[keys].T
    out = np.zeros((blocks * lanes, n), np.float32)
    if start is not None:
        out[:m] = start
    out = np.ascontiguousarray(out.reshape(blocks, lanes, n).transpose(0, 2, 1))
    dropped = 24 - unit.form.precision
    parallel_rows(lut_rows, blocks, by_lane, adders, fetches, out, luts, dropped, unit.kul, through)
    return _canonical(out.transpose(0, 2, 1).reshape(blocks * lanes, n)[:m])


def float_dots(
    unit: FloatTables, x: NDArray[np.float32], index: NDArray[Any], negative: NDArray[Any], start: NDArray[Any] | None
) -> NDArray[np.float32]:
    """Dot products of x ``[dots, groups, group]`` with the entries at index ``[dots, groups]``."""
    from hwsim.datapaths.ternary.float_kernels import lut_dots

    dots, groups = index.shape
    luts, filled, through = _steps(unit, groups, start)
    values = np.zeros((dots, filled, unit.group), np.float32)
    values[:, :groups] = x
    weights = np.zeros((dots, filled, unit.group), np.int8)
    weights[:, :groups] = key_weights(unit.group)[index]
    flipped = np.zeros((dots, filled), np.uint8)
    flipped[:, :groups] = negative
    out = np.zeros(dots, np.float32) if start is None else np.array(start, np.float32)
    dropped = 24 - unit.form.precision
    lut_dots(0, dots, values, weights, flipped, out, luts, dropped, unit.kul, through)
    return _canonical(out)


def _steps(unit: FloatTables, groups: int, start: NDArray[Any] | None) -> tuple[int, int, bool]:
    """Tables a step, groups with the last step filled, and whether the only step bypasses the accumulator's adder."""
    if groups <= unit.luts:
        return max(1, groups), groups, start is None
    return unit.luts, -(-groups // unit.luts) * unit.luts, False


@functools.cache
def _registers(group: int) -> NDArray[np.int32]:
    """The register of `adder_tree` that each key reads; negated registers follow all others."""
    adders, entries = adder_tree(group)
    flag = 1 << len(entries).bit_length()
    table = np.zeros(2 * flag, np.int32)
    table[: len(entries)] = entries
    table[flag:] = table[:flag] + 1 + group + len(adders)
    return table


def _canonical(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isnan(values), np.float32(np.nan), values)


@functools.cache
def adder_tree(group: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The adders of one table and the register that holds each entry.

    Registers: 0 is zero, 1..group are the activations, then one per adder. The hardware instantiates some sums more
    than once and adds zero to some; the latter matters for -0 and NaN and is kept, the copies are not.

    Returns:
        adders int32 ``[adders, 4]``: sum, first operand, second operand, 1 if that is subtracted; in order.
        entries int32 ``[(3^group - 1) / 2]``.
    """
    adders: list[tuple[int, int, int, int]] = []

    def add(a: int, b: int, subtract: int = 0) -> int:
        adders.append((1 + group + len(adders), a, b, subtract))
        return adders[-1][0]

    if group < 3:
        entries = [1] if group == 1 else [add(1, 2), 1, add(1, 2, 1), 2]
    else:
        tails = [0]
        for x in range(group, 2, -1):
            tails = [add(t, x) for t in tails] + tails + [add(t, x, 1) for t in tails]
        heads = [add(1, 2), 1, add(1, 2, 1), 2]
        entries = [add(head, tail) for head in heads for tail in tails] + tails[: len(tails) // 2]
    return np.array(adders, np.int32).reshape(-1, 4), np.array(entries, np.int32)

"""Energy of table cores and of the adders they replace on what a trained BitNet multiplies.

A core holds a group of µ activations while the keys of all outputs pass, K at a time: `held` cycles a group. Both
units get the same activations, weights and order; what leaves them is accumulated alike and counted once, apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths import ternary_lut
from hwsim.datapaths.ternary.verilog import ternary_dot, ternary_table, ternary_tree
from hwsim.rtl.accumulator import accumulator
from hwsim.studies.circuits import Measured, flip_flop_clock_fj, measure, running
from hwsim.trace import Gemm


@dataclass(frozen=True, slots=True)
class GroupEnergy:
    """Of one µ on one stream, fJ a weight.

    Attributes:
        tables: build and fetch, the table in place. tree: select and add µ weights.
        accumulate: the 32-bit accumulator of what either hands on, without its clock.
        table_clock: clock pins of the table's registers, if they are clocked in every cycle.
        build_pj: one rebuilding of a table, in pJ, zero and unit delay.
    """

    tables: tuple[float, float]
    tree: tuple[float, float]
    accumulate: tuple[float, float]
    table_clock: float
    build_pj: tuple[float, float]


def group_energy(gemms: Sequence[Gemm], group: int, readers: int, held: int, cycles: int) -> GroupEnergy:
    """Energy at µ = `group`, K = `readers`, every group of activations held for `held` cycles."""
    parts = [_streams(gemm, group, readers, held, cycles // len(gemms)) for gemm in gemms]
    x, w = (np.concatenate([part[index] for part in parts]) for index in (0, 1))
    keys = ternary_lut(group, "int8").encode(w.reshape(-1, group).astype(np.int8)).reshape(len(w), readers)
    weights = group * readers
    tables = measure(ternary_dot(group, "int8", 1, readers), {"x": x, "key": keys})
    tree = measure(ternary_tree(group, readers), {"x": x, "w": (w & 3).reshape(len(w), -1)})
    built = measure(ternary_table(group, "int8"), {"x": x[::held]})
    table = ternary_table(group, "int8").outputs[0]
    adder = accumulator(ternary_dot(group, "int8", 1, 1).outputs[0].bits, 32)
    sums, clear = _partial_sums(gemms, group, cycles)
    accumulate = measure(adder, {"p": sums, "clear": clear}, {"acc": running(sums, clear, 32)})
    clock = table.width * flip_flop_clock_fj(adder) / weights
    return GroupEnergy(
        _pair(tables, weights), _pair(tree, weights), _pair(accumulate, group), clock, _pair(built, 1e3)
    )


def _pair(found: Measured, each: float) -> tuple[float, float]:
    return found.zero_fj / each, found.unit_fj / each


def _integers(gemm: Gemm) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return gemm.a.values[0].astype(np.int64), gemm.b.values[0].astype(np.int64)


def _streams(
    gemm: Gemm, group: int, readers: int, held: int, cycles: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Activations ``[cycles, µ]`` and weights ``[cycles, K, µ]``: groups in turn, the outputs' keys under each."""
    x, w = _integers(gemm)
    groups = x.shape[1] // group
    rows = x[: max(cycles // (held * groups), 1), : groups * group].reshape(-1, group)
    rows = rows[: max(cycles // held, 2)]
    used = np.arange(held * readers) % len(w)
    keys = w[used, : groups * group].reshape(held, readers, groups, group).transpose(2, 0, 1, 3)
    turns = np.arange(len(rows)) % groups
    return np.repeat(rows, held, axis=0), keys[turns].reshape(-1, readers, group)


def _partial_sums(gemms: Sequence[Gemm], group: int, cycles: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """What one output's accumulator takes, dot product after dot product, and where each begins."""
    sums, clear = [], []
    for gemm in gemms:
        x, w = _integers(gemm)
        groups = x.shape[1] // group
        dots = max(cycles // (len(gemms) * groups), 1)
        for dot in range(dots):
            products = x[dot % len(x)] * w[dot * 7 % len(w)]
            sums.append(products[: groups * group].reshape(groups, group).sum(1))
            clear.append(np.arange(groups) == 0)
    return np.concatenate(sums), np.concatenate(clear).astype(np.uint64)

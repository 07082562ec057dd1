"""Whole matrix products of a library: bit for bit where the order over K is known, within a derived bound elsewhere.

A library's product is a chain of instructions over K, cut in ways that it does not announce: cuBLAS on Hopper leaves
the FP8 unit every 128 elements in its slow mode, and splits K between thread blocks. `explain` tries the plans that
are documented (cuBLAS FP8 on Hopper and Ada, read in mmaemu 0.1.0, whose author compared them with 4,167 calls on
silicon) and names the one that gives every bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.verify.subject import DotUnit

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Plan:
    """How a library goes over K.

    Args:
        promote: leave the unit every so many elements and add in float32, nearest; 0 for one chain.
        splits: parts of K that are added serially in float32.
        tile: elements of K that stay together.
        interleaved: tile t belongs to part t mod splits; else the parts are contiguous.
    """

    promote: int = 0
    splits: int = 1
    tile: int = 128
    interleaved: bool = False

    def __str__(self) -> str:
        chain = f"promoted every {self.promote}" if self.promote else "one chain"
        parts = "interleaved" if self.interleaved else "contiguous"
        return chain if self.splits == 1 else f"{chain}, {self.splits} {parts} parts of tiles of {self.tile}"

    def parts(self, k: int) -> list[NDArray[np.intp]]:
        """The elements of every part, in its order."""
        tiles = [np.arange(first, min(first + self.tile, k)) for first in range(0, k, self.tile)]
        if self.splits == 1:
            return [np.arange(k)]
        run = -(-len(tiles) // self.splits)
        chosen = [
            tiles[n :: self.splits] if self.interleaved else tiles[n * run : (n + 1) * run]
            for n in range(self.splits)
        ]
        return [np.concatenate(part) for part in chosen if part]


def plans(k: int, promote: int) -> Iterator[Plan]:
    """Every documented plan for K, the unsplit one first."""
    yield Plan(promote)
    for tile, interleaved in ((128, False), (64, True)):
        for splits in range(2, min(32, -(-k // tile)) + 1):
            yield Plan(promote, splits, tile, interleaved)


def product(
    unit: DotUnit, a: NDArray[Any], b: NDArray[Any], scales: tuple[Any, Any] = (None, None), plan: Plan | None = None
) -> Floats:
    """Accumulators of codes a ``[M, K]`` and b ``[N, K]`` by a plan; a unit with scales takes the unsplit one."""
    way = plan or Plan()
    if scales[0] is not None:
        return np.asarray(unit.matmul(a, b, None, *scales), np.float32)
    total: Floats | None = None
    for part in way.parts(a.shape[1]):
        chunk = way.promote or part.size
        accumulated: Floats | None = None
        for first in range(0, part.size, chunk):
            own = part[first : first + chunk]
            piece = unit.matmul(np.ascontiguousarray(a[:, own]), np.ascontiguousarray(b[:, own]))
            accumulated = piece if accumulated is None else accumulated + piece
        assert accumulated is not None
        total = accumulated if total is None else total + accumulated
    assert total is not None
    return total


def epilogue(accumulators: Floats, scale_a: float, scale_b: float, out: str) -> NDArray[Any]:
    """``alpha * accumulator`` with alpha rounded to float32, then rounded to `out`: words of fp32, fp16 or bf16."""
    scaled = accumulators * (np.float32(scale_a) * np.float32(scale_b))
    return formats.get(out).encode(scaled.astype(np.float32), saturate=False)


def explain(
    unit: DotUnit,
    a: NDArray[Any],
    b: NDArray[Any],
    result: NDArray[Any],
    promote: int,
    scale: float = 1.0,
    out: str = "fp32",
) -> Plan | None:
    """The plan that gives every word of `result`, None if none does."""
    for plan in plans(a.shape[1], promote):
        if np.array_equal(epilogue(product(unit, a, b, plan=plan), scale, 1.0, out), result):
            return plan
    return None


def _exponents(form: str, codes: NDArray[Any]) -> NDArray[np.float64]:
    """2^e of every number, e being the exponent that the unit sees: not below that of subnormals; 0 for zero."""
    values = np.abs(formats.get(form).decode(codes).astype(np.float64))
    e = np.maximum(np.frexp(values)[1] - 1, formats.get(form).min_exponent)
    return np.where(values > 0, np.ldexp(1.0, e), 0.0)


def bound(
    unit: DotUnit, a: NDArray[Any], b: NDArray[Any], group: int, fraction_bits: int, result_bits: int
) -> NDArray[np.float64]:
    """How far a chain of groups, in any order, can be from the exact sum: ``[M, N]``. For units without scales.

    A group cuts each of its `group` + 1 terms by less than 2^(emax - fraction_bits) and its sum by less than one unit
    in the last of `result_bits` fraction bits. 2^emax is at most the larger of the largest product of exponents and
    the running sum, which stays below S = sum |a b| plus what was lost before; a factor of 1.01 covers that.
    """
    groups = -(-a.shape[1] // group)
    values = [
        np.abs(formats.get(form).decode(x).astype(np.float64)) for form, x in ((unit.a_format, a), (unit.b_format, b))
    ]
    total = values[0] @ values[1].T
    tops = [_exponents(form, x).max(axis=1) for form, x in ((unit.a_format, a), (unit.b_format, b))]
    largest = np.maximum(total, np.outer(*tops))
    room = 1.01 * groups * (largest * (group + 1) * 2.0**-fraction_bits + total * 2.0**-result_bits)
    return np.asarray(room)


def float32_bound(unit: DotUnit, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """How far float32 arithmetic in any order can be from the exact sum: K units of 2^-24 of sum |a b|."""
    values = [
        np.abs(formats.get(form).decode(x).astype(np.float64)) for form, x in ((unit.a_format, a), (unit.b_format, b))
    ]
    return np.asarray(1.01 * a.shape[1] * 2.0**-24 * (values[0] @ values[1].T))

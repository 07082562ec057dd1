"""Questions to a dot unit, in numbers: which products, which c, which scales; the answers as numbers.

A `Probe` asks many cases at once. Numbers become codes exactly or not at all, so that a question says what it seems
to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.verify.operands import Batch, words
from hwsim.verify.subject import DotUnit

Pair = tuple[float, float]


@dataclass(frozen=True)
class Case:
    """One dot product: k -> (a, b), c, and block -> (scales of a and b); what is not named is 0, scales are 1."""

    terms: Mapping[int, Pair] = field(default_factory=dict)
    c: float = 0.0
    scales: Mapping[int, Pair] = field(default_factory=dict)


@cache
def powers(name: str) -> tuple[int, int]:
    """Smallest and largest n with 2^n in a format."""
    form = formats.get(name)
    return math.ceil(math.log2(form.smallest)), math.floor(math.log2(form.max))


class Probe:
    """Asks a unit about dot products of `k` elements."""

    def __init__(self, unit: DotUnit, k: int) -> None:
        if unit.block and k % unit.block:
            raise ArgumentError(f"k must be a multiple of {unit.block}", got=k, where="verify.discover")
        self.unit, self.k = unit, k
        self.half = unit.out == "fp16"
        self.asked = 0

    def _code(self, name: str, value: float) -> Any:
        code = formats.get(name).encode(np.array([value], np.float32), saturate=False)
        got = float(formats.get(name).decode(code)[0])
        assert got == value or (math.isnan(got) and math.isnan(value)), f"{value} is no number of {name}"
        return code[0]

    def words(self, cases: Sequence[Case]) -> NDArray[Any]:
        """The result words of the cases."""
        unit, count = self.unit, len(cases)
        a, b = (np.zeros((count, self.k), formats.get(name).code_dtype) for name in (unit.a_format, unit.b_format))
        c = np.array([case.c for case in cases], np.float16 if self.half else np.float32)
        scales: list[NDArray[np.uint8] | None] = [None, None]
        if unit.block and unit.scale_format:
            one = self._code(unit.scale_format, 1.0)
            scales = [np.full((count, self.k // unit.block), one, np.uint8) for _ in range(2)]
        for row, case in enumerate(cases):
            for k, (x, y) in case.terms.items():
                a[row, k], b[row, k] = self._code(unit.a_format, x), self._code(unit.b_format, y)
            for block, pair in case.scales.items():
                for scale, value in zip(scales, pair, strict=True):
                    assert scale is not None
                    assert unit.scale_format is not None
                    scale[row, block] = self._code(unit.scale_format, value)
        return self.raw(Batch(a, b, c, *scales))

    def raw(self, batch: Batch) -> NDArray[Any]:
        """The result words of a batch of codes."""
        self.asked += len(batch)
        return batch.run(self.unit)

    def values(self, cases: Sequence[Case]) -> list[float]:
        """The results as numbers."""
        return [float(x) for x in self.words(cases).view(np.float16 if self.half else np.float32)]

    def product(self, exponent: int) -> Pair | None:
        """Two powers of two with product 2^exponent, None if the formats have none."""
        (low_a, high_a), (low_b, high_b) = powers(self.unit.a_format), powers(self.unit.b_format)
        first = min(max(exponent // 2, low_a, exponent - high_b), high_a)
        second = exponent - first
        return (2.0**first, 2.0**second) if low_b <= second <= high_b else None

    @property
    def largest(self) -> int:
        """Largest n with 2^n a product, at most that of c's format."""
        top = powers(self.unit.a_format)[1] + powers(self.unit.b_format)[1]
        return min(top, 14 if self.half else 60)

    @property
    def smallest_c(self) -> int:
        """log2 of the smallest c."""
        return -24 if self.half else -149

    def ones(self, width: int) -> NDArray[Any]:
        """Codes of 1.0 of the format of a and b: two arrays ``[width, k]`` of zeros with a one in column 0."""
        shaped = []
        for name in (self.unit.a_format, self.unit.b_format):
            codes = np.zeros((width, self.k), formats.get(name).code_dtype)
            codes[:, 0] = self._code(name, 1.0)
            shaped.append(codes)
        return np.array(shaped, dtype=object) if shaped[0].dtype != shaped[1].dtype else np.stack(shaped)


def negative(pair: Pair) -> Pair:
    """The pair whose product has the other sign."""
    return -pair[0], pair[1]


def word_of(value: float, half: bool) -> int:
    """The word of a number in float32 or float16."""
    return int(words(np.array([value], np.float16 if half else np.float32))[0])

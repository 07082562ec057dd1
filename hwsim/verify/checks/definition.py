"""The FP4 units in exact fractions, from the published rule alone: no integers of fixed width, no shifts.

They rest on one outside source (GST-FDPA of arXiv 2511.10909), so its words are here once more, in another form: 64
products in four sub-groups of 16; the scales' exponents and c's decide what is cut, at 2^-35 below the largest; the
sum is truncated to float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.verify.operands import Batch, batches
from hwsim.verify.search import search
from hwsim.verify.subject import DotUnit, Subject
from hwsim.verify.table import Row, today

UNITS = ("nvfp4", "mxfp4", "mxfp4.block16")
FRACTION_BITS, ZERO_EXPONENT, SUB_GROUP, NAN = 35, -139, 16, 0x7FFFFFFF


def _floor_log2(x: Fraction) -> int:
    e = x.numerator.bit_length() - x.denominator.bit_length()
    return e if x >= Fraction(2) ** e else e - 1


def _cut(x: Fraction, quantum: Fraction) -> Fraction:
    """`x` truncated toward zero to a multiple of `quantum`."""
    return int(abs(x) / quantum) * quantum * (1 if x > 0 else -1)


def dot(unit: DotUnit, batch: Batch, row: int) -> int:
    """The word of one dot product of one instruction."""
    element, scale = formats.get("e2m1"), formats.get(str(unit.scale_format))
    assert batch.scale_a is not None
    assert batch.scale_b is not None
    assert unit.block
    least = scale.min_exponent
    with np.errstate(all="ignore"):
        scales = [scale.decode(s[row]) for s in (batch.scale_a, batch.scale_b)]
    c = float(batch.c[row])
    if np.isnan(c) or np.isnan(scales).any():
        return NAN
    if np.isinf(c):
        return int(np.float32(c).view(np.uint32))
    a, b = ([Fraction(float(x)) for x in element.decode(codes[row])] for codes in (batch.a, batch.b))
    terms, exponents = [Fraction(c)], [ZERO_EXPONENT]
    if c:
        exponents.append(max(_floor_log2(abs(Fraction(c))), -126))
    for first in range(0, 64, SUB_GROUP):
        products = [a[k] * b[k] for k in range(first, first + SUB_GROUP)]
        pair = [Fraction(float(s[first // unit.block])) for s in scales]
        terms.append(sum(products) * pair[0] * pair[1])
        if any(products) and all(pair):
            exponents.append(sum(max(_floor_log2(s), least) for s in pair))
    quantum = Fraction(2) ** (max(exponents) - FRACTION_BITS)
    total = sum((_cut(term, quantum) for term in terms), Fraction(0))
    if not total:
        return 0
    grid = Fraction(2) ** (max(_floor_log2(abs(total)), -126) - 23)
    kept = _cut(total, grid)
    sign = 0x80000000 if total < 0 else 0
    if abs(kept) >= Fraction(2) ** 128:
        return sign | 0x7F800000
    return sign | int(np.float32(float(abs(kept))).view(np.uint32)) if kept else 0


def check(subject: Subject, count: int, seed: int = 0) -> Iterator[Row]:
    """One row a unit; `count` dot products of every kind."""
    for operand in UNITS:
        unit = subject.unit("blackwell", operand)
        found = search(unit, partial(Batch.run, unit=unit), partial(_dots, unit), batches(unit, seed, count, 64))
        yield Row(
            f"blackwell {operand}", "exact fractions of the rule", found.cases, found.count, today(), found.smallest
        )


def _dots(unit: DotUnit, batch: Batch) -> NDArray[np.uint32]:
    return np.array([dot(unit, batch, row) for row in range(len(batch))], np.uint32)

"""The search for a difference, and the smallest case that shows it.

A mismatch on 64 random products says little. `shrink` takes elements away, sets c to zero and replaces numbers by
simpler ones for as long as both sides still differ; every round asks each side once, for all attempts together, so
that it is as usable on a device as on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.verify.operands import Batch, code_of
from hwsim.verify.subject import DotUnit

Run = Callable[[Batch], NDArray[Any]]
"""Words of every dot product of a batch."""


@dataclass(frozen=True)
class Difference:
    """What a search found.

    Attributes:
        cases: dot products compared.
        count: how many differ.
        kind: the kind of operands of the first one.
        smallest: the first one, shrunk, as one line in hexadecimal; empty where none differs.
    """

    cases: int
    count: int = 0
    kind: str = ""
    smallest: str = ""


def search(unit: DotUnit, ours: Run, theirs: Run, batches: Iterable[tuple[str, Batch]]) -> Difference:
    """Compare two sides on all batches and shrink the first difference."""
    cases = count = 0
    kind = smallest = ""
    for name, batch in batches:
        wrong = np.flatnonzero(ours(batch) != theirs(batch))
        cases, count = cases + len(batch), count + wrong.size
        if wrong.size and not smallest:
            kind, smallest = name, show(unit, shrink(unit, ours, theirs, batch.rows(wrong[:1])), ours, theirs)
    return Difference(cases, count, kind, smallest)


def _attempts(unit: DotUnit, case: Batch) -> Batch:
    """Simpler versions of a case of one row, the boldest first."""
    k, made = case.a.shape[1], []
    arrays = [case.a, case.b, case.c, case.scale_a, case.scale_b]

    def attempt(**changes: NDArray[Any]) -> None:
        names = ("a", "b", "c", "scale_a", "scale_b")
        made.append([changes.get(name, array) for name, array in zip(names, arrays, strict=True)])

    used = np.flatnonzero((case.a[0] != 0) | (case.b[0] != 0))
    width = max(1, k // 2)
    while width:
        for start in range(0, k, width):
            if ((used >= start) & (used < start + width)).any():
                a, b = case.a.copy(), case.b.copy()
                a[:, start : start + width], b[:, start : start + width] = 0, 0
                attempt(a=a, b=b)
        width //= 2
    if case.c[0] != 0 or np.signbit(case.c[0]):
        attempt(c=np.zeros_like(case.c))
    for name, form, codes in (("a", unit.a_format, case.a), ("b", unit.b_format, case.b)):
        simple = [code_of(form, 1.0), code_of(form, -1.0)]
        low = codes.dtype.type(((1 << formats.get(form).mantissa_bits) - 1) << formats.get(form).padding_bits)
        for index in used:
            if codes[0, index] in (0, *simple):
                continue
            for value in (*simple, codes[0, index] & ~low):
                if value != codes[0, index]:
                    changed = codes.copy()
                    changed[0, index] = value
                    attempt(**{name: changed})
    if unit.scale_format and case.scale_a is not None and case.scale_b is not None:
        one = code_of(unit.scale_format, 1.0)
        for name, scales in (("scale_a", case.scale_a), ("scale_b", case.scale_b)):
            for index in np.flatnonzero(scales[0] != one):
                changed = scales.copy()
                changed[0, index] = one
                attempt(**{name: changed})
    word = case.c.view(f"u{case.c.dtype.itemsize}")
    kept = word & (word.dtype.type(0xFC00) if word.dtype.itemsize == 2 else word.dtype.type(0xFF800000))
    if kept[0] != word[0]:
        attempt(c=kept.view(case.c.dtype))
    columns = zip(*made, strict=True) if made else [[] for _ in arrays]
    stacked = [None if not column or column[0] is None else np.concatenate(column) for column in map(list, columns)]
    if not made:
        return case.rows(slice(0, 0))
    return Batch(*stacked)  # type: ignore[arg-type]


def shrink(unit: DotUnit, ours: Run, theirs: Run, case: Batch) -> Batch:
    """The simplest case, reached step by step from `case` (one row), on which both sides still differ."""
    for _ in range(400):  # every step leaves less; the bound is for sides that are not functions
        for attempts in (_attempts(unit, case), _without_pairs(case)):
            still = np.flatnonzero(ours(attempts) != theirs(attempts)) if len(attempts) else np.empty(0, int)
            if still.size:
                case = attempts.rows(still[:1])
                break
        else:
            break
    return case


def _without_pairs(case: Batch) -> Batch:
    """The case without two of its products, for every two: what cancels can only leave together."""
    used = np.flatnonzero((case.a[0] != 0) & (case.b[0] != 0))
    first, second = (used[index] for index in np.triu_indices(len(used), 1))
    pairs = case.rows(np.zeros(len(first), int))
    rows = np.arange(len(first))
    for codes in (pairs.a, pairs.b):
        codes[rows, first] = codes[rows, second] = 0
    return pairs


def show(unit: DotUnit, case: Batch, ours: Run, theirs: Run) -> str:
    """One line: the products that are not zero by their index, c, scales, and both results, in hexadecimal."""
    terms = [
        f"[{k}] {int(x):#x}*{int(y):#x}" for k, (x, y) in enumerate(zip(case.a[0], case.b[0], strict=True)) if x or y
    ]
    parts = [" + ".join(terms) or "no products", f"c {int(case.c.view(f'u{case.c.dtype.itemsize}')[0]):#x}"]
    if case.scale_a is not None and case.scale_b is not None:
        parts.append(f"scales {case.scale_a[0].tobytes().hex()} {case.scale_b[0].tobytes().hex()}")
    return f"{unit.name}: {', '.join(parts)}: {int(ours(case)[0]):#x}, not {int(theirs(case)[0]):#x}"

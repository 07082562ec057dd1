"""Tensor cores against mmasim, every unit on every kind of hard operands."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import MissingExtra
from hwsim.verify import mmasim_oracle
from hwsim.verify.free import ARCHS, legal
from hwsim.verify.operands import Batch, batches, words
from hwsim.verify.search import Difference, search
from hwsim.verify.subject import DotUnit, Subject
from hwsim.verify.table import Row, skipped, today

ORACLE = "mmasim 2.1.1"

MIXED = (
    ("ada", ("e4m3", "e5m2"), "fp32"), ("hopper", ("e5m2", "e4m3"), "fp16"), ("blackwell", ("e2m1", "e5m2"), "fp32"),
    ("blackwell", ("e3m2", "e4m3"), "fp16"), ("rtx_blackwell", ("e2m3", "e2m1"), "fp32"),
    ("blackwell", ("mxfp8.e4m3", "mxf8f6f4.e2m1"), "fp32"), ("rtx_blackwell", ("mxfp6.e2m3", "mxfp8.e5m2"), "fp32"),
    ("cdna3", ("e4m3fnuz", "e5m2fnuz"), "fp32"),
)  # fmt: skip
"""Pairs of formats that stand for all pairs of their instruction."""


def units() -> Iterator[tuple[str, Any, str]]:
    """Every unit that mmasim has an instruction for; the FP8 one that becomes two FP16 steps has none."""
    for out in ("fp32", "fp16"):
        for arch in ARCHS:
            yield from ((arch, operand, out) for operand in legal(arch, out) if not operand.endswith("mma_sync"))
    yield from MIXED


def check(subject: Subject, count: int, seed: int = 0, only: Collection[Any] | None = None) -> Iterator[Row]:
    """One row an architecture; `count` dot products of each kind for every unit, or for those of `only`."""
    try:
        mmasim_oracle.load()
    except MissingExtra as missing:
        yield skipped("tensor cores", ORACLE, missing)
        return
    rows: dict[str, list[tuple[Difference, str]]] = {}
    for number, (arch, operand, out) in enumerate(units()):
        if only is None or (arch, operand, out) in only:
            rows.setdefault(arch, []).append(_compare(subject, arch, operand, out, count, seed + number))
    for arch, found in rows.items():
        notes = dict.fromkeys(text for difference, note in found for text in (difference.smallest, note) if text)
        cases, count_wrong = (sum(getattr(difference, n) for difference, _ in found) for n in ("cases", "count"))
        yield Row(f"{arch}: {len(found)} tensor-core units", ORACLE, cases, count_wrong, today(), "; ".join(notes))


def _compare(subject: Subject, arch: str, operand: Any, out: str, count: int, seed: int) -> tuple[Difference, str]:
    unit: Any = subject.unit(arch, operand, out)
    operation, k = mmasim_oracle.instruction(unit)

    def ours(batch: Batch) -> NDArray[Any]:
        return mmasim_oracle.one_form(unit, batch.run(unit), batch)

    def theirs(batch: Batch) -> NDArray[Any]:
        return mmasim_oracle.one_form(unit, mmasim_oracle.run(unit, operation, batch), batch)

    return search(unit, ours, theirs, batches(unit, seed, count, k)), mmasim_oracle.exception(unit)


def products(subject: Subject, size: int, seed: int = 0, only: Collection[Any] | None = None) -> Iterator[Row]:
    """`matmul`, which takes other kernels, against `dot`, which the rows above compare.

    A product of `size` × `size` results of each kind for every unit, or for those of `only`.
    """
    rows: dict[str, list[tuple[int, int]]] = {}
    for number, (arch, operand, out) in enumerate(units()):
        if only is None or (arch, operand, out) in only:
            rows.setdefault(arch, []).append(_product(subject.unit(arch, operand, out), size, seed + number))
    for arch, found in rows.items():
        cases, wrong = (sum(one[n] for one in found) for n in (0, 1))
        yield Row(f"{arch}: whole products of {len(found)} units", "their own dot products", cases, wrong, today())


def _product(unit: DotUnit, size: int, seed: int) -> tuple[int, int]:
    """Results compared, and how many differ."""
    cases = wrong = 0
    i, j = (index.ravel() for index in np.indices((size, size)))
    k = 192 if unit.block else 187  # the last group is ragged where no scales forbid it
    for _, batch in batches(unit, seed, size, k):
        scales = [batch.scale_a, batch.scale_b]
        picked = [None if s is None else s[index] for s, index in zip(scales, (i, j), strict=True)]
        ours = words(unit.matmul(batch.a, batch.b, batch.c[i].reshape(size, size), *scales)).ravel()
        theirs = words(unit.dot(batch.a[i], batch.b[j], batch.c[i], *picked))
        cases, wrong = cases + ours.size, wrong + int((ours != theirs).sum())
    return cases, wrong

"""Operands of dot units' tests: what random codes hide.

Rows with zero groups and cancelling groups, zero terms with large exponents, scales and c near each other, at edges
and out of range, infinities and NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.dot.elements import Element
from hwsim.datapaths.dot.rule import Rule
from hwsim.rtl.unit import Port, Values, edge_words, random_words

SHORT = 16
"""Products that become zero together, where no sub-group says how many."""


def operands(rng: np.random.Generator, n: int, ports: tuple[Port, ...], unit: Rule) -> Values:
    """Random codes; rows with zero groups and cancelling groups; scales and c near each other and at edges."""
    values = {port.name: random_words(rng, port, n) for port in ports}
    for name in ("a", "b"):
        values[name] = values[name].reshape(n, unit.group)
    a, b, c = values["a"], values["b"], values["c"]
    kind = rng.integers(0, 12, size=n)
    signs = [np.uint64(1 << form.magnitude_bits) for form in unit.forms]
    for form, codes, sign in zip(unit.forms, (a, b), signs, strict=True):
        _mostly_finite(form, codes, kind, sign)
    # groups of 16 (or all of a short one) become zero in a third of the rows, one code of a in another
    width = min(SHORT, unit.group) if unit.group % min(SHORT, unit.group) == 0 else 1
    empty = np.repeat(rng.random((n, unit.group // width)) < 0.5, width, axis=1) & (kind % 3 == 0)[:, None]
    a[empty] &= signs[0]
    a[(rng.random(a.shape) < 0.5) & (kind % 5 == 1)[:, None]] &= signs[0]
    # halves that cancel
    half = unit.group // 2
    cancel = np.flatnonzero(kind == 4)
    a[cancel, half : 2 * half] = a[cancel, :half] ^ signs[0]
    b[cancel, half : 2 * half] = b[cancel, :half]
    pairs = np.flatnonzero(kind == 5)  # cancel within each group
    a[pairs, 1 : 2 * half : 2] = a[pairs, 0 : 2 * half : 2] ^ signs[0]
    b[pairs, 1 : 2 * half : 2] = b[pairs, 0 : 2 * half : 2]
    values["c"] = _accumulators(rng, n, c)
    scale = unit.scale_form
    if scale is not None:
        for name in ("scale_a", "scale_b"):
            values[name] = _scales(rng, values[name], scale)
        _scales_of_rows(rng, kind, values, unit)
    a[kind == 6] &= signs[0]  # c alone
    _tower_over_little(rng, np.flatnonzero(kind == 7), values, unit)
    for port in ports[:2]:
        values[port.name] = values[port.name].reshape(n, *port.shape)
    return values


def _mostly_finite(form: Element, codes: NDArray[np.uint64], kind: NDArray[np.int64], sign: np.uint64) -> None:
    """Random codes of small formats are almost never all finite: special ones in a few rows only."""
    if form.specials == "none":
        return
    top = np.uint64(((1 << form.exponent_bits) - 1) << form.mantissa_bits)
    lowered = np.uint64(1 << (form.magnitude_bits - 1))
    special = codes & top == top
    codes[:] = np.where(special & (kind < 10)[:, None], codes ^ lowered, codes)
    if form.specials == "ieee":  # infinities without a NaN that hides them
        codes[:] = np.where(special & (kind == 11)[:, None], codes & (top | sign), codes)


def _powers(form: Element) -> bool:
    return not form.has_zero and not form.mantissa_bits


def _scales_of_rows(rng: np.random.Generator, kind: NDArray[np.int64], values: Values, unit: Rule) -> None:
    """Equal scales where halves cancel; results near the largest and the smallest number."""
    if unit.group <= SHORT:
        return
    form, n = unit.scale_form, len(kind)
    assert form is not None
    for name in ("scale_a", "scale_b"):
        scale = values[name].reshape(n, -1)
        same = kind == 4
        scale[same] = scale[same][:, :1]
    if _powers(form):
        ends = np.flatnonzero(kind == 8)
        shape = values["scale_a"].shape[1:]
        bias, top = 2 * form.bias, (1 << form.word_bits) - 1
        scale_a = rng.integers(0, top, size=(len(ends), *shape))
        wanted = bias + np.where(rng.random(scale_a.shape) < 0.5, 122, -148) + rng.integers(-6, 7, scale_a.shape)
        values["scale_a"][ends] = scale_a
        values["scale_b"][ends] = np.clip(wanted - scale_a, 0, top - 1)


def _tower_over_little(rng: np.random.Generator, rows: NDArray[np.intp], values: Values, unit: Rule) -> None:
    """Rows whose zero terms have large exponents and whose others are small: a zero must not decide what is cut."""
    width = min(unit.block or SHORT, unit.group)
    width = width if unit.group % width == 0 else 1
    grouped = unit.align == "grouped"
    blocks = rng.random((len(rows), unit.group // width)) < rng.choice([0.5, 1.0], size=(len(rows), 1))
    zero = np.repeat(blocks, width, axis=1) if grouped else rng.random((len(rows), unit.group)) < 0.5
    a, b = values["a"][rows], values["b"][rows]
    form_a, form_b = unit.forms
    top = np.uint64((((1 << form_b.exponent_bits) - 1) << form_b.mantissa_bits) - (form_b.specials != "none"))
    small_a, small_b = (
        np.uint64((1 << (form.mantissa_bits + 1)) - 1 | 1 << form.magnitude_bits) for form in unit.forms
    )
    one_is_zero = rng.random((len(rows), 1)) < 0.5  # else, in a grouped unit, the scale is
    by_code = zero & (one_is_zero | (not grouped))
    no_code = ~np.uint64(2 * (1 << form_a.magnitude_bits) - 1)
    values["a"][rows] = np.where(by_code, a & no_code, np.where(zero, a, a & small_a))
    values["b"][rows] = np.where(zero, top, b & small_b)
    if grouped and unit.scale_form is not None:
        large, little = _large_and_little(unit.scale_form)
        shape = values["scale_a"][rows].shape
        empty = np.where(one_is_zero, large, np.uint64(0))
        values["scale_a"][rows] = np.where(blocks, empty, little).reshape(shape)
        values["scale_b"][rows] = np.where(blocks, large, little).reshape(shape)
    tiny = rng.integers(0, 1 << 31, size=len(rows), dtype=np.uint64) >> np.uint64(rng.integers(0, 3))
    values["c"][rows] = np.where(rng.random(len(rows)) < 0.5, np.uint64(0), tiny >> np.uint64(1))


def _large_and_little(form: Element) -> tuple[np.uint64, np.uint64]:
    """A large and a small scale that are numbers."""
    if _powers(form):
        return np.uint64(min(200, (1 << form.word_bits) - 2)), np.uint64(min(100, form.bias))
    return np.uint64((1 << form.magnitude_bits) - 2), np.uint64(1)


def _accumulators(rng: np.random.Generator, n: int, words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """c: mostly of the size of the sum, else any word, zero, subnormal, edge or special."""
    kind = rng.integers(0, 8, size=n)
    near = (rng.standard_normal(n) * np.exp2(rng.integers(-12, 13, size=n))).astype(np.float32)
    edges = edge_words(rng, Port("c", 32), n)
    special = rng.choice(np.array([0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0x7F7FFFFF], np.uint64), size=n)
    out = np.where(kind < 4, near.view(np.uint32).astype(np.uint64), words)
    out = np.where(kind == 5, words & np.uint64(0x807FFFFF), out)
    out = np.where(kind == 6, words & np.uint64(0x80000000), out)
    return np.where(kind == 7, np.where(rng.random(n) < 0.3, special, edges), out)


def _scales(rng: np.random.Generator, words: NDArray[np.uint64], form: Element) -> NDArray[np.uint64]:
    """Scale bytes: near one exponent, with some far, zero, subnormal and NaN ones."""
    n, every = len(words), np.uint64((1 << form.word_bits) - 1)
    kind = rng.integers(0, 8, size=n).reshape(n, *(1 for _ in words.shape[1:]))
    middle = np.uint64(form.bias << form.mantissa_bits)
    near = middle + words % np.uint64(9) - np.uint64(4)
    nan = np.where(rng.random(words.shape) < 0.1, every, near)
    low = words % np.uint64(10)
    out = np.where(kind < 4, near, words)
    out = np.where(kind == 5, low, out)
    return (np.where(kind == 6, nan, out) & every).astype(np.uint64)

"""Operands of tensor cores' tests: what random codes hide.

Rows with zero groups and cancelling groups, zero terms with large exponents, scales and c near each other, at edges
and out of range, infinities and NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.tensor_cores.catalogue import SUB_GROUP, Row
from hwsim.datapaths.tensor_cores.elements import Element
from hwsim.rtl.unit import Port, Values, edge_words, random_words


def operands(rng: np.random.Generator, n: int, ports: tuple[Port, ...], form: Element, row: Row) -> Values:
    """Random codes; rows with zero groups and cancelling groups; scales and c near each other and at edges."""
    values = {port.name: random_words(rng, port, n) for port in ports}
    a, b, c = values["a"], values["b"], values["c"]
    kind = rng.integers(0, 12, size=n)
    sign = np.uint64(1 << form.magnitude_bits)
    if form.specials != "none":  # random codes of small formats are almost never all finite
        finite = kind < 10
        top = np.uint64(((1 << form.exponent_bits) - 1) << form.mantissa_bits)
        lowered = np.uint64(1 << (form.magnitude_bits - 1))
        for codes in (a, b):
            special = codes & top == top
            codes[:] = np.where(special & finite[:, None], codes ^ lowered, codes)
            if form.specials == "ieee":  # infinities without a NaN that hides them
                codes[:] = np.where(special & (kind == 11)[:, None], codes & (top | sign), codes)
    # groups of 16 (or all of a short one) become zero in a third of the rows, one code of a in another
    width = min(SUB_GROUP, row.group)
    empty = np.repeat(rng.random((n, row.group // width)) < 0.5, width, axis=1) & (kind % 3 == 0)[:, None]
    a[empty] &= sign
    a[(rng.random(a.shape) < 0.5) & (kind % 5 == 1)[:, None]] &= sign
    # halves that cancel
    half = row.group // 2
    cancel = np.flatnonzero(kind == 4)
    a[cancel, half:] = a[cancel, :half] ^ sign
    b[cancel, half:] = b[cancel, :half]
    pairs = np.flatnonzero(kind == 5)  # cancel within each group
    a[pairs, 1::2] = a[pairs, 0::2] ^ sign
    b[pairs, 1::2] = b[pairs, 0::2]
    values["c"] = _accumulators(rng, n, c)
    for name in ("scale_a", "scale_b"):
        if name in values:
            values[name] = _scales(rng, values[name], row.scale == "e8m0")
    if "scale_a" in values and row.group > SUB_GROUP:
        same = kind == 4
        for name in ("scale_a", "scale_b"):
            scale = values[name].reshape(n, -1)
            scale[same] = scale[same][:, :1]
        if row.scale == "e8m0":  # results near the largest and the smallest number
            ends = np.flatnonzero(kind == 8)
            scale_a = rng.integers(0, 255, size=(len(ends), *ports[3].shape))
            wanted = 254 + np.where(rng.random(scale_a.shape) < 0.5, 122, -148) + rng.integers(-6, 7, scale_a.shape)
            values["scale_a"][ends] = scale_a
            values["scale_b"][ends] = np.clip(wanted - scale_a, 0, 254)
    a[kind == 6] &= sign  # c alone
    _tower_over_little(rng, np.flatnonzero(kind == 7), values, form, row)
    return values


def _tower_over_little(
    rng: np.random.Generator, rows: NDArray[np.intp], values: Values, form: Element, row: Row
) -> None:
    """Rows whose zero terms have large exponents and whose others are small: a zero must not decide what is cut."""
    width = min(row.block or SUB_GROUP, row.group)
    blocks = rng.random((len(rows), row.group // width)) < rng.choice([0.5, 1.0], size=(len(rows), 1))
    zero = np.repeat(blocks, width, axis=1) if row.model == "grouped" else rng.random((len(rows), row.group)) < 0.5
    a, b = values["a"][rows], values["b"][rows]
    top = np.uint64((((1 << form.exponent_bits) - 1) << form.mantissa_bits) - (form.specials != "none"))
    small = np.uint64((1 << (form.mantissa_bits + 1)) - 1 | 1 << form.magnitude_bits)
    one_is_zero = rng.random((len(rows), 1)) < 0.5  # else, in a grouped unit, the scale is
    by_code = zero & (one_is_zero | (row.model == "fused"))
    values["a"][rows] = np.where(
        by_code, a & ~np.uint64(2 * (1 << form.magnitude_bits) - 1), np.where(zero, a, a & small)
    )
    values["b"][rows] = np.where(zero, top, b & small)
    if row.model == "grouped":
        powers = row.scale == "e8m0"
        large, little = np.uint64(200 if powers else 0x7E), np.uint64(100 if powers else 1)
        empty = np.where(one_is_zero, large, np.uint64(0))
        values["scale_a"][rows] = np.where(blocks, empty, little)
        values["scale_b"][rows] = np.where(blocks, large, little)
    tiny = rng.integers(0, 1 << 31, size=len(rows), dtype=np.uint64) >> np.uint64(rng.integers(0, 3))
    values["c"][rows] = np.where(rng.random(len(rows)) < 0.5, np.uint64(0), tiny >> np.uint64(1))


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


def _scales(rng: np.random.Generator, words: NDArray[np.uint64], powers: bool) -> NDArray[np.uint64]:
    """Scale bytes: near one exponent, with some far, zero, subnormal and NaN ones."""
    n = len(words)
    kind = rng.integers(0, 8, size=n).reshape(n, *(1 for _ in words.shape[1:]))
    middle = np.uint64(127 if powers else 56)
    near = middle + words % np.uint64(9) - np.uint64(4)
    nan = np.where(rng.random(words.shape) < 0.1, np.uint64(255), near)
    low = words % np.uint64(10)
    out = np.where(kind < 4, near, words)
    out = np.where(kind == 5, low, out)
    return np.where(kind == 6, nan, out).astype(np.uint64)

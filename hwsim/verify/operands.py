"""Operands that separate one model of a dot unit from another.

Random numbers agree with nearly every model. What tells models apart is at borders: c at the edge of what the unit
keeps below its largest exponent, sums that are ties or leave the binade, groups that cancel, products and scales that
are subnormal, zeros beside small accumulators, ones in single positions (which group do they fall in), special
values. Each kind below is a border, and every mutant of `hwsim.verify.mutants` is seen by at least one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.formats import Format
from hwsim.verify.subject import DotUnit

KINDS = (
    "random", "sparse", "narrow", "cancelling", "specials", "tiny", "huge", "edges", "ties", "order", "scales",
    "faint",
)  # fmt: skip

WINDOWS = (10, 11, 12, 13, 14, 22, 23, 24, 25, 26, 30, 31, 34, 35, 36)
"""Distances below the largest exponent at which units of today cut, and their neighbours."""


@dataclass(frozen=True)
class Batch:
    """Dot products: codes a, b ``[n, k]``, c ``[n]``, scale bytes ``[n, k / block]`` or None."""

    a: NDArray[Any]
    b: NDArray[Any]
    c: NDArray[Any]
    scale_a: NDArray[np.uint8] | None = None
    scale_b: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.c)

    def rows(self, index: Any) -> Batch:
        """Some of them."""
        scales = (None if s is None else s[index] for s in (self.scale_a, self.scale_b))
        return Batch(self.a[index], self.b[index], self.c[index], *scales)

    def run(self, unit: DotUnit) -> NDArray[Any]:
        """The unit's results as words, uint32 or uint16 ``[n]``."""
        return words(unit.dot(self.a, self.b, self.c, self.scale_a, self.scale_b))


def words(values: NDArray[Any]) -> NDArray[Any]:
    """Results as unsigned words of their own width."""
    unsigned = {2: np.uint16, 4: np.uint32}[values.dtype.itemsize]
    return np.ascontiguousarray(values).view(unsigned)


@cache
def finite(name: str) -> NDArray[Any]:
    """All finite codes of a format of at most 16 bits."""
    form = formats.get(name)
    with np.errstate(all="ignore"):
        return np.flatnonzero(np.isfinite(form.values)).astype(form.code_dtype)


def code_of(name: str, value: float) -> Any:
    """The code of a number that the format holds."""
    return formats.get(name).encode(np.array([value], np.float32))[0]


def _fields(form: Format, rng: np.random.Generator, shape: tuple[int, ...], low: int, high: int) -> NDArray[Any]:
    """Codes with exponent fields in low..high, random signs and mantissas, finite."""
    top = (1 << form.exponent_bits) - 1
    low, high = min(max(low, 0), top), min(max(high, 0), top - (form.specials == "ieee"))
    field = rng.integers(min(low, high), high + 1, shape)
    mantissa = rng.integers(0, 1 << form.mantissa_bits, shape)
    magnitude = np.minimum(field << form.mantissa_bits | mantissa, form.max_magnitude)
    sign = rng.integers(0, 2, shape) if form.signed else 0
    code = (sign << (form.exponent_bits + form.mantissa_bits) | magnitude) << form.padding_bits
    return np.where(code == _negative_zero_nan(form), 0, code).astype(form.code_dtype)


def _negative_zero_nan(form: Format) -> int:
    return 1 << (form.bits - 1) if form.specials == "fnuz" else -1


def _codes(name: str, rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> NDArray[Any]:
    form, top = formats.get(name), (1 << formats.get(name).exponent_bits) - 1
    if kind == "specials":
        return rng.integers(0, form.code_count, shape, dtype=np.uint64).astype(form.code_dtype)
    if kind in ("ties", "order"):  # ones and twos, mostly zeros, so that a lost unit shows
        values = rng.choice([1.0, -1.0, 2.0, -2.0, 1.5], shape).astype(np.float32)
        values[rng.random(shape) < rng.choice([0.4, 0.8, 0.95], (shape[0], 1))] = 0
        return form.encode(values)
    low, high = {
        "narrow": (form.bias - 4, form.bias + 4), "cancelling": (form.bias - 4, form.bias + 4), "tiny": (0, 4),
        "huge": (top - 5, top), "edges": (form.bias - 1, form.bias + 1), "scales": (form.bias - 2, form.bias + 2),
    }.get(kind, (0, top))  # fmt: skip
    codes = _fields(form, rng, shape, low, high)
    if form.padding_bits:  # bits that the unit must not read
        codes |= rng.integers(0, 1 << form.padding_bits, shape).astype(form.code_dtype)
    if kind == "sparse":
        codes[rng.random(shape) < 0.7] = 0
        codes[rng.random(shape[0]) < 0.2] = 0
        for start in range(0, shape[1], 16):
            codes[rng.random(shape[0]) < 0.3, start : start + 16] = 0
    if kind == "edges":
        codes[rng.random(shape) < rng.choice([0.3, 0.9], (shape[0], 1))] = 0
    return codes


def _scales(name: str, rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> NDArray[np.uint8]:
    if name == "e8m0":
        low, high = {
            "narrow": (115, 140), "cancelling": (115, 140), "edges": (120, 134), "ties": (127, 128),
            "order": (127, 128), "tiny": (0, 64), "huge": (170, 255), "scales": (40, 100),
        }.get(kind, (0, 255))  # fmt: skip
        scales = rng.integers(low, high, shape)
    else:
        low, high = {
            "narrow": (0x30, 0x40), "cancelling": (0x30, 0x40), "tiny": (0, 10), "huge": (0x70, 0x7F),
            "ties": (0x38, 0x39), "order": (0x38, 0x39), "scales": (0, 16), "edges": (1, 0x7F),
        }.get(kind, (0, 0x7F))  # fmt: skip
        scales = rng.integers(low, high, shape)
        if kind not in ("ties", "order"):
            scales = scales | rng.integers(0, 2, shape) << 7
    if kind == "specials":
        scales = rng.integers(0, 256, shape)
    if kind in ("sparse", "scales"):
        scales[rng.random(shape) < 0.2] = 0
    return scales.astype(np.uint8)


def _log2_products(unit: DotUnit, batch: Batch) -> NDArray[np.int64]:
    """About the exponent of the largest product of every row, scales included."""
    sizes = []
    for name, codes in ((unit.a_format, batch.a), (unit.b_format, batch.b)):
        with np.errstate(all="ignore"):
            magnitude = np.abs(formats.get(name).decode(codes))
        magnitude[~np.isfinite(magnitude)] = 0
        sizes.append(magnitude.astype(np.float64))
    product = sizes[0] * sizes[1]
    if batch.scale_a is not None and batch.scale_b is not None and unit.block and unit.scale_format:
        scale = formats.get(unit.scale_format)
        with np.errstate(all="ignore"):
            joint = scale.decode(batch.scale_a).astype(np.float64) * scale.decode(batch.scale_b)
        joint[~np.isfinite(joint)] = 1
        product = product * np.repeat(joint, unit.block, axis=-1)[:, : product.shape[1]]
    largest = product.max(axis=-1)
    return np.where(largest > 0, np.frexp(largest)[1] - 1, 0).astype(np.int64)


def _start(unit: DotUnit, rng: np.random.Generator, batch: Batch, kind: str) -> NDArray[Any]:
    """c: raw bits, or numbers of about the size where the unit decides something."""
    n, half = len(batch.a), unit.out == "fp16"
    dtype, bits, fraction, least, most = (np.float16, 16, 10, -24, 15) if half else (np.float32, 32, 23, -149, 127)
    raw = rng.integers(0, 1 << bits, n, dtype=np.uint64).astype(f"u{bits // 8}").view(dtype)
    if kind in ("ties", "order"):  # beside products of 1 and 2: an odd last place, all ones, a power of two
        kept = rng.choice([fraction] if half else [fraction, 13], n)
        base = np.ldexp(1.0, kept + 1)
        odd = rng.choice([0, 1, 2, 3, 4, 6, -1, -2, -3], n)
        values = np.ldexp(base + odd, rng.choice([0, 0, 0, -1, 1], n)) * rng.choice([1.0, -1.0], n)
        return np.asarray(values.astype(dtype))
    size = _log2_products(unit, batch)
    away = rng.integers(-30, 20, n)
    if kind in ("edges", "cancelling", "scales"):
        away = -rng.choice(WINDOWS, n) + rng.integers(0, 3, n) * rng.choice([-1, 1, 24], n)
    exponent = np.clip(size + away, least, most)
    significand = rng.choice([1.0, 1.0, 1.5, 1.75, 1.99], n) if kind == "edges" else rng.uniform(1, 2, n)
    with np.errstate(over="ignore"):
        near = np.ldexp(significand * rng.choice([1.0, -1.0], n), exponent).astype(dtype)
    values = np.where(rng.random(n) < (0.5 if kind in ("random", "specials") else 0.9), near, raw)
    if kind != "specials":
        values[~np.isfinite(values)] = 0
    values[rng.random(n) < 0.15] = 0
    values[:2] = -0.0
    values[2:6] = (
        (rng.integers(1, 1 << fraction, len(values[2:6])) | rng.integers(0, 2) << (bits - 1))
        .astype(raw.view(f"u{bits // 8}").dtype)
        .view(dtype)
    )  # subnormal
    return values


def _powers(name: str, rng: np.random.Generator, exponent: NDArray[np.int64]) -> NDArray[Any]:
    """Codes of ±2^exponent, or of the nearest power that the format has."""
    form = formats.get(name)
    near = np.clip(exponent, int(np.ceil(np.log2(form.smallest))), form.max_exponent)
    return form.encode(np.ldexp(rng.choice([1.0, -1.0], exponent.shape), near).astype(np.float32))


def _faint(unit: DotUnit, rng: np.random.Generator, count: int, k: int) -> Batch:
    """About the smallest result, or half of it: one product there, one at any distance below, and c of zero."""
    base, (top_a, top_b) = (
        (-25 if unit.out == "fp16" else -149),
        (formats.get(name).max_exponent for name in (unit.a_format, unit.b_format)),
    )
    a, b = (np.zeros((count, k), formats.get(name).code_dtype) for name in (unit.a_format, unit.b_format))
    scales: list[NDArray[np.uint8] | None] = [None, None]
    below = rng.integers(1, 50, count)
    rows = np.arange(count)
    columns = rng.permuted(np.tile(np.arange(k), (count, 1)), axis=1)[:, :2]
    exponents = np.stack([np.full(count, base), base - below])
    if unit.block and unit.scale_format != "e8m0":
        one = code_of(str(unit.scale_format), 1.0)
        scales = [np.full((count, k // unit.block), one, np.uint8) for _ in range(2)]
    if unit.block and unit.scale_format == "e8m0":  # the scales carry the first product, and for FP4 the second
        blocks = k // unit.block
        shared = np.full((count, blocks), base if blocks > 1 else base - top_a - top_b)
        if blocks > 1:
            columns[:, 1] = (columns[:, 0] + unit.block) % k
            shared[rows, columns[:, 1] // unit.block] -= below
        half = shared // 2
        scales = [np.clip(127 + share, 0, 254).astype(np.uint8) for share in (half, shared - half)]
        exponents = np.stack([np.zeros(count, int)] * 2 if blocks > 1 else [exponents[0] * 0, -below]) + (
            0 if blocks > 1 else top_a + top_b
        )
    for column, exponent in zip(columns.T, exponents, strict=True):
        low_b = int(np.ceil(np.log2(formats.get(unit.b_format).smallest)))
        share = np.clip(exponent // 2, exponent - top_b, exponent - low_b)
        a[rows, column] = _powers(unit.a_format, rng, share)
        b[rows, column] = _powers(unit.b_format, rng, exponent - share)
    return Batch(a, b, np.zeros(count, np.float16 if unit.out == "fp16" else np.float32), *scales)


def _add_sticky(unit: DotUnit, rng: np.random.Generator, a: NDArray[Any], b: NDArray[Any]) -> None:
    """In half of the rows, one product is 2^(11 - n) or 2^(24 - n) for an n of `WINDOWS`, or the nearest there is."""
    count, k = a.shape
    rows, column = np.flatnonzero(rng.random(count) < 0.5), rng.integers(0, k, (count,))
    exponent = (11 if unit.out == "fp16" else 24) - rng.choice(WINDOWS, count)
    for name, codes, share in ((unit.a_format, a, exponent // 2), (unit.b_format, b, exponent - exponent // 2)):
        codes[rows, column[rows]] = _powers(name, rng, share)[rows]


def draw(unit: DotUnit, rng: np.random.Generator, count: int, k: int, kind: str) -> Batch:
    """`count` dot products of `k` elements of one kind."""
    if kind == "faint":
        return _faint(unit, rng, count, k)
    a, b = (_codes(name, rng, (count, k), kind) for name in (unit.a_format, unit.b_format))
    if kind == "cancelling":  # every other eight products are the negative of those before
        form = formats.get(unit.b_format)
        for start in range(0, k - 15, 16) if k >= 16 else ():
            a[:, start + 8 : start + 16], b[:, start + 8 : start + 16] = (
                a[:, start : start + 8],
                b[:, start : start + 8],
            )
            b[:, start + 8 : start + 16] ^= form.code_dtype.type(1 << (form.bits + form.padding_bits - 1))
        loose = rng.random(b.shape) < 0.03
        b[loose] = _codes(unit.b_format, rng, b.shape, "narrow")[loose]
        b[b == _negative_zero_nan(form)] = 0
    if kind == "ties":  # a product far below, which decides the tie if it is kept
        _add_sticky(unit, rng, a, b)
    scales: list[NDArray[np.uint8] | None] = [None, None]
    if unit.block and unit.scale_format:
        scales = [_scales(unit.scale_format, rng, (count, k // unit.block), kind) for _ in range(2)]
    batch = Batch(a, b, np.zeros(count, np.float32), *scales)
    return Batch(a, b, _start(unit, rng, batch, kind), *scales)


def batches(unit: DotUnit, seed: int, count: int, k: int) -> Iterator[tuple[str, Batch]]:
    """One batch of every kind, `count` dot products each; equal seeds give equal bits."""
    for number, kind in enumerate(KINDS):
        yield kind, draw(unit, np.random.default_rng([seed, number]), count, k, kind)

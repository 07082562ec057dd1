"""Operators of a layer as sequences of circuits: what a softmax or a norm computes in each precision, bit for bit.

`run` takes values of a tensor's last axis and returns the operator's words; every circuit that it uses is counted, so
that a price and the bits cannot part (`hwsim.datapaths.vector.price`). Sums run from left to right, one element a
step, in the precision's own adder. Precisions: ``fp16``, ``bf16``, ``fp32`` (words of the format), ``pwl8`` (8-bit
codes, tables and integer sums).

* softmax: maximum; ``p = 2^-((max - x) log2 e)``; sum of p; p times the reciprocal of the sum.
* layernorm, rmsnorm: sums of x and x^2; variance; ``(x - mean) rsqrt(variance + eps)``, times gamma, plus beta. In
  ``pwl8`` a row's length is a power of two, gamma and beta belong to the next layer's scales, and a result of 32 is
  one deviation.
* gelu, silu: x times the distribution at x. rope: rotation of pairs (x[2i], x[2i+1]).
* rotate, in ``fp32`` alone: the Hadamard transform of each tile of the last axis (`hwsim.quant.rotation`):
  butterflies over neighbours 1, 2, 4, ... apart, then the product with ``1 / sqrt(size)``; signs flip on the way in.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.vector import fixed, floats
from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl.float_adders import WIDTHS, add_words

Words = NDArray[Any]
"""uint64 words."""
Ints = NDArray[Any]
"""int64 numbers."""

KINDS = ("softmax", "layernorm", "rmsnorm", "gelu", "silu", "rope", "add", "mul", "max", "rotate")
EPSILON = 1e-5


class Real:
    """The circuits of one floating-point format, counted in `uses`."""

    def __init__(self, fmt: str) -> None:
        self.fmt, self.uses = fmt, Counter[str]()
        self.sign = np.uint64(1 << sum(WIDTHS[fmt]))

    def word(self, value: float) -> Words:
        """A constant in the format, to nearest."""
        return encode(np.array(value), self.fmt)

    def max(self, a: Words, b: Words) -> Words:
        """The larger."""
        x, y = np.broadcast_arrays(a, b)
        return self._count("max", floats.larger(x, y, self.fmt))

    def add(self, a: Words, b: Words) -> Words:
        """The sum."""
        x, y = np.broadcast_arrays(a, b)
        return self._count("add", add_words(x, y, self.fmt))

    def sub(self, a: Words, b: Words) -> Words:
        """The difference; the sign of b flips on its way into the adder."""
        return self.add(a, b ^ self.sign)

    def mul(self, a: Words, b: Words) -> Words:
        """The product."""
        x, y = np.broadcast_arrays(a, b)
        return self._count("mul", floats.multiply(x, y, self.fmt))

    def unary(self, name: str, x: Words) -> Words:
        """A function of one operand."""
        if name.endswith("_gate"):
            return self._count(name, floats.gate(x, self.fmt, name.removesuffix("_gate")))
        rule = {"exp2": floats.exp2_negative, "reciprocal": floats.reciprocal, "rsqrt": floats.rsqrt}[name]
        return self._count(name, rule(x, self.fmt))

    def unroot(self, x: Words, size: int) -> Words:
        """``x / sqrt(size)`` of a power of two: the circuit of 16 or 32, whose exponent is another constant."""
        factor = np.broadcast_to(self.word(1 / np.sqrt(size)), x.shape)
        return self._count(unroot(size), floats.multiply(x, factor, self.fmt))

    def total(self, x: Words) -> Words:
        """Sums along the last axis, from +0."""
        out = np.zeros(x.shape[:-1], np.uint64)
        for i in range(x.shape[-1]):
            out = self.add(out, x[..., i])
        return out

    def _count(self, name: str, result: Words) -> Words:
        self.uses[f"{name}_{self.fmt}"] += result.size
        return result


def unroot(size: int) -> str:
    """The circuit that divides by the root of a power of two: of a whole power of two, or of one and a half."""
    return "unroot32" if size.bit_length() % 2 == 0 else "unroot16"


def encode(values: NDArray[np.float64], fmt: str) -> Words:
    """Words of numbers, to nearest even."""
    if fmt == "fp16":
        return values.astype(np.float16).view(np.uint16).astype(np.uint64)
    words = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    if fmt == "fp32":
        return words
    return words + np.uint64(0x7FFF) + (words >> np.uint64(16) & np.uint64(1)) >> np.uint64(16)


def run(
    kind: str, precision: str, *operands: Words | Ints, **row: Words | Ints
) -> tuple[Words | Ints, Mapping[str, int]]:
    """An operator on tensors ``[..., N]``.

    Args:
        kind: of `KINDS`.
        precision: a format of words (uint64), or ``pwl8`` for codes (int64).
        operands: x; of add, mul and max x and y. Scores of a ``pwl8`` softmax are in steps of 1/16, of GELU and SiLU
            codes are 16ths.
        row: ``gamma`` and ``beta`` ``[N]`` of a norm in a format; ``cosine`` and ``sine`` ``[N/2]`` of rope;
            ``signs`` ``[size]`` of rotate, 1 for a sign that flips.

    Returns:
        The result, of x's shape (a ``pwl8`` softmax in 256ths, unsigned), and how often each circuit was used.

    Raises:
        UnknownName: the kind or the precision. ArgumentError: operands that it does not take.
    """
    if kind not in KINDS:
        raise UnknownName("operator", kind, KINDS)
    if precision == "pwl8":
        return _Whole().run(kind, *(np.asarray(x, np.int64) for x in operands), **row)
    if precision not in WIDTHS:
        raise UnknownName("precision", precision, (*WIDTHS, "pwl8"))
    real = Real(precision)
    return _real(real, kind, *(np.asarray(x, np.uint64) for x in operands), **row), dict(real.uses)


def _real(real: Real, kind: str, x: Words, *others: Words, **row: Words) -> Words:
    if kind in ("add", "mul", "max"):
        return getattr(real, kind)(x, others[0])  # type: ignore[no-any-return]
    if kind in ("gelu", "silu"):
        return real.mul(x, real.unary(f"{kind}_gate", x))
    if kind == "rotate":
        return _rotated(real, x, np.asarray(row["signs"], np.uint64))
    if kind == "rope":
        a, b = x[..., 0::2], x[..., 1::2]
        cosine, sine = row["cosine"], row["sine"]
        out = np.empty_like(x)
        out[..., 0::2] = real.sub(real.mul(a, cosine), real.mul(b, sine))
        out[..., 1::2] = real.add(real.mul(a, sine), real.mul(b, cosine))
        return out
    n = x.shape[-1]
    if kind == "softmax":
        top = np.full(x.shape[:-1], real.word(-np.inf), np.uint64)
        for i in range(n):
            top = real.max(top, x[..., i])
        p = real.unary("exp2", real.mul(real.sub(x, top[..., None]), real.word(np.log2(math.e))))
        return real.mul(p, real.unary("reciprocal", real.total(p))[..., None])
    squares = real.mul(real.total(real.mul(x, x)), real.word(1 / n))
    if kind == "layernorm":
        mean = real.mul(real.total(x), real.word(1 / n))
        squares = real.sub(squares, real.mul(mean, mean))
        x = real.sub(x, mean[..., None])
    scale = real.unary("rsqrt", real.add(squares, real.word(EPSILON)))
    y = real.mul(real.mul(x, scale[..., None]), row["gamma"])
    return real.add(y, row["beta"]) if kind == "layernorm" else y


def _rotated(real: Real, x: Words, flips: Words) -> Words:
    """Tiles of as many elements as there are signs."""
    if real.fmt != "fp32":
        raise UnknownName("precision of rotate", real.fmt, ("fp32",))
    size = flips.size
    out = (x.reshape(-1, size) ^ flips * real.sign).astype(np.uint64)
    apart = 1
    while apart < size:
        pairs = out.reshape(-1, size // (2 * apart), 2, apart)
        low, high = pairs[:, :, 0], pairs[:, :, 1]
        out = np.stack([real.add(low, high), real.sub(low, high)], axis=2).reshape(-1, size)
        apart *= 2
    return real.unroot(out, size).reshape(x.shape)


class _Whole:
    """The integer circuits, counted."""

    def __init__(self) -> None:
        self.uses = Counter[str]()

    def run(self, kind: str, x: Ints, *others: Ints, **row: Ints) -> tuple[Ints, Mapping[str, int]]:
        if kind in ("add", "mul", "max"):
            rule: Any = {"add": fixed.added, "mul": fixed.multiplied, "max": np.maximum}[kind]
            return self._used(f"{kind}_s8", rule(x, others[0])), self.uses
        if kind in ("gelu", "silu"):
            return self._used(f"{kind}_pwl8", fixed.activation(x, kind)), self.uses
        if kind == "rope":
            a, b = x[..., 0::2], x[..., 1::2]
            cosine, sine = np.asarray(row["cosine"], np.int64), np.asarray(row["sine"], np.int64)
            out = np.empty_like(x)
            out[..., 0::2] = self._used("rotate_s8", fixed.rotated(a, b, cosine, sine))
            out[..., 1::2] = self._used("rotate_s8", fixed.rotated(a, -b, sine, cosine))
            return out, self.uses
        return (self._softmax(x) if kind == "softmax" else self._norm(x, kind == "layernorm")), self.uses

    def _softmax(self, x: Ints) -> Ints:
        top = np.full(x.shape[:-1], -128)
        for i in range(x.shape[-1]):
            top = self._used("max_s8", np.maximum(top, x[..., i]))
        p = self._used("exp2_pwl8", fixed.exp2_scores(x, top[..., None], np.array(round(256 * np.log2(math.e) / 16))))
        total = np.zeros_like(top)
        for i in range(x.shape[-1]):
            total = self._used("sum_u13", total + p[..., i])
        r, place = fixed.reciprocal(total)
        self._used("reciprocal_pwl8", r)
        return self._used("normalize_pwl8", fixed.normalized(p, r[..., None], place[..., None]))

    def _norm(self, x: Ints, centre: bool) -> Ints:
        n = x.shape[-1]
        if n & (n - 1):
            raise ArgumentError("a row must be a power of two long", got=n, where="norm in pwl8")
        log = n.bit_length() - 1
        total, squares = np.zeros(x.shape[:-1], np.int64), np.zeros(x.shape[:-1], np.int64)
        for i in range(n):
            squares = self._used("square_sum_s8", fixed.square_sum(x[..., i], squares))
            if centre:
                total = self._used("sum_s8", total + x[..., i])
        mean = fixed.rounded(total << 8, log)
        variance = fixed.rounded(squares, log)
        if centre:  # the square of the mean goes through the requantiser's multiplier
            variance = variance - self._used("requant_m16_s8", fixed.rounded(mean * np.abs(mean), 16) * np.sign(mean))
        r, half = fixed.rsqrt(variance)
        self._used("rsqrt_pwl8", r)
        return self._used("centre_pwl8", fixed.centred(x, mean[..., None], r[..., None], half[..., None] + 12))

    def _used(self, name: str, result: Ints) -> Ints:
        self.uses[name] += result.size
        return result

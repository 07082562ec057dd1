"""The units in the words of their sources, one dot product at a time, in Python integers.

Slow on purpose: this is the definition that the kernels must equal. A finite number is ``significand * 2^exponent``
(`Number`), ``e`` is the exponent that the unit sees, and a cut is integer division, toward zero or down as the source
says. Sources: arXiv 2511.10909 and mmasim 2.1.1 (names T-, ST-, GST-, E-, TR-, GTR-FDPA), arXiv 2512.07004.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwsim.datapaths.dot.catalogue import REWRITE_K, Rounding
from hwsim.datapaths.dot.elements import Element, element
from hwsim.datapaths.dot.rule import Rule

NAN_FP32, NAN_FP16 = 0x7FFFFFFF, 0x7FFF


@dataclass(frozen=True, slots=True)
class Number:
    """``significand * 2^(e - fraction)``; for ``kind`` "inf" only the sign of the significand counts."""

    significand: int
    e: int = 0
    fraction: int = 0
    kind: Literal["finite", "inf", "nan"] = "finite"

    def times(self, other: Number) -> Number:
        """The exact product, not renormalised; NaN for NaN and for zero times infinity."""
        if "nan" in (self.kind, other.kind):
            return NAN
        if "inf" in (self.kind, other.kind):
            sign = self.significand * other.significand
            return Number(sign, kind="inf") if sign else NAN
        return Number(self.significand * other.significand, self.e + other.e, self.fraction + other.fraction)


NAN = Number(0, kind="nan")


def number(form: Element, code: int) -> Number:
    """The number that a code stands for; subnormals keep the smallest exponent."""
    word = code >> form.unread_bits
    field = (word >> form.mantissa_bits) & ((1 << form.exponent_bits) - 1)
    mantissa = word & ((1 << form.mantissa_bits) - 1)
    negative = form.signed and word >> form.magnitude_bits & 1
    ones = field == (1 << form.exponent_bits) - 1
    if form.specials == "ieee" and ones:
        return Number(-1 if negative else 1, kind="inf") if mantissa == 0 else NAN
    if form.specials == "nan" and ones and mantissa == (1 << form.mantissa_bits) - 1:
        return NAN
    if form.specials == "fnuz" and word == 1 << form.magnitude_bits:
        return NAN
    if field == 0 and form.has_zero:
        significand, e = mantissa, 1 - form.bias
    else:
        significand, e = mantissa + (1 << form.mantissa_bits), field - form.bias
    return Number(-significand if negative else significand, e, form.mantissa_bits)


def toward_zero(value: int, shift: int) -> int:
    """``value * 2^shift``, the magnitude truncated."""
    magnitude = abs(value) << shift if shift >= 0 else abs(value) >> -shift
    return -magnitude if value < 0 else magnitude


def down(value: int, shift: int) -> int:
    """``value * 2^shift``, rounded toward minus infinity."""
    return value << shift if shift >= 0 else value >> -shift


def rounded(total: int, unit: int, rounding: Rounding) -> int:
    """The word of ``total * 2^unit``: float16 for ``rne_fp16``, else float32. Overflow is infinity.

    Zero is +0, but where AMD's units (``rne_fp32``) round a negative sum to zero it keeps its sign.
    """
    fraction, stored, least, infinity = (
        (10, 10, -14, 0x7C00)
        if rounding == "rne_fp16"
        else (13 if rounding == "rz_e8m13" else 23, 23, -126, 0x7F800000)
    )
    magnitude = abs(total)
    if magnitude == 0:
        return 0
    e = max(magnitude.bit_length() - 1 + unit, least)
    shift = unit - (e - fraction)
    kept = toward_zero(magnitude, shift)
    if rounding.startswith("rne") and shift < 0:
        rest, half = magnitude - (kept << -shift), 1 << (-shift - 1)
        kept += rest > half or (rest == half and kept & 1)
    # The implicit one adds itself to the exponent field, so a carry out of the significand needs no care.
    word = min(((e - least) << stored) + (kept << (stored - fraction)), infinity)
    negative = total < 0 and (word or rounding == "rne_fp32")
    return word | (infinity + (1 << stored) if negative else 0)


def specials(terms: Sequence[Number], rounding: Rounding) -> int | None:
    """The result where an infinity or a NaN takes part, None where none does."""
    nan, infinity, sign = (NAN_FP16, 0x7C00, 0x8000) if rounding == "rne_fp16" else (NAN_FP32, 0x7F800000, 0x80000000)
    signs = {term.significand > 0 for term in terms if term.kind == "inf"}
    if len(signs) == 2 or any(term.kind == "nan" for term in terms):
        return nan
    if signs:
        return infinity if signs.pop() else infinity | sign
    return None


def fused(terms: Sequence[Number], fraction: int, e_zero: int, rounding: Rounding) -> int:
    """T-FDPA of products and c: all cut to a multiple of ``2^(emax - fraction)``, summed, rounded once.

    emax is the largest exponent; a zero has exponent `e_zero`.
    """
    if (special := specials(terms, rounding)) is not None:
        return special
    emax = max(term.e if term.significand else e_zero for term in terms)
    unit = emax - fraction
    return rounded(sum(toward_zero(t.significand, t.e - t.fraction - unit) for t in terms), unit, rounding)


def grouped(
    products: Sequence[Number],
    scales: Sequence[Number],
    c: Number,
    sub_group: int,
    fraction: int,
    e_zero: int,
    rounding: Rounding,
) -> int:
    """GST-FDPA: sub-groups are summed exactly; their scales' exponents and c's alone decide emax.

    A sub-group of zero products, or with a zero scale, has exponent `e_zero`; one that cancels to zero keeps its own.
    `scales` holds one for each sub-group.
    """
    scaled = [p.times(scales[n // sub_group]) for n, p in enumerate(products)]
    if (special := specials([*scaled, *scales, c], rounding)) is not None:
        return special
    terms = []
    for start, scale in zip(range(0, len(products), sub_group), scales, strict=True):
        group = products[start : start + sub_group]
        unit = min(p.e - p.fraction for p in group)
        total = sum(p.significand << (p.e - p.fraction - unit) for p in group)
        empty = scale.significand == 0 or all(p.significand == 0 for p in group)
        e = e_zero if empty else scale.e
        terms.append(Number(total * scale.significand, e, scale.fraction - unit))
    terms.append(c if c.significand else Number(0, e_zero, c.fraction))
    emax = max(term.e for term in terms)
    unit = emax - fraction
    return rounded(sum(toward_zero(t.significand, t.e - t.fraction - unit) for t in terms), unit, rounding)


def exact(terms: Sequence[Number], rounding: Rounding) -> int:
    """E-FDPA: the exact sum, rounded once."""
    if (special := specials(terms, rounding)) is not None:
        return special
    unit = min(t.e - t.fraction for t in terms)
    return rounded(sum(t.significand << (t.e - t.fraction - unit) for t in terms), unit, rounding)


def flushed(a: Sequence[Number], b: Sequence[Number], c: int) -> int:
    """FTZ multiply and add: whatever is below the normal numbers becomes zero, operands and c plus zero.

    A pairwise tree over the group, then c. Every step is one float32 operation, rounded to nearest even, so numpy's
    float32 states it, signs of zeros included.
    """
    start = 0 if c & 0x7FFFFFFF < 0x00800000 and c != 0x80000000 else c
    with np.errstate(all="ignore"):
        level = [_flush(_operand(x) * _operand(y)) for x, y in zip(a, b, strict=True)]
        while len(level) > 1:
            level = [_flush(level[i] + level[i + 1]) for i in range(0, len(level), 2)]
        total = _flush(np.uint32(start).view(np.float32) + level[0])
    return NAN_FP32 if np.isnan(total) else int(total.view(np.uint32))


def _operand(x: Number) -> np.float32:
    """The operand as a float32, +0 if it is subnormal."""
    if x.kind != "finite":
        return np.float32(np.nan if x.kind == "nan" else np.inf if x.significand > 0 else -np.inf)
    normal = abs(x.significand) >= 1 << x.fraction
    return np.float32(math.ldexp(x.significand, x.e - x.fraction)) if normal else np.float32(0)


def _flush(x: np.float32) -> np.float32:
    """`x`, or a zero of its sign where it is no normal number."""
    return x * np.float32(0) if abs(x) < np.float32(2.0**-126) else x


def _overflowed(product: Number) -> Number:
    """A product of CDNA3 is infinite from 2^128 on, before anything is added."""
    if abs(product.significand).bit_length() - 1 + product.e - product.fraction >= 128:
        return Number(product.significand, kind="inf")
    return product


def rounded_sum(products: Sequence[Number], c: Number, fraction: int, interleaved: bool) -> int:
    """TR-FDPA, and GTR-FDPA where even and odd k are added apart.

    Products are cut toward zero below their own emax, the sum and c are floored below the larger of both exponents at
    32 and 24 bits, the result at 31 bits of itself; then it is rounded to nearest even.
    """
    if not interleaved:
        products = [_overflowed(p) if p.kind == "finite" else p for p in products]
    if (special := specials([*products, c], "rne_fp32")) is not None:
        return special
    if interleaved:
        (even, e_even), (odd, e_odd) = (_cut_sum(products[start::2], fraction) for start in (0, 1))
        e_dot = max(e_even, e_odd)
        dot = down(even, e_even - e_dot) + down(odd, e_odd - e_dot)
    else:
        dot, e_dot = _cut_sum(products, fraction)
    emax = max(e_dot, c.e)
    wide = fraction + 8
    total_dot = down(dot, wide - fraction + e_dot - emax)
    total_c = down(c.significand, c.e - emax + fraction - c.fraction) << (wide - fraction)
    if interleaved and c.e < emax - fraction - 1:
        total_c = 0
    total, unit = total_dot + total_c, emax - wide
    e = max(abs(total).bit_length() - 1 + unit, -126)
    cut = max(e - (wide - 1) - unit, 0)
    return rounded(down(total, -cut), unit + cut, "rne_fp32")


def _cut_sum(products: Sequence[Number], fraction: int) -> tuple[int, int]:
    """Sum of products cut toward zero to multiples of ``2^(emax - fraction)``, and emax."""
    emax = max(p.e if p.significand else -999 for p in products)
    return sum(toward_zero(p.significand, p.e - p.fraction - emax + fraction) for p in products), emax


def group(unit: Rule, a: Sequence[Number], b: Sequence[Number], c: int, scales: Sequence[Number]) -> int:
    """The word that one fused group returns for a word c; `scales` holds the product of scales of each element."""
    products = [x.times(y) for x, y in zip(a, b, strict=True)]
    scaled = [p.times(s) for p, s in zip(products, scales, strict=True)] if scales else products
    addend = number(element("fp16" if unit.out == "fp16" else "fp32"), c)
    e_zero = unit.e_zero
    assert e_zero is not None
    match unit.align:
        case "fused":
            # NaN in a scale shows even where every element beside it is zero
            return fused([*scaled, addend], unit.fraction_bits, e_zero, unit.rule)
        case "grouped":
            each = scales[:: unit.sub_group]
            return grouped(products, each, addend, unit.sub_group, unit.fraction_bits, e_zero, unit.rule)
        case "exact":
            return exact([*scaled, addend], unit.rule)
        case "flushed":
            return flushed(a, b, c)
        case _:
            return rounded_sum(products, addend, unit.fraction_bits, interleaved=unit.align == "interleaved")


def dot(
    unit: Rule,
    a: Sequence[int],
    b: Sequence[int],
    c: float = 0.0,
    scale_a: Sequence[int] = (),
    scale_b: Sequence[int] = (),
) -> int:
    """The word of a chained dot product of codes; `hwsim.datapaths.dot.bits.Dot.dot` for one row."""
    half = unit.out == "fp16"
    every = REWRITE_K if unit.rewrite else unit.promote_every or 0
    length = -(-len(a) // unit.step) * unit.step
    numbers_a, numbers_b = (
        [number(form, int(code)) for code in codes] + [number(form, 0)] * (length - len(codes))
        for form, codes in zip(unit.forms, (a, b), strict=True)
    )
    scales: list[Number] = []
    if unit.scale_form is not None and unit.block is not None:
        form = unit.scale_form
        blocks = [number(form, int(x)).times(number(form, int(y))) for x, y in zip(scale_a, scale_b, strict=True)]
        blocks += [number(form, 0)] * (-(-length // unit.block) - len(blocks))
        scales = [blocks[k // unit.block] for k in range(length)]
    order = list(range(length))
    if unit.rewrite:  # FP8 as two FP16 steps: first the k with k mod 4 < 2
        order = [
            k + o for k in range(0, length, 32) for half_ in (0, 2) for o in range(32) if o % 4 // 2 * 2 == half_
        ]
    start = int(np.array(c, np.float16 if half else np.float32).view(np.uint16 if half else np.uint32))
    total, word = start, 0 if every else start
    for first in range(0, length, unit.group):
        own = order[first : first + unit.group]
        word = group(
            unit, [numbers_a[k] for k in own], [numbers_b[k] for k in own], word, [scales[k] for k in own if scales]
        )
        if every and ((first + unit.group) % every == 0 or first + unit.group == length):
            form = element("fp16" if half else "fp32")
            total, word = exact([number(form, total), number(form, word)], "rne_fp16" if half else "rne_fp32"), 0
    return total if every else word

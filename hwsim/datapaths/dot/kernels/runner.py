"""From checked arrays to kernels: operands padded, split and laid out once, then rows over threads."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.dot.catalogue import REWRITE_K
from hwsim.datapaths.dot.elements import Element, element, parts, tables
from hwsim.datapaths.dot.kernels import amd, fused_gemm, fused_layout, general, grouped_gemm, grouped_layout, words
from hwsim.datapaths.dot.kernels.tiles import J, aligned
from hwsim.datapaths.dot.rule import Rule
from hwsim.jit import parallel_rows

AMD_MODELS = {
    "exact": amd.EXACT,
    "flushed": amd.FLUSHED,
    "rounded": amd.ROUNDED,
    "interleaved": amd.INTERLEAVED,
}
ROUNDINGS = {
    "rz_fp32": words.RZ_FP32,
    "rz_e8m13": words.RZ_E8M13,
    "rne_fp16": words.RNE_FP16,
    "rne_fp32": words.RNE_FP32,
}

# The unpacking of four FP8 codes yields k, k+1 for the first step and k+2, k+3 for the second.
REWRITE_ORDER = np.array([k for half in (0, 2) for k in range(REWRITE_K) if k % 4 // 2 * 2 == half])

NONE = np.zeros((1, 1), np.int16)
"""In place of an array that a unit does not have."""

ONE = np.ones((1, 1), np.int16)
"""The same for significands, which multiply."""


class Operands:
    """Codes and scale bytes of a product, as the kernels read them.

    Args:
        unit: the dot unit.
        a, b: codes ``[M, K]`` and ``[N, K]``.
        scale_a, scale_b: scale bytes ``[M or N, blocks]``, None for a unit without.
    """

    def __init__(
        self,
        unit: Rule,
        a: NDArray[Any],
        b: NDArray[Any],
        scale_a: NDArray[np.uint8] | None,
        scale_b: NDArray[np.uint8] | None,
    ) -> None:
        self.unit, self.forms = unit, unit.forms
        self.length = -(-max(a.shape[1], 1) // unit.step) * unit.step
        self.codes = self._padded(a), self._padded(b)
        self.scales = None if scale_a is None or scale_b is None else (self._full(scale_a), self._full(scale_b))

    def _padded(self, codes: NDArray[Any]) -> NDArray[Any]:
        if codes.shape[1] != self.length:
            codes = np.pad(codes, ((0, 0), (0, self.length - codes.shape[1])))
        if self.unit.rewrite:
            blocks = codes.reshape(len(codes), -1, REWRITE_K)
            codes = np.ascontiguousarray(blocks[:, :, REWRITE_ORDER]).reshape(codes.shape)
        return codes

    def _full(self, scale: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # Blocks of padding alone: any scale but NaN, since zero products leave it out.
        missing = -(-self.length // (self.unit.block or 1)) - scale.shape[1]
        return np.pad(scale, ((0, 0), (0, missing)), constant_values=0) if missing else scale

    @cached_property
    def split(self) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
        """Significands and exponents of a and of b."""
        return *_split(self.forms[0], self.codes[0]), *_split(self.forms[1], self.codes[1])

    @cached_property
    def fixed(self) -> tuple[NDArray[Any], NDArray[np.int16], NDArray[Any], NDArray[np.int16]]:
        """Elements of a and of b as integers of their formats' smallest step, and their exponents where special
        codes must be told apart."""
        a_sig, a_exp, b_sig, b_exp = self.split
        sides: list[NDArray[Any]] = []
        for form, sig, exp in ((self.forms[0], a_sig, a_exp), (self.forms[1], b_sig, b_exp)):
            finite = exp < words.INF_E
            places = np.where(finite, exp - form.min_exponent, 0)
            kind = np.int8 if form.fixed_bits < 8 else np.int64
            sides += [(sig.astype(np.int64) << places).astype(kind), NONE if form.specials == "none" else exp]
        return sides[0], sides[1], sides[2], sides[3]

    @cached_property
    def scale_split(self) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
        """Significands and exponents of the scales; dummies for a unit without."""
        form = self.unit.scale_form
        if self.scales is None or form is None:
            return ONE, NONE, ONE, NONE
        return *parts(form, self.scales[0]), *parts(form, self.scales[1])

    @cached_property
    def scaled(self) -> words.Split:
        """`split` of elements that have taken their scales in, with `Rule.scale_point` fraction bits more."""
        if self.scales is None:
            return words.Split(*self.split)
        sides: list[NDArray[Any]] = []
        for form, at in zip(self.forms, (0, 2), strict=True):
            sig, exp, scale_sig, scale_exp = *self.split[at : at + 2], *self.scale_split[at : at + 2]
            wide = form.mantissa_bits + self.unit.scale_point + 2 > 15
            held = np.empty(sig.shape, np.int32 if wide else np.int16), np.empty(exp.shape, np.int16)
            block = self.unit.block
            parallel_rows(fused_layout.take_in, len(sig), sig, exp, scale_sig, scale_exp, block, *held, grain=16)
            sides += held
        return words.Split(*sides)

    @property
    def cut(self) -> words.Cut:
        """What a fused unit does to a group."""
        unit = self.unit
        return words.Cut(
            unit.group,
            fused_layout.padded(unit.group),
            unit.fraction_bits,
            unit.fraction_bits + unit.integer_bits,
            unit.point,
            int(unit.e_zero or 0),
            ROUNDINGS[unit.rule],
            self.outside,
        )

    @property
    def outside(self) -> int:
        """Elements after which the sum leaves the unit; 0 for never."""
        return REWRITE_K if self.unit.rewrite else self.unit.promote_every or 0


def _split(form: Element, codes: NDArray[Any]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """`elements.parts`, by a parallel table look-up."""
    if form.word_bits > 16:
        return parts(form, codes)
    split = np.empty(codes.shape, np.int16), np.empty(codes.shape, np.int16)
    parallel_rows(fused_layout.look_up, len(codes), codes, *tables(form), *split, grain=16)
    return split


def _run(operands: Operands, c: NDArray[Any], paired: bool) -> NDArray[Any]:
    """The integer kernel of the unit; words as int64, so that one compilation serves both widths."""
    unit = operands.unit
    word = np.uint16 if unit.out == "fp16" else np.uint32
    c_words = c.view(word).astype(np.int64)
    out = np.empty(c.shape, np.int64)
    scales = operands.scale_split
    rows, columns = c.shape
    grain = max(1, 4096 // max(1, columns * operands.length))
    block, fraction, rounding = unit.block or 0, unit.fraction_bits, ROUNDINGS[unit.rule]
    arguments: tuple[Any, ...]
    steps: tuple[Any, ...]
    if unit.align == "fused":
        kernel = general.chain_fused
        arguments = operands.scaled, c_words, operands.cut
    elif unit.align == "grouped":
        kernel = general.chain_grouped
        place = unit.fixed_unit - 2 * unit.scale_point
        steps = unit.group, unit.sub_group, block, place, fraction, unit.e_zero, rounding
        arguments = *operands.fixed, *scales, c_words, *steps, operands.outside
    else:
        kernel = amd.chain
        steps = unit.group, block, AMD_MODELS[unit.align], fraction, unit.point
        arguments = *operands.split, *scales, c_words, *steps
    parallel_rows(kernel, rows, columns, paired, *arguments, out, grain=grain)
    return out.astype(word).view(c.dtype)


def dot(operands: Operands, c: NDArray[Any]) -> NDArray[Any]:
    """Row by row; c and the result are ``[R, 1]``."""
    return _run(operands, c, paired=True)


def matmul(operands: Operands, c: NDArray[Any]) -> NDArray[Any]:
    """Every row of a with every row of b; c ``[M, N]``, which is the caller's to give away, receives the result."""
    if grouped_fits(operands.unit):
        return _grouped(operands, c)
    if fused_fits(operands.unit):
        return _fused(operands, c)
    return _run(operands, c, paired=False)


def grouped_fits(unit: Rule) -> bool:
    """Whether `grouped_gemm` computes the unit: E2M1 in sub-groups of 16 and groups of 64, cut at 35 bits, scales
    whose products with exact sums float32 holds."""
    form = unit.scale_form
    return (
        (unit.align, unit.a, unit.b, unit.group, unit.sub_group) == ("grouped", "e2m1", "e2m1", 64, 16)
        and (unit.fraction_bits, unit.e_zero, unit.rule) == (35, -139, "rz_fp32")
        and form is not None
        and (form.mantissa_bits == 0 or (form.mantissa_bits <= 3 and form.exponent_bits <= 5))
    )


def fused_fits(unit: Rule) -> bool:
    """Whether `fused_gemm` computes the unit: products that float32 holds, and of which an int32 adds 4."""
    term, most = unit.fraction_bits + unit.integer_bits, fused_gemm.MOST
    return unit.align == "fused" and unit.term_bits <= 24 and unit.fraction_bits <= most and term <= fused_gemm.FOUR


def _grouped(operands: Operands, c: NDArray[Any]) -> NDArray[Any]:
    unit, form = operands.unit, operands.unit.scale_form
    assert form is not None
    sa_sig, sa_exp, sb_sig, sb_exp = operands.scale_split
    normalise, block = form.exponent_bits > 5, unit.block or 0
    a, *prepared_a = _prepared(operands.codes[0], sa_sig, sa_exp, block, normalise)
    b, *prepared_b = _prepared(operands.codes[1], sb_sig, sb_exp, block, normalise)
    tiles, blocks = -(-len(b) // J), operands.length // 64
    panels = (
        aligned((tiles, blocks, 64, J), np.float32),
        *(aligned((tiles, blocks, 4, J), np.int32) for _ in range(2)),
        np.empty((tiles, blocks, 4), np.int32),
        aligned((tiles, blocks, J), np.int32),
    )
    parallel_rows(grouped_layout.panels, tiles, *prepared_b, normalise, *panels)
    parallel_rows(
        grouped_gemm.matmul,
        len(a),
        prepared_a[0].reshape(-1),
        *prepared_a[1:],
        panels[0].reshape(-1),
        *panels[1:],
        a,
        b,
        *operands.scale_split,
        block,
        form.mantissa_bits,
        normalise,
        (unit.promote_every or 0) // unit.group,
        c,
    )
    return c


def _prepared(
    codes: NDArray[np.uint8], scale_sig: NDArray[np.int16], scale_exp: NDArray[np.int16], block: int, normalise: bool
) -> tuple[NDArray[Any], ...]:
    significands, exponents = tables(element("e2m1"))
    rows, blocks = len(codes), codes.shape[1] // 64
    prepared = (
        np.empty(codes.shape, np.int8),
        np.empty((blocks, rows, 64), np.float32),
        *(np.empty((blocks, rows, width), np.int32) for width in (4, 4, 3)),
    )
    halves = (significands << exponents).astype(np.int8)
    parallel_rows(
        grouped_layout.prepare, rows, codes, halves, scale_sig, scale_exp, block, normalise, *prepared, grain=16
    )
    return prepared


def _fused(operands: Operands, c: NDArray[Any]) -> NDArray[Any]:
    unit, split = operands.unit, operands.scaled
    point_a, point_b = (form.mantissa_bits + unit.scale_point for form in operands.forms)
    a = _laid_out(split.a_sig, split.a_exp, unit.group, point_a)
    b = _laid_out(split.b_sig, split.b_exp, unit.group, point_b)
    groups, _, width = a[0].shape
    tiles = -(-len(split.b_sig) // J)
    panels = (
        aligned((tiles, groups, width, J), np.float32),
        aligned((tiles, groups, width, J), np.int16),
        np.empty((tiles, groups), np.int8),
    )
    parallel_rows(fused_layout.panels, tiles, *b, *panels)
    out = c.astype(np.float32, copy=False)
    laid_out = [one.reshape(-1) if one.dtype != np.int8 else one for one in (*a, *panels)]
    parallel_rows(fused_gemm.matmul, len(split.a_sig), *laid_out, split, operands.cut, out)
    if unit.out == "fp32":
        return out
    with np.errstate(invalid="ignore"):
        result = out.astype(np.float16)
    result.view(np.uint16)[np.isnan(out)] = 0x7FFF
    return result


def _laid_out(
    significands: NDArray[Any], exponents: NDArray[np.int16], group: int, mantissa: int
) -> tuple[NDArray[Any], ...]:
    rows, groups = len(significands), significands.shape[1] // group
    width = fused_layout.padded(group)
    laid_out = (
        np.empty((groups, rows, width), np.float32),
        np.empty((groups, rows, width), np.int16),
        np.empty((groups, rows), np.int8),
    )
    parallel_rows(fused_layout.prepare, rows, significands, exponents, group, mantissa, *laid_out, grain=16)
    return laid_out

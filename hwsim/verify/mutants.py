"""Planted faults: what a wrong emulator looks like, and the proof that the checks see it.

Each mutant is a `Subject` that errs in one way, all of them mistakes that emulators have made. `hunt` runs the checks
of `hwsim verify` on it; a mutant that no check finds is a hole in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import datapaths
from hwsim.verify import free
from hwsim.verify.operands import words
from hwsim.verify.subject import DotUnit, Subject
from hwsim.verify.table import Row

Key = tuple[str, Any, str]
Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], Any, Any]


class _Altered:
    """A unit whose inputs or results pass through a fault; every other attribute is the unit's."""

    def __init__(self, unit: Any, mutant: Mutant) -> None:
        self._unit, self._before, self._after, self._product = unit, mutant.before, mutant.after, mutant.product

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)

    def dot(self, a: Any, b: Any, c: Any = None, scale_a: Any = None, scale_b: Any = None) -> NDArray[Any]:
        given: Arrays = (a.copy(), b.copy(), c.copy(), scale_a, scale_b)
        if self._before is not None:
            given = self._before(*given)
        result = np.asarray(self._unit.dot(*given))
        return result if self._after is None else np.asarray(self._after(result, a, b, c))

    def matmul(self, a: Any, b: Any, c: Any = None, scale_a: Any = None, scale_b: Any = None) -> NDArray[Any]:
        if self._product is not None:
            a = self._product(a)
        return np.asarray(self._unit.matmul(a, b, c, scale_a, scale_b))


@dataclass(frozen=True)
class Mutant:
    """One fault.

    Args:
        name: what is wrong.
        units: the tensor cores that err; empty for a fault of formats or integers.
        change: other parameters of these units.
        before: on their inputs (a, b, c, scale_a, scale_b).
        after: on their results (result, a, b, c).
        product: on a of whole products.
        encode, integer: in place of the subject's method, with the true one as first argument.
    """

    name: str
    units: tuple[Key, ...] = ()
    change: tuple[tuple[str, Any], ...] = ()
    before: Callable[..., Arrays] | None = None
    after: Callable[..., Any] | None = None
    product: Callable[..., Any] | None = None
    encode: Callable[..., Any] | None = None
    integer: Callable[..., Any] | None = None


class Faulty(Subject):
    """hwsim with one mutant in it."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant, self.name = mutant, mutant.name

    def unit(self, arch: str, operand: str | tuple[str, str], out: str = "fp32") -> DotUnit:
        """The unit, with the fault if it is one of the mutant's."""
        true: Any = super().unit(arch, operand, out)
        if (arch, operand, out) not in self.mutant.units:
            plain: DotUnit = true
            return plain
        wrong = _Changed(true, free.changed(true, **dict(self.mutant.change))) if self.mutant.change else true
        return _Altered(wrong, self.mutant)

    def encode(self, form: str, x: Any, rounding: Any = "rne", saturate: bool = True) -> NDArray[Any]:
        """Codes, with the fault."""
        if self.mutant.encode is None:
            return super().encode(form, x, rounding, saturate)
        return np.asarray(self.mutant.encode(super().encode, form, x, rounding, saturate))

    def integer_dot(self, a: Any, b: Any, c: Any, saturate: bool = False) -> NDArray[Any]:
        """Integer dot products, with the fault."""
        if self.mutant.integer is None:
            return super().integer_dot(a, b, c, saturate)
        return np.asarray(self.mutant.integer(super().integer_dot, a, b, c, saturate))


class _Changed:
    """A unit of other parameters under the name of the true one."""

    def __init__(self, unit: Any, other: Any) -> None:
        self._unit, self._other = unit, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unit, name)

    def dot(self, *arrays: Any) -> NDArray[Any]:
        return np.asarray(self._other.dot(*arrays))


def _last_group_first(a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> Arrays:
    half = a.shape[-1] // 2
    return np.roll(a, half, axis=-1), np.roll(b, half, axis=-1), c, scale_a, scale_b


def _subnormal_scales_flushed(a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> Arrays:
    flushed = (np.where(s & 0x78, s, 0).astype(np.uint8) for s in (scale_a, scale_b))
    return a, b, c, *flushed


def _block_of_32(a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> Arrays:
    return a, b, c, *(np.repeat(s[..., ::2], 2, axis=-1) for s in (scale_a, scale_b))


def _signed_scales(a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> Arrays:
    sign = np.repeat((scale_a ^ scale_b) & 0x80, 16, axis=-1) >> 4
    return a ^ sign[..., : a.shape[-1]], b, c, scale_a, scale_b


def _empty_groups_keep_their_scale(a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> Arrays:
    for first in range(0, a.shape[-1], 16):
        part = slice(first, first + 16)
        empty = ((a[..., part] & 7 == 0) | (b[..., part] & 7 == 0)).all(axis=-1)
        a[empty, first : first + 2], b[empty, first], b[empty, first + 1] = 2, 2, 10
    return a, b, c, scale_a, scale_b


def _subnormal_operands_flushed(a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> Arrays:
    return np.where(a & 0x7C00, a, 0).astype(a.dtype), np.where(b & 0x7C00, b, 0).astype(b.dtype), c, scale_a, scale_b


def _small_c_flushed(a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> Arrays:
    return a, b, np.where(np.abs(c) < 2.0**-126, np.float32(0), c), scale_a, scale_b


def _tf32_rounded(a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> Arrays:
    near = (np.where(x & 0x7F800000 == 0x7F800000, x, x + 0x1000).astype(np.uint32) for x in (a, b))
    return *near, c, scale_a, scale_b


def _negative_zero(result: Any, a: Any, b: Any, c: Any) -> Any:
    return np.where((result == 0) & np.signbit(c), -result, result)


def _quiet_nan(result: Any, *_: Any) -> Any:
    kept = words(result).copy()
    kept[np.isnan(result)] = 0x7FC00000
    return kept.view(np.float32)


def _rounded_twice(result: Any, a: Any, b: Any, c: Any) -> Any:
    wide = datapaths.tensor_core("hopper", "fp16").dot(a, b, c.astype(np.float32))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(np.isnan(result), result, wide.astype(np.float16) + np.float16(0))


def _without_end(a: Any) -> Any:
    kept = a.copy()
    kept[:, a.shape[1] // 32 * 32 :] = 0
    return kept


def _without_sticky(true: Any, form: str, x: Any, rounding: Any, saturate: bool) -> Any:
    few = (np.ascontiguousarray(x).view(np.uint32) & np.uint32(0xFFFFF000)).view(np.float32)
    return true(form, np.where(np.isnan(x), x, few).astype(np.float32), rounding, saturate)


def _ties_away(true: Any, form: str, x: Any, rounding: Any, saturate: bool) -> Any:
    return true(form, x, "away" if rounding == "rne" else rounding, saturate)


def _truncated(true: Any, form: str, x: Any, rounding: Any, saturate: bool) -> Any:
    return true(form, x, "rz" if rounding == "rne" else rounding, saturate)


def _always_saturated(true: Any, form: str, x: Any, rounding: Any, saturate: bool) -> Any:
    return true(form, x, rounding, True)


def _clamped(true: Any, a: Any, b: Any, c: Any, saturate: bool) -> Any:
    return true(a, b, c, True)


NVFP4 = (("blackwell", "nvfp4", "fp32"),)
WGMMA_FP8 = (("hopper", "e4m3", "fp32"),)
HOPPER_FP16 = (("hopper", "fp16", "fp32"),)

MUTANTS: tuple[Mutant, ...] = (
    Mutant("one fraction bit more", WGMMA_FP8, (("fraction_bits", 14),)),
    Mutant("one fraction bit less", NVFP4, (("fraction_bits", 34),)),
    Mutant("nearest for truncation of the sum", HOPPER_FP16, (("rounding", "rne"),)),
    Mutant("24 bits of the sum for 14", WGMMA_FP8, (("acc", "fp32"),)),
    Mutant("group of 8 for 16", HOPPER_FP16, (("group", 8),)),
    Mutant("zero exponent one more", (("hopper", "bf16", "fp32"),), (("e_zero", -132),)),
    Mutant("last group first", (("ampere", "fp16", "fp32"),), before=_last_group_first),
    Mutant("subnormal scales flushed", NVFP4, before=_subnormal_scales_flushed),
    Mutant("block of 32 for 16", NVFP4, before=_block_of_32),
    Mutant("sign of a scale", NVFP4, before=_signed_scales),
    Mutant("empty groups keep their scale's exponent", NVFP4, before=_empty_groups_keep_their_scale),
    Mutant("subnormal operands flushed", HOPPER_FP16, before=_subnormal_operands_flushed),
    Mutant("subnormal c flushed", HOPPER_FP16, before=_small_c_flushed),
    Mutant("tf32 operands rounded", (("ampere", "tf32", "fp32"),), before=_tf32_rounded),
    Mutant("sign of zero", HOPPER_FP16, after=_negative_zero),
    Mutant("NaN payload", WGMMA_FP8, after=_quiet_nan),
    Mutant("float16 result rounded twice", (("hopper", "fp16", "fp16"),), after=_rounded_twice),
    Mutant("ragged end of a whole product lost", NVFP4 + WGMMA_FP8, product=_without_end),
    Mutant("lost sticky bits", encode=_without_sticky),
    Mutant("ties away from zero", encode=_ties_away),
    Mutant("truncation for rounding", encode=_truncated),
    Mutant("saturation for overflow", encode=_always_saturated),
    Mutant("accumulator that clamps", integer=_clamped),
)


def hunt(mutant: Mutant, seed: int = 0) -> Row | None:
    """The first row that the checks of `hwsim verify --quick` show as different; None if they miss the mutant.

    A fault of tensor cores is looked for in the units that have it, since the others are hwsim's own.
    """
    from hwsim.verify.checks import tensor_cores
    from hwsim.verify.run import QUICK_COUNT, run

    subject = Faulty(mutant)
    if mutant.units:
        rows: Iterable[Row] = chain(
            tensor_cores.check(subject, QUICK_COUNT, seed, only=mutant.units),
            tensor_cores.products(subject, 12, seed, only=mutant.units),
        )
    else:
        rows = run(quick=True, sections=("formats", "integers"), subject=subject, seed=seed).rows
    return next((row for row in rows if row.differences), None)

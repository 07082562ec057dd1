"""Operands for comparisons with mmasim 2.1.1 that are hard for both, drawn apart from those of `hwsim verify`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.datapaths.dot.elements import element
from hwsim.verify.mmasim_oracle import instruction, run

__all__ = ["KINDS", "Case", "draw", "instruction", "run"]

KINDS = ("random", "sparse", "narrow", "cancelling", "specials", "tiny", "huge")


@dataclass
class Case:
    """Dot products of one kind: codes, c and scale bytes."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    scale_a: np.ndarray | None
    scale_b: np.ndarray | None


def _codes(rng, name, shape, kind):
    form = element(name)
    codes = rng.integers(0, 1 << form.word_bits, shape, dtype=np.uint64)
    mantissa = form.mantissa_bits
    if kind in ("narrow", "cancelling", "tiny", "huge"):
        middle = {"tiny": 1, "huge": (1 << form.exponent_bits) - 2}.get(kind, form.bias)
        width = min(4, (1 << form.exponent_bits) - 1)
        field = np.clip(middle + rng.integers(-width, width + 1, shape), 0, (1 << form.exponent_bits) - 1)
        if form.specials == "ieee" and kind != "tiny":
            field = np.minimum(field, (1 << form.exponent_bits) - 2)
        keep = (1 << (form.word_bits - 1)) | ((1 << (mantissa + form.unread_bits)) - 1)
        codes = (codes & np.uint64(keep)) | (field.astype(np.uint64) << np.uint64(mantissa + form.unread_bits))
    if kind == "cancelling":
        half = shape[-1] // 2
        codes[..., half : 2 * half] = codes[..., :half]
    if kind == "sparse":
        codes[rng.random(shape) < 0.7] = 0
        codes[rng.random(shape[:-1]) < 0.2] = 0
        width = min(16, shape[-1])
        for start in range(0, shape[-1], width):
            codes[rng.random(shape[:-1]) < 0.3, start : start + width] = 0
    if kind != "specials" and form.specials != "none":
        for _ in range(40):  # redraw what is not finite, so that sums of finite numbers are seen
            from hwsim.datapaths.dot.elements import INF, parts

            wrong = parts(form, codes.astype(form.code_dtype))[1] >= INF
            if not wrong.any():
                break
            codes[wrong] = rng.integers(0, 1 << form.word_bits, int(wrong.sum()), dtype=np.uint64)
    return codes.astype(form.code_dtype)


def _scales(rng, name, shape, kind):
    scales = rng.integers(0, 256, shape).astype(np.uint8)  # sign bits on UE4M3 included
    if name == "ue4m3":
        if kind == "tiny":
            scales = (rng.integers(0, 10, shape) | (rng.integers(0, 2, shape) << 7)).astype(np.uint8)
        if kind == "sparse":
            scales[rng.random(shape) < 0.3] = 0
        if kind != "specials":
            scales[scales & 0x7F == 0x7F] = 0x38
    else:
        if kind == "narrow" or kind == "cancelling":
            scales = rng.integers(115, 140, shape).astype(np.uint8)
        if kind == "tiny":
            scales = rng.integers(0, 20, shape).astype(np.uint8)
        if kind == "huge":
            scales = rng.integers(170, 255, shape).astype(np.uint8)
        if kind != "specials":
            scales[scales == 255] = 127
    return scales


def _c(rng, out, count, kind, likely):
    if out == "fp16":
        words = rng.integers(0, 1 << 16, count).astype(np.uint16)
        values = words.view(np.float16)
        values[~np.isfinite(values) & (kind != "specials")] = 0
    else:
        words = rng.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)
        values = words.view(np.float32)
        values[~np.isfinite(values) & (kind != "specials")] = 0
        near = rng.random(count) < 0.5  # of the size of the products, where alignment is decided
        exponent = np.clip(rng.integers(-30, 20, count) + likely, -149, 127)
        near_values = np.ldexp(rng.choice([-1.0, 1.0], count) * rng.uniform(1, 2, count), exponent).astype(np.float32)
        values[near] = near_values[near]
    values[rng.random(count) < 0.15] = 0
    return values


def draw(unit, rng, count, kind, k) -> Case:
    """`count` dot products of one instruction."""
    a = _codes(rng, unit.a_format, (count, k), kind)
    b = _codes(rng, unit.b_format, (count, k), kind)
    if kind == "cancelling":
        half = k // 2
        b[:, half : 2 * half] = b[:, :half] ^ b.dtype.type(1 << (element(unit.b_format).word_bits - 1))
        loose = rng.random(b.shape) < 0.05
        b[loose] = _codes(rng, unit.b_format, b.shape, "narrow")[loose]
    scale_a = scale_b = None
    if unit.block:
        shape = (count, k // unit.block)
        scale_a, scale_b = (_scales(rng, unit.scale_format, shape, kind) for _ in range(2))
    likely = 0
    if kind in ("tiny", "huge"):
        form_a, form_b = element(unit.a_format), element(unit.b_format)
        top = {"tiny": 1, "huge": (1 << form_a.exponent_bits) - 2}[kind]
        likely = top - form_a.bias + min(top, (1 << form_b.exponent_bits) - 1) - form_b.bias
        if unit.scale_format == "e8m0":
            likely += int(np.median(scale_a)) + int(np.median(scale_b)) - 254
    return Case(a, b, _c(rng, unit.out, count, kind, likely), scale_a, scale_b)

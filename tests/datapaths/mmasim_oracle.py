"""mmasim 2.1.1 as an oracle: the instruction behind each of our units, and operands that are hard for both.

mmasim holds E2M1 of the f8f6f4 kinds in bits 5:2, packs two E2M1 of the FP4 kinds in a byte, and reads the scales of
one instruction only, so one instruction at a time is compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwsim.datapaths.dot.elements import element

NVIDIA = {
    "volta": "Volta", "turing": "Turing", "ampere": "Ampere", "ada": "Ada Lovelace", "hopper": "Hopper",
    "blackwell": "Blackwell", "rtx_blackwell": "RTX Blackwell",
}  # fmt: skip
PTX = {"fp16": "f16", "fp32": "f32"}
AMD = {"tf32": "xf32", "fp16": "f16", "bf16": "bf16", "e4m3fnuz": "fp8", "e5m2fnuz": "bf8"}
KINDS = ("random", "sparse", "narrow", "cancelling", "specials", "tiny", "huge")


def instruction(unit) -> tuple[Callable, int]:
    """The mmasim operation of a unit and its K."""
    from mmasim import amd, nv_ptx

    a, b = (PTX.get(name, name) for name in (unit.a_format, unit.b_format))
    d, arch = PTX[unit.out], unit.arch
    if arch in ("cdna1", "cdna2"):
        shape = {"fp16": "32x32x8f16", "bf16": "32x32x4bf16", "bf16.1k": "32x32x8bf16_1k"}[unit.operand]
        suffix = f"f32_{shape}"
        op = amd.MFMA(arch.upper(), suffix)
        return op, op.k
    if arch == "cdna3":
        a, b = AMD[unit.a_format], AMD[unit.b_format]
        shape = {"xf32": "16x16x8", "f16": "16x16x16", "bf16": "16x16x16"}.get(a, "16x16x32")
        op = amd.MFMA("CDNA3", f"f32_{shape}_{a}_{b}" if shape == "16x16x32" else f"f32_{shape}_{a}")
        return op, op.k
    name = NVIDIA[arch]
    if unit.align == "grouped":
        kind = "mxf4" if unit.operand == "mxfp4" else "mxf4nvf4"
        scale = "ue4m3" if unit.scale_format == "ue4m3" else "ue8m0"
        if arch == "blackwell":
            return nv_ptx.TCGen05MMABlockScale(
                name, f"m128n8k64.kind::{kind}.block{unit.block}.f32.e2m1.e2m1.{scale}"
            ), 64
        return nv_ptx.MMABlockScale(name, f"m16n8k64.kind::{kind}.block{unit.block}.f32.e2m1.e2m1.f32.{scale}"), 64
    if unit.block:
        if arch == "blackwell":
            return nv_ptx.TCGen05MMABlockScale(name, f"m128n8k32.kind::mxf8f6f4.block32.f32.{a}.{b}.ue8m0"), 32
        return nv_ptx.MMABlockScale(name, f"m16n8k32.kind::mxf8f6f4.block32.f32.{a}.{b}.f32.ue8m0"), 32
    if arch == "volta":
        return nv_ptx.MMA(name, f"m8n8k4.{d}.f16.f16.{d}"), 4
    if arch == "turing":
        return nv_ptx.MMA(name, f"m16n8k8.{d}.f16.f16.{d}"), 8
    if arch in ("ampere", "ada") or (arch == "rtx_blackwell" and a in ("f16", "bf16", "tf32")):
        k = {"f16": 16, "bf16": 16, "tf32": 8}.get(a, 32)
        return nv_ptx.MMA(name, f"m16n8k{k}.{d}.{a}.{b}.{d}"), k
    if arch == "rtx_blackwell":
        return nv_ptx.MMA(name, f"m16n8k32.kind::f8f6f4.{d}.{a}.{b}.{d}"), 32
    k = {"f16": 16, "bf16": 16, "tf32": 8}.get(a, 32)
    if arch == "hopper":
        return nv_ptx.WGMMA(name, f"m64n8k{k}.{d}.{a}.{b}"), k
    kind = {"f16": "f16", "bf16": "f16", "tf32": "tf32"}.get(a, "f8f6f4")
    return nv_ptx.TCGen05MMA(name, f"m128n8k{k}.kind::{kind}.{d}.{a}.{b}"), k


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


def run(unit, op, case) -> np.ndarray:
    """mmasim's words for a case."""
    import torch

    dtypes = {
        "fp16": torch.float16, "bf16": torch.bfloat16, "tf32": torch.float32, "e4m3": torch.float8_e4m3fn,
        "e5m2": torch.float8_e5m2, "e4m3fnuz": torch.float8_e4m3fnuz, "e5m2fnuz": torch.float8_e5m2fnuz,
        "ue4m3": torch.float8_e4m3fn, "e8m0": torch.float8_e8m0fnu,
    }  # fmt: skip

    def operand(codes, name):
        if unit.align == "grouped":
            return torch.from_numpy(codes[:, 0::2] | codes[:, 1::2] << 4)
        if name == "e2m1":
            return torch.from_numpy(codes << 2)
        signed = codes.view({1: np.uint8, 2: np.int16, 4: np.int32}[codes.dtype.itemsize]).copy()
        tensor = torch.from_numpy(signed)
        return tensor.view(dtypes[name]) if name in dtypes else tensor

    scales = []
    if case.scale_a is not None:
        scales = [torch.from_numpy(s.copy()).view(dtypes[unit.scale_format]) for s in (case.scale_a, case.scale_b)]
    got = op.dpa(
        operand(case.a, unit.a_format), operand(case.b, unit.b_format), torch.from_numpy(case.c.copy()), *scales
    )
    return got.numpy().view(np.uint16 if unit.out == "fp16" else np.uint32)

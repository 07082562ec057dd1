"""mmasim 2.1.1 as an oracle: written by others, checked on silicon by its authors (arXiv 2511.10909).

It holds E2M1 of the f8f6f4 kinds in bits 5..2, packs two E2M1 of the FP4 kinds in a byte, and reads the scales of one
instruction only, so one instruction at a time is compared. Where it does not say what silicon does, results are
brought to one form first (`one_form`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import MissingExtra
from hwsim.verify.operands import Batch, words

NVIDIA = {
    "volta": "Volta", "turing": "Turing", "ampere": "Ampere", "ada": "Ada Lovelace", "hopper": "Hopper",
    "blackwell": "Blackwell", "rtx_blackwell": "RTX Blackwell",
}  # fmt: skip
PTX = {"fp16": "f16", "fp32": "f32"}
AMD = {"tf32": "xf32", "fp16": "f16", "bf16": "bf16", "e4m3fnuz": "fp8", "e5m2fnuz": "bf8"}
FP4 = ("mxfp4", "mxfp4.block16", "nvfp4")
WIDE_K = {"fp16": 16, "bf16": 16, "tf32": 8}
"""Elements of one instruction of the wide formats; every other has 32."""


def load() -> Any:
    """The package.

    Raises:
        MissingExtra: it, torch, or the compiler that it builds its multiply-add with is missing.
    """
    try:
        import mmasim.amd
        import mmasim.nv_ptx
    except (ImportError, RuntimeError, OSError) as missing:
        raise MissingExtra("mmasim with ninja and g++", install="pip install hwsim[dev]") from missing
    return mmasim


def instruction(unit: Any) -> tuple[Callable[..., Any], int]:
    """The operation of mmasim behind a tensor core of hwsim, and its number of elements."""
    package = load()
    nv, d, arch = package.nv_ptx, PTX[unit.out], unit.arch
    a, b = (PTX.get(name, name) for name in (unit.a_format, unit.b_format))
    if arch.startswith("cdna"):
        return _mfma(package.amd, unit)
    name, k = NVIDIA[arch], WIDE_K.get(unit.a_format, 32)
    if unit.operand in FP4:
        kind = "mxf4" if unit.operand == "mxfp4" else "mxf4nvf4"
        scale = "ue4m3" if unit.scale_format == "ue4m3" else "ue8m0"
        if arch == "blackwell":
            shape = f"m128n8k64.kind::{kind}.block{unit.block}.f32.e2m1.e2m1.{scale}"
            return nv.TCGen05MMABlockScale(name, shape), 64
        return nv.MMABlockScale(name, f"m16n8k64.kind::{kind}.block{unit.block}.f32.e2m1.e2m1.f32.{scale}"), 64
    if unit.block:
        if arch == "blackwell":
            return nv.TCGen05MMABlockScale(name, f"m128n8k32.kind::mxf8f6f4.block32.f32.{a}.{b}.ue8m0"), 32
        return nv.MMABlockScale(name, f"m16n8k32.kind::mxf8f6f4.block32.f32.{a}.{b}.f32.ue8m0"), 32
    if arch == "volta":
        return nv.MMA(name, f"m8n8k4.{d}.f16.f16.{d}"), 4
    if arch == "turing":
        return nv.MMA(name, f"m16n8k8.{d}.f16.f16.{d}"), 8
    if arch in ("ampere", "ada") or (arch == "rtx_blackwell" and unit.a_format in WIDE_K):
        return nv.MMA(name, f"m16n8k{k}.{d}.{a}.{b}.{d}"), k
    if arch == "rtx_blackwell":
        return nv.MMA(name, f"m16n8k32.kind::f8f6f4.{d}.{a}.{b}.{d}"), k
    if arch == "hopper":
        return nv.WGMMA(name, f"m64n8k{k}.{d}.{a}.{b}"), k
    kind = {"fp16": "f16", "bf16": "f16", "tf32": "tf32"}.get(unit.a_format, "f8f6f4")
    return nv.TCGen05MMA(name, f"m128n8k{k}.kind::{kind}.{d}.{a}.{b}"), k


def _mfma(amd: Any, unit: Any) -> tuple[Callable[..., Any], int]:
    if unit.arch == "cdna3":
        a, b = AMD[unit.a_format], AMD[unit.b_format]
        shape = {"xf32": "16x16x8", "f16": "16x16x16", "bf16": "16x16x16"}.get(a)
        operation = amd.MFMA("CDNA3", f"f32_{shape}_{a}" if shape else f"f32_16x16x32_{a}_{b}")
    else:
        shape = {"fp16": "32x32x8f16", "bf16": "32x32x4bf16", "bf16.1k": "32x32x8bf16_1k"}[unit.operand]
        operation = amd.MFMA(unit.arch.upper(), f"f32_{shape}")
    return operation, operation.k


def run(unit: Any, operation: Any, batch: Batch) -> NDArray[Any]:
    """mmasim's words for a batch."""
    import torch

    dtypes = {
        "fp16": torch.float16, "bf16": torch.bfloat16, "tf32": torch.float32, "e4m3": torch.float8_e4m3fn,
        "e5m2": torch.float8_e5m2, "e4m3fnuz": torch.float8_e4m3fnuz, "e5m2fnuz": torch.float8_e5m2fnuz,
        "ue4m3": torch.float8_e4m3fn, "e8m0": torch.float8_e8m0fnu,
    }  # fmt: skip

    def operand(codes: NDArray[Any], name: str) -> torch.Tensor:
        if unit.operand in FP4:
            return torch.from_numpy(codes[:, 0::2] | codes[:, 1::2] << 4)
        if name == "e2m1":
            return torch.from_numpy(codes << 2)
        signed = codes.view({1: np.uint8, 2: np.int16, 4: np.int32}[codes.dtype.itemsize]).copy()
        tensor = torch.from_numpy(signed)
        return tensor.view(dtypes[name]) if name in dtypes else tensor

    scales = [
        torch.from_numpy(scale.copy()).view(dtypes[str(unit.scale_format)])
        for scale in (batch.scale_a, batch.scale_b)
        if scale is not None
    ]
    start = torch.from_numpy(batch.c.copy())
    got = operation.dpa(operand(batch.a, unit.a_format), operand(batch.b, unit.b_format), start, *scales)
    return words(got.numpy())


def exception(unit: Any) -> str:
    """What is not compared with mmasim for this unit, empty if all is."""
    if unit.arch in ("cdna1", "cdna2"):
        return "which NaN is not compared: mmasim hands on that of the host"
    if unit.arch == "cdna3" and unit.a_format.endswith("fnuz"):
        return "FP8 with NaN operands or a c of 2^127 and more is not compared: mmasim drops an infinite or NaN c"
    return ""


def one_form(unit: Any, result: NDArray[Any], batch: Batch) -> NDArray[Any]:
    """Words of hwsim or mmasim without what `exception` excepts."""
    if not exception(unit):
        return result
    if unit.arch == "cdna3":
        nan = (batch.a == 0x80).any(axis=-1) | (batch.b == 0x80).any(axis=-1)
        return np.where(nan | ~(np.abs(batch.c) < 2.0**127), np.uint32(0), result)
    return np.where(np.isnan(result.view(np.float32)), np.uint32(0x7FFFFFFF), result)

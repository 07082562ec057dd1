"""The catalogue of kernels: one instruction each, the opcode it must become on every target, the unit it checks.

Opcodes are those that NVRTC 13.5 makes. A kernel is listed for a target only where the target has the instruction:
below sm_100 the conversions to E2M1 are integer code, and INT4 products are two INT8 ones from sm_90 on. FP8
``mma.sync`` on sm_90a and sm_100a is listed as what it becomes, conversions and two FP16 products.

Left out: ``cvt.rna.tf32``, which no target has as an instruction; ``tcgen05`` with ``.ws`` or two CTAs, and sparse
products, which have no model here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from hwsim.errors import ArgumentError, UnknownName

ARCH = {
    "sm_80": "ampere",
    "sm_89": "ada",
    "sm_90a": "hopper",
    "sm_100a": "blackwell",
    "sm_120a": "rtx_blackwell",
}
"""Targets, and the architecture of `hwsim.datapaths.tensor_core` that each one is."""

TARGETS = tuple(ARCH)
SM8X, SM10X, FP8_UP = TARGETS[:2], TARGETS[3:], TARGETS[1:]

PTX = {"fp16": "f16", "fp32": "f32", "int8": "s8", "int32": "s32"}
WIDTHS = {"tf32": 32, "fp16": 16, "bf16": 16, "int8": 8, "e4m3": 8, "e5m2": 8, "e2m3": 6, "e3m2": 6, "e2m1": 4}

Box = Literal["plain", "byte", "sixteen"]


@dataclass(frozen=True)
class Product:
    """A matrix instruction: D ``[m, n]`` = A ``[m, k]`` times B ``[n, k]`` transposed, plus C.

    Args:
        m, n, k: its shape.
        a, b: element formats.
        out: format of C and D.
        block, scale: elements that share a scale byte and its format; None without scales.
        box: how elements of fewer than 8 bits lie in memory. ``plain``: two E2M1 to a byte, the even one low.
            ``byte``: one to a byte, E2M1 in bits 5..2. ``sixteen``: sixteen of them packed at the bottom of 16 bytes.
        saturate: int32 results are clamped instead of wrapped.
    """

    m: int
    n: int
    k: int
    a: str
    b: str
    out: str = "fp32"
    block: int | None = None
    scale: str | None = None
    box: Box = "plain"
    saturate: bool = False


@dataclass(frozen=True)
class Kernel:
    """One instruction as a kernel.

    Args:
        name: ``mma.fp16``, ``tcgen05.nvfp4``, ``cvt.e4m3``.
        file: its CUDA C++ in this folder.
        defines: macros set before it.
        targets: target -> opcodes that the machine code must hold, in any order.
        product: what it multiplies; None for an elementwise instruction.
        units: target -> operand name of the target's architecture; empty for integers and elementwise instructions.
    """

    name: str
    file: str
    defines: tuple[tuple[str, str | int], ...]
    targets: Mapping[str, tuple[str, ...]] = field(hash=False)
    product: Product | None = None
    units: Mapping[str, str | tuple[str, str]] = field(default_factory=dict, hash=False)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _same(targets: tuple[str, ...], *opcodes: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(targets, opcodes)


def _mma(
    name: str, shape: str, product: Product, targets: Mapping[str, tuple[str, ...]],
    units: Mapping[str, str | tuple[str, str]], kind: str = "", scale: str = "",
) -> Kernel:  # fmt: skip
    d, a, b = (PTX.get(form, form) for form in (product.out, product.a, product.b))
    types = f"{d}.{a}.{b}.{d}" + (f".{scale}" if scale else "")
    clamp = "satfinite." if product.saturate else ""
    text = f"mma.sync.aligned.{shape}.row.col.{kind}{clamp}{types}"
    defines = (
        ("INSTRUCTION", _quoted(text)),
        ("WIDE", int(product.out != "fp16")),
        ("INTEGER", int(product.out == "int32")),
        ("SCALED", int(product.block is not None)),
    )
    return Kernel(f"mma.{name}", "mma.cu", defines, targets, product, units)


def _wide_floats() -> Iterator[Kernel]:
    everywhere: dict[str, dict[str, str | tuple[str, str]]] = {
        form: dict.fromkeys(TARGETS, form) for form in ("fp16", "bf16", "tf32")
    }
    for form, out, k, opcode in (
        ("fp16", "fp32", 16, "HMMA.16816.F32"), ("fp16", "fp16", 16, "HMMA.16816.F16"),
        ("bf16", "fp32", 16, "HMMA.16816.F32.BF16"), ("tf32", "fp32", 8, "HMMA.1688.F32.TF32"),
    ):  # fmt: skip
        name = form if out == "fp32" else f"{form}.fp16"
        product = Product(16, 8, k, form, form, out)
        yield _mma(name, f"m16n8k{k}", product, _same(TARGETS, opcode), everywhere[form])


def _integers() -> Iterator[Kernel]:
    for saturate in (False, True):
        product = Product(16, 8, 32, "int8", "int8", "int32", saturate=saturate)
        opcode = "IMMA.16832.S8.S8" + (".SAT" if saturate else "")
        yield _mma("int8.sat" if saturate else "int8", "m16n8k32", product, _same(TARGETS, opcode), {})


def _fp8() -> Iterator[Kernel]:
    for form in ("e4m3", "e5m2"):
        for out, d, adds in (("fp32", "F32", ("FADD",) * 4), ("fp16", "F16", ("HADD2",) * 2)):
            native = (f"QMMA.16832.{d}.{form.upper()}.{form.upper()}",)
            rewritten = (f"F2FP.F16.{form.upper()}.UNPACK_B",) * 12 + (f"HMMA.16816.{d}",) * 2 + adds
            targets = {target: rewritten if target in ("sm_90a", "sm_100a") else native for target in FP8_UP}
            units = {t: f"{form}.mma_sync" if targets[t] is rewritten else form for t in FP8_UP}
            name = form if out == "fp32" else f"{form}.fp16"
            yield _mma(name, "m16n8k32", Product(16, 8, 32, form, form, out), targets, units)


F8F6F4 = ("e5m2", "e4m3", "e3m2", "e2m3", "e2m1")
PAIRS = (*((form, form) for form in F8F6F4), ("e2m1", "e4m3"), ("e5m2", "e2m3"), ("e3m2", "e2m1"))
MX = {"e5m2": "mxfp8.e5m2", "e4m3": "mxfp8.e4m3", "e3m2": "mxfp6.e3m2", "e2m3": "mxfp6.e2m3", "e2m1": "mxf8f6f4.e2m1"}
FP4 = (  # name, kind, scale vector, scale in PTX, block, scale format
    ("mxfp4", "mxf4", "2X", "ue8m0", 32, "e8m0"),
    ("mxfp4.block16", "mxf4nvf4", "4X", "ue8m0", 16, "e8m0"),
    ("nvfp4", "mxf4nvf4", "4X", "ue4m3", 16, "ue4m3"),
)


def _pair(a: str, b: str) -> str:
    return a if a == b else f"{a}*{b}"


def _sm120() -> Iterator[Kernel]:
    on = ("sm_120a",)
    for a, b in PAIRS:
        types = f"{a.upper()}.{b.upper()}"
        unit: str | tuple[str, str] = a if a == b else (a, b)
        for out, d in (("fp32", "F32"), ("fp16", "F16")):
            product = Product(16, 8, 32, a, b, out, box="byte")
            name = f"f8f6f4.{_pair(a, b)}" + ("" if out == "fp32" else ".fp16")
            targets = _same(on, f"QMMA.16832.{d}.{types}")
            yield _mma(name, "m16n8k32", product, targets, {"sm_120a": unit}, "kind::f8f6f4.")
        product = Product(16, 8, 32, a, b, block=32, scale="e8m0", box="byte")
        scaled: str | tuple[str, str] = MX[a] if a == b else (MX[a], MX[b])
        yield _mma(
            f"mxf8f6f4.{_pair(a, b)}", "m16n8k32", product, _same(on, f"QMMA.SF.16832.F32.{types}.E8"),
            {"sm_120a": scaled}, "kind::mxf8f6f4.block_scale.scale_vec::1X.", "ue8m0",
        )  # fmt: skip
    for name, kind, vector, scale, block, form in FP4:
        suffix = {"mxfp4": "E8", "mxfp4.block16": "E8.4X", "nvfp4": "UE4M3.4X"}[name]
        product = Product(16, 8, 64, "e2m1", "e2m1", block=block, scale=form)
        targets = _same(on, f"OMMA.SF.16864.F32.E2M1.E2M1.{suffix}")
        kind = f"kind::{kind}.block_scale.scale_vec::{vector}."
        yield _mma(name, "m16n8k64", product, targets, {"sm_120a": name}, kind, scale)


def _wgmma() -> Iterator[Kernel]:
    for a, b, out, k in (
        ("fp16", "fp16", "fp32", 16), ("fp16", "fp16", "fp16", 16), ("bf16", "bf16", "fp32", 16),
        ("tf32", "tf32", "fp32", 8), ("e4m3", "e4m3", "fp32", 32), ("e5m2", "e5m2", "fp32", 32),
        ("e4m3", "e5m2", "fp32", 32), ("e4m3", "e4m3", "fp16", 32), ("e5m2", "e5m2", "fp16", 32),
    ):  # fmt: skip
        d = PTX[out]
        text = f"wgmma.mma_async.sync.aligned.m64n8k{k}.{d}.{PTX.get(a, a)}.{PTX.get(b, b)}"
        opcode = f"{'QGMMA' if k == 32 else 'HGMMA'}.64x8x{k}.{d.upper()}"
        opcode += {"bf16": ".BF16", "tf32": ".TF32"}.get(a, f".{a.upper()}.{b.upper()}" if k == 32 else "")
        defines = (
            ("INSTRUCTION", _quoted(text)),
            ("TRANSPOSE", _quoted(", 0, 0" if k == 16 else "")),
            ("WIDE", int(out == "fp32")),
        )
        name = f"wgmma.{_pair(a, b)}" + ("" if out == "fp32" else ".fp16")
        unit: str | tuple[str, str] = a if a == b else (a, b)
        product = Product(64, 8, k, a, b, out)
        yield Kernel(name, "wgmma.cu", defines, _same(("sm_90a",), opcode), product, {"sm_90a": unit})


TCGEN05_TYPES = {
    "fp16": 0, "bf16": 1, "tf32": 2, "e4m3": 0, "e5m2": 1, "e2m3": 3, "e3m2": 4, "e2m1": 5,
}  # fmt: skip
"""Codes of the operand types in the instruction descriptor (PTX ISA, tcgen05 instruction descriptor)."""


def _tcgen05(name: str, kind: str, opcode: str, product: Product, operand: str | tuple[str, str]) -> Kernel:
    a, b = (1 if product.k == 64 else TCGEN05_TYPES[form] for form in (product.a, product.b))
    descriptor = a << 7 | b << 10 | (product.n >> 3) << 17
    if product.block is None:  # bits 4..5: type of D; bits 24..28: M / 16
        descriptor |= int(product.out == "fp32") << 4 | (product.m >> 4) << 24
    else:  # bit 23: E8M0 scales; bits 27..28: M / 128
        descriptor |= int(product.scale == "e8m0") << 23 | (product.m >> 7) << 27
    defines = (
        ("KIND", _quoted(f"kind::{kind}")),
        ("DESCRIPTOR", f"{descriptor:#x}u"),
        ("SCALED", int(product.block is not None)),
    )
    on = ("sm_100a",)
    return Kernel(f"tcgen05.{name}", "tcgen05.cu", defines, _same(on, opcode), product, {"sm_100a": operand})


def _sm100() -> Iterator[Kernel]:
    for form, out, k in (("fp16", "fp32", 16), ("fp16", "fp16", 16), ("bf16", "fp32", 16), ("tf32", "fp32", 8)):
        kind = "tf32" if form == "tf32" else "f16"
        name = form if out == "fp32" else f"{form}.fp16"
        yield _tcgen05(name, kind, "UTCHMMA", Product(128, 16, k, form, form, out), form)
    for a, b in PAIRS:
        unit: str | tuple[str, str] = a if a == b else (a, b)
        for out in ("fp32", "fp16"):
            name = f"f8f6f4.{_pair(a, b)}" + ("" if out == "fp32" else ".fp16")
            yield _tcgen05(name, "f8f6f4", "UTCQMMA", Product(128, 16, 32, a, b, out, box="sixteen"), unit)
        product = Product(128, 16, 32, a, b, block=32, scale="e8m0", box="sixteen")
        scaled: str | tuple[str, str] = MX[a] if a == b else (MX[a], MX[b])
        kind = "mxf8f6f4.block_scale.scale_vec::1X"
        yield _tcgen05(f"mxf8f6f4.{_pair(a, b)}", kind, "UTCQMMA", product, scaled)
    for name, kind, vector, _, block, form in FP4:
        product = Product(128, 16, 64, "e2m1", "e2m1", block=block, scale=form)
        opcode = "UTCOMMA.4X" if vector == "4X" else "UTCOMMA"
        yield _tcgen05(name, f"{kind}.block_scale.scale_vec::{vector}", opcode, product, name)


def _elementwise(name: str, body: str, targets: tuple[str, ...], *opcodes: str) -> Kernel:
    return Kernel(name, "elementwise.cu", (("BODY", body),), _same(targets, *opcodes))


def _narrowing(name: str, ptx: str, targets: tuple[str, ...], opcode: str, words: int = 1) -> Kernel:
    """x goes to the low half of the result, y to the high one; z holds random bits."""
    width, letter = ("unsigned", "r") if words == 2 else ("unsigned short", "h")
    body = (
        f'{width} q; asm volatile("{ptx}" : "={letter}"(q) : "f"(__uint_as_float(x)), "f"(__uint_as_float(y)), '
        f'"r"(z)); d = q'
    )
    return _elementwise(f"cvt.{name}", body, targets, *([opcode] if "x4" not in ptx else [opcode] * 2))


def _conversions() -> Iterator[Kernel]:
    pack = "F32.PACK_AB_MERGE_C"
    byte = "{{.reg .b8 t; {} t, %2, %1; cvt.u16.u8 %0, t;}}"
    yield _narrowing("e2m1", byte.format("cvt.rn.satfinite.e2m1x2.f32"), SM10X, f"F2FP.SATFINITE.E2M1.{pack}")
    for form, targets in (("e4m3", FP8_UP), ("e5m2", FP8_UP), ("e2m3", SM10X), ("e3m2", SM10X)):
        ptx = f"cvt.rn.satfinite.{form}x2.f32 %0, %2, %1;"
        yield _narrowing(form, ptx, targets, f"F2FP.SATFINITE.{form.upper()}.{pack}")
    for rounding in ("rz", "rp"):
        for sat, mark in (("satfinite.", "SATFINITE."), ("", "")):
            ptx = f"cvt.{rounding}.{sat}ue8m0x2.f32 %0, %2, %1;"
            name = f"e8m0.{rounding}" + ("" if sat else ".nosat")
            yield _narrowing(name, ptx, SM10X, f"F2FP.{mark}E8.{pack}.{rounding.upper()}")
    for form, ptx_name in (("fp16", "f16"), ("bf16", "bf16")):
        mark = "" if form == "fp16" else "BF16."  # sm_80 writes the name of its only FP16 packing short
        kernel = _narrowing(
            form, f"cvt.rn.{ptx_name}x2.f32 %0, %2, %1;", TARGETS, f"F2FP.{ptx_name.upper()}.F32.PACK_AB", 2
        )
        opcodes = dict(kernel.targets) | {"sm_80": (f"F2FP.{mark}PACK_AB",)}
        yield Kernel(kernel.name, kernel.file, kernel.defines, opcodes)
    for form in ("e2m1", "e4m3", "e5m2"):
        ptx = f"cvt.rs.satfinite.{form}x4.f32 %0, {{%2, %1, %2, %1}}, %3;"
        words = 1 if form == "e2m1" else 2
        yield _narrowing(f"{form}.sr", ptx, ("sm_100a",), f"F2FP.SATFINITE.{form.upper()}.{pack}.RS", words)
    decode = 'unsigned q; asm volatile("{}" : "=r"(q) : "h"((unsigned short)x)); d = q'
    for form, targets in (("e4m3", FP8_UP), ("e5m2", FP8_UP), ("e2m3", SM10X), ("e3m2", SM10X), ("e2m1", SM10X)):
        ptx = f"cvt.rn.f16x2.{form}x2 %0, %1;"
        if form == "e2m1":
            ptx = "{.reg .b8 t; cvt.u8.u16 t, %1; cvt.rn.f16x2.e2m1x2 %0, t;}"
        yield _elementwise(f"decode.{form}", decode.format(ptx), targets, f"F2FP.F16.{form.upper()}.UNPACK_B")
    ptx = decode.format("cvt.rn.bf16x2.ue8m0x2 %0, %1;")
    yield _elementwise("decode.e8m0", ptx, SM10X, "F2FP.BF16.E8.UNPACK_B")


def _scalars() -> Iterator[Kernel]:
    dot = 'asm volatile("dp4a.s32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(x), "r"(y), "r"(z))'
    yield _elementwise("dp4a", dot, TARGETS, "IDP.4A.S8.S8")
    reciprocal = 'float q; asm volatile("rcp.approx.ftz.f32 %0, %1;" : "=f"(q) : "f"(__uint_as_float(x))); '
    yield _elementwise("rcp.approx", f"{reciprocal} d = __float_as_uint(q)", TARGETS, "MUFU.RCP")


KERNELS: tuple[Kernel, ...] = (
    *_wide_floats(), *_integers(), *_fp8(), *_sm120(), *_wgmma(), *_sm100(), *_conversions(), *_scalars()
)  # fmt: skip
"""Every kernel, products first."""


@cache
def for_target(target: str) -> tuple[Kernel, ...]:
    """The kernels that a target has.

    Raises:
        ArgumentError: a target that no kernel is compiled for.
    """
    if target not in ARCH:
        raise ArgumentError(f"target must be one of {', '.join(TARGETS)}", got=target, where="verify.cuda")
    return tuple(kernel for kernel in KERNELS if target in kernel.targets)


def get(name: str) -> Kernel:
    """The kernel called `name`."""
    for kernel in KERNELS:
        if kernel.name == name:
            return kernel
    raise UnknownName("kernel", name, (kernel.name for kernel in KERNELS), where="verify.cuda")

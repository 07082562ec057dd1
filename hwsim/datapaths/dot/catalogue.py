"""Which tensor cores exist and how each one adds: named values of the dot unit, each row with its source.

The numbers are those measured on silicon by F. A. Khattak and M. Mikaitis (arXiv 2512.07004, recordings under BSD-2)
and, for every row, by the authors of MMA-Sim (arXiv 2511.10909, PyPI mmasim 2.1.1, read November 2026). A row that
rests on the second source alone says so. The first release of MMA-Sim differs where zero products meet a small
accumulator and was rejected as the older reading.

Not modelled, as no public source describes them: sparse instructions, sm_103 and sm_107, tcgen05 with ``.ws`` or
``cta_group::2``, CDNA4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from hwsim.errors import ArgumentError, UnknownName

Align = Literal["fused", "grouped", "exact", "flushed", "rounded", "interleaved"]
"""How one fused group is added.

``fused``: T-FDPA and, with block scales, ST-FDPA: every product and c cut to a multiple of 2^(emax - F).
``grouped``: GST-FDPA: exact sums of sub-groups first, then the same with scale exponents only.
``exact``: E-FDPA: one rounding of the exact sum. ``flushed``: a float32 tree that flushes subnormals.
``rounded``: TR-FDPA: products cut, then the sum and c floored. ``interleaved``: GTR-FDPA: even and odd k apart.
"""

Rounding = Literal["rz_fp32", "rz_e8m13", "rne_fp16", "rne_fp32"]
"""What happens to the exact sum of a group. ``rz_e8m13``: float32's exponents, 13 fraction bits, toward zero."""

LEEDS = "arXiv 2512.07004 and its recordings on silicon; mmasim 2.1.1"
MMASIM = "mmasim 2.1.1"


@dataclass(frozen=True, slots=True)
class Row:
    """One instruction of one or more architectures.

    Args:
        archs: architectures that have it.
        operands: operand name -> element format; more than one means that a and b may differ.
        instruction: its name in the vendor's manual.
        align: how a group is added.
        group: products in one fused group (L).
        fraction_bits: bits kept below the largest exponent (F).
        rounding: of a float32 result.
        e_zero: exponent of a zero term, float32 result.
        e_zero_fp16: the same for a float16 result; None where the instruction has none.
        block: elements that share a scale byte, None without scales.
        scale: format of the scale bytes.
        rewrite: FP8 operands that the compiler turns into FP16 steps, with c added outside.
        source: where the numbers come from.
    """

    archs: tuple[str, ...]
    operands: Mapping[str, str]
    instruction: str
    align: Align
    group: int
    fraction_bits: int
    rounding: Rounding
    e_zero: int
    e_zero_fp16: int | None = None
    block: int | None = None
    scale: str | None = None
    rewrite: bool = False
    source: str = LEEDS


def _same(*names: str) -> Mapping[str, str]:
    return MappingProxyType({name: name for name in names})


HALF = _same("fp16")
BRAIN = _same("bf16")
TF32 = _same("tf32")
FP8 = _same("e4m3", "e5m2")
F8F6F4 = _same("e5m2", "e4m3", "e3m2", "e2m3", "e2m1")
FNUZ = _same("e4m3fnuz", "e5m2fnuz")
MX = MappingProxyType(
    {
        "mxfp8.e5m2": "e5m2",
        "mxfp8.e4m3": "e4m3",
        "mxfp6.e3m2": "e3m2",
        "mxfp6.e2m3": "e2m3",
        "mxf8f6f4.e2m1": "e2m1",
    }
)
SM100, SM120 = ("blackwell",), ("rtx_blackwell",)
SM10X = SM100 + SM120

ROWS: tuple[Row, ...] = (
    Row(("volta",), HALF, "mma.m8n8k4", "fused", 4, 23, "rz_fp32", -131, -19),
    Row(("turing",), HALF, "mma.m16n8k8", "fused", 8, 24, "rz_fp32", -132, -20, source=MMASIM),
    Row(("ampere", "ada"), HALF, "mma.m16n8k16", "fused", 8, 24, "rz_fp32", -132, -20),
    Row(("ampere", "ada"), BRAIN, "mma.m16n8k16", "fused", 8, 24, "rz_fp32", -132),
    Row(("ampere", "ada"), TF32, "mma.m16n8k8", "fused", 4, 24, "rz_fp32", -132),
    Row(("ada",), FP8, "mma.m16n8k32", "fused", 16, 13, "rz_e8m13", -132, -20),
    Row(("hopper", *SM10X), HALF, "wgmma, tcgen05.mma, mma", "fused", 16, 25, "rz_fp32", -133, -21),
    Row(("hopper", *SM10X), BRAIN, "wgmma, tcgen05.mma, mma", "fused", 16, 25, "rz_fp32", -133),
    Row(("hopper", *SM10X), TF32, "wgmma, tcgen05.mma, mma", "fused", 8, 25, "rz_fp32", -133),
    Row(("hopper",), FP8, "wgmma.m64nNk32", "fused", 32, 13, "rz_e8m13", -133, -21),
    # sm_90a and sm_100a have no FP8 unit behind mma.sync: SASS shows conversions, two HMMA and additions of c.
    Row(
        ("hopper", "blackwell"),
        MappingProxyType({"e4m3.mma_sync": "e4m3", "e5m2.mma_sync": "e5m2"}),
        "mma.sync.m16n8k32 (two HMMA)",
        "fused",
        16,
        25,
        "rz_fp32",
        -133,
        -21,
        rewrite=True,
    ),
    Row(SM100, F8F6F4, "tcgen05.mma kind::f8f6f4", "fused", 32, 25, "rz_fp32", -133, -21, source=MMASIM),
    Row(SM120, F8F6F4, "mma.sync kind::f8f6f4", "fused", 32, 25, "rz_fp32", -133, -21, source=MMASIM),
    Row(SM10X, MX, "kind::mxf8f6f4.block32", "fused", 32, 25, "rz_fp32", -133, block=32, scale="e8m0", source=MMASIM),
    Row(
        SM10X,
        MappingProxyType({"mxfp4": "e2m1"}),
        "kind::mxf4.block32",
        "grouped",
        64,
        35,
        "rz_fp32",
        -139,
        block=32,
        scale="e8m0",
        source=MMASIM,
    ),
    Row(
        SM10X,
        MappingProxyType({"mxfp4.block16": "e2m1"}),
        "kind::mxf4nvf4.block16 with ue8m0",
        "grouped",
        64,
        35,
        "rz_fp32",
        -139,
        block=16,
        scale="e8m0",
        source=MMASIM,
    ),
    Row(
        SM10X,
        MappingProxyType({"nvfp4": "e2m1"}),
        "kind::mxf4nvf4.block16 with ue4m3",
        "grouped",
        64,
        35,
        "rz_fp32",
        -139,
        block=16,
        scale="ue4m3",
        source=MMASIM,
    ),
    Row(("cdna1",), HALF, "v_mfma_f32_*f16", "exact", 4, 0, "rne_fp32", 0, source=MMASIM),
    Row(("cdna1",), BRAIN, "v_mfma_f32_*bf16", "exact", 2, 0, "rne_fp32", 0, source=MMASIM),
    Row(("cdna2",), HALF, "v_mfma_f32_*f16", "flushed", 4, 0, "rne_fp32", 0, source=MMASIM),
    Row(("cdna2",), BRAIN, "v_mfma_f32_*bf16", "flushed", 2, 0, "rne_fp32", 0, source=MMASIM),
    Row(
        ("cdna2",),
        MappingProxyType({"bf16.1k": "bf16"}),
        "v_mfma_f32_*bf16_1k",
        "flushed",
        4,
        0,
        "rne_fp32",
        0,
        source=MMASIM,
    ),
    Row(("cdna3",), TF32, "v_mfma_f32_*xf32", "rounded", 4, 24, "rne_fp32", -999, source=MMASIM),
    Row(("cdna3",), HALF, "v_mfma_f32_*f16", "rounded", 8, 24, "rne_fp32", -999, source=MMASIM),
    Row(("cdna3",), BRAIN, "v_mfma_f32_*bf16", "rounded", 8, 24, "rne_fp32", -999, source=MMASIM),
    Row(("cdna3",), FNUZ, "v_mfma_f32_*fp8_fp8", "interleaved", 16, 24, "rne_fp32", -999, source=MMASIM),
)

ARCHS: tuple[str, ...] = tuple(dict.fromkeys(arch for row in ROWS for arch in row.archs))

REWRITE_K = 32
"""Elements of K of the FP8 instruction that becomes two FP16 steps."""


def legal(arch: str, out: str = "fp32") -> list[str]:
    """Operand names that `arch` takes with this result."""
    rows = [row for row in ROWS if arch in row.archs and (out == "fp32" or row.e_zero_fp16 is not None)]
    return [name for row in rows for name in row.operands]


@cache  # asked for by every product
def find(arch: str, operand: str | tuple[str, str], out: str) -> Row:
    """The row of a combination; the errors name what is legal.

    Raises:
        UnknownName: `arch`, or an operand that `arch` does not take.
        ArgumentError: `out`, a pair that no single instruction takes, or a float16 result that it does not give.
    """
    if arch not in ARCHS:
        raise UnknownName("arch of a tensor core", arch, ARCHS, where="tensor_core.arch")
    if out not in ("fp32", "fp16"):
        raise ArgumentError("out must be 'fp32' or 'fp16'", got=out, where="tensor_core.out")
    both = (operand, operand) if isinstance(operand, str) else operand
    for name in both:
        if name not in legal(arch):
            raise UnknownName(f"operand of {arch}", name, legal(arch), where="tensor_core.operand")
    shared = [row for row in ROWS if arch in row.archs and both[0] in row.operands and both[1] in row.operands]
    if not shared or (shared[0].rewrite and both[0] != both[1]):
        partners = [name for row in ROWS if arch in row.archs and both[0] in row.operands for name in row.operands]
        raise ArgumentError(
            f"operand b beside {both[0]} on {arch} must be one of {', '.join(partners)}",
            got=both[1],
            where="tensor_core.operand",
        )
    if out == "fp16" and shared[0].e_zero_fp16 is None:
        raise ArgumentError(
            f"a float16 result on {arch} needs an operand of {', '.join(legal(arch, 'fp16')) or 'another arch'}",
            got=operand,
            where="tensor_core.out",
        )
    return shared[0]


def pair(operand: Sequence[str]) -> str | tuple[str, str]:
    """A pair of operand names, or one name where both are the same; TOML writes a list."""
    names = tuple(operand)
    if len(names) != 2:
        raise ArgumentError("operand must be one name or a pair of names", got=operand, where="tensor_core.operand")
    return names[0] if names[0] == names[1] else (names[0], names[1])


def facts(arch: str, operand: str | tuple[str, str], out: str) -> dict[str, Any]:
    """Fields of `hwsim.datapaths.dot.Dot` of a combination; raises as `find`."""
    row = find(arch, operand, out)
    names = (operand, operand) if isinstance(operand, str) else operand
    half = out == "fp16"
    return {
        "a": row.operands[names[0]],
        "b": row.operands[names[1]],
        "group": row.group,
        "fraction_bits": row.fraction_bits,
        "align": row.align,
        "block": row.block,
        "scale": row.scale,
        "acc": "fp16" if half else "e8m13" if row.rounding == "rz_e8m13" else "fp32",
        "rounding": "rne" if half or row.rounding == "rne_fp32" else "rz",
        "e_zero": row.e_zero_fp16 if half else row.e_zero,
        "rewrite": row.rewrite,
    }

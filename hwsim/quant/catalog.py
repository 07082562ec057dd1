"""Every named scheme: data only, each with the source of its order of operations.

A name without a suffix is an alias of one variant, stated in `ALIASES`; nothing else is ever a default.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwsim import content
from hwsim.errors import ArgumentError, UnknownName
from hwsim.quant.scheme import E8M0_RULES, RECIPROCALS_NEEDED, Rounding, ScaleRule, Scheme

TE = "NVIDIA TransformerEngine, common/cast/nvfp4/core_nvfp4.cuh and NVFP4QuantizerRef"
TE_FAST = "NVIDIA TransformerEngine, core_nvfp4.cuh, compute_scaling_coefficient<bf16>"
FLASHINFER = "FlashInfer, NVFP4 quantization kernels"
VLLM = "vLLM, ref_nvfp4_quant of its emulation utilities"
TORCHAO = "torchao 0.18.0, prototype/mx_formats"
MODELOPT = "NVIDIA Model Optimizer, qtensor/nvfp4_tensor.py"
FP4ATW = "arXiv 2505.19115, its Python quantizer"
EXACT = "the scales of TransformerEngine, the quotient x S / s rounded once"
OCP_MX = "OCP Microscaling Formats (MX) Specification 1.0, 6.3"
BITNET = "arXiv 2402.17764, BitNet b1.58"
ABSMAX = "symmetric: largest magnitude onto largest code, true quotient"
DEEPSEEK = "DeepSeek-V3, arXiv 2412.19437, 3.3.2: activations 1 x 128, weights 128 x 128"
PANN = "arXiv 2202.02783, PANN: a budget of additions; codes saturate at 127"
CAST = "IEEE 754 conversion"

_NVFP4 = Scheme("nvfp4", "e2m1", "block", 16, "e4m3", "te", tensor_scale=True, decode="te", source=TE)

_MX_ELEMENTS = {
    "mxfp4": "e2m1",
    "mxfp6.e2m3": "e2m3",
    "mxfp6.e3m2": "e3m2",
    "mxfp8.e4m3": "e4m3",
    "mxfp8.e5m2": "e5m2",
}

_MX_SOURCES = {
    "floor": OCP_MX,
    "ceil": TORCHAO,
    "even": TORCHAO,
    "rceil": "NVIDIA cuBLAS, block scaling; PTX cvt.rp.satfinite.ue8m0x2.f32",
    "rceil_te": "NVIDIA TransformerEngine, exp2f_rcp of common/util/ptx.cuh; torchao 0.18.0 RCEIL; FlashInfer",
}

_SCALED = {f"int{bits}": f"int{bits}" for bits in (8, 7, 6, 5, 4, 3, 2)} | {
    f"fp8.{name}": name for name in ("e4m3", "e5m2", "e4m3fnuz", "e5m2fnuz")
}

_SCHEMES = [
    replace(_NVFP4, name="nvfp4.te"),
    replace(_NVFP4, name="nvfp4.te_sr", rounding="sr"),
    replace(_NVFP4, name="nvfp4.te_2d", granularity="block2d"),
    replace(_NVFP4, name="nvfp4.te_4over6", scale_rule="te_4over6", scale_bound=256.0),
    replace(_NVFP4, name="nvfp4.te_fast", scale_rule="te_fast", source=TE_FAST),
    replace(_NVFP4, name="nvfp4.flashinfer_exact", scale_rule="flashinfer_exact", source=FLASHINFER),
    replace(_NVFP4, name="nvfp4.vllm_ref", scale_rule="vllm_ref", decode="vllm", source=VLLM),
    replace(_NVFP4, name="nvfp4.torchao", scale_rule="torchao", decode="torchao", source=TORCHAO),
    replace(
        _NVFP4, name="nvfp4.torchao_1level", scale_rule="torchao", decode="scale", tensor_scale=False, source=TORCHAO
    ),
    replace(_NVFP4, name="nvfp4.modelopt", scale_rule="modelopt", decode="torchao", source=MODELOPT),
    replace(
        _NVFP4, name="nvfp4.fp4atw", scale_rule="fp4atw", decode="fp4atw", scale_format="e4m3_ieee", source=FP4ATW
    ),
    replace(_NVFP4, name="nvfp4.exact", scale_rule="exact", source=EXACT),
    *(
        Scheme(f"{name}.{rule}", element, "block", 32, "e8m0", rule, source=_MX_SOURCES[rule])
        for name, element in _MX_ELEMENTS.items()
        for rule in E8M0_RULES
    ),
    *(
        Scheme(f"mxint8.{rule}", "int8", "block", 32, "e8m0", rule, element_unit=1 / 64, source=_MX_SOURCES[rule])
        for rule in E8M0_RULES
    ),
    *(
        Scheme(f"{name}.{granularity}", element, granularity, None, "fp32", "absmax", source=ABSMAX)
        for name, element in _SCALED.items()
        for granularity in ("tensor", "channel")
    ),
    Scheme("fp8.e4m3.tile128", "e4m3", "block", 128, "fp32", "absmax", source=DEEPSEEK),
    Scheme("fp8.e4m3.block128", "e4m3", "block2d", 128, "fp32", "absmax", source=DEEPSEEK),
    Scheme("ternary.absmean", "int2", "tensor", None, "fp32", "absmean", element_bound=1.0, source=BITNET),
    # for weights that a model has made ternary itself: kept as they are, where the mean would shrink them
    Scheme("ternary.absmax", "int2", "tensor", None, "fp32", "absmax", element_bound=1.0, source=ABSMAX),
    *(
        Scheme(f"pann.add{mean:g}", "int8", "channel", None, "fp32", "additions", additions=mean, source=PANN)
        for mean in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
    ),
    *(Scheme(name, name, "tensor", source=CAST) for name in ("fp32", "tf32", "bf16", "fp16", "int16")),
]

CATALOG = {scheme.name: scheme for scheme in _SCHEMES}
assert len(CATALOG) == len(_SCHEMES)

ALIASES = {"mxfp8": "mxfp8.e4m3.rceil"}


def get(name: str | Scheme) -> Scheme:
    """The scheme called `name`; a `Scheme` is returned as it is.

    Raises:
        UnknownName: no such scheme.
    """
    if isinstance(name, Scheme):
        return name
    full = ALIASES.get(name, name)
    if full == "nvfp4.flashinfer_fast":
        raise ArgumentError(f"{RECIPROCALS_NEEDED}; make it with flashinfer_fast(reciprocals)", where=full)
    if full not in CATALOG:
        raise UnknownName("scheme", name, [*CATALOG, *ALIASES])
    return CATALOG[full]


def flashinfer_fast(reciprocals: NDArray[np.float32]) -> Scheme:
    """The kernels of FlashInfer, vLLM, SGLang and TensorRT-LLM, which use the GPU's approximate reciprocal.

    PTX promises ``rcp.approx.ftz.f32`` within one unit in the last place and no more, so its bits cannot be computed.

    Args:
        reciprocals: float32 [2^23]: entry m is the GPU's result for the float32 with exponent 0 and mantissa m, in
            (0.5, 1].

    Raises:
        ArgumentError: another dtype or shape, or an entry that is no reciprocal to one unit in the last place.
    """
    table = np.asarray(reciprocals)
    if table.dtype != np.float32 or table.shape != (1 << 23,):
        raise ArgumentError(RECIPROCALS_NEEDED, got=(table.dtype.name, table.shape), where="reciprocals")
    exact = (1 / (1 + np.arange(1 << 23) / (1 << 23))).astype(np.float32)
    away = np.abs(table.view(np.int32).astype(np.int64) - exact.view(np.int32))
    if away.max() > 1:
        raise ArgumentError(
            "reciprocals must lie within one unit in the last place", got=int(away.argmax()), where="reciprocals"
        )
    return replace(
        _NVFP4,
        name=f"nvfp4.flashinfer_fast.{content.digest(table)[:8]}",
        scale_rule="flashinfer_fast",
        reciprocals=table,
        source=FLASHINFER,
    )


def names() -> list[str]:
    """The names of all schemes, aliases left out."""
    return list(CATALOG)


def block_scheme(
    element: str,
    block: int,
    scale_format: str,
    rule: ScaleRule | None = None,
    *,
    tensor_scale: bool | None = None,
    rounding: Rounding = "rne",
    name: str | None = None,
) -> Scheme:
    """A free combination of element format, block size and scale format: the grid of arXiv 2505.19115.

    Args:
        element: a Format of at most 8 bits.
        block: elements that share a scale; 8 to 128 in the published grid.
        scale_format: ``e8m0``, or a float format of at most 8 bits such as ``e4m3``, ``e3m4``, ``ue5m3``.
        rule: ``rceil`` for E8M0 where left out, ``te`` otherwise.
        tensor_scale: whether a float32 tensor scale stands above the blocks; left out, all but E8M0 have it.
        rounding: of the elements.
        name: left out, made of the parts: ``e2m1.b32.e3m4.te``.
    """
    powers = scale_format == "e8m0"
    chosen: ScaleRule = rule or ("rceil" if powers else "te")
    two_level = not powers if tensor_scale is None else tensor_scale
    plain = {"torchao": "torchao", "modelopt": "torchao", "vllm_ref": "vllm", "fp4atw": "fp4atw"}
    decode = "scale" if powers else plain.get(chosen, "te")
    parts = [element, f"b{block}", scale_format, chosen, *(["one_level"] if not (powers or two_level) else [])]
    return Scheme(
        name or ".".join(parts + (["sr"] if rounding == "sr" else [])),
        element,
        "block",
        block,
        scale_format,
        chosen,
        tensor_scale=two_level,
        decode=decode,  # type: ignore[arg-type]
        rounding=rounding,
        source=FP4ATW,
    )

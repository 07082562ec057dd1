"""NVIDIA's NVFP4 pretraining: arXiv 2509.25149, TransformerEngine's ``NVFP4BlockScaling``.

Weights have one scale for 16 × 16, so that fprop and dgrad multiply the same codes. Gradients round stochastically in
both GEMMs; wgrad rotates both operands along tokens by one fixed Hadamard matrix of 16. Linear layers alone are
quantized. The paper keeps the last blocks of large models in high precision: `nvidia-nvfp4-last4` keeps four, and the
forward of `nvidia-nvfp4-lift` runs in float32 for the last 18 % of the steps.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim import quant
from hwsim.recipes import Change, Gemm, Layer, Operand, Recipe, Rotation, Rule, Selection

_ROTATION = Rotation(16, "nvidia")
_WEIGHT = Operand("nvfp4.te_2d")
_LAYER = Layer(
    fprop=Gemm(Operand("nvfp4.te"), _WEIGHT),
    dgrad=Gemm(Operand("nvfp4.te_sr"), _WEIGHT),
    wgrad=Gemm(Operand("nvfp4.te_sr"), Operand("nvfp4.te"), _ROTATION),
)

NVIDIA = Recipe(
    name="nvidia-nvfp4",
    title="NVFP4 on the three GEMMs, stochastic gradients, rotated wgrad",
    paper="NVIDIA, Pretraining Large Language Models with NVFP4, arXiv 2509.25149; TransformerEngine",
    layer=_LAYER,
    rules=(Rule(Selection(kinds=("head", "embedding"))),),
    unbiased=True,
    claims=(
        "stochastic gradients are not unbiased: a block scale rounded to nearest in E4M3 lets the largest element "
        "reach 6.375, which is clipped to 6; gain 0.996 on normal data; nvidia-nvfp4-headroom does not clip",
        "rotation and quantization read float32 here, BF16 there",
    ),
)

_HEADROOM = replace(quant.get("nvfp4.te_sr"), name="nvfp4.te_sr_headroom", element_bound=96 / 17, sr_bits=24)
"""Block scales 17/16 larger: E4M3 to nearest shrinks a scale by at most 1/17 of it, so nothing reaches 6."""

RECIPES = (
    NVIDIA,
    NVIDIA.keeping(Selection(last=4), name="nvidia-nvfp4-last4"),
    NVIDIA.then(Change(0.82, ("fprop",)), name="nvidia-nvfp4-lift"),
    replace(
        NVIDIA,
        name="nvidia-nvfp4-headroom",
        title="nvidia-nvfp4 without clipped gradients: scales 17/16 larger, 24 random bits",
        layer=replace(
            _LAYER,
            dgrad=Gemm(Operand(_HEADROOM), _WEIGHT),
            wgrad=Gemm(Operand(_HEADROOM), Operand("nvfp4.te"), _ROTATION),
        ),
        claims=("24 random bits in place of the 8 of the silicon, whose mean is cut to 1/256 of a step",),
    ),
)

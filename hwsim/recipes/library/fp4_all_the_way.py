"""FP4 All the Way: arXiv 2505.19115, its Python quantizer.

All three products in NVFP4 with E4M3 scales of 16 elements. Rounding is split: to nearest in the forward and for the
weights of dgrad, stochastic for gradients and for the activations of wgrad. Training in four bits ends once the norm
of the gradient falls below √3 times its noise; quantization-aware finetuning (`fp4-all-the-way-qaf`) then keeps the
forward in FP4 and runs the backward in high precision.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim import quant
from hwsim.recipes import Change, Gemm, Layer, Monitor, Operand, Recipe, Rule, Selection
from hwsim.recipes.quantizers import ZerosStay

_SCHEME = quant.get("nvfp4.fp4atw")
_NEAREST = Operand(ZerosStay(_SCHEME))
_STOCHASTIC = Operand(ZerosStay(replace(_SCHEME, name="nvfp4.fp4atw_sr", rounding="sr", sr_bits=24)))

_RECIPE = Recipe(
    name="fp4-all-the-way",
    title="NVFP4 on the three GEMMs, rounding split between forward and backward",
    paper="Chmiel et al., FP4 All the Way: Fully Quantized Training of LLMs, arXiv 2505.19115",
    layer=Layer(
        fprop=Gemm(_NEAREST, _NEAREST),
        dgrad=Gemm(_STOCHASTIC, _NEAREST),
        wgrad=Gemm(_STOCHASTIC, _STOCHASTIC),
    ),
    rules=(Rule(Selection(kinds=("head", "embedding"))),),
    unbiased=True,
    claims=(
        "the published quantizer rounds its largest elements up to 8, which E2M1 does not have; here they saturate "
        "at 6, so that stochastic gradients are biased by what is clipped: gain 0.990 on normal data",
        "a tensor of zeros becomes NaN in the published quantizer; here it stays zero",
        "which layers stay in high precision is not stated: head and embedding here",
        "NVIDIA's appendix finds that lifting the backward at the end brings nothing (arXiv 2509.25149); the paper's "
        "finetuning lifts exactly that",
    ),
)

RECIPES = (
    _RECIPE,
    replace(_RECIPE, name="fp4-all-the-way-monitored", title=f"{_RECIPE.title}; backward lifted at √3",
            monitor=Monitor()),
    replace(
        _RECIPE.then(Change(0.96, ("dgrad", "wgrad")), name="fp4-all-the-way-qaf"),
        title=f"{_RECIPE.title}; backward lifted for the last 4 %",
    ),
)  # fmt: skip
"""The finetuning of the paper is 40 of 1,040 billion tokens: the last 4 %."""

"""Quartet II: arXiv 2601.22813, its training code.

Forward: NVFP4 to nearest in blocks of 16; the copies are kept for the backward. Backward: all four operands by
MS-EDEN along the contraction, after a Hadamard matrix of 32 whose signs both operands of a GEMM share and each
backward draws anew. Nothing but the block scales is rounded stochastically.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rotation, Rule, Selection
from hwsim.recipes.quantizers import Eden

_BACKWARD = Gemm(Operand(Eden()), Operand(Eden(), "forward"), Rotation(32, "drawn", redrawn=True))

_RECIPE = Recipe(
    name="quartet2",
    title="NVFP4 forward, MS-EDEN backward of the forward's copies",
    paper="Quartet II, arXiv 2601.22813; IST-DASLab/Quartet-II",
    layer=Layer(fprop=Gemm(Operand("nvfp4.te"), Operand("nvfp4.te")), dgrad=_BACKWARD, wgrad=_BACKWARD),
    rules=(Rule(Selection(kinds=("head", "embedding"))),),
    unbiased=True,
    claims=(
        "unbiased is the estimate of the quantized function's gradient, not of the function's, and only over redrawn "
        "rotations: for one rotation it is not",
        "the forward's NVFP4 is TransformerEngine's order of operations; the published kernel divides where that "
        "multiplies by a reciprocal",
        "tensor maxima are those of the call, not of the one before",
    ),
)

RECIPES = (
    _RECIPE,
    replace(
        _RECIPE,
        name="quartet2-4over6",
        title="quartet2 with the better of two block scales in the forward",
        layer=replace(_RECIPE.layer, fprop=Gemm(Operand("nvfp4.te_4over6"), Operand("nvfp4.te_4over6"))),
        claims=(*_RECIPE.claims, "the better scale is the one of least absolute error; the published one of least "
                                 "squared error"),
    ),
)  # fmt: skip

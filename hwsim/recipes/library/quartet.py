"""Quartet: arXiv 2505.14669, its training code.

Forward: both operands turned by a Hadamard matrix of 32, QuEST's MXFP4, whose scale follows from the deviation of a
block; gradients pass where it did not clip. Backward: the forward's copies and the gradient are turned by a matrix
whose signs are drawn anew, and rounded stochastically under scales 4/3 of OCP's floor rule, so that nothing clips.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rotation, Rule, Selection
from hwsim.recipes.quantizers import Quest, ThreeQuarters

_BACKWARD = Gemm(Operand(ThreeQuarters()), Operand(ThreeQuarters(), "forward"), Rotation(32, "drawn", redrawn=True))

RECIPES = (
    Recipe(
        name="quartet",
        title="MXFP4 on the three GEMMs: QuEST forward, rotated stochastic backward of the forward's copies",
        paper="Castro et al., Quartet: Native FP4 Training Can Be Optimal for LLMs, arXiv 2505.14669",
        layer=Layer(
            fprop=Gemm(Operand(Quest()), Operand(Quest()), Rotation(32, None)),
            dgrad=_BACKWARD,
            wgrad=_BACKWARD,
            passes="unclipped",
        ),
        rules=(Rule(Selection(kinds=("head", "embedding"))),),
        unbiased=True,
        claims=(
            "unbiased is the estimate of the quantized function's gradient, not of the function's",
            "the scale follows from the standard deviation about the mean, as the code has it; the paper speaks of "
            "the root mean square",
        ),
    ),
)

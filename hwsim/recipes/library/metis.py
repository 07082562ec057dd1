"""Metis: arXiv 2509.00404, its training code.

Weights, activations and gradients are split into a few leading directions and a residual, each quantized with scales
of its own; rank 16 and two iterations are the published setting of the 130 M model. Gradients round stochastically.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection
from hwsim.recipes.quantizers import LowRank

_NEAREST, _STOCHASTIC = Operand(LowRank()), Operand(LowRank("nvfp4.te_sr"))

RECIPES = (
    Recipe(
        name="metis",
        title="NVFP4 of leading directions and residual apart",
        paper="Metis: Training LLMs with FP4 Quantization, arXiv 2509.00404; sii-research/Metis",
        layer=Layer(
            fprop=Gemm(_NEAREST, _NEAREST),
            dgrad=Gemm(_STOCHASTIC, _NEAREST),
            wgrad=Gemm(_STOCHASTIC, _NEAREST),
        ),
        rules=(Rule(Selection(kinds=("head", "embedding"))),),
        claims=(
            "its code casts to FP4 by torch.round on a doubled grid with scales amax / 6 + 1e-9; TransformerEngine's "
            "order of operations here",
            "U and V are rounded and the residual does not know of it: where one direction towers, the whole error "
            "is larger than that of NVFP4 alone, 1.5 times with 99 % of the power in one direction; it is smaller "
            "beside that direction",
        ),
    ),
)

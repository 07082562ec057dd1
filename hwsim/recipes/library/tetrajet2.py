"""TetraJet-v2: arXiv 2510.27527, its training code.

Six quantizers, all double blocks: float32 scales for 1 × 128, E4M3 scales for 1 × 16. x and w to nearest in the
forward; the gradient and the forward's copies stochastically in the backward, after a Hadamard matrix of 16.
`tetrajet2-osci` adds the reset of oscillating weights over the last part of the training.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rotation, Rule, Selection
from hwsim.recipes.parts import OsciReset
from hwsim.recipes.quantizers import DoubleBlock

_FORWARD = Operand(DoubleBlock())
_BACKWARD = Gemm(Operand(DoubleBlock(True)), Operand(DoubleBlock(True), "forward"), Rotation(16, "nvidia"), pad=128)

_RECIPE = Recipe(
    name="tetrajet2",
    title="NVFP4 double blocks on the three GEMMs, stochastic backward of the forward's copies",
    paper="Chen et al., TetraJet-v2, arXiv 2510.27527; thu-ml/TetraJet-v2-NVFP4Training",
    layer=Layer(fprop=Gemm(_FORWARD, _FORWARD), dgrad=_BACKWARD, wgrad=_BACKWARD),
    rules=(Rule(Selection(kinds=("head", "embedding"))),),
    unbiased=True,
    claims=(
        "stochastic rounding is not unbiased: scales leave no headroom, and what reaches beyond 6 clips; gain 0.997 "
        "on normal data",
        "OutControl, which keeps outlier channels in MXFP8, is left out",
        "which signs its rotation has could not be verified: NVIDIA's fixed ones here",
    ),
)

RECIPES = (
    _RECIPE,
    replace(_RECIPE, name="tetrajet2-osci", title=f"{_RECIPE.title}; oscillating weights reset",
            after_step=OsciReset()),
)  # fmt: skip

"""nGPT in NVFP4: arXiv 2605.06067, TransformerEngine and Megatron as it changed them.

On the unit sphere no element exceeds 1, so the tensor scales of activations and weights follow from a preset maximum
of 1 and need no pass over the data; gradients are measured. Nothing is rotated. Otherwise NVIDIA's recipe: 16 × 16
scales for weights, stochastic gradients. Made for a model that normalises its own vectors, as ``models/ngpt.py``
does: elsewhere elements beyond 1 clip.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection
from hwsim.recipes.quantizers import PresetAmax

_ACTIVATION, _WEIGHT = Operand(PresetAmax("nvfp4.te")), Operand(PresetAmax("nvfp4.te_2d"))
_GRADIENT = Operand("nvfp4.te_sr")

RECIPES = (
    Recipe(
        name="ngpt-nvfp4",
        title="NVFP4 for models on the unit sphere: preset tensor scales, nothing rotated",
        paper="nGPT in NVFP4, arXiv 2605.06067; its changes to TransformerEngine and Megatron",
        layer=Layer(
            fprop=Gemm(_ACTIVATION, _WEIGHT),
            dgrad=Gemm(_GRADIENT, _WEIGHT),
            wgrad=Gemm(_GRADIENT, _ACTIVATION),
        ),
        rules=(Rule(Selection(kinds=("head", "embedding"))),),
        unbiased=True,
        claims=(
            "stochastic gradients clip as in nvidia-nvfp4 and are biased by it",
            "a gain of 7 dB in the signal-to-noise ratio of dot products is quoted from the abstract",
        ),
    ),
)

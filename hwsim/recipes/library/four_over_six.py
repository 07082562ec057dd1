"""Four over Six: arXiv 2512.02010, TransformerEngine's option.

A block's largest element is mapped onto 6 or onto 4, whichever gives the smaller error: values between 4 and 6 have
no code, and large ones next to them lose most. x and w of the forward choose; tensor scales aim at 256 so that a
larger block scale fits. TransformerEngine excludes it together with rotation and with stochastic rounding, so that
gradients and wgrad's rotated copies are NVIDIA's.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rotation, Rule, Selection

_CHOSEN, _GRADIENT = Operand("nvfp4.te_4over6"), Operand("nvfp4.te_sr")

RECIPES = (
    Recipe(
        name="4over6",
        title="NVFP4 whose block scale is the better of two, gradients as NVIDIA's",
        paper="Four Over Six, arXiv 2512.02010; TransformerEngine",
        layer=Layer(
            fprop=Gemm(_CHOSEN, _CHOSEN),
            dgrad=Gemm(_GRADIENT, _CHOSEN),
            wgrad=Gemm(_GRADIENT, Operand("nvfp4.te"), Rotation(16, "nvidia")),
        ),
        rules=(Rule(Selection(kinds=("head", "embedding"))),),
        unbiased=True,
        claims=(
            "stochastic gradients clip as in nvidia-nvfp4 and are biased by it: gain 0.996",
            "the paper's own training recipe was not at hand: gradients are NVIDIA's here",
            "weights have blocks of 1 × 16 along each contraction, so that fprop and dgrad multiply different codes",
        ),
    ),
)

"""LUQ: arXiv 2112.10769.

Weights and activations in INT4 with SAWB's clip, gradients as a sign and a power of two, unbiased. Gradients of the
INT4 copies pass straight through; both backward products multiply the forward's copies. `luq-smp2` averages two
quantizations of the gradient in wgrad; `luq-hindsight` takes the maximum from the step before; `luq-fnt` ends in
high-precision steps of the backward.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.recipes import Change, Gemm, Layer, Operand, Recipe, Rule, Selection
from hwsim.recipes.quantizers import Luq, Sawb

_COPY = Operand(source="forward")


def _layer(dgrad: Luq, wgrad: Luq) -> Layer:
    return Layer(Gemm(Operand(Sawb()), Operand(Sawb())), Gemm(Operand(dgrad), _COPY), Gemm(Operand(wgrad), _COPY))


_RECIPE = Recipe(
    name="luq",
    title="INT4 forward, 4-bit logarithmic unbiased gradients",
    paper="Chmiel et al., Accurate Neural Training with 4-bit Matrix Multiplications at Standard Formats (LUQ), "
    "arXiv 2112.10769",
    layer=_layer(Luq(), Luq()),
    rules=(Rule(Selection(kinds=("head", "embedding"))),),
    unbiased=True,
    claims=(
        "seven powers of two, which a sign and three exponent bits hold beside zero; the paper's formula gives five, "
        "its code eight",
        "its code spans 17 levels for INT4 weights; -7..7 here",
    ),
)

RECIPES = (
    _RECIPE,
    replace(_RECIPE, name="luq-smp2", title="luq, two samples of the gradient in wgrad",
            layer=_layer(Luq(), Luq(samples=2))),
    replace(_RECIPE, name="luq-hindsight", title="luq, maxima of the step before", unbiased=False,
            layer=_layer(Luq(eta=0.1), Luq(eta=0.1)),
            claims=(*_RECIPE.claims, "the weight of the past, 0.1, is this file's choice")),
    _RECIPE.then(Change(0.97, ("dgrad", "wgrad")), name="luq-fnt"),
)  # fmt: skip

"""INT8: SwitchBack (arXiv 2304.13013), and all three products in INT8.

`int8`: fprop and dgrad multiply rows of activations and gradients, a scale each, by weights with one scale; wgrad
stays in high precision. `int8-all` quantizes wgrad too, a scale for each row along the tokens.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection

_ROWS, _WHOLE = Operand("int8.channel"), Operand("int8.tensor")
_FORWARD = Gemm(_ROWS, _WHOLE)
_KEPT = (Rule(Selection(kinds=("head", "embedding"))),)

RECIPES = (
    Recipe(
        name="int8",
        title="INT8 forward and dgrad, wgrad in high precision",
        paper="Wortsman et al., Stable and low-precision training (SwitchBack), arXiv 2304.13013",
        layer=Layer(_FORWARD, _FORWARD, None),
        rules=_KEPT,
        claims=("not checked against its code; wgrad is 16-bit there, float32 here",),
    ),
    Recipe(
        name="int8-all",
        title="INT8 on the three GEMMs",
        paper="none: the three products of SwitchBack, arXiv 2304.13013, all in INT8",
        layer=Layer(_FORWARD, _FORWARD, Gemm(_ROWS, _ROWS)),
        rules=_KEPT,
    ),
)

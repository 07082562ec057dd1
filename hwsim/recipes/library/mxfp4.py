"""MXFP4: the OCP format on all three products, and Tseng et al.'s backward (arXiv 2502.20586).

`mxfp4` rounds everything to nearest with OCP's floor rule. `mxfp4-tseng` leaves the forward alone; both backward
products are turned by a Hadamard matrix of 64 with redrawn signs and rounded stochastically under scales 4/3 of the
floor rule's, so that nothing clips.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rotation, Rule, Selection
from hwsim.recipes.quantizers import ThreeQuarters

_EACH = Gemm(Operand("mxfp4.floor"), Operand("mxfp4.floor"))
_STOCHASTIC = Operand(ThreeQuarters())
_BACKWARD = Gemm(_STOCHASTIC, _STOCHASTIC, Rotation(64, "drawn", redrawn=True))
_KEPT = (Rule(Selection(kinds=("head", "embedding"))),)

RECIPES = (
    Recipe(
        name="mxfp4",
        title="MXFP4 to nearest on the three GEMMs",
        paper="OCP Microscaling Formats (MX) Specification 1.0",
        layer=Layer(_EACH, _EACH, _EACH),
        rules=_KEPT,
        claims=("the floor rule clips the largest elements of a block, by up to a quarter",),
    ),
    Recipe(
        name="mxfp4-tseng",
        title="MXFP4 in the backward alone, rotated and stochastic",
        paper="Tseng et al., Training LLMs with MXFP4, arXiv 2502.20586",
        layer=Layer(None, _BACKWARD, _BACKWARD),
        rules=_KEPT,
        unbiased=True,
        claims=("the forward is BF16 there, float32 here", "the size of the rotation, 64, is read from the abstract"),
    ),
)

"""MXFP8 as NVIDIA trains with it: arXiv 2506.08027, TransformerEngine's ``MXFP8BlockScaling``.

E4M3 for all operands, gradients included, scales rounded up so that nothing clips, every copy quantized along its own
contraction from high precision, nothing random. Linear layers alone.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection

_EACH = Gemm(Operand("mxfp8.e4m3.rceil"), Operand("mxfp8.e4m3.rceil"))

RECIPES = (
    Recipe(
        name="mxfp8",
        title="MXFP8 (E4M3) on the three GEMMs",
        paper="NVIDIA, Recipes for Pre-training LLMs with MXFP8, arXiv 2506.08027; TransformerEngine",
        layer=Layer(_EACH, _EACH, _EACH),
        rules=(Rule(Selection(kinds=("head", "embedding"))),),
    ),
)

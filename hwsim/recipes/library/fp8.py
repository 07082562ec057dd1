"""FP8: one scale a tensor, as TransformerEngine's current scaling has it, or tiles and blocks, as DeepSeek-V3 has.

`fp8`: E4M3 forward, E5M2 gradients, one scale a tensor. `fp8-tiles`: E4M3 for all, 1 × 128 for activations and
gradients along the contraction, 128 × 128 for weights, so that fprop and dgrad multiply the same codes.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection

_TENSOR, _WIDE = Operand("fp8.e4m3.tensor"), Operand("fp8.e5m2.tensor")
_TILE, _BLOCK = Operand("fp8.e4m3.tile128"), Operand("fp8.e4m3.block128")
_KEPT = (Rule(Selection(kinds=("head", "embedding"))),)

RECIPES = (
    Recipe(
        name="fp8",
        title="FP8 with a scale a tensor: E4M3 forward, E5M2 gradients",
        paper="Micikevicius et al., FP8 Formats for Deep Learning, arXiv 2209.05433; TransformerEngine",
        layer=Layer(Gemm(_TENSOR, _TENSOR), Gemm(_WIDE, _TENSOR), Gemm(_WIDE, _TENSOR)),
        rules=_KEPT,
        claims=("scales are those of the call; delayed scaling, from the maxima of earlier steps, is left out",),
    ),
    Recipe(
        name="fp8-tiles",
        title="FP8 E4M3 with scales of 1 × 128 and 128 × 128",
        paper="DeepSeek-V3 Technical Report, arXiv 2412.19437, 3.3",
        layer=Layer(Gemm(_TILE, _BLOCK), Gemm(_TILE, _BLOCK), Gemm(_TILE, _TILE)),
        rules=_KEPT,
        claims=(
            "sums go over to float32 after every 128 products there; fake quantization adds in float32 throughout",
            "scales are float32; the report makes those of some activations powers of two",
        ),
    ),
)

"""BitNet b1.58: arXiv 2402.17764.

Weights by their mean magnitude to -1, 0, 1, activations by the largest of each token to 8 bits, gradients straight
through both: the backward multiplies the forward's copies in high precision. The paper's norm before each layer is
the model's business.
"""

from __future__ import annotations

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection

_BACKWARD = Gemm(Operand(), Operand(source="forward"))

RECIPES = (
    Recipe(
        name="bitnet",
        title="ternary weights, 8-bit activations, gradients straight through",
        paper="Ma et al., The Era of 1-bit LLMs: All Large Language Models are in 1.58 Bits, arXiv 2402.17764",
        layer=Layer(Gemm(Operand("int8.channel"), Operand("ternary.absmean")), _BACKWARD, _BACKWARD),
        rules=(Rule(Selection(kinds=("head", "embedding"))),),
        claims=("the norm that BitLinear puts before each layer is not added: the model must have it",),
    ),
)

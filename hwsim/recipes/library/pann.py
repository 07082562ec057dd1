"""PANN: arXiv 2202.02783: weights that cost R additions each on average, activations of b bits.

A power budget P, in bit flips an element, buys R = P / b - 1/2 additions: few bits leave many additions and the other
way round. The paper walks along the curve and takes the best, in training and at deployment; these are the points of
the budget of a 4-bit unsigned multiply-accumulate, 0.5 · 4² + 4 · 4 = 24 flips: 5.5 additions at 4 bits, as
4 · (5.5 + 1/2) = 24.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim import quant
from hwsim.cost.pann import additions_for, mac_flips
from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection

_BACKWARD = Gemm(Operand(), Operand(source="forward"))


def pann(bits: int, budget_bits: int = 4) -> Recipe:
    """Activations of `bits`, weights of as many additions as the power of a `budget_bits` multiplier buys."""
    additions = additions_for(mac_flips(budget_bits, budget_bits, signed=False), bits)
    weight = replace(quant.get("pann.add1"), name=f"pann.add{additions:g}", additions=additions)
    return Recipe(
        name=f"pann-{budget_bits}-{bits}",
        title=f"{additions:g} additions a weight, {bits}-bit activations: the power of {budget_bits}-bit multiplying",
        paper="Spingarn Eliezer et al., Energy Awareness in Low Precision Neural Networks, arXiv 2202.02783",
        layer=Layer(Gemm(Operand(f"int{bits}.channel"), Operand(weight)), _BACKWARD, _BACKWARD),
        rules=(Rule(Selection(kinds=("head", "embedding"))),),
        claims=(
            "activations are signed, with a step for each token; the paper's are unsigned, with a step a tensor",
            "weights saturate at 127 additions; the paper's have no limit",
        ),
    )


RECIPES = tuple(pann(bits) for bits in (2, 3, 4, 5, 6, 7, 8))
"""The curve of the 4-bit budget; a model's own best point is found by measuring each."""

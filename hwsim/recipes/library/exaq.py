"""EXAQ: arXiv 2410.03185: the softmax of attention on 2, 3 or 4 bits, everything else as it is."""

from __future__ import annotations

from hwsim.recipes import Layer, Recipe
from hwsim.recipes.parts import ExaqSoftmax


def _recipe(bits: int) -> Recipe:
    return Recipe(
        name=f"exaq-{bits}",
        title=f"softmax with {bits}-bit exponents",
        paper="EXAQ: Exponent Aware Quantization for LLMs Acceleration, arXiv 2410.03185",
        layer=Layer(),
        softmax=ExaqSoftmax(bits),
        claims=(
            "the clip follows from the scores of the call; the published code takes the mean of its first 25 calls",
            "the line of the paper is used; its published table differs by up to 2.6",
        ),
    )


RECIPES = tuple(_recipe(bits) for bits in (2, 3, 4))

"""S2A: arXiv 2503.08154: what nonlinearities and norms keep for the backward, in four bits. Products are exact."""

from __future__ import annotations

from hwsim.recipes import Layer, Recipe
from hwsim.recipes.parts import FourBitSaver

RECIPES = (
    Recipe(
        name="s2a",
        title="saved activations of nonlinearities and norms in 4 bits",
        paper="S2A, arXiv 2503.08154",
        layer=Layer(),
        saver=FourBitSaver(),
        claims=(
            "the abstract alone was at hand: 16 uniform levels of the derivative, groups of 128",
            "GELU by tanh is packed by the derivative of the exact GELU",
        ),
    ),
)

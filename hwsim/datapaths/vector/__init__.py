"""The vector unit: requantisation, block formats, softmax, norms, activations, rotations, in bits, gates and prices.

operator("softmax", "pwl8").energy_fj     # of an element, with its error
operator("softmax", "fp32", lane="full")  # one element a cycle and lane
run("softmax", "fp16", words)             # bits, and the circuits that made them
"""

from __future__ import annotations

from hwsim.datapaths.vector.attention import Online, exaq_softmax, online_softmax
from hwsim.datapaths.vector.operators import run
from hwsim.datapaths.vector.price import Operator, Recipe, operator, recipe, recipes

__all__ = [
    "Online", "Operator", "Recipe", "exaq_softmax", "online_softmax", "operator", "recipe", "recipes", "run",
]  # fmt: skip

"""Training recipes as data: which operand of which product is quantized how, and where not.

>>> from hwsim import recipes
>>> recipe = recipes.get("nvidia-nvfp4")
>>> recipe.layer.dgrad.a.label, recipe.layer.wgrad.rotation.size
('nvfp4.te_sr', 16)

`hwsim.nn.emulate` executes them. Each file of `hwsim.recipes.library` is one paper.
"""

from __future__ import annotations

from hwsim.quant import Rotation
from hwsim.recipes.catalog import get, names
from hwsim.recipes.operands import (
    FLOAT32,
    GEMMS,
    Draw,
    Extend,
    Gemm,
    GemmName,
    Layer,
    Mask,
    Operand,
    Quantizer,
    Taken,
)
from hwsim.recipes.recipe import AfterStep, Change, Kind, Monitor, Recipe, Rule, Saver, Selection, Softmax

__all__ = [
    "FLOAT32",
    "GEMMS",
    "AfterStep",
    "Change",
    "Draw",
    "Extend",
    "Gemm",
    "GemmName",
    "Kind",
    "Layer",
    "Mask",
    "Monitor",
    "Operand",
    "Quantizer",
    "Recipe",
    "Rotation",
    "Rule",
    "Saver",
    "Selection",
    "Softmax",
    "Taken",
    "get",
    "names",
]

"""Arithmetic by name: what ``emulate(model, "nvfp4")`` means.

A scheme runs on the unit that was built for it. Names without a variant stand for the one below; nothing else is
ever a default.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwsim import datapaths, quant, recipes
from hwsim.arch import Accelerator, Numerics, Policy, load_accelerator
from hwsim.datapaths import Datapath
from hwsim.errors import ArgumentError, UnknownName
from hwsim.quant import Scheme
from hwsim.recipes import Recipe

VARIANTS = {
    "nvfp4": "nvfp4.te",
    "mxfp4": "mxfp4.rceil",
    "mxfp6": "mxfp6.e2m3.rceil",
    "mxfp8": "mxfp8.e4m3.rceil",
    "fp8": "fp8.e4m3.channel",
    "int8": "int8.channel",
    "int4": "int4.channel",
    "ternary": "ternary.absmean",
}
"""What a short name stands for."""

_TENSOR_CORES = {  # beginning of a scheme's name -> generation, operand
    "nvfp4.": ("blackwell", "nvfp4"),
    "mxfp4.": ("blackwell", "mxfp4"),
    "mxfp6.e2m3.": ("blackwell", "mxfp6.e2m3"),
    "mxfp6.e3m2.": ("blackwell", "mxfp6.e3m2"),
    "mxfp8.e4m3.": ("blackwell", "mxfp8.e4m3"),
    "mxfp8.e5m2.": ("blackwell", "mxfp8.e5m2"),
    "fp8.e4m3fnuz.": ("cdna3", "e4m3fnuz"),
    "fp8.e5m2fnuz.": ("cdna3", "e5m2fnuz"),
    "fp8.e4m3.": ("hopper", "e4m3"),
    "fp8.e5m2.": ("hopper", "e5m2"),
    "bf16": ("hopper", "bf16"),
    "fp16": ("hopper", "fp16"),
    "tf32": ("hopper", "tf32"),
}


def policy_of(recipe: str | Policy | Accelerator) -> Policy:
    """The policy that `recipe` means: one itself, a machine's, or that of a scheme by name.

    A scheme quantises both operands, on the tensor core made for it, or for integers on an exact INT unit with 32
    accumulator bits. A ternary scheme and a budget of additions are for weights: activations are ``int8.channel``,
    attention is INT8. A name that is no scheme is looked up among the machines.

    Raises:
        UnknownName: neither scheme nor machine.
        ArgumentError: a scheme for which no unit is known.
    """
    if isinstance(recipe, Policy):
        return recipe
    if isinstance(recipe, Accelerator):
        return recipe.policy
    if not isinstance(recipe, str):
        raise ArgumentError("recipe must be a scheme's name, a Policy or an Accelerator", got=type(recipe).__name__)
    name = VARIANTS.get(recipe, recipe)
    if name not in quant.names():
        try:
            return load_accelerator(recipe).policy
        except UnknownName as error:
            raise UnknownName("recipe", recipe, [*VARIANTS, *recipes.names(), *quant.names(), *error.known]) from None
    scheme: Any = quant.get(name)
    core = tensor_core_for(name)
    if core is not None:
        return Policy(Numerics(scheme, scheme, core))
    wide = _integer("int8.channel", 8)
    if name.startswith("ternary."):
        unit = datapaths.ternary_lut(group=3, activation="int8")
        return Policy(Numerics(wide.activation, scheme, unit), attention=wide)
    if name.startswith("pann."):
        return Policy(Numerics(wide.activation, scheme, datapaths.pann(8, scheme.additions, 32)), attention=wide)
    if name.startswith("int"):
        return Policy(_integer(name, int(name.removeprefix("int").partition(".")[0])))
    raise ArgumentError("recipe must be a scheme that a unit multiplies", got=recipe)


def recipe_of(recipe: object) -> Recipe | None:
    """The training recipe that `recipe` means: one itself, or a name or file that is no scheme's; else None."""
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, (str, Path)):
        return None
    name = str(recipe)
    if name in VARIANTS or name in quant.names():
        return None
    is_file = name.endswith(".py") or ".py:" in name
    return recipes.get(name) if is_file or name in recipes.names() else None


def tensor_core_for(scheme: str) -> Datapath | None:
    """The tensor core that was made for the scheme called so, None if there is none."""
    for beginning, (arch, operand) in _TENSOR_CORES.items():
        if scheme.startswith(beginning):
            return datapaths.tensor_core(arch, operand)
    return None


def numerics_of(a: Scheme, b: Scheme) -> Numerics:
    """Two schemes on the unit made for both: their tensor core, or an exact INT unit with 32 accumulator bits.

    Raises:
        ArgumentError: no one unit is known for them.
    """
    cores = tensor_core_for(a.name), tensor_core_for(b.name)
    if cores[0] is not None and cores[0] == cores[1]:
        return Numerics(a, b, cores[0])
    widths = a.element_format, b.element_format
    if all(form.is_integer for form in widths):
        return Numerics(a, b, datapaths.integer(widths[0].bits, widths[1].bits, 32))
    raise ArgumentError("schemes must be ones that one unit multiplies", got=f"{a.name} and {b.name}")


def _integer(name: str, bits: int) -> Numerics:
    scheme = quant.get(name)
    return Numerics(scheme, scheme, datapaths.integer(bits, bits, 32))

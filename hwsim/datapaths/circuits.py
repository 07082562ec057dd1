"""The catalogue of circuits: families by name, and the named units that reports, tests and ``hwsim rtl`` know.

A family is a function from parameters to a `Unit`; a named unit is a family with its parameters. Circuits of a
datapath stand in its folder (``FAMILIES`` and ``NAMED`` of its ``verilog``); blocks that belong to none are listed
here. The tests then prove it as they prove the others.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwsim.datapaths.dot import verilog as dot
from hwsim.datapaths.integer import tree
from hwsim.datapaths.integer import verilog as integer
from hwsim.datapaths.pann import verilog as pann
from hwsim.datapaths.shift import verilog as shift
from hwsim.datapaths.softmax import verilog as softmax
from hwsim.datapaths.ternary import verilog as ternary
from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl.accumulator import accumulator
from hwsim.rtl.bench import write_unit
from hwsim.rtl.float_adders import float_adder
from hwsim.rtl.minifloat import e2m1_dot, e2m1_product
from hwsim.rtl.multipliers import STYLES, multiplier
from hwsim.rtl.sparsity import largest_selector, unbiased_selector
from hwsim.rtl.stochastic import lfsr, stochastic_quantizer, stochastic_rounder
from hwsim.rtl.unit import Unit

DATAPATHS = (integer, tree, dot, shift, pann, ternary, softmax)

FAMILIES: Mapping[str, Callable[..., Unit]] = {
    "multiplier": multiplier,
    "accumulator": accumulator,
    "e2m1_product": e2m1_product,
    "e2m1_dot": e2m1_dot,
    "float_adder": float_adder,
    **{name: made for one in DATAPATHS for name, made in one.FAMILIES.items()},
    "largest_selector": largest_selector,
    "unbiased_selector": unbiased_selector,
    "stochastic_rounder": stochastic_rounder,
    "lfsr": lfsr,
    "stochastic_quantizer": stochastic_quantizer,
}


@functools.cache
def named_units() -> Mapping[str, tuple[str, dict[str, Any]]]:
    """Family and parameters of every named unit; the name is that of its top module."""
    specs: list[tuple[str, dict[str, Any]]] = [
        *(
            ("multiplier", {"a_bits": bits, "b_bits": bits, "signed": signed, "style": style})
            for bits in (2, 4, 8, 16)
            for signed in (True, False)
            for style in STYLES
        ),
        ("multiplier", {"a_bits": 8, "b_bits": 4}),
        ("accumulator", {"p_bits": 16, "acc_bits": 32}),
        ("e2m1_product", {}),
        ("e2m1_dot", {"count": 16}),
        *(("float_adder", {"fmt": fmt}) for fmt in ("fp16", "bf16", "fp32")),
        *(named for one in DATAPATHS for named in one.NAMED),
        *(("largest_selector", {"n": n, "m": m}) for n, m in ((1, 2), (2, 4))),
        *(("unbiased_selector", {"n": n, "m": m}) for n, m in ((1, 2), (2, 4))),
        *(("stochastic_rounder", {"fmt": fmt}) for fmt in ("bf16", "fp16")),
        ("lfsr", {}),
        ("stochastic_quantizer", {}),
    ]
    return {FAMILIES[family](**parameters).name: (family, parameters) for family, parameters in specs}


def names() -> list[str]:
    """Families and named units, as `build` takes them."""
    return [*FAMILIES, *(name for name in named_units() if name not in FAMILIES)]


def build(name: str, **parameters: Any) -> Unit:
    """The unit of a name of `named_units`, or of a family with its parameters (its defaults where left out).

    Raises:
        UnknownName: neither. ArgumentError: a parameter that the family does not have, or parameters for a named
        unit, which has its own.
    """
    if name not in FAMILIES:
        if name not in named_units():
            raise UnknownName("circuit", name, names())
        if parameters:
            raise ArgumentError("a named unit takes no parameters", got=sorted(parameters), where=name)
        family, own = named_units()[name]
        return FAMILIES[family](**own)
    known = inspect.signature(FAMILIES[name]).parameters
    for parameter in parameters:
        if parameter not in known:
            raise UnknownName(f"parameter of {name}", parameter, known, where=name)
    return FAMILIES[name](**parameters)


def write(
    name: str, out_dir: str | Path, *, rows: int = 1000, seed: int = 0, force: bool = False, **parameters: Any
) -> Sequence[Path]:
    """Module, self-checking bench and golden vectors of `build(name, **parameters)`: the paths of the three files.

    Raises as `build` and `hwsim.rtl.bench.write_unit`.
    """
    return write_unit(build(name, **parameters), out_dir, rows=rows, seed=seed, force=force)

"""The catalogue of circuits: families by name, and the named units that reports, tests and ``hwsim rtl`` know.

A family is a function from parameters to a `Unit`; a named unit is a family with its parameters. Adding a circuit is
its file, a line in `FAMILIES` and one in `named_units`; the tests then prove it as they prove the others.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl.bench import write_unit
from hwsim.rtl.float_adders import float_adder
from hwsim.rtl.mac import accumulator, mac
from hwsim.rtl.minifloat import e2m1_dot, e2m1_product
from hwsim.rtl.multipliers import STYLES, multiplier
from hwsim.rtl.pann import pann_unit
from hwsim.rtl.shift import luq_product, luq_unit
from hwsim.rtl.softmax import exaq_sum
from hwsim.rtl.sparsity import largest_selector, unbiased_selector
from hwsim.rtl.stochastic import lfsr, stochastic_quantizer, stochastic_rounder
from hwsim.rtl.tensor_core import tensor_dot
from hwsim.rtl.ternary import ternary_core, ternary_dot, ternary_table, ternary_tree
from hwsim.rtl.unit import Unit

FAMILIES: Mapping[str, Callable[..., Unit]] = {
    "multiplier": multiplier,
    "accumulator": accumulator,
    "mac": mac,
    "e2m1_product": e2m1_product,
    "e2m1_dot": e2m1_dot,
    "tensor_dot": tensor_dot,
    "float_adder": float_adder,
    "luq_product": luq_product,
    "luq_unit": luq_unit,
    "pann_unit": pann_unit,
    "ternary_table": ternary_table,
    "ternary_dot": ternary_dot,
    "ternary_core": ternary_core,
    "ternary_tree": ternary_tree,
    "exaq_sum": exaq_sum,
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
        ("mac", {"a_bits": 4, "b_bits": 4, "acc_bits": 16}),
        ("mac", {"a_bits": 8, "b_bits": 8, "acc_bits": 32}),
        ("mac", {"a_bits": 8, "b_bits": 8, "acc_bits": 32, "signed": False}),
        ("mac", {"a_bits": 8, "b_bits": 8, "acc_bits": 20, "overflow": "saturate", "style": "booth"}),
        ("e2m1_product", {}),
        ("e2m1_dot", {"count": 16}),
        *(("tensor_dot", {"operand": name}) for name in ("nvfp4", "mxfp4", "mxfp8.e4m3", "mxfp8.e5m2")),
        ("tensor_dot", {"arch": "hopper", "operand": "e4m3"}),
        ("tensor_dot", {"arch": "ampere", "operand": "fp16"}),
        *(("float_adder", {"fmt": fmt}) for fmt in ("fp16", "bf16", "fp32")),
        *(("luq_product", {"encoding": name}) for name in ("twos_complement", "sign_magnitude")),
        *(("luq_unit", {"accumulate": name}) for name in ("fixed", "fp32")),
        ("pann_unit", {"bits_x": 6}),
        ("pann_unit", {"bits_x": 8, "acc_bits": 20, "signed": True}),
        *(("ternary_table", {"group": group}) for group in range(2, 7)),
        *(("ternary_table", {"group": 3, "activation": name}) for name in ("fp16", "bf16")),
        ("ternary_dot", {"group": 2, "luts": 2, "readers": 8}),
        ("ternary_dot", {"group": 3, "readers": 4}),
        ("ternary_dot", {"group": 4, "readers": 4}),
        ("ternary_dot", {"group": 5, "readers": 2}),
        ("ternary_dot", {"group": 6, "readers": 1}),
        *(("ternary_dot", {"group": 2, "activation": name, "luts": 2, "readers": 2}) for name in ("fp16", "bf16")),
        ("ternary_core", {"group": 3, "luts": 2, "readers": 4}),
        *(("ternary_core", {"group": 3, "activation": name, "readers": 2}) for name in ("fp16", "bf16")),
        ("ternary_tree", {"terms": 4, "readers": 8}),
        *(("exaq_sum", {"bits": 2, "grouped": grouped}) for grouped in (True, False)),
        ("exaq_sum", {"bits": 3}),
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


def write(name: str, out_dir: str | Path, *, rows: int = 1000, seed: int = 0, **parameters: Any) -> Sequence[Path]:
    """Module, self-checking bench and golden vectors of `build(name, **parameters)`: the paths of the three files.

    Raises as `build` and `hwsim.rtl.bench.write_unit`.
    """
    return write_unit(build(name, **parameters), out_dir, rows=rows, seed=seed)

"""Datapaths: what dot-product units do to bits, one family a folder, one view a file.

In a folder: ``bits`` (the unit, and `hwsim.datapaths.base.Datapath`'s members), ``kernels`` (compiled loops),
``verilog`` (circuits), ``cost`` (price and calibration). Bits load with this package; kernels, circuits and prices
load with the call that first needs them, so that it loads without Numba. The families are imported here at once:
`integer` and others are both a folder and the factory of that name, and a later import would hide the factory.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hwsim.datapaths.base import Datapath, MissingView
from hwsim.datapaths.dot import Dot as dot  # noqa: N813  (the design's name of the factory)
from hwsim.datapaths.dot import tensor_core
from hwsim.datapaths.integer import Integer as integer  # noqa: N813
from hwsim.datapaths.pann import Pann as pann  # noqa: N813
from hwsim.datapaths.shift import Shift as shift  # noqa: N813
from hwsim.datapaths.softmax import Softmax as softmax  # noqa: N813
from hwsim.datapaths.ternary import TernaryLut as ternary_lut  # noqa: N813
from hwsim.errors import ArgumentError, UnknownName

__all__ = [
    "FAMILIES",
    "Datapath",
    "MissingView",
    "dot",
    "from_spec",
    "integer",
    "pann",
    "shift",
    "softmax",
    "tensor_core",
    "ternary_lut",
    "unit_families",
    "unit_family",
]

FAMILIES: dict[str, Callable[..., Any]] = {
    "integer": integer,
    "dot": dot,
    "tensor_core": tensor_core,
    "ternary_lut": ternary_lut,
    "pann": pann,
    "shift": shift,
}
"""Factory of each family of units that multiply matrices, by the ``family`` of a spec; ``tensor_core`` makes named
values of ``dot``."""


def unit_families() -> list[type[Datapath]]:
    """The classes of dot-product units in the catalogue."""
    return [made for made in FAMILIES.values() if isinstance(made, type) and issubclass(made, Datapath)]


def unit_family(name: str) -> type[Datapath]:
    """The class of a family of the catalogue, or of a user's ``path/to/file.py:Class``.

    Raises:
        UnknownName: no such family. ArgumentError: no such file or class.
    """
    if ":" in name:
        from hwsim.datapaths.users import class_in

        return class_in(name)
    known = {made.family: made for made in unit_families()}
    if name not in known:
        raise UnknownName("family", name, known)
    return known[name]


def from_spec(spec: Mapping[str, Any], where: str = "datapath") -> Datapath:
    """The unit that a table describes, for instance a machine's ``[datapath]``; inverse of `Datapath.spec`.

    Args:
        spec: ``{"family": name, ...}`` with that family's arguments, or ``{"file": "my_unit.py:Truncated", ...}``
            with those of a class of a user's file.
        where: path of the table, for messages.

    Raises:
        UnknownName: no such family.
        ArgumentError: a field that the family does not have, lacks, or refuses.
    """
    fields = dict(spec)
    if "file" in fields:
        from hwsim.datapaths.users import class_in

        made: Callable[..., Any] = class_in(str(fields.pop("file")), f"{where}.file")
        family = made.__name__
    else:
        family = fields.pop("family", None)
        if family not in FAMILIES:
            raise UnknownName("family", family, FAMILIES, where=f"{where}.family")
        made = FAMILIES[family]
    try:
        inspect.signature(made).bind(**fields)
    except TypeError as error:
        raise ArgumentError(f"{family} {error}", got=fields, where=where) from None
    unit: Datapath = made(**fields)
    return unit

"""Datapaths: what dot-product units do to bits, one family a module.

Compiled kernels are imported by the call that first runs them, so that this package loads without Numba. The family
modules themselves are imported here at once: `integer` and others are both a module and the factory of that name, and
a later import of the module would hide the factory.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hwsim.datapaths.base import Datapath
from hwsim.datapaths.integer import Integer as integer  # noqa: N813  (the design's name of the factory)
from hwsim.datapaths.pann import Pann as pann  # noqa: N813
from hwsim.datapaths.shift import Shift as shift  # noqa: N813
from hwsim.datapaths.softmax import Softmax as softmax  # noqa: N813
from hwsim.datapaths.tensor_cores import tensor_core
from hwsim.datapaths.ternary_lut import TernaryLut as ternary_lut  # noqa: N813
from hwsim.errors import ArgumentError, UnknownName

__all__ = [
    "FAMILIES",
    "Datapath",
    "from_spec",
    "integer",
    "pann",
    "shift",
    "softmax",
    "tensor_core",
    "ternary_lut",
]

FAMILIES: dict[str, Callable[..., Any]] = {
    "integer": integer,
    "pann": pann,
    "shift": shift,
    "softmax": softmax,
    "tensor_core": tensor_core,
    "ternary_lut": ternary_lut,
}
"""Factory of each family, by the ``family`` of a spec."""


def from_spec(spec: Mapping[str, Any], where: str = "datapath") -> Any:
    """The unit that a table describes, for instance a machine's ``[datapath]``; inverse of `Datapath.spec`.

    Args:
        spec: ``{"family": name, ...}`` with that family's arguments.
        where: path of the table, for messages.

    Raises:
        UnknownName: no such family.
        ArgumentError: a field that the family does not have, lacks, or refuses.
    """
    fields = dict(spec)
    family = fields.pop("family", None)
    if family not in FAMILIES:
        raise UnknownName("family", family, FAMILIES, where=f"{where}.family")
    try:
        inspect.signature(FAMILIES[family]).bind(**fields)
    except TypeError as error:
        raise ArgumentError(f"{family} {error}", got=fields, where=where) from None
    return FAMILIES[family](**fields)

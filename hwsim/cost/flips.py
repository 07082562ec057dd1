"""What the energy of a circuit depends on: counted flips, each weighted by the gates behind it.

Decides the linear model of the fidelity ``trace`` for fitted coefficients, once for fitting and for pricing. A flip
of a partial product moves a column of adders as deep as the narrower operand, a flip at the input of an accumulator
with a carry chain moves the chain; with unit gate delays glitches grow with both, so those products are features too
and the fit takes what it needs. Operands that flip on both sides at once cost less than each alone: the feature
``operands`` counts bits that would flip in either.

A coefficient is called ``<family>.energy.<feature>``; its value is fJ for each flip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwsim import formats
from hwsim.arch.units import lanes
from hwsim.cost.features import Features, window
from hwsim.cost.toggles import Toggles
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError

PARTS: Mapping[str, str] = {
    "partials": "products", "partials_by_depth": "products", "products_by_depth": "products", "a": "products",
    "b": "products", "partials_by_width": "products", "addend": "accumulation", "sum": "accumulation",
    "clamped": "accumulation", "addend_by_width": "accumulation", "operands": "products", "products": "products",
    "products_by_term": "alignment",
    "groups": "products", "scales": "scaling", "terms": "alignment", "window": "accumulation",
    "activations": "products", "activations_by_entries": "products", "keys": "products",
    "keys_by_entries": "products",
}  # fmt: skip
"""Part of a machine's energy that a feature belongs to."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Elements that one unit takes from each side in one update, on average: its loads over its updates."""

    a: float
    b: float


def family(datapath: Datapath) -> str:
    """Family of the coefficients that price an update of `datapath`."""
    unit: Any = datapath
    if unit.family == "integer":
        return f"mac.{'signed' if unit.signed else 'unsigned'}"
    if unit.family == "tensor_core":
        return f"dot.{unit.row.model}"
    if unit.family == "ternary_lut":
        return f"lookup.{unit.activation}"
    raise ArgumentError("must be of a family with fitted energies", got=datapath.name, where="cost.datapath")


def features(datapath: Datapath, toggles: Toggles, rates: Rates) -> Features:
    """Flips of one update of one unit.

    Raises:
        ArgumentError: a family without fitted energies.
    """
    unit: Any = datapath
    a, b = toggles.a_element * rates.a, toggles.b_element * rates.b
    if unit.family == "integer":
        depth, width = min(unit.a_bits, unit.b_bits), unit.acc_bits
        return {
            "partials": toggles.partial,
            "partials_by_depth": toggles.partial * depth,
            "products_by_depth": toggles.product * depth,
            "a": a,
            "b": b,
            "partials_by_width": toggles.partial * width,
            "addend": toggles.addend,
            "sum": toggles.sum,
            "clamped": toggles.sum if unit.overflow == "saturate" else 0.0,
            "addend_by_width": toggles.addend * width,
        }
    if unit.family == "tensor_core":
        bits = [lanes(unit) * formats.get(name).bits for name in (unit.a_format, unit.b_format)]
        still = (1 - min(a / bits[0], 1.0)) * (1 - min(b / bits[1], 1.0))
        block = unit.block or 1
        return {
            "operands": sum(bits) / 2 * (1 - still),
            "products": toggles.product,
            "products_by_term": toggles.product * window(unit.row, unit.a_format).term,
            "groups": toggles.partial,
            "scales": (toggles.a_scale * rates.a + toggles.b_scale * rates.b) / block,
            "terms": toggles.aligned,
            "window": toggles.window,
            "sum": toggles.sum,
        }
    if unit.family == "ternary_lut":
        return {
            "activations": a,
            "activations_by_entries": a * unit.entries,
            "keys": b,
            "keys_by_entries": b * unit.entries,
            "addend": toggles.addend,
            "sum": toggles.sum,
        }
    raise ArgumentError("must be of a family with fitted energies", got=datapath.name, where="cost.datapath")


def table_features(datapath: Datapath, a_flips: float) -> Features:
    """Flips of one rebuilt table of a lookup unit, whose activations flip `a_flips` bits each."""
    unit: Any = datapath
    return {"sums": a_flips * unit.luts * max(unit.entries - unit.group, 0)}

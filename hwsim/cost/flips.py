"""What the energy of a circuit depends on: counted flips, each weighted by the gates behind it.

Decides the linear model of the fidelity ``trace`` for fitted coefficients, once for fitting and for pricing. Flips
are counted on the very steps that gates are simulated on (`hwsim.gates.steps`), so that what is left is the error of
the model. A flip in row j of an array multiplier moves the rows below it, a product's sign moves all bits that extend
it, a distance moves every bit of the word that it shifts: with unit gate delays glitches grow with these widths, so
products with them are features too, and the fit takes what it needs. All are zero where nothing flips.

A coefficient is called ``<family>.energy.<feature>``; its value is fJ for each flip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hwsim import formats
from hwsim.cost.features import Features
from hwsim.cost.lookup import lookup_flips, table_flips
from hwsim.cost.signals import tensor_core_flips
from hwsim.cost.words import adder, changes, flips, float_adder, held_sums, masked, multiplier_rows, without
from hwsim.datapaths.base import Datapath
from hwsim.datapaths.operands import integer_values
from hwsim.errors import ArgumentError
from hwsim.gates.steps import Stream
from hwsim.rtl.float_adders import WIDTHS

PRODUCTS = (
    "multiplicand", "multiplier", "partials", "ripples", "partials_by_rows", "carries_by_rows", "a", "b",
    "turned_by_product", "turned_by_exponent", "products", "groups", "quads", "exponents", "keys", "keys_by_entries",
    "entries", "selected", "negated", "fetched", "combined", "turned_by_luts", "turned_by_entries",
    "shifted", "shifted_by_exponent", "input",
)  # fmt: skip
SCALING = ("scales", "scaled")
ALIGNMENT = (
    "turned_by_term", "distances_by_term", "shifts_by_term", "shifts_by_tree", "tops_by_terms", "signs_by_term",
)  # fmt: skip

SHIFTED_BITS = 11
"""Of INT4 times a power of two, in quarters."""


def part_of(feature: str) -> str:
    """Part of a machine's energy that a feature belongs to."""
    for part, features in (("products", PRODUCTS), ("scaling", SCALING), ("alignment", ALIGNMENT)):
        if feature in features:
            return part
    return "accumulation"


def family(datapath: Datapath) -> str:
    """Family of the coefficients that price an update of `datapath`.

    Raises:
        ArgumentError: a unit without fitted energies: softmax, or a tensor core whose inside is not known.
    """
    unit: Any = datapath
    sign = "signed" if getattr(unit, "signed", True) else "unsigned"
    if unit.family == "integer":
        return f"mac.{sign}"
    if unit.family == "pann":
        return f"pann.{sign}"
    if unit.family == "shift":
        return f"shift.{unit.accumulator}"
    if unit.family == "tensor_core" and unit.row.model in ("fused", "grouped") and not unit.row.rewrite:
        return f"dot.{unit.row.model}"
    if unit.family == "ternary_lut":
        return f"lookup.{unit.activation}"
    raise ArgumentError("must be of a family with fitted energies", got=datapath.name, where="cost.datapath")


def table_family(datapath: Datapath) -> str:
    """Family of the coefficients that price a rebuild of a lookup unit's tables."""
    return f"table.{datapath.activation}"  # type: ignore[attr-defined]


def update_flips(datapath: Datapath, stream: Stream) -> Features:
    """Flips of one update of one unit, means over a stream.

    Raises:
        ArgumentError: a family without fitted energies.
    """
    family(datapath)
    found: Features = _RULES[datapath.family](datapath, stream)
    return found


def rebuild_flips(datapath: Datapath, stream: Stream) -> Features:
    """Flips of one rebuild of a lookup unit's tables, all of them together; empty for other units."""
    if datapath.family != "ternary_lut":
        return {}
    unit: Any = datapath
    return table_flips(unit, stream)


def _mac(unit: Any, stream: Stream) -> dict[str, float]:
    a, b = stream.a[:, 0], stream.b[:, 0]
    swap = unit.a_bits > unit.b_bits  # the array has as many rows as the wider operand has bits
    columns, count = sorted((unit.a_bits, unit.b_bits))
    x, y = (b, a) if swap else (a, b)
    rows = multiplier_rows(x, y, columns, count, unit.signed)
    values = [
        integer_values(one.astype(np.uint8 if bits <= 8 else np.uint16), bits, unit.signed, "flips").astype(np.int64)
        for one, bits in ((a, unit.a_bits), (b, unit.b_bits))
    ]
    addend = masked(values[0] * values[1], unit.acc_bits)
    sums = adder(held_sums(stream), addend, unit.acc_bits, unit.a_bits + unit.b_bits)
    extension = max(unit.acc_bits - unit.a_bits - unit.b_bits, 0) if unit.signed else 0
    clamps = float(unit.overflow == "saturate")
    return {
        "multiplicand": flips(x) * count,
        "multiplier": flips(y) * columns,
        "partials": rows.partials,
        "ripples": rows.ripples,
        "partials_by_rows": rows.partials * count,
        "carries_by_rows": rows.carries * count,
        **without(sums, "addend", "extension" if not unit.signed else ""),
        "clamped": sums["sum"] * clamps,
        "clamped_by_width": rows.by_depth / count * unit.acc_bits * clamps,
        "partials_by_extension": rows.partials / count * extension,
        "turned_by_extension": rows.changes * extension,
        "partials_by_width": rows.partials / count * unit.acc_bits,
    }


def _pann(unit: Any, stream: Stream) -> dict[str, float]:
    x = integer_values(
        stream.a[:, 0].astype(np.uint8 if unit.bits_x <= 8 else np.uint16), unit.bits_x, unit.signed, "flips"
    )
    negative = stream.b[:, 0] >> np.uint64(7)
    own = np.where(negative == 0, stream.before[:, 0], stream.before[:, 1])
    held = np.where(stream.first, np.uint64(0), own)
    sums = adder(held, masked(x.astype(np.int64), unit.acc_bits), unit.acc_bits, unit.bits_x)
    ended = np.append(False, stream.last[:-1])
    shown = np.where(ended[:, None], stream.before, np.uint64(0))
    difference = masked(shown[:, 0] - shown[:, 1], unit.acc_bits)
    return {
        "input": flips(stream.a),
        **without(sums, "addend", "extension" if not unit.signed else ""),
        "registers": flips(stream.before),
        "choices": flips(negative) * unit.acc_bits,
        "turned_by_extension": changes(stream.a) * (unit.acc_bits - unit.bits_x),
        "choices_by_extension": flips(negative) * (unit.acc_bits - unit.bits_x),
        "subtrahends": flips(shown),
        "differences": flips(difference) + changes(ended) * unit.acc_bits,
    }


def _shift(unit: Any, stream: Stream) -> dict[str, float]:
    x = integer_values(stream.a[:, 0].astype(np.uint8), 4, True, "flips").astype(np.int64)
    quarters = x * (4 * formats.get(unit.b_format).decode(stream.b[:, 0].astype(np.uint8))).astype(np.int64)
    product = {
        "a": flips(stream.a),
        "b": flips(stream.b),
        "shifted": flips(masked(quarters, SHIFTED_BITS)),
        "shifted_by_exponent": changes(stream.b & np.uint64(7)) * SHIFTED_BITS,
    }
    if unit.accumulator == "fixed":
        addend = masked(quarters, unit.acc_bits)
        turned = float(((stream.a[1:] != stream.a[:-1]) | (stream.b[1:] != stream.b[:-1])).mean())
        moved = {"turned": turned, "turned_by_extension": turned * (unit.acc_bits - SHIFTED_BITS)}
        return product | moved | without(adder(held_sums(stream), addend, unit.acc_bits, SHIFTED_BITS), "addend")
    term = (quarters.astype(np.float32) / np.float32(4)).view(np.uint32).astype(np.uint64)
    return product | float_adder(held_sums(stream), term, *WIDTHS["fp32"])


_RULES: Mapping[str, Callable[[Any, Stream], Features]] = {
    "integer": _mac,
    "pann": _pann,
    "shift": _shift,
    "tensor_core": tensor_core_flips,
    "ternary_lut": lookup_flips,
}

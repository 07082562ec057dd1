"""What an operator costs an element, and what a lane of it takes, from the circuits that it uses.

Decides that operators are recipes: uses of each circuit for an element, for a row (the axis of a softmax or a norm)
and for a block (of a block format, or of scores in an online softmax). The recipes of the operators that
`hwsim.datapaths.vector.operators` computes are those that it counts. A lane holds one of each circuit (``shared``),
so that an element takes as many cycles as its busiest circuit has uses, or as many of each as it takes to do an
element a cycle (``full``).

* ``softmax`` writes probabilities; ``online_softmax`` does not divide, carries maximum and sum from block to block
  and rescales the sum (what else is rescaled, the output tile, is a ``scale`` of its elements).
* ``exaq2``, ``exaq3``, ``exaq4`` are precisions of softmax: codes of float32 scores, sums of groups by table, and a
  row's few probabilities, from which each element selects (arXiv 2410.03185; `hwsim.datapaths.softmax`).
* ``quantize`` turns float32 into block formats, ``requant`` 32-bit sums into codes.
* ``rotate`` is a Hadamard transform of tiles: an addition of each stage of butterflies, and the root at the end.
* ``embedding`` is a read of memory and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from hwsim.cost.quantity import Quantity, total
from hwsim.datapaths.vector.cost import unit_depth, unit_price
from hwsim.datapaths.vector.operators import unroot
from hwsim.errors import ArgumentError, UnknownName

Lane = Literal["shared", "full"]

FORMATS = ("fp16", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Uses of circuits by name: for an element, for a row, and for a block, of `block_size` elements if not told."""

    element: Mapping[str, float]
    row: Mapping[str, float] = field(default_factory=dict)
    block: Mapping[str, float] = field(default_factory=dict)
    block_size: int = 64

    def uses(self, row: int, block: int | None) -> dict[str, float]:
        """Uses for an element where rows and blocks have these lengths."""
        found: dict[str, float] = dict(self.element)
        for more, length in ((self.row, row), (self.block, block or self.block_size)):
            for name, count in more.items():
                found[name] = found.get(name, 0.0) + count / length
        return found


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator at 45 nm, 1.1 V, in the library that hwsim ships.

    Args:
        energy_fj: of an element, rows and blocks shared out, without glitches.
        area_um2: of a lane, its operand registers not included.
        fast_area_um2: of a lane of the netlists that have this depth.
        depth_fo4: the longest stage; circuits follow each other with registers between them.
        cycles_per_element: of a lane.
        leakage_nw: of a lane.
        stages: pipeline stages of every circuit.
        register_bits: flip-flops of a lane that the cuts add to those between the circuits.
        uses: of every circuit, for an element.
    """

    kind: str
    precision: str
    lane: Lane
    energy_fj: Quantity
    area_um2: Quantity
    fast_area_um2: Quantity
    depth_fo4: Quantity
    cycles_per_element: float
    leakage_nw: float
    stages: int
    register_bits: int
    uses: Mapping[str, float]


def operator(
    kind: str, precision: str, *, row: int = 64, block: int | None = None, lane: Lane = "shared", stages: int = 1
) -> Operator:
    """An operator's price.

    Args:
        kind, precision: a pair of `recipes`.
        row: elements of a row of a softmax or a norm.
        block: elements between two rescalings of an online softmax (64), or that share a scale in a block format
            (16 or 32, as its standard says); what is in brackets if left out.
        lane: ``"shared"`` or ``"full"``.
        stages: pipeline stages of every circuit, 1 to 8 (see `hwsim.cost.depths`).

    Raises:
        UnknownName: no such kind, or not in this precision. ArgumentError: row or block below 1, or another lane.
    """
    for name, value in (("row", row), ("block", block)):
        if value is not None and value < 1:
            raise ArgumentError(f"{name} must be at least 1", got=value, where=f"operator {kind}")
    if lane not in ("shared", "full"):
        raise ArgumentError("lane must be 'shared' or 'full'", got=lane, where=f"operator {kind}")
    return priced(kind, precision, recipe(kind, precision).uses(row, block), lane, stages)


def priced(kind: str, precision: str, uses: Mapping[str, float], lane: Lane = "shared", stages: int = 1) -> Operator:
    """An operator that uses circuits so many times for an element."""
    prices = {name: unit_price(name) for name in uses}
    cuts = {name: unit_depth(name, stages) for name in uses}
    copies = {name: math.ceil(count - 1e-9) if lane == "full" else 1 for name, count in uses.items()}
    source = " + ".join(f"{count:g} {name}" for name, count in uses.items()) or "no arithmetic"

    def summed(unit: str, parts: Iterable[Quantity]) -> Quantity:
        return total([Quantity(0.0, unit, source), *parts], source)

    fast = {name: one.area.scaled(one.fast_area_um2 / one.area_um2) for name, one in prices.items()}
    nothing = Quantity(0.0, "FO4", source)
    deepest = max((one.quantity for one in cuts.values()), key=lambda one: one.value, default=nothing)
    return Operator(
        kind,
        precision,
        lane,
        summed("fJ", (prices[name].energy.scaled(count) for name, count in uses.items())),
        summed("um2", (prices[name].area.scaled(copies[name]) for name in uses)),
        summed("um2", (fast[name].scaled(copies[name]) for name in uses)),
        deepest,
        max((count / copies[name] for name, count in uses.items()), default=0.0),
        sum(prices[name].leakage_nw * copies[name] for name in uses),
        stages,
        sum(cuts[name].register_bits * copies[name] for name in uses),
        uses,
    )


def recipe(kind: str, precision: str) -> Recipe:
    """The uses of circuits of an operator in a precision; unknown ones raise with the known."""
    known = recipes()
    if kind not in known:
        raise UnknownName("operator", kind, known)
    if precision not in known[kind]:
        raise UnknownName(f"precision of {kind}", precision, known[kind])
    return known[kind][precision]


def recipes() -> dict[str, dict[str, Recipe]]:
    """All recipes by kind and precision."""
    found: dict[str, dict[str, Recipe]] = {}
    for fmt in FORMATS:
        for kind, one in _real(fmt).items():
            found.setdefault(kind, {})[fmt] = one
    for kind, one in _WHOLE.items():
        found.setdefault(kind, {})["pwl8"] = one
    for bits, group in ((2, 4), (3, 2), (4, 2)):
        found["softmax"][f"exaq{bits}"] = Recipe(
            {
                "max_fp32": 1, "add_fp32": 2 + 1 / group, "mul_fp32": 1, f"exaq_code{bits}": 1,
                f"exaq_table{bits}": 1 / group, f"exaq_select{bits}": 1,
            },
            {"reciprocal_fp32": 1, "mul_fp32": 1 << bits},
        )  # fmt: skip
    found["requant"] = {
        f"{scale}.int{bits}": Recipe({f"requant_{scale}_s{bits}": 1})
        for scale in ("m16", "m8", "shift")
        for bits in (8, 4)
    }
    found["quantize"] = {
        "mxfp4": Recipe({"absmax_fp32": 1, "mx_e2m1": 1}, block={"mx_scale_e2m1": 1}, block_size=32),
        "mxfp8": Recipe({"absmax_fp32": 1, "mx_e4m3": 1}, block={"mx_scale_e4m3": 1}, block_size=32),
        "nvfp4": Recipe({"absmax_fp32": 1, "nvfp4_e2m1": 1}, block={"nvfp4_scale": 1}, block_size=16),
    }
    found["rotate"] = {
        f"fp32.{1 << log}": Recipe({"add_fp32": log, f"{unroot(1 << log)}_fp32": 1}) for log in range(1, 13)
    }
    found["embedding"] = {precision: Recipe({}) for precision in (*FORMATS, "pwl8")}
    return found


def _real(fmt: str) -> dict[str, Recipe]:
    def of(**counts: float) -> dict[str, float]:
        return {f"{name}_{fmt}": count for name, count in counts.items()}

    return {
        "add": Recipe(of(add=1)),
        "mul": Recipe(of(mul=1)),
        "scale": Recipe(of(mul=1)),
        "max": Recipe(of(max=1)),
        "softmax": Recipe(of(max=1, add=2, mul=2, exp2=1), of(reciprocal=1)),
        "online_softmax": Recipe(of(max=1, add=2, mul=1, exp2=1), of(reciprocal=1), of(add=1, mul=2, exp2=1)),
        "layernorm": Recipe(of(add=4, mul=3), of(mul=3, add=2, rsqrt=1)),
        "rmsnorm": Recipe(of(add=1, mul=3), of(mul=1, add=1, rsqrt=1)),
        "gelu": Recipe(of(gelu_gate=1, mul=1)),
        "silu": Recipe(of(silu_gate=1, mul=1)),
        "rope": Recipe(of(mul=2, add=1)),
    }


_WHOLE = {
    "add": Recipe({"add_s8": 1}),
    "mul": Recipe({"mul_s8": 1}),
    "scale": Recipe({"mul_s8": 1}),
    "max": Recipe({"max_s8": 1}),
    "softmax": Recipe({"max_s8": 1, "exp2_pwl8": 1, "sum_u13": 1, "normalize_pwl8": 1}, {"reciprocal_pwl8": 1}),
    "online_softmax": Recipe(
        {"max_s8": 1, "exp2_pwl8": 1, "sum_u13": 1}, {"reciprocal_pwl8": 1}, {"exp2_pwl8": 1, "rescale_u24": 1}
    ),
    "layernorm": Recipe({"sum_s8": 1, "square_sum_s8": 1, "centre_pwl8": 1}, {"requant_m16_s8": 1, "rsqrt_pwl8": 1}),
    "rmsnorm": Recipe({"square_sum_s8": 1, "centre_pwl8": 1}, {"rsqrt_pwl8": 1}),
    "gelu": Recipe({"gelu_pwl8": 1}),
    "silu": Recipe({"silu_pwl8": 1}),
    "rope": Recipe({"rotate_s8": 1}),
}

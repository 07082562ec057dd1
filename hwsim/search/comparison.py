"""Two designs beside each other: what separates them, whether the model can tell them apart, what would turn them.

Decides how the error of one breakdown carries to every measure: energy, power, energy × delay and operations per
joule are the energy's components times numbers that the plan gives exactly, area and density the area's. Latency,
traffic and accuracy are computed, not estimated; they have no chance, they differ or they do not.

A flip is one factor on all prices of a group (every DRAM price, every price that was scaled from 45 nm) at which the
two designs are equal, all else as it is. It is linear in the components, so no search is needed; how likely it is
says its size in standard deviations of the group's own error. Rejected: one flip a coefficient. A design has tens of
them, and most move together.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.cost import Breakdown, Quantity
from hwsim.cost.likelihood import samples
from hwsim.cost.quantity import total
from hwsim.evaluation.objectives import EVERY

if TYPE_CHECKING:
    from hwsim.search.points import Point

SURE = 0.95
"""How likely one design must be below another for the model to tell them apart."""

MANY = 300
"""Sums that are compared among each other at every fixed point."""

_GROUPS = {
    "dram": "DRAM", "sram": "SRAM", "wires": "wires", "vector": "vector unit", "leakage": "leakage",
    "clock": "clock", "clock tree": "clock", "placement": "placement",
}  # fmt: skip
_NODE = re.compile(r"^(?P<of>[a-z ]+?) (?:\d+ to )?\d+ nm$")
_BASIS = {one.column: one.basis for one in EVERY}
LARGE = frozenset(one.column for one in EVERY if one.goal == "max")
"""Measures that are to be large: their error is that of their reciprocal."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One error that would make two designs equal.

    Attributes:
        group: whose prices: ``"DRAM"``, ``"logic"``, ``"logic's node"`` (all that was scaled to the node so).
        factor: on all of them, at which the two are equal; beyond it their order turns.
        sigmas: that factor in standard deviations of the group's own error; infinite where it has none.
    """

    group: str
    factor: float
    sigmas: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A design beside another one.

    Attributes:
        other: the design that it is compared with.
        ratio: the other's value over this one's.
        chance: how sure it is that this one is really the better of the two; None for what is computed exactly.
        flips: errors that would make them equal, the likeliest first.
        knobs: knobs on which they differ: name -> this one's value and the other's, None where a knob is inactive.
        alone: value of this design with that knob alone as the other has it, for knobs whose such design was priced.
    """

    other: Point
    ratio: float
    chance: float | None
    flips: tuple[Flip, ...]
    knobs: Mapping[str, tuple[Any, Any]]
    alone: Mapping[str, float]

    @property
    def apart(self) -> bool:
        """Whether the model can tell the two apart."""
        return self.ratio != 1 if self.chance is None else self.chance >= SURE or self.chance <= 1 - SURE

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "other": self.other.number, "ratio": self.ratio, "chance": self.chance, "apart": self.apart,
            "flips": [
                dataclasses.asdict(flip) | ({} if math.isfinite(flip.sigmas) else {"sigmas": None})
                for flip in self.flips
            ],
            "knobs": {name: list(values) for name, values in self.knobs.items()},
            "alone": dict(self.alone),
        }  # fmt: skip


def compare(one: Point, other: Point, column: str, priced: Iterable[Point] = ()) -> Comparison:
    """`one` beside `other` in the measure `column`; `priced` are the designs of their study."""
    ours, theirs = uncertain(one, column), uncertain(other, column)
    mine, its = one.values[column], other.values[column]
    return Comparison(
        other=other,
        ratio=its / mine if mine else math.inf if its else 1.0,
        chance=None if ours is None or theirs is None else float(chances(ours, [theirs])[0]),
        flips=() if ours is None or theirs is None else flips(ours, theirs),
        knobs=(between := knobs(one, other)),
        alone=_alone(one, between, column, priced),
    )


def uncertain(point: Point, column: str) -> Breakdown | None:
    """The measure of a point by component, each with its causes: as it is, its reciprocal where it is to be large.

    None where the measure carries no error, or the study keeps none.
    """
    basis = _BASIS.get(column)
    if basis is None or basis not in point.detail.get("causes", {}):
        return None
    value = point.values[column]
    parts = breakdown(point, basis)
    scale = (1 / value if column in LARGE else value) / parts.value
    scaled = {
        name: Quantity(part.value * scale, column, name, sigmas=part.sigmas) for name, part in parts.parts.items()
    }
    return Breakdown(scaled, parts.fidelity, column)


def chances(one: Breakdown, others: Sequence[Breakdown]) -> NDArray[np.float64]:
    """How likely `one` is less than each of `others`, float64 ``[others]``; equal draws count half.

    What `hwsim.search.pairs` counts, without a kernel: to load one takes longer than a question has.
    """
    drawn = samples([one, *others])
    apart = drawn[1:] - drawn[0]
    near = np.abs(apart) <= 1e-12 * drawn[0]
    count = drawn.shape[1]
    return np.asarray(((apart > 0) & ~near).sum(axis=1) / count + near.sum(axis=1) / count / 2)


def chance_matrix(many: Sequence[Breakdown], wanted: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """How likely each sum is less than each other one, float64 ``[sums, sums]``, row less than column.

    Args:
        many: the sums. More than `MANY` of them are compared at fewer of the fixed points, so that the time grows
            with their number and not with its square.
        wanted: pairs to compare, bool ``[sums, sums]``; all without it. The others are NaN.
    """
    from hwsim.jit import parallel_rows
    from hwsim.search.pairs import less

    drawn = np.ascontiguousarray(samples(many)[:, :: -(-len(many) // MANY) or 1])
    found = np.full((len(many), len(many)), np.nan)
    pairs = np.ones_like(found, np.bool_) if wanted is None else np.ascontiguousarray(wanted)
    parallel_rows(less, len(many), drawn, drawn, pairs, found)
    return found


def flips(one: Breakdown, other: Breakdown) -> tuple[Flip, ...]:
    """Factors on one group's prices at which two sums are equal, the fewest standard deviations first.

    With `d` the difference of the group's parts and `r` that of all others, the sums are equal at the factor -r / d;
    a group for which that is not above zero turns nothing, whatever its prices are.
    """
    groups: dict[str, list[tuple[str, Quantity, int]]] = {}
    for sign, sum_ in ((1, one), (-1, other)):
        for name, part in sum_.parts.items():
            for group in _groups(name, part):
                groups.setdefault(group, []).append((name, part, sign))
    whole = one.value - other.value
    found = []
    for group, members in groups.items():
        own = math.fsum(sign * part.value for _, part, sign in members)
        if abs(own) <= 1e-12 * max(one.value, other.value) or not (factor := 1 - whole / own) > 0:
            continue
        sigma = total(_own_error(group, part) for _, part, _ in members).sigma
        found.append(Flip(group, factor, abs(math.log(factor)) / sigma if sigma else math.inf))
    return tuple(sorted(found, key=lambda one: (one.sigmas, one.group)))


def _groups(component: str, part: Quantity) -> Iterable[str]:
    """Groups of a component: the one of its kind, and one for each way in which its price was scaled to the node."""
    yield _GROUPS.get(component.split(".")[0], "logic")
    yield from {f"{match['of']}'s node" for cause, _ in part.sigmas if (match := _NODE.match(cause))}


def _own_error(group: str, part: Quantity) -> Quantity:
    """The part with the causes that a factor on its group stands for."""
    if not group.endswith("'s node"):
        return part
    own = group.removesuffix("'s node")
    kept = [(cause, sigma) for cause, sigma in part.sigmas if (match := _NODE.match(cause)) and match["of"] == own]
    return Quantity(part.value, part.unit, part.source, sigmas=kept)


def knobs(one: Point, other: Point) -> dict[str, tuple[Any, Any]]:
    """Knobs on which two designs differ, in the order of the space."""
    ours, theirs = dict(one.point), dict(other.point)
    return {
        name: (ours.get(name), theirs.get(name))
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    }


def _alone(
    one: Point, between: Mapping[str, tuple[Any, Any]], column: str, priced: Iterable[Point]
) -> dict[str, float]:
    moved = {
        frozenset((dict(one.point) | {knob: its}).items()): knob
        for knob, (_, its) in between.items()
        if its is not None
    }
    found = {
        moved[key]: point.values[column]
        for point in priced
        if point.values and (key := frozenset(point.point)) in moved
    }
    return {knob: found[knob] for knob in between if knob in found}


def breakdown(point: Point, what: Literal["energy_pj", "area_um2"]) -> Breakdown:
    """Energy or area of a point by component, with causes, as its log holds them."""
    unit = {"energy_pj": "pJ", "area_um2": "um2"}[what]
    causes = point.detail["causes"][what]
    parts = {
        name: Quantity(value, unit, name, sigmas=causes[name].items()) for name, value in point.detail[what].items()
    }
    return Breakdown(parts, "study", unit)

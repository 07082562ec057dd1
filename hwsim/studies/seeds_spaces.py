"""Three spaces that are small enough to price every design of them, and their exact fronts, whole and thinned.

Decides the spaces: restrictions of the committed ones, each with another kind of question. ``arrays``: arithmetics,
arrays, clocks and supplies of edge-lm; ``memories``: its memories, ports, bandwidth and vector lanes; ``numerics``:
elements, blocks, scales and accumulators of numerics-free. All run the two products of a GPT's perceptron, with
objectives as the spaces have them: accuracy (SQNR of a replay), energy, area, latency.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.search.guided import canonical
from hwsim.search.parts import INACTIVE, columns_of, read_parts
from hwsim.search.space import DesignSpace, Value
from hwsim.search.space_file import load_space, space_from_dict
from hwsim.search.sweeping import sweep
from hwsim.search.thinning import thinned
from hwsim.search.volume import box_of, hypervolume
from hwsim.studies.lottery_space import mlp_trace

Places = tuple[int, ...]

_FIXED: Mapping[str, tuple[Value, ...]] = {"sram": ("lstp",), "stages": (2,)}
SPACES: Mapping[str, tuple[str, Mapping[str, Sequence[Value]]]] = {
    "arrays": (
        "edge-lm",
        {
            **_FIXED, "unit": ("nvfp4", "mxfp4", "mxfp6", "fp8", "int8", "int4"), "nvfp4_scheme": ("te", "te_4over6"),
            "vector_lanes": (16,), "dram_gbyte_s": (12.8,), "port_bits": (256,), "activation_kib": (128,),
            "weight_kib": (128,),
        },
    ),
    "memories": (
        "edge-lm",
        {
            **_FIXED, "unit": ("nvfp4", "mxfp6", "int8", "int4"), "nvfp4_scheme": ("te",), "acc_bits": (24,),
            "products": (16,), "rows": (8, 16), "cols": (16,), "dataflow": ("ws", "os"), "voltage": (0.8,),
            "vector_lanes": (4, 16),
        },
    ),
    "numerics": (
        "numerics-free",
        {
            "element": ("e2m1", "e3m1", "e2m2", "e2m3"), "block": (16, 64), "scale": ("ue4m3", "e8m0"),
            "group": (8, 32), "fraction_bits": (7, 13, 19), "acc": ("fp32",), "rows": (4, 8, 16), "cols": (4, 8, 16),
            "stages": (2, 3),
        },
    ),
}  # fmt: skip
"""Of each space: whose restriction it is, and the values that are left of its knobs."""

AIMS: Mapping[str, str] = {"numerics-free": "energy"}
"""What plans are chosen for where it is not what the committed space says: a few thousand designs have their own."""

QUICK_SPACES: Mapping[str, tuple[str, Mapping[str, Sequence[Value]]]] = {
    "arrays": (
        "edge-lm",
        {
            **SPACES["arrays"][1], "unit": ("int8", "int4"), "products": (16,), "clock_ghz": (0.4, 1.0),
            "dataflow": ("ws",),
        },
    )
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A space of which every design is known.

    Attributes:
        space: it.
        costs: by the places of a design's values among those of its knobs (inactive ones at 0): the objectives,
            smaller is better; None for what is no machine or breaks a limit.
        thinned: the exact front as sets of designs of which the model cannot say that one is better; first the one
            that stands for the others.
    """

    space: DesignSpace
    costs: Mapping[Places, tuple[float, ...] | None]
    thinned: tuple[tuple[Places, ...], ...]

    @property
    def able(self) -> list[Places]:
        """The designs that keep all limits."""
        return [places for places, costs in self.costs.items() if costs is not None]

    @cached_property
    def front(self) -> frozenset[Places]:
        """The exact front."""
        return frozenset(one for alike in self.thinned for one in alike)

    @cached_property
    def _scaled(self) -> dict[Places, NDArray[np.float64]]:
        able = self.able
        costs = np.array([self.costs[places] for places in able])
        return dict(zip(able, box_of(costs).scaled(costs), strict=True))

    @cached_property
    def _whole(self) -> float:
        return hypervolume(np.array([self._scaled[places] for places in self.front]))

    def share(self, found: Sequence[Places]) -> float:
        """Hypervolume of some designs over that of all, in the box of all, in logarithms of what is above zero."""
        rows = [self._scaled[places] for places in found if self.costs[places] is not None]
        return hypervolume(np.array(rows)) / self._whole if rows else 0.0

    def canonical(self, places: Places) -> Places:
        """The design that a draw is: inactive knobs at 0."""
        return tuple(canonical(self.space, np.array([places])).tolist()[0])


def restricted(of: str, kept: Mapping[str, Sequence[Value]]) -> DesignSpace:
    """A committed space with some values of some knobs, and the accuracy of a replay."""
    table = load_space(of).to_dict()
    if of in AIMS:
        table["machine"]["objective"] = AIMS[of]
    knobs: dict[str, dict[str, Any]] = table["parameters"]
    for name, values in kept.items():
        knobs[name]["choice"] = list(values)
    for name, knob in list(knobs.items()):
        when = {
            other: [value for value in allowed if value in knobs[other]["choice"]]
            for other, allowed in knob.get("when", {}).items()
        }
        if not all(when.values()):
            del knobs[name]
        elif when:
            knob["when"] = when
    table["options"] = {
        name: {value: option for value, option in options.items() if value in map(str, knobs[name]["choice"])}
        for name, options in table["options"].items()
        if name in knobs
    }
    table["search"] |= {"accuracy": "replay", "metric": {}}
    return space_from_dict(table, f"study seeds, {of}")


def known(of: str, kept: Mapping[str, Sequence[Value]]) -> Table:
    """Price every design of a restriction."""
    space = restricted(of, kept)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "swept"
        study = sweep(space, mlp_trace(Path(folder) / "mlp"), out)
        goals = study.manifest["goals"]
        signs = np.array([-1.0 if goals[name] == "max" else 1.0 for name in study.objectives])
        costs: dict[Places, tuple[float, ...] | None] = {}
        for part in read_parts(out):
            columns = columns_of(part, space.parameters)
            knobs = np.stack([columns[knob.name] for knob in space.parameters], axis=1)
            values = np.stack([columns[name] for name in study.objectives], axis=1) * signs
            broken = np.zeros(len(values), np.bool_)
            for limit in space.constraints:
                broken |= np.array([limit.excess(value) > 0 for value in columns[limit.column]])
            for row, (places, cost) in enumerate(zip(np.where(knobs == INACTIVE, 0, knobs), values, strict=True)):
                able = np.isfinite(cost).all() and not broken[row]
                costs[tuple(places.tolist())] = tuple(cost.tolist()) if able else None
    alike = [(one.design, *one.others) for one in thinned(study)]
    return Table(space, costs, tuple(tuple(_places(space, dict(one.point)) for one in sets) for sets in alike))


def _places(space: DesignSpace, point: Mapping[str, Value]) -> Places:
    return tuple(knob.values.index(point[knob.name]) if knob.name in point else 0 for knob in space.parameters)

"""A space that is small enough to price every design of it, so that agents can be compared with the whole truth.

Decides the space: the multilayer perceptron of the first block of the traced GPT (two products), four arithmetics,
arrays, dataflows, clocks, stages and supplies: 2,304 designs, about 11 ms each, once. Fast clocks are no machine for
deep units, as everywhere; an agent that proposes one has spent a design.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import workbench
from hwsim.errors import HwsimError
from hwsim.evaluation import Evaluator
from hwsim.evaluation.objectives import measure
from hwsim.search.space import DesignSpace, Value
from hwsim.search.space_file import space_from_dict
from hwsim.search.volume import box_of, hypervolume
from hwsim.trace import Trace, TraceWriter, load_trace

LAYERS = ("blocks.0.up", "blocks.0.down")
OBJECTIVES = ("sqnr_db", "energy_uj", "area_mm2", "latency_ms")
KNOBS: Mapping[str, Sequence[Value]] = {
    "unit": ("int4", "int8", "mxfp4", "nvfp4"),
    "rows": (4, 8, 16, 32),
    "cols": (4, 8, 16, 32),
    "dataflow": ("ws", "os", "is"),
    "clock_ghz": (0.2, 0.5, 1.0),
    "stages": (1, 3),
    "voltage": (0.6, 0.8),
}
QUICK_KNOBS: Mapping[str, Sequence[Value]] = {"unit": ("int4", "int8"), "rows": (4, 16), "cols": (4, 16, 32)}


@dataclass(frozen=True)
class Known:
    """Every design of a space.

    Attributes:
        knobs: values by knob.
        values: float64 ``[designs, objectives]`` in `OBJECTIVES`, NaN where a design is none; designs in the order of
            the knobs' product, the last knob fastest.
    """

    knobs: Mapping[str, Sequence[Value]]
    values: NDArray[np.float64]

    @property
    def costs(self) -> NDArray[np.float64]:
        """The same, smaller is better."""
        costs: NDArray[np.float64] = self.values * np.array([-1.0, 1.0, 1.0, 1.0])
        return costs

    @property
    def designs(self) -> list[tuple[Value, ...]]:
        """Values of the knobs, a row each."""
        return list(itertools.product(*self.knobs.values()))

    def scaled(self) -> NDArray[np.float64]:
        """Costs as parts of the box of all designs, ``[designs, objectives]``; 1 everywhere for what is none."""
        able = np.isfinite(self.costs).all(axis=1)
        found = np.ones_like(self.costs)
        found[able] = box_of(self.costs[able]).scaled(self.costs[able])
        return found

    def share(self, rows: Sequence[int]) -> float:
        """Hypervolume of some designs over that of all."""
        scaled = self.scaled()
        return hypervolume(scaled[list(rows)]) / hypervolume(scaled)


def space(knobs: Mapping[str, Sequence[Value]] = KNOBS) -> DesignSpace:
    """The design space, as a file of ``dse`` would have it."""

    def arithmetic(scheme: str, **unit: Any) -> dict[str, Any]:
        return {"numerics": {"activation": scheme, "weight": scheme, "datapath": unit}}

    units = {
        "int4": arithmetic("int4.channel", family="integer", a_bits=4, b_bits=4, acc_bits=24),
        "int8": arithmetic("int8.channel", family="integer", a_bits=8, b_bits=8, acc_bits=32),
        "mxfp4": arithmetic("mxfp4.even", family="tensor_core", arch="blackwell", operand="mxfp4"),
        "nvfp4": arithmetic("nvfp4.te", family="tensor_core", arch="blackwell", operand="nvfp4"),
    }
    paths = {
        "rows": "array.rows", "cols": "array.cols", "dataflow": "array.dataflow",
        "clock_ghz": "technology.clock_ghz", "stages": "array.stages", "voltage": "technology.voltage",
    }  # fmt: skip
    table = {
        "name": "lottery",
        "search": {"accuracy": "replay"},
        "machine": {
            "array": {"rows": 8, "cols": 8, "dataflow": "ws", "overlap": "fill", "stages": 3},
            "memory": {
                "activation_kib": 64, "weight_kib": 128, "output_kib": 64, "port_bits": 256, "output_bits": 16,
                "dram": "lpddr4", "dram_gbyte_s": 12.8,
            },
            "technology": {"clock_ghz": 0.2, "node_nm": 16},
        },
        "parameters": {
            name: {"choice": list(values)} | ({"sets": paths[name]} if name in paths else {})
            for name, values in knobs.items()
        },
        "options": {"unit": {name: units[str(name)] for name in knobs["unit"]}},
    }  # fmt: skip
    return space_from_dict(table, "study lottery")


def known(knobs: Mapping[str, Sequence[Value]] = KNOBS) -> Known:
    """Price every design of the space."""
    made = space(knobs)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        evaluator = Evaluator(mlp_trace(Path(folder) / "mlp"), made.accuracy, made.energy)
        for design in itertools.product(*knobs.values()):
            try:
                values = evaluator(made.design(dict(zip(knobs, design, strict=True))).accelerator).values()
                rows.append([values[name] for name in OBJECTIVES])
            except HwsimError:
                rows.append([np.nan] * len(OBJECTIVES))
    assert all(measure(name).goal == "min" for name in OBJECTIVES[1:])
    return Known(knobs, np.array(rows))


def mlp_trace(folder: Path) -> Trace:
    """The products of `LAYERS` in the committed trace of the GPT, alone."""
    whole = load_trace(workbench.find("traces", "gpt-small"))
    facts = {"model": "mlp", "model_spec": None, "weights": whole.manifest["weights"]}
    with TraceWriter(folder, facts) as writer:
        for gemm in whole.gemms("forward"):
            if gemm.layer in LAYERS:
                writer.append(gemm)
    return load_trace(folder)

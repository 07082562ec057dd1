"""The answer to "what is this machine worth on this model?"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.arch import Accelerator, Activity
    from hwsim.cost import Breakdown
    from hwsim.evaluation.accuracy import Metric


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One GEMM of the workload on the machine, with its energy in pJ."""

    activity: Activity
    energy: Breakdown


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One design point on one trace.

    Attributes:
        accelerator: the design.
        fidelity: how accuracy was found, ``"replay"`` or ``"rerun"``.
        metric: what the accuracy is.
        accuracy: its value.
        sqnr_db: signal to quantization noise by layer, from a replay of the trace.
        layers: every GEMM of the workload, in the order of execution.
        energy: energy of one pass of the traced batch by component, pJ.
        area: area by component, µm².
    """

    accelerator: Accelerator
    fidelity: str
    metric: Metric
    accuracy: float
    sqnr_db: dict[str, float]
    layers: tuple[LayerCost, ...]
    energy: Breakdown
    area: Breakdown

    @property
    def energy_pj(self) -> float:
        """Energy of one pass of the traced batch, pJ."""
        return self.energy.value

    @property
    def area_um2(self) -> float:
        """Area of the machine, µm²."""
        return self.area.value

    @property
    def latency_cycles(self) -> int:
        """Cycles of one pass: the GEMMs follow one another."""
        return sum(layer.activity.latency_cycles for layer in self.layers)

    @property
    def latency_s(self) -> float:
        """Seconds of one pass."""
        return self.accelerator.latency_s(self.latency_cycles)

    @property
    def power_w(self) -> float:
        """Mean power over one pass, W."""
        return self.energy_pj * 1e-12 / self.latency_s

    def values(self) -> dict[str, float]:
        """Objectives and limits by name with their unit."""
        return {
            self.metric.name: self.accuracy,
            "energy_uj": self.energy_pj * 1e-6,
            "area_mm2": self.area_um2 * 1e-6,
            "latency_ms": self.latency_s * 1e3,
            "power_mw": self.power_w * 1e3,
        }

    def detail(self) -> dict[str, Any]:
        """Breakdowns, sources and labels, in JSON's types."""
        machine = self.accelerator
        datapath = machine.policy.default.datapath
        cycles = self.latency_cycles
        busy = sum(layer.activity.utilization * layer.activity.latency_cycles for layer in self.layers)
        bound: dict[str, int] = {}
        for layer in self.layers:
            bound[layer.activity.bound] = bound.get(layer.activity.bound, 0) + layer.activity.latency_cycles
        return {
            "family": _family(machine),
            "numerics": _label(machine),
            "datapath": datapath.name,
            "array": f"{machine.rows}×{machine.cols} {machine.dataflow}",
            "cycles": cycles,
            "utilization": busy / cycles,
            "bound": max(bound, key=lambda name: bound[name]),
            "energy_pj": {name: self.energy[name].value for name in self.energy},
            "area_um2": {name: self.area[name].value for name in self.area},
            "energy_error": self.energy.total.relative_error,
            "area_error": self.area.total.relative_error,
            "sources": {f"energy: {name}": _source(self.energy[name]) for name in self.energy}
            | {f"area: {name}": _source(self.area[name]) for name in self.area},
            "sqnr_db": self.sqnr_db,
        }


def _source(part: Any) -> str:
    return f"{part.source} (± {part.relative_error:.0%})"


def _family(machine: Accelerator) -> str:
    """The arithmetic in one word: what a reader of a figure tells designs apart by."""
    numerics = machine.policy.default
    activation, weight = numerics.activation.name.split(".")[0], numerics.weight.name.split(".")[0]
    return activation if activation == weight else f"{weight}×{activation}"


def _label(machine: Accelerator) -> str:
    """The arithmetic in full: schemes, and what else decides the bits of the unit."""
    numerics = machine.policy.default
    schemes = "×".join(dict.fromkeys((numerics.weight.name, numerics.activation.name)))
    return f"{schemes} · {numerics.datapath.label}"

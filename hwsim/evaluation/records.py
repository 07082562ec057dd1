"""The answer to "what is this machine worth on this model?"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwsim.evaluation.objectives import MEASURES
from hwsim.notebook import heading, table

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.plan import Plan, Traffic
    from hwsim.cost import Breakdown
    from hwsim.evaluation.accuracy import Metric
    from hwsim.evaluation.ledger import Grouping, Ledger


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One design point on one workload.

    Attributes:
        accelerator: the design.
        workload: name of the model.
        fidelity: how accuracy was found, ``"replay"``, ``"rerun"``, or ``"none"`` for a workload without operands.
        metric: what the accuracy is.
        accuracy: its value, NaN for a workload without operands.
        sqnr_db: signal to quantization noise by layer, from a replay of the trace.
        plan: what lies where and when, every count.
        energy: every charge of one pass of the batch, pJ.
        area: every charge of the machine's area, µm².
        macs: multiply-accumulates of the pass, masked ones included.
        tokens: rows of the model's input: tokens, pixels of an image's batch, samples.
        f_max_ghz: the highest clock that the units reach.
        borrowed: which statistics were not measured on this workload, "" if all were.
    """

    accelerator: Accelerator
    workload: str
    fidelity: str
    metric: Metric
    accuracy: float
    sqnr_db: dict[str, float]
    plan: Plan
    energy: Ledger
    area: Ledger
    macs: int
    tokens: int
    f_max_ghz: float
    borrowed: str = ""

    @property
    def energy_pj(self) -> float:
        """Energy of one pass of the traced batch, pJ: the exact sum of all charges."""
        return self.energy.value

    @property
    def area_um2(self) -> float:
        """Area of the machine, µm²: the exact sum of all charges."""
        return self.area.value

    @property
    def latency_cycles(self) -> int:
        """Cycles of one pass."""
        return self.plan.latency_cycles

    @property
    def latency_s(self) -> float:
        """Seconds of one pass."""
        return self.accelerator.latency_s(self.latency_cycles)

    @property
    def power_w(self) -> float:
        """Mean power over one pass, W."""
        return self.energy_pj * 1e-12 / self.latency_s

    @property
    def dram_read_bits(self) -> int:
        """Bits read from DRAM."""
        return self.plan.dram_read_bits

    @property
    def dram_write_bits(self) -> int:
        """Bits written to DRAM."""
        return self.plan.dram_write_bits

    @property
    def traffic(self) -> tuple[Traffic, ...]:
        """Every row (layer, tensor, level, read_bits, written_bits) of the plan."""
        return tuple(row for step in self.plan.steps for row in step.traffic)

    def breakdown(self, by: Grouping = "component") -> Breakdown:
        """Energy by layer, component, level or tensor; the parts add up to `energy_pj` to the last bit."""
        return self.energy.breakdown(by)

    def _repr_html_(self) -> str:
        """What a notebook shows: the measures, and the parts of energy and area with errors and sources."""
        note = f"accuracy by {self.fidelity}; energy known to ×/÷{self.energy.breakdown().total.error_factor:.2f}"
        parts = [
            (f"{what}: {name}", part.value * 1e-6, f"×/÷{part.error_factor:.2f}", str(part.source))
            for what, ledger in (("energy, µJ", self.energy), ("area, mm²", self.area))
            for name, part in ledger.breakdown().parts.items()
        ]
        return (
            heading(f"{self.workload} on {self.accelerator.name}", note)
            + table(("measure", "value"), list(self.values().items()))
            + table(("part", "value", "error", "source"), parts)
        )

    def values(self) -> dict[str, float]:
        """Objectives and limits by name with their unit."""
        return {self.metric.name: self.accuracy} | {one.column: one.of(self) for one in MEASURES}

    def detail(self) -> dict[str, Any]:
        """Breakdowns, sources and labels, in JSON's types."""
        machine = self.accelerator
        cycles = self.latency_cycles
        bound: dict[str, int] = {}
        for step in self.plan.steps:
            bound[step.cycles.bound] = bound.get(step.cycles.bound, 0) + step.cycles.latency
        updates = sum(product.updates for step in self.plan.steps for product in step.products)
        return {
            **labels(machine),
            "cycles": cycles,
            "utilization": updates / (machine.array.units * cycles) if cycles else 0.0,
            "bound": max(bound, key=lambda name: bound[name]) if bound else "compute",
            "f_max_ghz": self.f_max_ghz,
            **broken_down(self.breakdown(), self.area.breakdown()),
            "by_layer_pj": self.energy.values("layer"),
            "by_level_pj": self.energy.values("level"),
            "traffic_bits": self._moved(),
            "steps": self._run(),
            "sqnr_db": self.sqnr_db,
            "borrowed": self.borrowed,
        }

    def _moved(self) -> list[list[str | int]]:
        """Rows (class of tensor, level, bits read, bits written), in the order of the run."""
        moved: dict[tuple[str, str], list[int]] = {}
        for row in self.traffic:
            bits = moved.setdefault((tensor_class(row.tensor), row.level), [0, 0])
            bits[0] += row.read_bits
            bits[1] += row.written_bits
        return [[*key, *bits] for key, bits in moved.items()]

    def _run(self) -> list[list[str | int]]:
        """Rows (operators, cycles, what they wait for, cycles of array, of vector unit, of DRAM), one a step."""
        return [
            [
                " + ".join(step.layers), step.cycles.latency, step.cycles.bound, step.cycles.compute,
                step.cycles.vector, step.cycles.dram,
            ]
            for step in self.plan.steps
        ]  # fmt: skip


def tensor_class(name: str) -> str:
    """What a tensor is by its name in the graph (`hwsim.trace.graph.Tensor`): weights, inputs (states among them),
    activations, partial sums."""
    if name.endswith(":partial"):
        return "partial sums"
    if ":" in name:
        return "activations"
    return "inputs" if name.split(".")[0] == "input" else "weights"


def labels(machine: Accelerator) -> dict[str, Any]:
    """What a design is called by: its arithmetic and its array."""
    default, array = machine.policy.default, machine.array
    return {
        "family": default.family, "numerics": default.label, "datapath": default.datapath.name,
        "array": f"{array.rows}×{array.cols} {array.dataflow.name}",
    }  # fmt: skip


def broken_down(energy: Breakdown, area: Breakdown) -> dict[str, Any]:
    """Both breakdowns in JSON's types, pJ and µm²: values, causes of their errors, error factors and sources."""
    return {
        "energy_pj": {name: part.value for name, part in energy.parts.items()},
        "area_um2": {name: part.value for name, part in area.parts.items()},
        "causes": {"energy_pj": causes_of(energy), "area_um2": causes_of(area)},
        "energy_error": energy.total.error_factor,
        "area_error": area.total.error_factor,
        "sources": {f"energy: {name}": source_of(part) for name, part in energy.parts.items()}
        | {f"area: {name}": source_of(part) for name, part in area.parts.items()},
    }


def causes_of(made: Breakdown) -> dict[str, dict[str, float]]:
    """By component, how much each cause may shift its logarithm; three digits are enough for what they mean."""
    return {name: {cause: float(f"{sigma:.3g}") for cause, sigma in part.sigmas} for name, part in made.parts.items()}


def source_of(part: Any) -> str:
    """Where a part's number comes from, and its error."""
    return f"{part.source} (×/÷ {part.error_factor:.2g})"

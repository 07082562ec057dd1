"""Energy of a model's own operands in the gates of the unit that multiplies them, layer by layer.

Decides what is told of a product: the mean over the steps of `hwsim.gates.steps`, for a whole circuit with the
registers that its text has. Operand and sum registers outside of the text are not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hwsim.arch import Accelerator, Numerics
from hwsim.arch.operands import Operands, unit_stream
from hwsim.arch.units import count_additions
from hwsim.datapaths.pricing import packed
from hwsim.gates.energy import Energy, energy
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.simulator import Delay, Stimulus, count
from hwsim.gates.steps import Dataflow
from hwsim.gates.synth_report import SynthReport
from hwsim.gates.synthesis import synth
from hwsim.trace import Gemm


@dataclass(frozen=True, slots=True)
class LayerPower:
    """Energy of one recorded product in the gates of its unit.

    Attributes:
        macs: multiply-accumulates of the whole product; cycles: steps that were simulated.
        energy_per_mac_fj: mean over the simulated steps; for an add-only unit times the additions of an element.
        by_group_fj: the same, by group of `hwsim.gates.energy.Energy`.
        toggles_per_mac: transitions of all nets.
        provenance: unit, library, voltage, delay model, dataflow.
    """

    layer: str
    op: str
    phase: str
    macs: int
    cycles: int
    energy_per_mac_fj: float
    by_group_fj: Mapping[str, float]
    toggles_per_mac: float
    provenance: str

    @property
    def energy_pj(self) -> float:
        """Energy of the whole product, at the mean of the simulated steps."""
        return self.energy_per_mac_fj * self.macs * 1e-3


def gemm_power(
    gemm: Gemm,
    numerics: Numerics,
    dataflow: Dataflow = "ws",
    *,
    delay: Delay = "zero",
    liberty: str | Path = DEFAULT_LIBERTY,
    cycles: int = 1 << 14,
    voltage: float | None = None,
    clock_ghz: float | None = None,
    report: SynthReport | None = None,
) -> LayerPower:
    """Energy per multiply-accumulate of a recorded product, from the toggles of its own operands.

    Args:
        gemm: the product with its operands.
        numerics: schemes and datapath.
        dataflow: order of the operands at a unit.
        delay: ``"zero"`` without glitches, ``"unit"`` with those of unit gate delays.
        cycles: most steps to simulate.
        voltage, clock_ghz: as in `hwsim.gates.energy.energy`.
        report: the synthesised unit, where the caller has it; `liberty` is then unread.

    Raises:
        ArgumentError: an unknown dataflow, or fewer than 2 cycles. MissingView: a unit without a circuit.
    """
    held = report or synth(numerics.datapath.gates.whole(), liberty)
    vectors = operand_vectors(gemm, numerics, held, dataflow, cycles)
    toggles = count(vectors, delay)
    found: Energy = energy(toggles, voltage=voltage, clock_ghz=clock_ghz)
    additions = count_additions(numerics, gemm.b.values, gemm.b.role)
    unit = numerics.datapath
    per_mac = unit.cycles_per_step(additions) / (max(toggles.steps, 1) * unit.lanes)
    return LayerPower(
        layer=gemm.layer,
        op=gemm.op,
        phase=gemm.phase,
        macs=gemm.macs,
        cycles=toggles.cycles,
        energy_per_mac_fj=found.total_fj * per_mac,
        by_group_fj=MappingProxyType({name: value * per_mac for name, value in found.by_group.items()}),
        toggles_per_mac=toggles.total * per_mac,
        provenance=f"{held.provenance}, {found.provenance}, {dataflow}",
    )


def trace_power(gemms: Iterable[Gemm], accelerator: Accelerator, **options: Any) -> Iterator[LayerPower | None]:
    """`gemm_power` of every product on the unit that the machine's policy gives it; None where that is float32.

    Args:
        gemms: for instance ``trace.gemms("forward")``.
        accelerator: supplies numerics and dataflow.
        options: of `gemm_power`.
    """
    for gemm in gemms:
        numerics = accelerator.policy.for_gemm(gemm.layer, gemm.b.role)
        yield None if numerics is None else gemm_power(gemm, numerics, accelerator.array.dataflow.order, **options)


def operand_vectors(
    gemm: Gemm, numerics: Numerics, report: SynthReport, dataflow: Dataflow = "ws", cycles: int = 1 << 14
) -> Stimulus:
    """What one unit sees of a product, as lanes for the netlist of its whole circuit."""
    stream = unit_stream(Operands(gemm, numerics), dataflow, cycles)
    return packed(report.netlist, numerics.datapath.gates.drive_whole(stream))

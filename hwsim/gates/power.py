"""Energy of a model's own operands in the gates of the unit that multiplies them, layer by layer.

Decides which vectors a processing element sees. A row is one step of one unit: the next ``lanes`` elements along K of
a row m of operand a and a row n of operand b, and the running sum before them. Their order is the dataflow's:

- ``ws``: the element of b stays, rows of a pass (m in turn); the sum comes from the neighbour's register;
- ``is``: the element of a stays, rows of b pass (n in turn);
- ``os``: the sum stays, K passes.

Running sums are computed by the datapath itself, so rounding and overflow are those of the machine. Counted are up to
`cycles` steps of evenly spread elements; where one element follows another the operands change together, as at the
reload of a tile. Operand and sum registers outside of the unit's text are not part of its energy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Accelerator, Numerics
from hwsim.arch.units import lanes
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError
from hwsim.gates.energy import Energy, energy
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.simulator import Delay, Stimulus, count, stimulus
from hwsim.gates.synth_report import SynthReport
from hwsim.gates.synthesis import synth
from hwsim.rtl.mac import mac
from hwsim.rtl.tensor_core import tensor_dot
from hwsim.rtl.ternary import ternary_dot
from hwsim.rtl.unit import Unit, Values
from hwsim.trace import Gemm

Dataflow = Literal["ws", "is", "os"]
_ORDERS = {"ws": (1, 2, 0), "is": (0, 2, 1), "os": (0, 1, 2)}  # axes m, n, step of K from slow to fast
SPREAD = 8  # rows of the operand that changes slowly
SEED = 0  # of schemes that round stochastically


@dataclass(frozen=True, slots=True)
class LayerPower:
    """Energy of one recorded product in the gates of its unit.

    Attributes:
        macs: multiply-accumulates of the whole product; cycles: steps that were simulated.
        energy_per_mac_fj: mean over the simulated steps.
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


def unit_for(datapath: Datapath) -> Unit:
    """The circuit of `datapath`: a MAC, a tensor-core dot product, or a ternary table with one reader.

    Raises:
        ArgumentError: no circuit of the catalogue computes this unit.
    """
    spec = datapath.spec()
    if datapath.family == "integer":
        return mac(spec["a_bits"], spec["b_bits"], spec["acc_bits"], spec["signed"], spec["overflow"])
    if datapath.family == "tensor_core" and spec.get("out", "fp32") == "fp32":
        return tensor_dot(spec["arch"], spec["operand"])
    if datapath.family == "ternary_lut":
        return ternary_dot(spec["group"], spec["activation"], spec["luts"], 1)
    raise ArgumentError("a datapath must have a circuit of its own", got=datapath.name, where="gates.power")


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
        ArgumentError: an unknown dataflow, fewer than 2 cycles, or a datapath without a circuit.
    """
    held = report or synth(unit_for(numerics.datapath), liberty)
    vectors = operand_vectors(gemm, numerics, held, dataflow, cycles)
    toggles = count(vectors, delay)
    found: Energy = energy(toggles, voltage=voltage, clock_ghz=clock_ghz)
    per_mac = 1 / (max(toggles.steps, 1) * lanes(numerics.datapath))
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
        yield None if numerics is None else gemm_power(gemm, numerics, accelerator.dataflow, **options)


def operand_vectors(
    gemm: Gemm, numerics: Numerics, report: SynthReport, dataflow: Dataflow = "ws", cycles: int = 1 << 14
) -> Stimulus:
    """What one unit sees of a product, as lanes for its netlist."""
    if dataflow not in _ORDERS:
        raise ArgumentError(f"dataflow must be one of {', '.join(_ORDERS)}", got=dataflow, where="gates.power")
    if cycles < 2:
        raise ArgumentError("cycles must be at least 2", got=cycles, where="gates.power")
    rows_a, rows_b, steps = _sample(gemm, numerics, dataflow, cycles)
    batch = 0
    a = numerics.quantize(gemm.a.values[batch][rows_a], "activation", seed=SEED)
    b = numerics.prepare_b(gemm.b.values[batch][rows_b], gemm.b.role, seed=SEED + 1)
    words = {"a": numerics.words(a, "a"), "b": b.words}
    scales = {"a": numerics.scale_bytes(a), "b": b.scales}
    ports = _ports(numerics.datapath, words, scales, steps)
    order, states = _ORDERS[dataflow], {}
    shape = len(rows_a), len(rows_b), steps

    def stream(values: NDArray[Any]) -> NDArray[Any]:
        """Values that broadcast to [m, n, step, elements], in the dataflow's order: [cycles, elements]."""
        full = np.broadcast_to(values, (*shape, values.shape[-1]))
        return full.transpose(*order, 3).reshape(-1, values.shape[-1])[:cycles]

    sums = _sums_before(numerics.datapath, words, scales, steps)
    if numerics.datapath.family == "integer":
        ports["clear"] = (np.arange(steps) == 0).astype(np.uint64)[None, None, :, None]
        states = {"acc": stream(sums[..., None])}
    elif numerics.datapath.family == "tensor_core":
        ports["c"] = sums[..., None]
    streams = {name: stream(values) for name, values in ports.items()}
    return stimulus(report.netlist, streams, states=states, linked=False)


def _sample(
    gemm: Gemm, numerics: Numerics, dataflow: Dataflow, cycles: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Rows of a and of b, and steps along K, whose product is at most about `cycles`.

    The fast operand keeps neighbours, the slow one is spread; K is cut only where one row of it is too long.
    """
    m, n = gemm.a.values.shape[1], gemm.b.values.shape[1]
    steps = min(-(-gemm.k // lanes(numerics.datapath)), cycles)
    budget = max(cycles // steps, 1)
    slow = min(SPREAD, budget)
    fast = max(budget // slow, 2)

    def spread(rows: int, wanted: int) -> NDArray[np.intp]:
        return np.unique(np.linspace(0, rows - 1, min(rows, wanted)).astype(np.intp))

    if dataflow == "ws":
        return np.arange(min(m, fast)), spread(n, slow), steps
    if dataflow == "is":
        return spread(m, slow), np.arange(min(n, fast)), steps
    side = max(int(budget**0.5), 1)
    return spread(m, side), spread(n, side), steps


def _ports(
    datapath: Datapath, words: Mapping[str, NDArray[Any]], scales: Mapping[str, NDArray[np.uint8] | None], steps: int
) -> Values:
    """Port values that broadcast to [m, n, step, elements]."""
    names = {"a": "x", "b": "key"} if datapath.family == "ternary_lut" else {"a": "a", "b": "b"}
    found: Values = {}
    for side in ("a", "b"):
        padding = 0
        if datapath.family == "ternary_lut" and side == "b":
            padding = int(datapath.encode(np.zeros(int(datapath.spec()["group"]), np.int8))[0])  # type: ignore[attr-defined]
        found[names[side]] = _placed(_steps(words[side], _per_step(datapath, side), steps, padding), side)
        held = scales[side]
        if held is not None:
            per_step = lanes(datapath) // (datapath.block or 1)
            found[f"scale_{side}"] = _placed(_steps(held, per_step, steps, 0), side)
    return found


def _per_step(datapath: Datapath, side: str) -> int:
    if datapath.family == "ternary_lut" and side == "b":
        return int(datapath.spec()["luts"])
    return lanes(datapath)


def _steps(words: NDArray[Any], per_step: int, steps: int, padding: int) -> NDArray[np.uint64]:
    """Words ``[rows, K']`` as ``[rows, steps, per_step]``, a ragged end filled with `padding`."""
    unsigned = words if words.dtype.kind == "u" else words.view(f"u{words.dtype.itemsize}")
    full = np.full((len(words), steps * per_step), padding, np.uint64)
    used = min(full.shape[1], words.shape[1])
    full[:, :used] = unsigned[:, :used]
    return full.reshape(len(words), steps, per_step)


def _placed(values: NDArray[np.uint64], side: str) -> NDArray[np.uint64]:
    return values[:, None] if side == "a" else values[None]


def _sums_before(
    datapath: Datapath, words: Mapping[str, NDArray[Any]], scales: Mapping[str, NDArray[np.uint8] | None], steps: int
) -> NDArray[np.uint64]:
    """Bits of the running sum before each step, [m, n, steps]; zeros for a unit that does not read it."""
    sums = np.zeros((len(words["a"]), len(words["b"]), steps), np.uint64)
    if datapath.family == "ternary_lut":
        return sums
    wide, block = lanes(datapath), datapath.block or 1
    total: NDArray[Any] | None = None
    for step in range(steps - 1):
        at = slice(step * wide, (step + 1) * wide)
        scaled = slice(step * wide // block, (step + 1) * wide // block)
        a_scale, b_scale = (None if held is None else held[:, scaled] for held in (scales["a"], scales["b"]))
        total = datapath.matmul(words["a"][:, at], words["b"][:, at], total, a_scale, b_scale)
        if total.dtype.kind == "f":
            sums[..., step + 1] = total.view(np.uint32)
        else:
            mask = np.uint64((1 << datapath.accumulator_bits) - 1)
            sums[..., step + 1] = total.astype(np.int64).view(np.uint64) & mask
    return sums

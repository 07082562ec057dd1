"""Measurements of energy that coefficients are fitted to: units in gates on operands of several statistics.

Decides which operands a fit sees. Layers of a real trace carry the correlations that make counted flips worth
counting; uniform, Gaussian and slowly moving operands keep the fit from knowing nothing else. A layer is held out as
a whole, for all units and dataflows, by a hash of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Numerics
from hwsim.arch.operands import Operands, unit_stream
from hwsim.cost.features import Features
from hwsim.cost.fit import Point, is_held_out
from hwsim.datapaths.pricing import stream_energy
from hwsim.evaluation.calibration.arithmetics import arithmetics
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.simulator import Delay
from hwsim.gates.steps import Dataflow
from hwsim.trace import Gemm, Operand

FLOWS: tuple[Dataflow, ...] = ("ws", "is", "os")
DELAYS: tuple[Delay, ...] = ("zero", "unit")

ROWS, DEPTH = 64, 192
"""Size of synthetic operands."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One layer on one unit in one dataflow: energies in gates, and the flips that should explain them.

    Attributes:
        held_out: whether a fit must not see it.
        update, rebuild: flips of an update, and of a rebuild of its tables; the latter empty for units without.
        update_fj, rebuild_fj: energies by delay model.
    """

    numerics: Numerics
    layer: str
    dataflow: str
    held_out: bool
    update: Features
    rebuild: Features
    update_fj: Mapping[Delay, float]
    rebuild_fj: Mapping[Delay, float]

    @property
    def name(self) -> str:
        """Unit, scheme of the activations, layer and dataflow."""
        return f"{self.numerics.datapath.name} {self.numerics.activation.name} {self.layer} {self.dataflow}"

    def points(self, delay: Delay) -> Iterator[tuple[str, Point]]:
        """What a fit sees, by family; nothing for what took no energy."""
        price = self.numerics.datapath.price
        if self.update_fj[delay] > 0:
            yield price.update, Point(self.name, self.update, self.update_fj[delay], self.held_out)
        if price.rebuild is not None and self.rebuild_fj[delay] > 0 and any(self.rebuild.values()):
            yield price.rebuild, Point(self.name, self.rebuild, self.rebuild_fj[delay], self.held_out)


def statistics(seed: int = 0) -> list[Gemm]:
    """Products of uniform, Gaussian, and slowly moving (correlation 0.9 from row to row) operands."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(ROWS, DEPTH))
    walk = rng.normal(size=(ROWS, DEPTH))
    for row in range(1, ROWS):
        walk[row] = 0.9 * walk[row - 1] + np.sqrt(1 - 0.9**2) * walk[row]
    return [
        synthetic("uniform", rng.uniform(-1, 1, (ROWS, DEPTH)), rng.uniform(-1, 1, (ROWS, DEPTH))),
        synthetic("gaussian", rng.normal(size=(ROWS, DEPTH)), weight),
        synthetic("correlated", walk, weight),
        synthetic("rectified", np.maximum(walk, 0), weight),
    ]


def synthetic(name: str, a: NDArray[np.float64], b: NDArray[np.float64]) -> Gemm:
    """A product ``[m, k]`` by ``[n, k]`` that no model made."""
    (m, k), n = a.shape, b.shape[0]
    sides = Operand(a.astype(np.float32)[None], "activation", m), Operand(b.astype(np.float32)[None], "weight", n)
    return Gemm(name, "linear", "forward", 0, 1, m, n, k, *sides)


def measure(
    gemms: Iterable[Gemm],
    delays: Sequence[Delay] = DELAYS,
    liberty: str | Path = DEFAULT_LIBERTY,
    numerics: Iterable[Numerics] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Sample]:
    """Energy in gates, and flips, of every unit on every product that it can multiply, in every dataflow.

    Synthetic products (`statistics`) are among them and never held out.

    Raises:
        MissingExtra: Yosys is not installed.
    """
    layers = [(gemm, False) for gemm in statistics()] + [(gemm, is_held_out(gemm.layer)) for gemm in gemms]
    chosen = list(arithmetics() if numerics is None else numerics)
    samples = []
    for done, one in enumerate(chosen):
        progress(f"energy of {one.datapath.name}, unit {done + 1} of {len(chosen)}")
        for gemm, held_out in layers:
            if gemm.b.role == "weight" or _takes_activations(one):
                operands = Operands(gemm, one)
                samples += [_sample(operands, flow, held_out, delays, liberty) for flow in FLOWS]
    return samples


def _takes_activations(numerics: Numerics) -> bool:
    """Whether products of two activations are samples; as weights of an add-only unit they have no budget."""
    return not numerics.datapath.timed_by_weights and numerics.multiplies_activations


def _sample(
    operands: Operands, dataflow: Dataflow, held_out: bool, delays: Sequence[Delay], liberty: str | Path
) -> Sample:
    numerics, layer = operands.numerics, operands.gemm.layer
    unit, stream = numerics.datapath, unit_stream(operands, dataflow)
    energies = {delay: stream_energy(layer, unit, stream, dataflow, delay, liberty) for delay in delays}
    return Sample(
        numerics,
        layer,
        dataflow,
        held_out,
        unit.price.update_flips(stream),
        unit.price.rebuild_flips(stream),
        {delay: one.update_fj for delay, one in energies.items()},
        {delay: one.rebuild_fj for delay, one in energies.items()},
    )

"""Measurements of energy that coefficients are fitted to: units in gates on operands of several statistics.

Decides which operands a fit sees. Layers of a real trace carry the correlations that make counted flips worth
counting; uniform, Gaussian and slowly moving operands keep the fit from knowing nothing else. A layer is held out as
a whole, for all units and dataflows, by a hash of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hwsim import datapaths, quant
from hwsim.arch import Numerics
from hwsim.arch.units import lanes
from hwsim.cost import flips
from hwsim.cost.fit import Point, is_held_out
from hwsim.cost.gates import Delay, gate_energy
from hwsim.cost.toggles import Toggles, count_by_dataflow
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.trace import Gemm, Operand

Flow = Literal["ws", "is", "os"]
FLOWS: tuple[Flow, ...] = ("ws", "is", "os")

ROWS, DEPTH = 64, 192
"""Size of synthetic operands."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One layer on one unit in one dataflow: energy of an update in gates, and the flips that should explain it.

    Attributes:
        update: point of the unit's family.
        rebuild: point of its tables' family, None for a unit without tables.
    """

    numerics: Numerics
    layer: str
    dataflow: str
    update: Point
    rebuild: Point | None


def units() -> Iterator[Numerics]:
    """Arithmetics whose units are simulated: every kind that the shipped design space may draw."""
    for a, b, acc, overflow in (
        (8, 8, 32, "wrap"), (8, 8, 24, "wrap"), (8, 8, 20, "saturate"), (8, 8, 16, "saturate"), (8, 4, 32, "wrap"),
        (8, 4, 20, "wrap"), (4, 4, 32, "wrap"), (4, 4, 18, "wrap"), (4, 4, 14, "saturate"),
    ):  # fmt: skip
        yield _integers(a, b, datapaths.integer(a, b, acc, overflow=overflow))  # type: ignore[arg-type]
    yield _integers(4, 4, datapaths.integer(8, 8, 32))  # narrow numbers in a wide unit
    for arch, operand, scheme in (
        ("hopper", "e4m3", "fp8.e4m3.channel"), ("hopper", "bf16", "bf16"),
        ("blackwell", "mxfp8.e4m3", "mxfp8.e4m3.rceil"), ("blackwell", "mxfp8.e5m2", "mxfp8.e5m2.rceil"),
        ("blackwell", "mxfp6.e2m3", "mxfp6.e2m3.rceil"), ("blackwell", "mxfp6.e3m2", "mxfp6.e3m2.rceil"),
        ("blackwell", "mxfp4", "mxfp4.floor"), ("blackwell", "nvfp4", "nvfp4.te"),
    ):  # fmt: skip
        held = quant.get(scheme)
        yield Numerics(held, held, datapaths.tensor_core(arch, operand))
    for group in (1, 2, 3, 4):
        yield Numerics(quant.get("int8.channel"), quant.get("ternary.absmean"), datapaths.ternary_lut(group))


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
    delay: Delay = "zero",
    liberty: str | Path = DEFAULT_LIBERTY,
    numerics: Iterable[Numerics] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> list[Sample]:
    """Energy in gates, and flips, of every unit on every product that it can multiply, in every dataflow.

    Synthetic products (`statistics`) are among them and never held out.

    Raises:
        MissingExtra: Yosys is not installed.
    """
    made = statistics()
    layers = [(gemm, False) for gemm in made] + [(gemm, is_held_out(gemm.layer)) for gemm in gemms]
    samples = []
    for one in units() if numerics is None else numerics:
        progress(f"energy of {one.datapath.name}, {delay} delay")
        for gemm, held_out in layers:
            if gemm.b.role == "weight" or one.multiplies_activations:
                counted = count_by_dataflow(gemm, one)
                samples += [_sample(gemm, one, counted[flow], flow, held_out, delay, liberty) for flow in FLOWS]
    return samples


def _integers(a: int, b: int, unit: datapaths.Datapath) -> Numerics:
    return Numerics(quant.get(f"int{a}.channel"), quant.get(f"int{b}.channel"), unit)


def _sample(
    gemm: Gemm,
    numerics: Numerics,
    counted: Toggles,
    dataflow: Flow,
    held_out: bool,
    delay: Delay,
    liberty: str | Path,
) -> Sample:
    energy = gate_energy(gemm, numerics, dataflow, delay, liberty)
    unit = numerics.datapath
    name = f"{unit.name} {numerics.activation.name} {gemm.layer} {dataflow}"
    features = flips.features(unit, counted, rates(gemm, numerics, dataflow))
    rebuild = None
    if unit.family == "ternary_lut":
        sums = flips.table_features(unit, counted.a_element)
        rebuild = Point(name, sums, energy.rebuild_fj, held_out) if energy.rebuild_fj and any(sums.values()) else None
    return Sample(numerics, gemm.layer, dataflow, Point(name, features, energy.update_fj, held_out), rebuild)


def rates(gemm: Gemm, numerics: Numerics, dataflow: str) -> flips.Rates:
    """Elements that a unit takes in one simulated update: the operand that stays is reloaded once a run of rows."""
    wide = lanes(numerics.datapath)
    elements = gemm.k / -(-gemm.k // wide)
    runs_a, runs_b = gemm.b.values.shape[1], gemm.a.values.shape[1]
    return flips.Rates(
        elements / min(runs_a, ROWS) if dataflow == "is" else elements,
        elements / min(runs_b, ROWS) if dataflow == "ws" else elements,
    )

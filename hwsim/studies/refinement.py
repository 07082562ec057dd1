"""Is a cheap measure of accuracy good enough to choose what is measured dearly, and can a forest choose unmeasured?

Decides what is compared: arithmetics drawn evenly from the space of free numerics, on one machine each, so that all
of them can be measured in full and the front that refinement keeps stands beside the true one. Times are those of a
measurement whose kernels are compiled, the median of the first few; they are this machine's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Accelerator
from hwsim.evaluation import Evaluator
from hwsim.evaluation.accuracy import mean_sqnr_db, replay, rerun
from hwsim.search import load_space
from hwsim.search.forest import Forest, features
from hwsim.search.pareto import front
from hwsim.search.refinement import Round, Stage, kendall, refine, spearman
from hwsim.search.space import Parameter, Value
from hwsim.search.surrogate import Knobs, Surrogate
from hwsim.studies.page import Study, Table, percent
from hwsim.trace import Trace, load_trace

Floats = NDArray[np.float64]

SPACE, TRACE = "numerics-free", "traces/gpt-small"
KNOBS = ("element", "block", "scale", "group", "fraction_bits", "acc")
MACHINE: dict[str, Value] = {"rows": 8, "cols": 32, "dataflow": "ws", "stages": 3}
FOLDS, COVERAGE, TIMED = 5, 0.9, 5


@dataclass(frozen=True)
class Grid:
    """What is run.

    Attributes:
        arithmetics: drawn from the space.
        few, all: bytes of text of the two reruns.
        shares: parts that the replay and the few keep, as one refinement each.
    """

    arithmetics: int
    few: int
    all: int
    shares: tuple[tuple[float, float], ...]


FULL = Grid(80, 512, 2048, ((0.75, 0.75), (0.5, 0.75), (0.5, 0.5), (0.25, 0.5)))
QUICK = Grid(10, 256, 512, ((0.5, 0.5),))


def study(grid: Grid) -> Study:
    """Every arithmetic measured in full, then as if by stages, and told by surrogates that have not seen it."""
    space, trace = load_space(SPACE), load_trace(TRACE)
    draws = _drawn(space.parameters, grid.arithmetics)
    machines = [space.design(MACHINE | draw).accelerator for draw in draws]
    full, cost, layers = _measured(trace, machines, grid)
    seconds = _timed(trace, machines[:TIMED], grid)
    sqnr = cost["replay"]
    table = Table(
        "drawn", "Arithmetics",
        (*KNOBS, "sqnr dB", "bits a byte, few", "bits a byte", "energy uJ", "area mm2"),
        tuple(
            (*draw.values(), -float(sqnr[place]), float(cost["few"][place]), float(full[place, 0]),
             float(full[place, 1]), float(full[place, 2]))
            for place, draw in enumerate(draws)
        ),
        f"Drawn evenly; on 8 × 32 units in ws, three stages, 16 nm. Few: {grid.few} bytes of text, all: {grid.all}.",
    )  # fmt: skip
    measures = {"replay": sqnr, "rerun on few": cost["few"], "rerun on all": full[:, 0]}
    agreement = Table(
        "agreement", "How far stages agree",
        ("stage", "seconds", "spearman", "kendall"),
        tuple(
            (name, seconds[name], spearman(values, full[:, 0]), kendall(values, full[:, 0]))
            for name, values in measures.items()
        ),
        "Rank correlation with the last stage, and seconds of one measurement.",
    )  # fmt: skip
    kept = _refined(measures, full, seconds, grid.shares)
    told = Table(
        "surrogates",
        "What surrogates tell of arithmetics that they have not seen",
        ("surrogate", "error", "spearman", f"within {percent(COVERAGE)} intervals", "half width"),
        tuple(_surrogates(space.parameters, draws, machines, layers, full[:, 0])),
        f"{FOLDS} folds. Error: root of the mean square, bits a byte; the values themselves vary by "
        f"{float(full[:, 0].std()):.3f}. Intervals of forests are conformal, of the process two-sided normal ones.",
    )
    return Study(
        "refinement",
        "Cheap measures of accuracy, and what they keep",
        "A replay takes a small part of the time of a rerun. Does keeping by it keep the front, and can a surrogate "
        "say the accuracy of an arithmetic that nobody measured?",
        tuple(_findings(agreement, kept, told)),
        {
            "Space": f"{SPACE}, {grid.arithmetics} arithmetics drawn with seed 0 (evenly from each knob)",
            "Model": "models/gpt.py, trace traces/gpt-small",
            "Forest": "scikit-learn, random forest of 300 trees, seed 0",
        },
        (agreement, kept, told, table),
    )


def _drawn(parameters: Sequence[Parameter], count: int) -> list[dict[str, Value]]:
    rng = np.random.default_rng(0)
    values = {one.name: one.values for one in parameters}
    found: dict[tuple[Value, ...], dict[str, Value]] = {}
    while len(found) < count:
        draw = {knob: values[knob][int(rng.integers(len(values[knob])))] for knob in KNOBS}
        found.setdefault(tuple(draw.values()), draw)
    return list(found.values())


def _measured(
    trace: Trace, machines: Sequence[Accelerator], grid: Grid
) -> tuple[Floats, dict[str, Floats], list[Mapping[str, float]]]:
    """Bits a byte, µJ and mm² ``[arithmetics, 3]``; both cheap measures, smaller is better; SQNR by layer."""
    few = Evaluator(trace, "rerun", "trace", {"bytes": grid.few})
    whole = Evaluator(trace, "rerun", "trace", {"bytes": grid.all})
    rows, cheap = [], []
    layers: list[Mapping[str, float]] = []
    for machine in machines:
        found = whole(machine)
        rows.append((found.accuracy, found.energy_pj * 1e-6, found.area_um2 * 1e-6))
        by_layer = whole.sqnr_db(machine.policy)
        layers.append(by_layer)
        cheap.append((-mean_sqnr_db(by_layer, trace), few.accuracy(machine.policy)))
    pairs = np.array(cheap)
    return np.array(rows), {"replay": pairs[:, 0], "few": pairs[:, 1]}, layers


def _timed(trace: Trace, machines: Sequence[Accelerator], grid: Grid) -> dict[str, float]:
    """Seconds of a measurement that nobody remembers."""
    spec, weights = str(trace.manifest["model_spec"]), str(trace.manifest["weights"])
    ways: dict[str, Callable[[Accelerator], object]] = {
        "replay": lambda one: replay(trace, one.policy),
        "rerun on few": lambda one: rerun(spec, weights, one.policy, {"bytes": grid.few}),
        "rerun on all": lambda one: rerun(spec, weights, one.policy, {"bytes": grid.all}),
    }
    found = {}
    for name, way in ways.items():
        taken = []
        for machine in machines:
            began = time.perf_counter()
            way(machine)
            taken.append(time.perf_counter() - began)
        found[name] = statistics.median(taken)
    return found


def _refined(
    measures: Mapping[str, Floats],
    full: Floats,
    seconds: Mapping[str, float],
    shares: tuple[tuple[float, float], ...],
) -> Table:
    true = set(np.flatnonzero(front(full)).tolist())
    rows = []
    for first, second in shares:
        stages = [
            Stage(name, lambda place, values=values: float(values[place]), share)  # type: ignore[misc]
            for (name, values), share in zip(measures.items(), (first, second, 1.0), strict=True)
        ]
        rounds = refine(stages, full[:, 1:])
        spent = sum(len(one.measured) * seconds[one.name] for one in rounds)
        whole = len(full) * seconds["rerun on all"]
        found = _front_of(rounds[-1], full)
        rows.append((
            first, second, len(rounds[-1].measured), len(true & set(rounds[-1].kept.tolist())) / len(true),
            min(1.0, len(rounds[-1].measured) / len(true)), len(found - true), 1 - spent / whole,
        ))  # fmt: skip
    return Table(
        "kept", "What refinement keeps of the true front",
        ("kept by replay", "kept by few", "measured in full", "share of the true front", "at most",
         "beaten on its front", "time saved"),
        tuple(rows),
        f"The true front of accuracy, energy and area has {len(true)} of {len(full)} arithmetics. At most: "
        "what so many could hold of it. Beaten: members of the front of what was measured in full that something "
        "dropped beats.",
    )  # fmt: skip


def _front_of(last: Round, full: Floats) -> set[int]:
    kept = last.kept
    return set(kept[front(full[kept])].tolist())


def _surrogates(
    parameters: Sequence[Parameter],
    draws: Sequence[Mapping[str, Value]],
    machines: Sequence[Accelerator],
    layers: Sequence[Mapping[str, float]],
    values: Floats,
) -> Iterator[tuple[str | float, ...]]:
    folds = np.random.default_rng(1).permutation(len(values)) % FOLDS
    fields = np.array([features(one.policy.default) for one in machines])
    wide = np.array([features(one.policy.default, known) for one, known in zip(machines, layers, strict=True)])
    for name, known in (("forest of fields", fields), ("forest of fields and replays of layers", wide)):
        told, half = np.empty(len(values)), np.empty(len(values))
        for fold in range(FOLDS):
            held = folds == fold
            forest = Forest(known[~held], values[~held])
            told[held], half[held] = forest.told(known[held]), forest.half_width(COVERAGE)
        yield _row(name, told, half, values)
    own = [one for one in parameters if one.name in KNOBS]
    own.sort(key=lambda one: KNOBS.index(one.name))
    knobs = Knobs(tuple(len(one.values) for one in own), tuple(not isinstance(one.values[0], str) for one in own))
    places = np.array([[one.values.index(draw[one.name]) for one in own] for draw in draws])
    told, half = np.empty(len(values)), np.empty(len(values))
    for fold in range(FOLDS):
        held = folds == fold
        mean, sigma = Surrogate(knobs, places[~held], values[~held, None]).told(places[held])
        told[held], half[held] = mean[:, 0], statistics.NormalDist().inv_cdf((1 + COVERAGE) / 2) * sigma[:, 0]
    yield _row("Gaussian process of knobs", told, half, values)


def _row(name: str, told: Floats, half: Floats, values: Floats) -> tuple[str | float, ...]:
    off = np.abs(told - values)
    return (
        name, float(np.sqrt(np.mean(off**2))), spearman(told, values), float(np.mean(off <= half)),
        float(np.median(half)),
    )  # fmt: skip


def _findings(agreement: Table, kept: Table, told: Table) -> Iterator[str]:
    stages = {row["stage"]: row for row in agreement.select({})}
    cheap, few, whole = stages["replay"], stages["rerun on few"], stages["rerun on all"]
    yield (
        f"A replay takes {cheap['seconds']:.2f} s and orders arithmetics as the rerun on all does with a rank "
        f"correlation of {cheap['spearman']:.2f} (Spearman) and {cheap['kendall']:.2f} (Kendall); a rerun on few, "
        f"{few['seconds']:.1f} s, with {few['spearman']:.2f} and {few['kendall']:.2f}; the rerun on all takes "
        f"{whole['seconds']:.1f} s."
    )
    for row in kept.select({}):
        yield (
            f"Keeping {percent(row['kept by replay'])} by the replay and {percent(row['kept by few'])} of these by "
            f"few keeps {percent(row['share of the true front'])} of the true front, of {percent(row['at most'])} "
            f"that so many can hold, and saves {percent(row['time saved'])} of the time; "
            f"{row['beaten on its front']} of what it calls its front are beaten by what it dropped."
        )
    inside = f"within {percent(COVERAGE)} intervals"
    found = "; ".join(
        f"{row['surrogate']} {row['error']:.3f} (rank correlation {row['spearman']:.2f}, {percent(row[inside])} "
        f"within its {percent(COVERAGE)} intervals of ± {row['half width']:.3f})"
        for row in told.select({})
    )
    yield f"Held out, root of the mean square in bits a byte: {found}."

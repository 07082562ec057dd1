"""TPUv1 by its counters: a weight tile's load and shift, and where the cycles of six production networks go.

Every tile of 256 x 256 weights is loaded over the DRAM into a FIFO of four, shifted into one of two planes, and used
for all rows of the batch: three stages of `hwsim.timing.schedule`. Of the cycles that the array waits for its weights
the last ones of each tile are the shift, the others are a weight stall, as the chip counts them. Cycles without any
weight at stake (the host's input, results of one layer that the next one needs) are `non-matrix` in the paper. Of
these only the host's input and the drain between layers follow from published sizes, so shares are compared twice:
of all cycles, and of matrix cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.arch import Accelerator, load_accelerator
from hwsim.studies.chips_networks import PRODUCTION, Production, production
from hwsim.studies.page import Table, Value
from hwsim.timing.schedule import Chain, Run, Stage, latency

SOURCE = "Jouppi et al., ISCA 2017, tables 1, 3 and 4"

PUBLISHED = {  # array active, weight stall, weight shift, non-matrix: % of cycles; TOPS
    "MLP0": (12.7, 53.9, 15.9, 17.5, 12.3),
    "MLP1": (10.6, 44.2, 13.4, 31.9, 9.7),
    "LSTM0": (8.2, 58.1, 15.8, 17.9, 3.7),
    "LSTM1": (10.5, 62.1, 17.1, 10.3, 2.8),
    "CNN0": (78.2, 0.0, 0.0, 21.8, 86.0),
    "CNN1": (46.2, 28.1, 7.0, 18.7, 14.1),
}

HOST_GBYTE_S = 14.0
"""Figure 1: the host's interface, over which the inputs of a batch come."""

WHY = {
    "MLP1": "32 % of its cycles are not the matrix unit's: RAW 8.4 %, input stalls 8.8 %, the rest without cause",
    "LSTM0": "18 % are not the matrix unit's: a layer waits for the one before and for vector work (RAW 14.6 %)",
    "CNN0": "the paper's own rows disagree: 86 TOPS are 93 % of the peak, not 78 %",
    "CNN0 TOPS of the peak": "a square layer of 707 takes 3 x 3 tiles, of which 15 % is padding",
    "CNN1": "not set up by what is published: half of the array is idle in its convolutions, its 4 linear layers "
    "have intensity 32, the weights of neither are known",
}

FIFO = Chain(
    (
        Stage("load", "channel", 4),
        Stage("shift", "planes", 2),
        Stage("compute", "array", 2),
        Stage("store", "unified"),
    )
)
"""Four tiles in the weight FIFO, two planes of weights, two halves of the accumulators."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Where the cycles of a network go, as parts of 1, and what they make."""

    active: float
    stall: float
    shift: float
    other: float
    tops: float

    @property
    def of_matrix(self) -> tuple[float, float, float]:
        """Active, stall and shift as parts of the cycles in which weights are at stake."""
        whole = self.active + self.stall + self.shift
        return self.active / whole, self.stall / whole, self.shift / whole


def tile_cycles(machine: Accelerator) -> tuple[int, int]:
    """Cycles to load a tile of weights and to shift it in."""
    array, weight = machine.array, machine.policy.default.weight
    bits = array.rows * array.cols * weight.element_format.bits
    return round(bits / machine.dram_bits_per_cycle), array.rows


def shares(machine: Accelerator, net: Production) -> Shares:
    """The shares of one production network."""
    load, shift = tile_cycles(machine)
    runs: list[Run] = []
    active, macs = 0, 0
    for number, shape in enumerate(production(net).gemms):
        folds, steps, edge = machine.array.dataflow.fold(
            {"m": shape.m, "n": shape.n, "k": shape.k}, machine.array.rows, machine.array.cols
        )
        compute = steps * net.passes
        # the next layer needs all results of this one: its first tile waits for skew and drain of the last
        first = compute + edge - shift
        fed = round(net.batch * net.width / HOST_GBYTE_S * machine.clock_ghz) if number == 0 else 0
        runs += [Run(1, (load + fed, shift, first, 0)), Run(folds - 1, (load, shift, compute, 0))]
        active += folds * compute
        macs += shape.macs
    times = latency(runs, FIFO)
    tiles = sum(run.count for run in runs)
    waiting = times.stalls["input"] + min(times.first_load, load + shift)
    shifting = min(waiting, tiles * shift)
    stall = waiting - shifting
    total = times.latency
    seconds = machine.latency_s(total)
    return Shares(
        active / total,
        stall / total,
        shifting / total,
        (total - active - stall - shifting) / total,
        2 * macs / seconds * 1e-12,
    )


def _why(network: str, share: str) -> str:
    return WHY.get(f"{network} {share}", WHY.get(network, ""))


def tables() -> tuple[Table, ...]:
    """The tile, and the six networks."""
    machine = load_accelerator("tpu-v1")
    load, shift = tile_cycles(machine)
    peak = 2 * machine.array.units * machine.clock_ghz * 1e-3
    tile = Table(
        "tpu_tile",
        "TPUv1: one tile of weights",
        ("quantity", "published", "ours", "ours / published"),
        (
            ("load, cycles", 1349, load, load / 1349),
            ("shift, cycles", 256, shift, shift / 256),
            ("peak, TOPS", 92.0, peak, peak / 92),
        ),
        f"{SOURCE}; 64 KiB at 34 GB/s and 700 MHz.",
    )
    rows: list[tuple[Value, ...]] = []
    for net in PRODUCTION:
        ours = shares(machine, net)
        active, stall, shifting, other, tops = PUBLISHED[net.name]
        whole = active + stall + shifting
        matrix = (active / whole, stall / whole, shifting / whole)
        cells: list[tuple[str, float, float]] = [
            ("array active", active, 100 * ours.active),
            ("weight stall", stall, 100 * ours.stall),
            ("weight shift", shifting, 100 * ours.shift),
            ("non-matrix", other, 100 * ours.other),
            ("TOPS of the peak", 100 * tops / 92, 100 * ours.tops / 92),
            *(
                (f"{name} of matrix cycles", 100 * theirs, 100 * mine)
                for name, theirs, mine in zip(("active", "stall", "shift"), matrix, ours.of_matrix, strict=True)
            ),
        ]
        for name, theirs, mine in cells:
            # non-matrix cycles have no limit: what is published does not set them up
            near = None if name == "non-matrix" else abs(mine - theirs) <= 10
            why = _why(net.name, name) if near is False else ""
            rows.append((net.name, name, theirs, mine, mine - theirs, near, why))
    networks = Table(
        "tpu_networks",
        "TPUv1: where the cycles go, %",
        ("network", "share", "published", "ours", "points", "within 10", "why not"),
        tuple(rows),
        f"{SOURCE}. Layers are square and equal, made of the published number of layers and weights; LSTMs run at "
        "half speed (16-bit activations). Matrix cycles are those of the array, its stalls and its shifts.",
    )
    return tile, networks

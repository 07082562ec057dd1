"""Eyeriss on AlexNet, layer by layer: latency, units at work, bytes of the buffer and of the DRAM."""

from __future__ import annotations

from hwsim.arch import load_accelerator
from hwsim.arch.row_stationary import Convolution, Pass, best_passes, passes
from hwsim.studies.chips_networks import alexnet_convolutions
from hwsim.studies.page import Table, Value

SOURCE = "Chen et al., JSSC 52(1), 2017, table V: four images, 1.0 V, 200 MHz"

PUBLISHED = {  # processing ms, active units, zeros among inputs, buffer MB, DRAM MB
    "conv1": (16.5, 154, 0.0001, 18.5, 5.0),
    "conv2": (39.2, 135, 0.387, 77.6, 4.0),
    "conv3": (21.8, 156, 0.725, 50.2, 3.0),
    "conv4": (16.0, 156, 0.793, 37.4, 2.1),
    "conv5": (10.0, 156, 0.776, 24.9, 1.3),
}

PASSES = {  # table III, recalled; of conv3 the one that the published bytes belong to
    "conv1": Pass(16, 1, 1, 2, 1, 7, 1, 96),
    "conv2": Pass(16, 2, 1, 1, 2, 14, 1, 64),
    "conv3": Pass(16, 3, 2, 2, 1, 13, 4, 64),
    "conv4": Pass(16, 3, 2, 2, 1, 13, 4, 64),
    "conv5": Pass(16, 3, 2, 2, 1, 13, 4, 64),
}

LIMITS = {"processing, ms": 1.15, "active units": 1.0, "buffer, MB": 1.3, "DRAM, MB": 1.3}


def run_length(zeros: float) -> float:
    """Size of a run-length coded tensor over its plain size: three words and their runs of zeros in 64 bits."""
    return min(1.0, (1 - zeros) * 64 / 48)


def convolutions() -> dict[str, Convolution]:
    """The layers by name."""
    graph = alexnet_convolutions().graph
    assert graph is not None
    found = {}
    for operator in graph.operators:
        window, shape = operator.inputs[0].window, operator.gemm
        assert window is not None
        assert shape is not None
        found[operator.layer] = Convolution(window, shape.n * shape.groups, shape.groups)
    return found


def table() -> Table:
    """Every layer's quantities, in the passes that are chosen here and in the published ones."""
    machine = load_accelerator("eyeriss")
    word = machine.policy.default.activation.element_format.bits / 8 * 1e-6
    zeros = [entry[2] for entry in PUBLISHED.values()]
    rows: list[tuple[Value, ...]] = []
    for place, (name, layer) in enumerate(convolutions().items()):
        milliseconds, active, seen, buffer, dram = PUBLISHED[name]
        made = zeros[min(place + 1, len(zeros) - 1)]
        values = []
        for done in (best_passes(machine, layer), passes(machine, layer, PASSES[name])):
            coded = done.dram_inputs * run_length(seen) + done.dram_weights + done.dram_outputs * run_length(made)
            values.append(
                (
                    1e3 * machine.latency_s(done.cycles), float(done.active), done.buffer_words * word,
                    coded * word, done.dram_words * word,
                )
            )  # fmt: skip
        chosen, given = values
        for at, (quantity, limit) in enumerate(LIMITS.items()):
            theirs = (milliseconds, float(active), buffer, dram)[at]
            ratio = chosen[at] / theirs
            near = 1 / limit - 1e-9 <= ratio <= limit + 1e-9
            rows.append((name, quantity, theirs, chosen[at], ratio, given[at] / theirs, near))
        rows.append((name, "DRAM, MB, uncoded", None, chosen[-1], None, None, None))
    return Table(
        "eyeriss",
        "Eyeriss: AlexNet, layer by layer",
        ("layer", "quantity", "published", "ours", "ours / published", "in published passes", "within"),
        tuple(rows),
        f"{SOURCE}. Limits: time x1.15, bytes x1.3. DRAM bytes are run-length coded with the published shares of "
        "zeros (results: those of the next layer's inputs). `in published passes`: the paper's mapping in place of "
        "the chosen one, which moves fewer sums because it holds four channels a unit where Eyeriss held three.",
    )

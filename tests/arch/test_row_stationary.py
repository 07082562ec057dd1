"""Passes of Eyeriss on AlexNet: bytes and latencies as published, and what the rule chooses."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hwsim.arch import load_accelerator
from hwsim.arch.row_stationary import Convolution, Pass, best_passes, passes
from hwsim.errors import DesignError
from hwsim.trace.graph import Window

EYERISS = load_accelerator("eyeriss")


def square(images: int, channels: int, size: int, kernel: int, stride: int, padding: int) -> Window:
    out = (size + 2 * padding - kernel) // stride + 1
    return Window(images, channels, (size,) * 2, (kernel,) * 2, (stride,) * 2, (1, 1), (padding,) * 2, (out,) * 2)


LAYERS = {
    "conv1": Convolution(square(4, 3, 227, 11, 4, 0), 96),
    "conv2": Convolution(square(4, 96, 27, 5, 1, 2), 256, 2),
    "conv3": Convolution(square(4, 256, 13, 3, 1, 1), 384),
    "conv4": Convolution(square(4, 384, 13, 3, 1, 1), 384, 2),
    "conv5": Convolution(square(4, 384, 13, 3, 1, 1), 256, 2),
}
# JSSC 2017: passes (table III, recalled; conv3 as its bytes say), GLB MB, processing ms, of four images
PUBLISHED = {
    "conv1": (Pass(16, 1, 1, 2, 1, 7, 1, 96), 18.5, 16.5),
    "conv2": (Pass(16, 2, 1, 1, 2, 14, 1, 64), 77.6, 39.2),
    "conv3": (Pass(16, 3, 2, 2, 1, 13, 4, 64), 50.2, 21.8),
    "conv4": (Pass(16, 3, 2, 2, 1, 13, 4, 64), 37.4, 16.0),
    "conv5": (Pass(16, 3, 2, 2, 1, 13, 4, 64), 24.9, 10.0),
}


def test_products_are_those_of_the_paper() -> None:
    """Table V: 0.42, 0.90, 0.60, 0.45 and 0.30 G multiply-accumulates of four images."""
    assert [round(layer.macs / 1e9, 2) for layer in LAYERS.values()] == [0.42, 0.90, 0.60, 0.45, 0.30]


@pytest.mark.parametrize("name", LAYERS)
def test_published_passes_give_the_published_bytes(name: str) -> None:
    one, megabytes, _ = PUBLISHED[name]
    assert passes(EYERISS, LAYERS[name], one).buffer_words * 2e-6 == pytest.approx(megabytes, abs=0.05)


@pytest.mark.parametrize("name", LAYERS)
def test_chosen_passes_are_near_the_published(name: str) -> None:
    _, megabytes, milliseconds = PUBLISHED[name]
    found = best_passes(EYERISS, LAYERS[name])
    assert found.cycles / 0.2e6 == pytest.approx(milliseconds, rel=0.15)
    assert megabytes / 1.3 < found.buffer_words * 2e-6 < megabytes * 1.3
    assert found.compute_cycles * found.active >= LAYERS[name].macs


def test_counts_by_hand() -> None:
    """conv3: 6 x 43 passes of 16 filters x 3 channels x 13 x 3 products of 4 images."""
    found = passes(EYERISS, LAYERS["conv3"], PUBLISHED["conv3"][0])
    assert found.count == 12 * 43
    assert found.active == 3 * 13 * 2 * 2
    assert found.compute_cycles == found.count * 4 * 16 * 3 * 13 * 3
    weights = 16 * 2 * 3 * 2 * 9  # 1,728 words, four a cycle
    assert found.fill_cycles == found.count * (weights // 4 + 12 + 14 - 2)
    assert found.input_reads == 12 * 4 * 256 * 15 * 15
    assert found.sum_accesses == 2 * 43 * 4 * 384 * 169
    assert found.dram_inputs == 6 * 4 * 256 * 225
    assert found.dram_weights == 384 * 256 * 9
    assert found.dram_outputs == 4 * 384 * 169
    assert found.port_cycles == max(found.input_reads, found.sum_accesses // 2 // 4)


def test_strips_overlap() -> None:
    """conv1 in strips of 7 output rows: 8 strips of (7 - 1) * 4 + 11 input rows."""
    found = passes(EYERISS, LAYERS["conv1"], PUBLISHED["conv1"][0])
    assert found.input_reads == 3 * 4 * 3 * (8 * 35) * 227
    assert found.count == 8 * 3 * 3 * 4
    assert found.dram_weights == 96 * 3 * 121 * 4 * 8  # again for every image and every strip


def test_more_buffer_moves_less() -> None:
    layer = LAYERS["conv2"]
    moved = [
        best_passes(EYERISS.changed(**{"memory.buffer.kib": kib}), layer).dram_words for kib in (50, 100, 200, 800)
    ]
    assert all(more <= less for less, more in pairwise(moved))
    assert moved[-1] < moved[0]


def test_what_does_not_fit() -> None:
    with pytest.raises(DesignError, match=r"^eyeriss.memory: memories must hold one pass of a convolution$"):
        best_passes(EYERISS.changed(**{"memory.buffer.kib": 0.5}), LAYERS["conv2"])
    with pytest.raises(DesignError, match=r"^eyeriss.memory: memories must hold one pass of a convolution$"):
        best_passes(EYERISS, Convolution(square(1, 3, 64, 13, 1, 0), 8))

"""Passes of a row-stationary array: what one round of its units takes of a convolution, and what that moves.

A set of units works on a plane of filter rows times a strip of output rows (`hwsim.arch.dataflow`). In one pass a
unit holds rows of `filters` filters and of `channels` channels in its scratchpads and slides over the rows of
`images` images; sets of units do other channels, whose sums add up on the way through the array, other filters, or
other strips. Sums of the pass lie in the buffer until all channels have been added;
scratchpads are filled between passes.

Words counted: inputs go from the buffer to the array once a pass, whatever the number of units that take them; sums
are read and written once a pass, and read once more when they leave. These are the counts behind the published bytes
of Eyeriss (Chen et al., JSSC 2017): with its published passes they give 18.5, 77.6, 50.2, 37.4 and 24.9 MB.

A pass is chosen by what it moves: of all that fit scratchpads and buffer, those within `SLACK` of the fewest cycles;
of them the one with the fewest words to and from DRAM, then the buffer. Choosing by cycles alone was rejected: a
percent of time then costs twice the traffic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod

from hwsim.arch.accelerator import Accelerator
from hwsim.errors import DesignError
from hwsim.trace.graph import Window

SLACK = 1.05
"""Cycles that a pass may take over the fewest, as a factor."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution as rows: its window over all images, and the filters of all groups."""

    window: Window
    filters: int
    groups: int = 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all images."""
        window = self.window
        one = window.channels // self.groups * prod(window.kernel)
        return window.images * self.filters * prod(window.outputs) * one


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the array.

    Attributes:
        filters, channels: whose rows a unit holds.
        channel_sets, filter_sets, strip_sets: sets of units that do other channels, filters and strips.
        strip: output rows of one set.
        images: slid over one after the other.
        buffered_filters: filters whose sums lie in the buffer while their inputs are there.
    """

    filters: int
    channels: int
    channel_sets: int
    filter_sets: int
    strip_sets: int
    strip: int
    images: int
    buffered_filters: int


@dataclass(frozen=True, slots=True)
class Passes:
    """All passes of a convolution, in cycles and words.

    Attributes:
        one: the pass.
        count: passes, all groups together.
        active: units that work in a whole pass.
        compute_cycles: of the array while it slides.
        fill_cycles: of filling the filter scratchpads, and of the array's own fill and drain.
        port_cycles: of the buffer's busiest port.
        input_reads, sum_accesses: words between buffer and array.
        dram_inputs, dram_weights, dram_outputs: words to and from DRAM, uncompressed.
    """

    one: Pass
    count: int
    active: int
    compute_cycles: int
    fill_cycles: int
    port_cycles: int
    input_reads: int
    sum_accesses: int
    dram_inputs: int
    dram_weights: int
    dram_outputs: int

    @property
    def cycles(self) -> int:
        """Cycles of the array and its ports, DRAM never waiting."""
        return max(self.compute_cycles, self.port_cycles) + self.fill_cycles

    @property
    def buffer_words(self) -> int:
        """Words between buffer and array."""
        return self.input_reads + self.sum_accesses

    @property
    def dram_words(self) -> int:
        """Words to and from DRAM."""
        return self.dram_inputs + self.dram_weights + self.dram_outputs


def best_passes(machine: Accelerator, convolution: Convolution) -> Passes:
    """The passes that `machine` runs `convolution` in.

    Raises:
        DesignError: no pass fits the machine's scratchpads and buffer.
    """
    found = [passes(machine, convolution, one) for one in _candidates(machine, convolution)]
    if not found:
        raise DesignError("memories must hold one pass of a convolution", where=f"{machine.name}.memory")
    limit = SLACK * min(each.cycles for each in found)
    return min(
        (each for each in found if each.cycles <= limit),
        key=lambda each: (each.dram_words, each.buffer_words, each.cycles),
    )


def passes(machine: Accelerator, convolution: Convolution, one: Pass) -> Passes:
    """Cycles and words of `convolution` done in passes like `one`."""
    window = convolution.window
    (height, width), (rows, kernel) = window.outputs, window.kernel
    channels, filters = window.channels // convolution.groups, convolution.filters // convolution.groups
    strips = -(-height // one.strip)
    rounds = -(-strips // one.strip_sets)
    by_filters = -(-filters // (one.filters * one.filter_sets))
    by_channels = -(-channels // (one.channels * one.channel_sets))
    batches = -(-window.images // one.images)
    count = rounds * by_filters * by_channels * batches * convolution.groups
    images, outputs = window.images * convolution.groups, height * width

    # input rows that all rounds of one plane take; a round's strips overlap with the next one's
    input_rows = rounds * _input_rows(window, min(height, one.strip * one.strip_sets))
    plane = input_rows * _padded(window)[1]
    input_reads = by_filters * images * channels * plane
    sums = images * filters * outputs
    loads = one.filters * one.filter_sets * one.channels * one.channel_sets * rows * kernel
    compute = count * one.images * one.filters * one.channels * width * kernel
    edge = machine.array.dataflow.row_fills * machine.array.rows + machine.array.cols - 2
    across = min(height, one.strip * one.strip_sets) if strips <= one.strip_sets else one.strip * one.strip_sets
    in_words, sum_words, weight_words = (_words(machine, name) for name in ("input", "output", "weight"))
    return Passes(
        one=one,
        count=count,
        active=rows * across * one.channel_sets * one.filter_sets,
        compute_cycles=compute,
        fill_cycles=count * (-(-loads // weight_words) + edge),
        port_cycles=max(-(-input_reads // in_words), -(-sums * by_channels // sum_words)),
        input_reads=input_reads,
        sum_accesses=2 * sums * by_channels,
        dram_inputs=-(-filters // one.buffered_filters) * images * channels * plane,
        dram_weights=convolution.groups * filters * channels * rows * kernel * batches * rounds,
        dram_outputs=sums,
    )


def _candidates(machine: Accelerator, convolution: Convolution) -> Iterator[Pass]:
    """Passes that fit, each with the most filters in the buffer, the widest strips first."""
    window, array = convolution.window, machine.array
    (height, width), (rows, kernel) = window.outputs, window.kernel
    channels, filters = window.channels // convolution.groups, convolution.filters // convolution.groups
    spads = {operand: _spad_words(machine, operand) for operand in ("input", "weight", "output")}
    buffer = machine.levels("output")[1].bits // machine.policy.default.activation.element_format.bits
    if rows > array.rows:
        return
    for strip in range(min(height, array.cols), 0, -1):
        sets = array.rows // rows * (array.cols // strip)
        for one_set in _shares(sets, -(-height // strip), channels, filters):
            strip_sets, channel_sets, filter_sets = one_set
            for held, images in product(range(1, spads["input"] // kernel + 1), range(1, window.images + 1)):
                most = min(spads["output"], spads["weight"] // (held * kernel), -(-filters // filter_sets))
                out_rows = min(height, strip * strip_sets)
                inputs = images * held * channel_sets * _input_rows(window, out_rows) * _padded(window)[1]
                for own in range(max(1, most // 2), most + 1):
                    room = (buffer - inputs) // (out_rows * width * images)
                    kept = int(min(filters, room) // (own * filter_sets) * own * filter_sets)
                    if kept > 0:
                        yield Pass(own, held, channel_sets, filter_sets, strip_sets, strip, images, kept)


def _shares(sets: int, strips: int, channels: int, filters: int) -> Iterator[tuple[int, int, int]]:
    """Ways to deal sets of units out to strips, channels and filters, all of them at work as far as there is any."""
    for strip_sets in range(1, min(sets, strips) + 1):
        for channel_sets in range(1, min(sets // strip_sets, channels) + 1):
            yield strip_sets, channel_sets, min(sets // strip_sets // channel_sets, filters)


def _padded(window: Window) -> tuple[int, int]:
    """Rows and columns of an input with its padding."""
    high, wide = (size + 2 * pad for size, pad in zip(window.sizes, window.padding, strict=True))
    return high, wide


def _input_rows(window: Window, output_rows: int) -> int:
    """Rows of the padded input that neighbouring output rows look at."""
    return min(_padded(window)[0], (output_rows - 1) * window.stride[0] + window.kernel[0])


def _spad_words(machine: Accelerator, operand: str) -> int:
    """Words of `operand` that the innermost memory of one unit holds."""
    level = machine.levels(operand)[-1]  # type: ignore[arg-type]
    return int(level.bits / level.copies // machine.policy.default.activation.element_format.bits)


def _words(machine: Accelerator, operand: str) -> int:
    """Words of `operand` that its level before the scratchpads hands over in a cycle."""
    level = machine.levels(operand)[-2]  # type: ignore[arg-type]
    ports = [port.bits for port in level.ports if port.direction != "write"]
    bits = ports[0] if operand == "input" else ports[-1]
    return max(1, bits // machine.policy.default.activation.element_format.bits)

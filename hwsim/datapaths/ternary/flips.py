"""Flips inside a lookup unit: in the reader and the accumulator of an update, in the adders of a rebuilt table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from hwsim.cost.words import Words, adder, flips, float_adder, held_sums, masked, ripples
from hwsim.datapaths.ternary.bits import TernaryLut
from hwsim.datapaths.ternary.verilog import table_entries
from hwsim.datapaths.ternary.verilog.gates import fetched_words
from hwsim.gates.steps import Stream
from hwsim.rtl.float_adders import WIDTHS

Weights = tuple[int, ...]


def lookup_flips(unit: TernaryLut, stream: Stream) -> dict[str, float]:
    """Flips of one update: at the reader, between its tables, and in the accumulator."""
    fetched, entries = fetched_words(stream, unit)
    width = unit.entry_bits
    entries = entries.reshape(stream.steps, -1)
    keys = flips(stream.b)
    turned = float(((stream.b[1:] != stream.b[:-1]).any(1) | (entries[1:] != entries[:-1]).any(1)).mean())
    sign = np.uint64(unit.key_bits - 1)
    index = (stream.b & np.uint64((1 << (unit.key_bits - 1)) - 1)).astype(np.int64)
    padded = np.pad(entries.reshape(stream.steps, unit.luts, -1), ((0, 0), (0, 0), (0, 1)))
    selected = np.take_along_axis(padded, np.minimum(index, unit.entries)[..., None], 2)[..., 0]
    reader = {
        "keys": keys,
        "keys_by_entries": keys * unit.entries,
        "entries": flips(entries),
        "selected": flips(selected),
        "negated": flips(stream.b >> sign) * width,
        "turned_by_entries": turned * (unit.entries - 1) * unit.luts,
    }
    if unit.activation == "int8":
        out = width + 1 + (unit.luts - 1).bit_length()
        total = flips(masked(fetched, out))
        combined = {"fetched": total, "combined": total * (unit.luts - 1), "turned_by_luts": turned * (unit.luts - 1)}
        moved = {"turned_by_extension": turned * (32 - out)}
        return reader | combined | moved | adder(held_sums(stream), masked(fetched, 32), 32, out)
    chained = {"chained": flips(fetched) * (unit.luts - 1), "chained_changes": turned * (unit.luts - 1) * 16}
    return reader | chained | float_adder(held_sums(stream), fetched, *WIDTHS[unit.activation])


def table_flips(unit: TernaryLut, stream: Stream) -> dict[str, float]:
    """Flips of one rebuild of all tables: in each adder, and weighted by the adders on the way to it."""
    x = stream.tables.reshape(-1, unit.luts, unit.group)[:, 0]
    total = {"activations": flips(x) * unit.entries}
    for left, right, out, depth in _additions(unit, x):
        if unit.activation == "int8":
            found = {"operands": flips(left) + flips(right), "sums": flips(out), "ripples": ripples(left, right)}
        else:
            found = {"sums": flips(out)} | float_adder(left, right, *WIDTHS[unit.activation])
        for name, value in found.items():
            total[name] = total.get(name, 0.0) + value
            deep = f"{name}_by_depth"
            total[deep] = total.get(deep, 0.0) + value * (depth - 1)
    return {name: value * unit.luts for name, value in total.items()}


def _additions(unit: TernaryLut, x: Words) -> Iterator[tuple[Words, Words, Words, int]]:
    """Operands and result of each adder of a table builder, and the adders on the longest way to it, its own with
    them; the order of addition is that of `hwsim.datapaths.ternary.verilog`."""
    group, real = unit.group, unit.activation != "int8"
    entries = table_entries(x, group, unit.activation)
    order = list(itertools.islice(itertools.product((1, 0, -1), repeat=group), unit.entries))
    place = {weights: index for index, weights in enumerate(order)}
    sign, mask = np.uint64(1 << 15), np.uint64((1 << unit.entry_bits) - 1)

    def word(weights: Weights) -> Words:
        if weights in place:
            found: Words = entries[:, place[weights]]
            return found
        mirrored = entries[:, place[tuple(-weight for weight in weights)]]
        return mirrored ^ sign if real else (np.uint64(0) - mirrored) & mask

    def halves(weights: Weights) -> tuple[Weights, Weights]:
        used = [index for index, weight in enumerate(weights) if weight]
        split = 2 if weights[:2] != (0, 0) and any(weights[2:]) else used[0] + 1
        return (
            tuple(weight if index < split else 0 for index, weight in enumerate(weights)),
            tuple(weight if index >= split else 0 for index, weight in enumerate(weights)),
        )

    def depth(weights: Weights) -> int:
        return 0 if sum(map(abs, weights)) < 2 else 1 + max(map(depth, halves(weights)))

    for weights in order:
        if sum(map(abs, weights)) > 1:
            left, right = halves(weights)
            yield word(left), word(right), word(weights), depth(weights)

"""Widths, names and operands that the circuits of one lookup core share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.ternary.bits import TernaryLut
from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl.float_adders import WIDTHS, float_words, from_float32, to_float32
from hwsim.rtl.unit import Port, Values, to_signed, to_words, uniform_and_edges

ACC_BITS = 32
"""Accumulator of integer cores; floating-point cores accumulate in the activation's format."""


@dataclass(frozen=True)
class Shape:
    """Widths of a core that follow from its parameters."""

    group: int
    activation: str
    luts: int
    readers: int

    @property
    def is_float(self) -> bool:
        """Whether activations are floating-point numbers."""
        return self.activation in WIDTHS

    @property
    def bits(self) -> int:
        """Of an activation."""
        return 16 if self.is_float else 8

    @property
    def entries(self) -> int:
        """Of a table: half of all groups of weights, the others are their negatives; the all-zero one is none."""
        return int((3**self.group - 1) // 2)

    @property
    def index_bits(self) -> int:
        """Of a key without its flag; the index after the last entry reads zero."""
        return self.entries.bit_length()

    @property
    def key_bits(self) -> int:
        """Of a key."""
        return self.index_bits + 1

    @property
    def entry_bits(self) -> int:
        """Of an entry of the table."""
        return self.bits if self.is_float else self.sum_bits(self.group)

    @property
    def out_bits(self) -> int:
        """Of a sum over the tables: -(-128 µ) needs one bit more than the entry."""
        return self.bits if self.is_float else self.entry_bits + 1 + (self.luts - 1).bit_length()

    @property
    def acc_bits(self) -> int:
        """Of an accumulator."""
        return self.bits if self.is_float else ACC_BITS

    @property
    def numbers(self) -> dict[str, int]:
        """What the templates of whole units call these widths and counts."""
        return {
            "L": self.luts,
            "K": self.readers,
            "MU": self.group,
            "B": self.bits,
            "W": self.entry_bits,
            "ENTRIES": self.entries,
            "KEY": self.key_bits,
            "OUT": self.out_bits,
        }

    def sum_bits(self, terms: int) -> int:
        """Bits of a signed sum of `terms` activations."""
        return self.bits if self.is_float else self.bits + (terms - 1).bit_length()


def checked(group: int, activation: str, luts: int, readers: int) -> Shape:
    """The shape, or `ArgumentError` (sizes) or `UnknownName` (activation)."""
    if not 1 <= group <= 7:
        raise ArgumentError("group must be 1..7", got=group, where="ternary")
    if activation not in ("int8", "fp16", "bf16"):
        raise UnknownName("activation", activation, ("int8", "fp16", "bf16"), where="ternary")
    if not (1 <= luts <= 64 and 1 <= readers <= 64):
        raise ArgumentError("luts and readers must be 1..64", got=(luts, readers), where="ternary")
    return Shape(group, activation, luts, readers)


def accumulated(
    shape: Shape, x: NDArray[np.uint64], keys: NDArray[np.uint64], start: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Accumulators ``[n, K]`` after one step from `start`: the emulator's dot product of one group a table."""
    key_codes = keys.astype(np.uint8 if shape.key_bits <= 8 else np.uint16)
    datapath = TernaryLut(shape.group, shape.activation, shape.luts)  # type: ignore[arg-type]
    if not shape.is_float:
        held = to_signed(start, ACC_BITS)
        return to_words(datapath.dot(x[:, None, :].astype(np.uint8), key_codes, c=held).astype(np.int64), ACC_BITS)
    total = datapath.dot(x[:, None, :].astype(np.uint16), key_codes, c=to_float32(start, shape.activation))
    return from_float32(total, shape.activation)


def squeezed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """``[n, count]`` as a port of `count` elements takes it: ``[n]`` for one."""
    return values[:, 0] if values.shape[1] == 1 else values


def activations(shape: Shape, x: Port) -> Callable[[np.random.Generator, int], Values]:
    """Operands of the port of activations."""
    if shape.is_float:
        return lambda rng, n: {x.name: float_words(rng, x, n, shape.activation)}
    return uniform_and_edges(x)


def operands_of(shape: Shape, x: Port, key: Port) -> Callable[[np.random.Generator, int], Values]:
    """Operands of activations and keys; the key of the all-zero group has no flag."""
    draw = activations(shape, x)
    sign = np.uint64(shape.index_bits)

    def operands(rng: np.random.Generator, n: int) -> Values:
        index = rng.integers(0, shape.entries + 1, size=(n, *key.shape), dtype=np.uint64)
        flag = rng.integers(0, 2, size=index.shape, dtype=np.uint64) * (index < shape.entries)
        return draw(rng, n) | {key.name: index | flag << sign}

    return operands

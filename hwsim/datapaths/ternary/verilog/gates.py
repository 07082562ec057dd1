"""The circuits of a lookup unit, and how operands drive each of them.

There are three: the table builder, which a row of the array shares, one reader, and an accumulator; so tables can be
built less often than they are read. KU Leuven's own floating-point adders differ from IEEE 754 in rare bits and not
in size; their units stand on the same circuits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Driven, Gates
from hwsim.datapaths.ternary.bits import TernaryLut
from hwsim.datapaths.ternary.verilog import ACC_BITS, table_entries, ternary_dot, ternary_table
from hwsim.gates.steps import Stream
from hwsim.rtl.accumulator import accumulator
from hwsim.rtl.float_adders import float_adder
from hwsim.rtl.unit import Unit, to_signed, to_words

Words = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class LookupGates(Gates):
    """The circuits of one lookup unit."""

    unit: TernaryLut

    @property
    def shared(self) -> Mapping[str, int]:
        """A builder for each table."""
        return {"tables": self.unit.luts}

    @property
    def summing(self) -> str:
        """The adder behind the reader."""
        return "adder"

    def circuits(self) -> Mapping[str, Unit]:
        """``tables``, ``reader`` and ``adder``."""
        unit, whole = self.unit, self.whole()
        name = f"ternary_fetch_mu{unit.group}_{unit.activation}_l{unit.luts}_k1"
        reader = Unit(
            name, whole.verilog, (), whole.outputs, whole.golden, whole.operands, family="ternary_fetch",
            parameters=whole.parameters,
        )  # fmt: skip
        real = unit.activation != "int8"
        adder = float_adder(unit.activation) if real else accumulator(whole.outputs[0].bits, ACC_BITS)
        return {"tables": ternary_table(unit.group, unit.activation), "reader": reader, "adder": adder}

    def whole(self) -> Unit:
        """A table and one reader, without its accumulator."""
        return ternary_dot(self.unit.group, self.unit.activation, self.unit.luts, 1)

    def drive_whole(self, stream: Stream) -> Driven:
        """The table is built anew in every step."""
        return Driven({"x": stream.a, "key": stream.b}, {})

    def drive(self, role: str, stream: Stream) -> Driven:
        """Activations to the tables, entries and keys to the reader, what it fetches to the accumulator."""
        unit = self.unit
        if role == "tables":
            return Driven({"x": stream.tables.reshape(-1, unit.luts, unit.group)[:, 0]}, {})
        fetched, entries = fetched_words(stream, unit)
        if role == "reader":
            return Driven({"tables": entries.reshape(stream.steps, -1), "key": stream.b}, {})
        if unit.activation == "int8":
            terms = to_words(to_signed(fetched, 64), self.whole().outputs[0].bits)
            return Driven({"clear": stream.first.astype(np.uint64), "p": terms}, {"acc": stream.before})
        held = np.where(stream.first, np.uint64(0), stream.before[:, 0])
        return Driven({"a": held, "b": fetched}, {})


def fetched_words(stream: Stream, unit: TernaryLut) -> tuple[Words, Words]:
    """What the reader puts out, ``[steps]``, and its tables, ``[steps, luts, entries]``."""
    x = stream.a.reshape(stream.steps, unit.luts, unit.group)
    entries = table_entries(x, unit.group, unit.activation)
    keys = stream.b.astype(np.uint8 if unit.key_bits <= 8 else np.uint16)
    if unit.activation == "int8":
        sums = unit.dot(stream.a.astype(np.uint8), keys)
        return sums.astype(np.int64).view(np.uint64), entries
    golden = ternary_dot(unit.group, unit.activation, unit.luts, 1).golden({"x": stream.a, "key": stream.b})
    return golden["sum"], entries

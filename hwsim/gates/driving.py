"""The circuits of a unit, and how a stream of operands drives each of them.

Most units are one circuit. A lookup unit is three: the table builder, which a row of the array shares, one reader,
and an accumulator; so its tables can be built less often than they are read.

KU Leuven's own floating-point adders differ from IEEE 754 in rare bits and not in size; their units stand on the same
circuits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError
from hwsim.gates.netlist import Netlist
from hwsim.gates.simulator import Stimulus, stimulus
from hwsim.gates.steps import Stream
from hwsim.rtl.float_adders import float_adder
from hwsim.rtl.mac import accumulator, mac
from hwsim.rtl.pann import pann_unit
from hwsim.rtl.shift import luq_unit
from hwsim.rtl.tensor_core import tensor_dot
from hwsim.rtl.ternary import ACC_BITS, table_entries, ternary_dot, ternary_table
from hwsim.rtl.unit import Unit, to_signed, to_words

Words = NDArray[np.uint64]


def unit_for(datapath: Datapath) -> Unit:
    """The circuit of `datapath` in one piece; of a lookup unit a table and one reader, without its accumulator.

    Raises:
        ArgumentError: no circuit computes this unit.
    """
    unit: Any = datapath
    if unit.family == "integer":
        return mac(unit.a_bits, unit.b_bits, unit.acc_bits, unit.signed, unit.overflow)
    if unit.family == "pann" and unit.acc_bits <= 48:
        return pann_unit(unit.bits_x, unit.acc_bits, unit.signed)
    if unit.family == "shift" and (unit.accumulator == "fp32" or 11 <= unit.acc_bits <= 24):
        return luq_unit(unit.accumulator, unit.acc_bits)
    if unit.family == "tensor_core" and unit.spec().get("out", "fp32") == "fp32":
        spec = unit.spec()
        return tensor_dot(spec["arch"], spec["operand"])
    if unit.family == "ternary_lut":
        return ternary_dot(unit.group, unit.activation, unit.luts, 1)
    raise ArgumentError("a datapath must have a circuit of its own", got=datapath.name, where="gates")


def has_circuit(datapath: Datapath) -> bool:
    """Whether `circuits` knows the unit."""
    try:
        unit_for(datapath)
    except ArgumentError:
        return False
    return True


def circuits(datapath: Datapath) -> dict[str, Unit]:
    """Circuits by what they do: ``unit``, or ``tables``, ``reader`` and ``adder`` of a lookup unit.

    Raises:
        ArgumentError: no circuit computes this unit.
    """
    whole = unit_for(datapath)
    if datapath.family != "ternary_lut":
        return {"unit": whole}
    unit: Any = datapath
    name = f"ternary_fetch_mu{unit.group}_{unit.activation}_l{unit.luts}_k1"
    reader = Unit(
        name, whole.verilog, (), whole.outputs, whole.golden, whole.operands, family="ternary_fetch",
        parameters=whole.parameters,
    )  # fmt: skip
    real = unit.activation != "int8"
    adder = float_adder(unit.activation) if real else accumulator(whole.outputs[0].bits, ACC_BITS)
    return {"tables": ternary_table(unit.group, unit.activation), "reader": reader, "adder": adder}


def drive(role: str, netlist: Netlist, stream: Stream, datapath: Datapath) -> Stimulus:
    """A stream as vectors of one of the `circuits` of a unit, registers held at the stream's running sums."""
    unit: Any = datapath
    states: Mapping[str, Words] = {}
    if unit.family == "ternary_lut":
        ports, states = _lookup(role, stream, unit)
    elif unit.family == "tensor_core":
        ports = {"a": stream.a, "b": stream.b, "c": stream.before}
        if unit.block:
            ports |= {"scale_a": stream.scale_a, "scale_b": stream.scale_b}
    elif unit.family == "pann":
        negative = stream.b >> np.uint64(7)  # the sign of an INT8 weight
        ended = np.append(False, stream.last[:-1])
        states = {"positive": stream.before[:, 0], "negative": stream.before[:, 1], "ended": _bits(ended)}
        ports = {"x": stream.a, "negate": negative, "add": np.ones(1, np.uint64)}
        ports |= {"clear": _bits(stream.first), "last": _bits(stream.last)}
    else:
        ports = {"a": stream.a, "b": stream.b, "clear": _bits(stream.first)}
        states = {"acc": stream.before}
    return stimulus(netlist, ports, states=states, linked=False)


def whole_lookup(netlist: Netlist, stream: Stream) -> Stimulus:
    """A stream as vectors of table and reader in one circuit, the table built anew in every step."""
    return stimulus(netlist, {"x": stream.a, "key": stream.b})


def fetched_words(stream: Stream, unit: Any) -> tuple[Words, Words]:
    """What the reader of a lookup unit of integers or floats puts out, ``[steps]``, and its tables,
    ``[steps, luts, entries]``."""
    x = stream.a.reshape(stream.steps, unit.luts, unit.group)
    entries = table_entries(x, unit.group, unit.activation)
    keys = stream.b.astype(np.uint8 if unit.key_bits <= 8 else np.uint16)
    if unit.activation == "int8":
        sums = unit.dot(stream.a.astype(np.uint8), keys)
        return sums.astype(np.int64).view(np.uint64), entries
    golden = ternary_dot(unit.group, unit.activation, unit.luts, 1).golden({"x": stream.a, "key": stream.b})
    return golden["sum"], entries


def _lookup(role: str, stream: Stream, unit: Any) -> tuple[dict[str, Words], dict[str, Words]]:
    if role == "tables":
        return {"x": stream.tables.reshape(-1, unit.luts, unit.group)[:, 0]}, {}
    fetched, entries = fetched_words(stream, unit)
    if role == "reader":
        return {"tables": entries.reshape(stream.steps, -1), "key": stream.b}, {}
    if unit.activation == "int8":
        bits = circuits(unit)["reader"].outputs[0].bits
        terms = to_words(to_signed(fetched, 64), bits)
        return {"clear": _bits(stream.first), "p": terms}, {"acc": stream.before}
    held = np.where(stream.first, np.uint64(0), stream.before[:, 0])
    return {"a": held, "b": fetched}, {}


def _bits(flags: NDArray[np.bool_]) -> Words:
    return flags.astype(np.uint64)

"""One comparison for every circuit: text and mapped gates against the golden values of the emulator."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim.gates.liberty import DEFAULT_LIBERTY, read_liberty
from hwsim.gates.netlist import Netlist, build_netlist
from hwsim.gates.simulator import evaluate
from hwsim.rtl import tools
from hwsim.rtl.bench import port_bits, run_rtl
from hwsim.rtl.unit import Port, Unit, Values, every_input

needs_icarus = pytest.mark.skipif(not tools.available("iverilog", "vvp"), reason="Icarus Verilog is not installed")
needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="Yosys is not installed")


def vectors(unit: Unit, rows: int, seed: int = 0) -> Values:
    """All inputs of a combinational unit of at most 16 bits, else `rows` operands of its own."""
    if not unit.clocked and unit.input_bits <= 16:
        return every_input(unit)
    return unit.operands(np.random.default_rng(seed), rows)


@functools.lru_cache(maxsize=4)
def _netlist(verilog: str, top: str) -> Netlist:
    mapped = tools.synthesize(verilog, top, DEFAULT_LIBERTY)
    return build_netlist(mapped.netlist, read_liberty(), top)


def netlist(unit: Unit) -> Netlist:
    """The unit in the cells of the library that hwsim ships."""
    return _netlist(unit.verilog, unit.top)


def gate_mismatches(unit: Unit, inputs: Values, golden: Values | None = None) -> int:
    """Rows in which any output of the mapped gates differs from the golden values."""
    expected = unit.golden(inputs) if golden is None else golden
    circuit = netlist(unit)
    rows = len(next(iter(inputs.values())))
    different = np.zeros(rows, bool)
    if not unit.clocked:
        found = evaluate(circuit, inputs)
        for port in unit.outputs:
            different |= (as_words(port, expected[port.name]) != found[port.name].reshape(rows, -1)).any(axis=1)
        return int(different.sum())
    # In a cycle a register shows what the cycle before left in it.
    widths = {name: len(bits) for name, bits in circuit.states.items()}
    states = {
        port.name: _delayed(expected[port.name]) for port in unit.registers if widths.get(port.name) == port.width
    }
    found = evaluate(circuit, inputs, states=states)
    for port in unit.outputs:
        wanted = as_words(port, expected[port.name])[:-1]
        different[1:] |= (wanted != found[port.name].reshape(rows, -1)[1:]).any(axis=1)
    return int(different.sum())


def as_words(port: Port, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The port's vector in words of 64 bits, as `evaluate` returns it: ``[rows, words]``."""
    bits = port_bits(port, values)
    padded = np.zeros((len(bits), -(-port.width // 64) * 64), np.uint8)
    padded[:, : port.width] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u8")


def rtl_mismatches(unit: Unit, inputs: Values) -> int:
    """Rows in which Icarus Verilog finds the text different from the golden values."""
    return run_rtl(unit, inputs)


def _delayed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.concatenate([np.zeros_like(values[:1]), values[:-1]])

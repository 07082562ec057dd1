"""One comparison for every circuit: text and mapped gates against the golden values of the emulator."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim.gates.liberty import DEFAULT_LIBERTY, read_liberty
from hwsim.gates.netlist import Netlist, build_netlist
from hwsim.gates.simulator import evaluate
from hwsim.rtl import tools
from hwsim.rtl.bench import port_bits, run_rtl
from hwsim.rtl.unit import Port, Unit, Values, every_input

Mismatches = Callable[[Unit, Values], int]


@pytest.fixture
def text_mismatches() -> Mismatches:
    """Rows in which Icarus Verilog finds the text different from the golden values."""
    if not tools.available("iverilog", "vvp"):
        pytest.skip("Icarus Verilog is not installed")
    return run_rtl


@pytest.fixture
def gate_mismatches() -> Mismatches:
    """Rows in which any output of the mapped gates differs from the golden values."""
    if not tools.available("yosys", "yosys-abc"):
        pytest.skip("Yosys is not installed")
    return _gate_mismatches


@pytest.fixture
def vectors() -> Callable[..., Values]:
    """(unit, rows, seed) -> inputs: every one of at most 16 bits, else the unit's own operands."""
    return _vectors


def _vectors(unit: Unit, rows: int, seed: int = 0) -> Values:
    if not unit.clocked and unit.input_bits <= 16:
        return every_input(unit)
    return unit.operands(np.random.default_rng(seed), rows)


@functools.lru_cache(maxsize=4)
def _netlist(verilog: str, top: str) -> Netlist:
    mapped = tools.synthesize(verilog, top, DEFAULT_LIBERTY)
    return build_netlist(mapped.netlist, read_liberty(), top)


def _gate_mismatches(unit: Unit, inputs: Values) -> int:
    expected = unit.golden(inputs)
    circuit = _netlist(unit.verilog, unit.top)
    rows = len(next(iter(inputs.values())))
    different = np.zeros(rows, bool)
    if not unit.clocked:
        found = evaluate(circuit, inputs)
        for port in unit.outputs:
            different |= (_as_words(port, expected[port.name]) != found[port.name].reshape(rows, -1)).any(axis=1)
        return int(different.sum())
    # In a cycle a register shows what the cycle before left in it.
    widths = {name: len(bits) for name, bits in circuit.states.items()}
    states = {
        port.name: _delayed(expected[port.name]) for port in unit.registers if widths.get(port.name) == port.width
    }
    found = evaluate(circuit, inputs, states=states)
    for port in unit.outputs:
        wanted = _as_words(port, expected[port.name])[:-1]
        different[1:] |= (wanted != found[port.name].reshape(rows, -1)[1:]).any(axis=1)
    return int(different.sum())


def _as_words(port: Port, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The port's vector in words of 64 bits, as `evaluate` returns it: ``[rows, words]``."""
    bits = port_bits(port, values)
    padded = np.zeros((len(bits), -(-port.width // 64) * 64), np.uint8)
    padded[:, : port.width] = bits
    return np.packbits(padded, axis=1, bitorder="little").view("<u8")


def _delayed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return np.concatenate([np.zeros_like(values[:1]), values[:-1]])

"""A unit of the catalogue as gates: area, cells, depth, and the proof that the gates compute its golden values.

Decides what a synthesised number carries: library, tool, style and parameters of the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwsim.gates.liberty import Library
from hwsim.gates.netlist import Netlist
from hwsim.gates.simulator import evaluate
from hwsim.rtl.tools import SynthResult
from hwsim.rtl.unit import Unit, Values


@dataclass(frozen=True, slots=True, eq=False)
class SynthReport:
    """A unit mapped to a library.

    Attributes:
        result: area, cells, flip-flops, levels, tool.
        netlist: the gates, ready for `hwsim.gates.simulator`.
    """

    name: str
    family: str
    parameters: Mapping[str, Any]
    result: SynthResult
    netlist: Netlist

    @property
    def area_um2(self) -> float:
        """Area of all cells."""
        return self.result.area_um2

    @property
    def area_ge(self) -> float:
        """Area in gate equivalents: two-input NANDs of the library."""
        return self.area_um2 / _nand2_um2(self.netlist.library)

    @property
    def provenance(self) -> str:
        """Library and tool of the numbers."""
        return f"{self.name}: {self.result.liberty}, {self.result.tool}"


def gate_outputs(unit: Unit, netlist: Netlist, inputs: Values) -> Values:
    """What the gates answer, in the shape and the order of rows of `Unit.golden`.

    The result of a clocked unit's row stands after its clock edge, that is, in the next cycle of the gates. Its
    registers take the golden values as states, which the simulator checks against the gates.
    """
    rows = {name: np.asarray(values) for name, values in inputs.items()}
    states: Values = {}
    if unit.clocked:
        golden = unit.golden(inputs)
        rows = {name: np.concatenate([values, values[-1:]]) for name, values in rows.items()}
        for port in unit.registers:
            if port.name in netlist.states:
                after = golden[port.name]
                states[port.name] = np.concatenate([np.zeros_like(after[:1]), after])
    found = evaluate(netlist, rows, states=states)
    answers = {}
    for port in unit.outputs:
        words = found[port.name].reshape(len(found[port.name]), -1)[int(unit.clocked) :]
        answers[port.name] = _elements(words, port.bits, port.count)
    return answers


def gate_mismatches(unit: Unit, netlist: Netlist, inputs: Values) -> int:
    """Rows in which the gates differ from the unit's golden values; 0 is agreement."""
    golden, found = unit.golden(inputs), gate_outputs(unit, netlist, inputs)
    wrong = np.zeros(len(next(iter(found.values()))), bool)
    for name, values in found.items():
        wrong |= (values != golden[name]).reshape(len(wrong), -1).any(axis=1)
    return int(wrong.sum())


def _elements(words: Any, bits: int, count: int) -> Any:
    """Port words ``[n, ceil(bits * count / 64)]`` as elements ``[n]`` or ``[n, count]``."""
    lanes = np.unpackbits(np.ascontiguousarray(words, "<u8").view(np.uint8), axis=1, bitorder="little")
    parts = lanes[:, : bits * count].reshape(len(words), count, bits)
    padded = np.zeros((len(words), count, 64), np.uint8)
    padded[:, :, :bits] = parts
    elements = np.packbits(padded, axis=2, bitorder="little").view("<u8").reshape(len(words), count)
    return (elements[:, 0] if count == 1 else elements).astype(np.uint64)


def _nand2_um2(library: Library) -> float:
    """Area of the smallest two-input NAND."""
    return min(
        cell.area_um2
        for cell in library.cells.values()
        if [function.table for function in cell.outputs.values()] == [0b0111]
    )

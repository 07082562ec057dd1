"""What a generated circuit is: Verilog text, ports, and the function that says which bits it must produce.

Decides the seam between arithmetic and circuits. A `Unit` carries its own expected values (`golden`), computed by the
emulator of the same datapath, so that one test body compares any simulator of the text, or of its gates, with it.
The text is Verilog-2005 that a person can read; Python fills in widths and tables and nothing else. A hardware
construction library was rejected: the text it writes is not what one would want to find in a repository.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError

Values = dict[str, NDArray[np.uint64]]
"""Port values by name: ``[n]``, or ``[n, count]`` for a port of several elements, as unsigned words."""


@dataclass(frozen=True, slots=True)
class Port:
    """`count` elements of `bits` bits (at most 64); element i lies in bits ``[i * bits +: bits]`` of the vector."""

    name: str
    bits: int
    count: int = 1

    @property
    def width(self) -> int:
        """Bits of the whole vector."""
        return self.bits * self.count

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row of values: ``()`` or ``(count,)``."""
        return () if self.count == 1 else (self.count,)


@dataclass(frozen=True, slots=True)
class Unit:
    """A circuit and its truth.

    Attributes:
        name: module name of the top, and name of the unit.
        verilog: text of the top and of all modules below it.
        inputs, outputs: data ports in the order of the module; a clocked unit has a port ``clk`` besides.
        golden: values of the inputs -> values of the outputs and of the registers. Rows are independent for a
            combinational unit. For a clocked one they are consecutive cycles, the first of which must clear every
            register, and the result of row i is what stands after the clock edge that takes row i.
        operands: (generator, n) -> n rows of inputs, with the hard cases of the family among them.
        registers: the state by the names in the text; a netlist cut at its flip-flops takes their earlier values.
        latency_cycles: clock edges from an input to the output that depends on it, 0 for a combinational unit.
        family, parameters: how `hwsim.datapaths.circuits.build` makes it.
    """

    name: str
    verilog: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    golden: Callable[[Values], Values]
    operands: Callable[[np.random.Generator, int], Values]
    registers: tuple[Port, ...] = ()
    latency_cycles: int = 0
    family: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def top(self) -> str:
        """Name of the top module."""
        return self.name

    @property
    def clocked(self) -> bool:
        """Whether the unit has registers and a port ``clk``."""
        return self.latency_cycles > 0

    @property
    def input_bits(self) -> int:
        """Bits of all inputs together."""
        return sum(port.width for port in self.inputs)


def every_input(unit: Unit) -> Values:
    """All input combinations of a combinational unit of at most 24 input bits, the first port varying fastest."""
    if unit.clocked or unit.input_bits > 24:
        raise ArgumentError("only combinational units of at most 24 input bits have a full list", got=unit.name)
    word = np.arange(1 << unit.input_bits, dtype=np.uint64)
    values, offset = {}, 0
    for port in unit.inputs:
        columns = [
            word >> np.uint64(offset + port.bits * index) & np.uint64((1 << port.bits) - 1)
            for index in range(port.count)
        ]
        values[port.name] = columns[0] if port.count == 1 else np.stack(columns, axis=1)
        offset += port.width
    return values


def random_words(rng: np.random.Generator, port: Port, n: int) -> NDArray[np.uint64]:
    """Uniform random bits for `port`."""
    words = rng.integers(0, 1 << 64, size=(n, *port.shape), dtype=np.uint64, endpoint=False)
    return words >> np.uint64(64 - port.bits)


def edge_words(rng: np.random.Generator, port: Port, n: int) -> NDArray[np.uint64]:
    """Words near the ends: 0, 1, all ones, the sign bit alone and its neighbours."""
    top = 1 << (port.bits - 1)
    edges = np.array(sorted({0, 1 % (2 * top), 2 * top - 1, top, top - 1, (top + 1) % (2 * top)}), dtype=np.uint64)
    return rng.choice(edges, size=(n, *port.shape))


def uniform_and_edges(*ports: Port) -> Callable[[np.random.Generator, int], Values]:
    """Operands: random bits, and in every eighth row edge words at random ports."""

    def operands(rng: np.random.Generator, n: int) -> Values:
        values = {}
        for port in ports:
            words = random_words(rng, port, n)
            edges = edge_words(rng, port, n)
            chosen = rng.random((n, *port.shape)) < 0.6
            chosen[np.arange(n) % 8 != 0] = False
            values[port.name] = np.where(chosen, edges, words)
        return values

    return operands


def to_signed(words: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """Two's complement reading of words of `bits` bits."""
    shift = np.int64(64 - bits)
    return words.astype(np.int64) << shift >> shift


def to_words(values: NDArray[np.int64], bits: int) -> NDArray[np.uint64]:
    """The low `bits` bits of integers."""
    return values.astype(np.uint64) & np.uint64((1 << bits) - 1 if bits < 64 else 0xFFFFFFFFFFFFFFFF)


def cycles_of_runs(clear: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.intp], bool]]:
    """Rows of a clocked unit that can be computed at once: the first cycle of every run, the second, and so on.

    A run starts where `clear` is set. Yields (rows, whether they start a run); row r continues row r - 1.
    """
    starts = np.flatnonzero(clear)
    if not len(clear) or clear[0] == 0:
        raise ArgumentError("the first row must clear the registers", where="clear")
    lengths = np.diff(np.append(starts, len(clear)))
    for step in range(int(lengths.max())):
        yield starts[lengths > step] + step, step == 0


def fill(template: str, **values: object) -> str:
    """Replace every ``<NAME>`` of a Verilog template by its value; all names must be used, none may be left."""
    for name, value in values.items():
        token = f"<{name}>"
        if token not in template:
            raise AssertionError(f"template has no {token}")
        template = template.replace(token, str(value))
    if left := re.search(r"<[A-Z][A-Z_0-9]*>", template):
        raise AssertionError(f"template keeps {left[0]}")
    return re.sub(r"\[([\d+*]+)-(\d):", lambda top: f"[{_sum_of_products(top[1]) - int(top[2])}:", template)


def _sum_of_products(text: str) -> int:
    return sum(math.prod(int(factor) for factor in term.split("*")) for term in text.split("+"))


def join(*texts: str) -> str:
    """One file of several module texts, a module that occurs twice written once."""
    seen: dict[str, str] = {}
    for text in texts:
        for part in re.split(r"(?<=^endmodule)\n+", text.strip() + "\n", flags=re.MULTILINE):
            if not part.strip():
                continue
            name = re.search(r"^module\s+(\w+)", part, re.MULTILINE)
            assert name is not None, part
            if seen.setdefault(name[1], part) != part:
                raise AssertionError(f"two texts define module {name[1]}")
    return "\n\n".join(part.strip() for part in seen.values()) + "\n"

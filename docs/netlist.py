"""A multiply-accumulate unit around a multiplier known as Verilog alone: a circuit of EvoApproxLib, or one's own.

A machine takes it by `datapath = { file = "docs/netlist.py:Netlist", verilog = "docs/approximate.v:approximate" }`.

The multiplier is emulated by itself: its text is mapped to gates, and the gates are asked for every product once. So
what counts is what the text does, whatever its comments say, and the text is part of the unit's name, by which
remembered values are found. Its area is that of its gates and its energy is counted in them, in every fidelity but
PANN's; only the accumulator around it is fitted. Needs Yosys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.cost import features, pann
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.gates import logic_area, logic_fj
from hwsim.cost.words import adder, held_sums, without
from hwsim.datapaths.base import Arithmetic, Calibration, Driven, Gates, Price, check_range, driven_sum
from hwsim.datapaths.operands import integer_start, integer_values, wrapped
from hwsim.datapaths.pricing import packed
from hwsim.datapaths.streams import masked
from hwsim.datapaths.unscaled import Unscaled
from hwsim.errors import ArgumentError
from hwsim.gates.simulator import count
from hwsim.gates.steps import Stream
from hwsim.gates.synth_report import gate_outputs
from hwsim.gates.synthesis import synth
from hwsim.rtl.accumulator import accumulator, codes, drawn_runs
from hwsim.rtl.unit import Port, Unit, Values, cycles_of_runs, fill, join, to_signed, to_words, uniform_and_edges

OURS = f"{Path(__file__).with_name('approximate.v')}:approximate"
TABLE = Path(__file__).with_name("netlist.csv")
"""Made by ``hwsim calibrate TRACE --unit docs/netlist.py:Netlist --out FOLDER``."""


@dataclass(frozen=True)
class Netlist(Unscaled):
    """Two's complement operands, products as the text makes them, an accumulator that wraps.

    Args:
        verilog: ``path/to/file.v:module``, combinational.
        ports: names of both operands and of the product of ``a_bits + b_bits`` bits.
        a_bits, b_bits: widths of the operands, 2 to 8.
        acc_bits: width of the accumulator, 2 to 32.
    """

    verilog: str = OURS
    ports: str = "A B O"
    a_bits: int = 8
    b_bits: int = 8
    acc_bits: int = 24
    text: tuple[str, str] = field(init=False, repr=False)  # of the file, and the module: part of what the unit is

    family: ClassVar[str] = "netlist"

    def __post_init__(self) -> None:
        check_range(self, "a_bits", 2, 8)
        check_range(self, "b_bits", 2, 8)
        check_range(self, "acc_bits", 2, 32)
        path, _, module = self.verilog.rpartition(":")
        if not path.endswith(".v") or not Path(path).is_file() or len(self.ports.split()) != 3:
            rule = "a netlist must be 'path/to/file.v:module' with three ports"
            raise ArgumentError(rule, got=(self.verilog, self.ports), where="netlist.verilog")
        object.__setattr__(self, "text", (Path(path).read_text(encoding="utf-8"), module))

    # bits

    @property
    def name(self) -> str:
        """``approximate8x8.1f0c2a.acc24``: the digits are those of the text."""
        text, module = self.text
        digest = hashlib.sha256(f"{text}:{self.ports}".encode()).hexdigest()[:6]
        return f"{module}{self.a_bits}x{self.b_bits}.{digest}.acc{self.acc_bits}"

    @property
    def a_format(self) -> str:
        """``int<a_bits>``."""
        return f"int{self.a_bits}"

    @property
    def b_format(self) -> str:
        """``int<b_bits>``."""
        return f"int{self.b_bits}"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    @property
    def product(self) -> Unit:
        """The multiplier alone, with ports a, b and p."""
        text, module = self.text
        wide, (a, b, p) = self.a_bits + self.b_bits, self.ports.split()
        top = f"{module}_product"
        wrapper = fill(_PRODUCT, TOP=top, A=self.a_bits, B=self.b_bits, P=wide, MODULE=module, X=a, Y=b, Z=p)
        ports = Port("a", self.a_bits), Port("b", self.b_bits), Port("p", wide)
        return Unit(
            top, join(text, wrapper), ports[:2], ports[2:], lambda values: {}, uniform_and_edges(*ports[:2]),
            family=self.family,
        )  # fmt: skip

    def products(self, x: NDArray[Any], w: NDArray[Any]) -> NDArray[np.int64]:
        """What the gates answer, broadcast."""
        table = _every(self.product, self.a_bits, self.b_bits)
        return table[x.astype(np.int64) & (1 << self.a_bits) - 1, w.astype(np.int64) & (1 << self.b_bits) - 1]

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.a_bits, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(b, self.b_bits, True, where)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        return integer_start(c, where)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = self.products(x, w).sum(-1) + (0 if start is None else start)
        return wrapped(total, self.acc_bits).astype(np.int32)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = np.zeros((len(x), len(w)), np.int64) if start is None else start.astype(np.int64)
        for k in range(x.shape[1]):
            total += self.products(x[:, None, k], w[None, :, k])
        return wrapped(total, self.acc_bits).astype(np.int32)

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """The products, int64 ``[m, n, K]``."""
        return self.products(self._activations(a, "a")[:, None], self._weights(b, "b")[None])

    # gates and price

    @property
    def gates(self) -> Gates:
        """The multiplier and an accumulator."""
        return NetlistGates(self)

    @property
    def price(self) -> Price:
        """The multiplier by its gates, the accumulator by coefficients."""
        return NetlistPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """What energy the accumulator around a multiplier takes; areas need no fit."""
        return Calibration(lambda quick: iter(()), arithmetics, lambda: iter(()))


_PRODUCT = """\
// <MODULE> by the names of our ports.
module <TOP> (input [<A>-1:0] a, input [<B>-1:0] b, output [<P>-1:0] p);
  <MODULE> multiplier (.<X>(a), .<Y>(b), .<Z>(p));
endmodule
"""

_MAC = """\
// acc <= (clear ? 0 : acc) + a * b.
module <TOP> (input clk, input clear, input [<A>-1:0] a, input [<B>-1:0] b, output [<ACC>-1:0] acc);
  wire [<P>-1:0] p;
  <PRODUCT> product (.a(a), .b(b), .p(p));
  <ADDER> accumulate (.clk(clk), .clear(clear), .p(p), .acc(acc));
endmodule
"""


def _every(product: Unit, a_bits: int, b_bits: int) -> NDArray[np.int64]:
    """The products of all codes, int64 ``[2^a_bits, 2^b_bits]``."""
    return _asked(product.verilog, product.top, a_bits, b_bits)


@cache
def _asked(verilog: str, top: str, a_bits: int, b_bits: int) -> NDArray[np.int64]:
    a, b = (index.ravel().astype(np.uint64) for index in np.indices((1 << a_bits, 1 << b_bits)))
    ports = Port("a", a_bits), Port("b", b_bits), Port("p", a_bits + b_bits)
    unit = Unit(top, verilog, ports[:2], ports[2:], lambda values: {}, uniform_and_edges(*ports[:2]))
    words = gate_outputs(unit, synth(unit).netlist, {"a": a, "b": b})["p"]
    return to_signed(words, a_bits + b_bits).astype(np.int64).reshape(1 << a_bits, 1 << b_bits)


@dataclass(frozen=True)
class NetlistGates(Gates):
    """One circuit."""

    unit: Netlist

    def circuits(self) -> Mapping[str, Unit]:
        """Multiplier and accumulator."""
        unit, product = self.unit, self.unit.product
        wide = unit.a_bits + unit.b_bits
        top, adds = unit.name.replace(".", "_"), accumulator(wide, unit.acc_bits)
        text = join(
            adds.verilog, product.verilog,
            fill(
                _MAC, TOP=top, A=unit.a_bits, B=unit.b_bits, P=wide, ACC=unit.acc_bits, PRODUCT=product.top,
                ADDER=adds.top,
            ),
        )  # fmt: skip
        clear, acc = Port("clear", 1), Port("acc", unit.acc_bits)
        edges = uniform_and_edges(*product.inputs)

        def golden(values: Values) -> Values:
            x, w = codes(values["a"], unit.a_bits), codes(values["b"], unit.b_bits)
            out = np.zeros(len(x), np.int64)
            for at, first in cycles_of_runs(values["clear"]):
                out[at] = unit.dot(x[at, None], w[at, None], None if first else out[at - 1])
            return {"acc": to_words(out, unit.acc_bits)}

        def operands(rng: np.random.Generator, n: int) -> Values:
            return drawn_runs(rng, n, edges, {"a": unit.a_bits, "b": unit.b_bits})

        ports = (clear, *product.inputs)
        return {"unit": Unit(top, text, ports, (acc,), golden, operands, (acc,), 1, unit.family)}

    def drive(self, role: str, stream: Stream) -> Driven:
        """An element of each operand a cycle."""
        return driven_sum(stream)


@dataclass(frozen=True)
class NetlistPrice(Price):
    """Area and energy of the multiplier's own gates, and the accumulator of integer units."""

    unit: Netlist

    parts: ClassVar[Mapping[str, str]] = {"product_fj": "products"}

    @property
    def table(self) -> str:
        """Beside this file."""
        return str(TABLE)

    @property
    def update(self) -> str:
        """``netlist``."""
        return "netlist"

    @property
    def registers(self) -> Registers:
        """An element of each operand, and the sum."""
        unit = self.unit
        return Registers(unit.a_bits, unit.b_bits, unit.acc_bits, 0, 0.5 * (unit.a_bits + unit.b_bits))

    def blocks(self, held: Coefficients) -> Blocks:
        """Product as synthesized, accumulation as fitted."""
        unit = self.unit
        adds = area(held, "accumulator.signed.wrap", features.accumulator(unit.a_bits + unit.b_bits, unit.acc_bits))
        product = logic_area(synth(unit.product))
        return (Component("products", product, None), Component("accumulation", adds, None)), ()

    def update_flips(self, stream: Stream) -> Features:
        """fJ of the multiplier in its gates, zero delay, as a mean over the stream; flips in the adder."""
        unit = self.unit
        report = synth(unit.product)
        ports = {"a": stream.a[:, 0], "b": stream.b[:, 0]}
        x, w = (to_signed(ports[side], bits) for side, bits in (("a", unit.a_bits), ("b", unit.b_bits)))
        addend = masked(unit.products(x, w), unit.acc_bits)
        return {
            "product_fj": logic_fj(count(packed(report.netlist, Driven(ports, {})))),
            **without(adder(held_sums(stream), addend, unit.acc_bits, unit.a_bits + unit.b_bits), "addend"),
        }

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """PANN's formulas of an exact array, as a text says nothing about its widths inside."""
        unit = self.unit
        sums = pann.accumulator_flips(unit.a_bits, unit.b_bits, unit.acc_bits)
        return WidthFlips(pann.multiplier_flips(unit.a_bits, unit.b_bits), sums)


def arithmetics() -> Iterator[Arithmetic]:
    """The multiplier beside this file with several accumulators."""
    scheme = quant.get("int8.channel")
    for acc in (20, 24, 32):
        yield Arithmetic(scheme, scheme, Netlist(acc_bits=acc))

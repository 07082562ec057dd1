"""A dot unit for NVFP4 that reads products from tables: a row builds multiples of its activations, units select.

A machine takes it by `datapath = { file = "docs/nvlut.py:NvLut", blocks = 2 }`, on NVFP4 operands.

An E2M1 magnitude in halves is 0, 1, 2, 3, 4, 6, 8 or 12: a power of two, or three times one. So the table of an
activation x holds |x|, 3|x| and a sign, once for all units of a row, and a product is one of eight shifted entries;
no unit multiplies elements. A block of 16 is added exactly, its sum times both scales is aligned and added to c as
the tensor core does: bits are those of the grouped dot unit with the same fields, gates and price are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import log2
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.quantity import Quantity
from hwsim.cost.words import flips, without
from hwsim.datapaths.base import Arithmetic, Calibration, Datapath, Driven, Gates, Price, check_range
from hwsim.datapaths.dot import Dot
from hwsim.datapaths.dot.signals import update_flips
from hwsim.datapaths.dot.verilog import dot_unit
from hwsim.datapaths.streams import ordered
from hwsim.gates.steps import Stream
from hwsim.rtl.minifloat import signed_sum
from hwsim.rtl.unit import Port, Unit, Values, fill, join, uniform_and_edges

TABLE = Path(__file__).with_name("nvlut.csv")
"""Made by ``hwsim calibrate TRACE --unit docs/nvlut.py:NvLut --out FOLDER``."""

ENTRY = 11
"""Bits of the table of one activation: |x| in halves (4), three times that (6), its sign."""
MAGNITUDES = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.uint64)


def entries(codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Table words of E2M1 codes."""
    one = MAGNITUDES[(codes & np.uint64(7)).astype(np.intp)]
    return one | 3 * one << np.uint64(4) | (codes >> np.uint64(3)) << np.uint64(10)


@dataclass(frozen=True)
class NvLut(Datapath):
    """`blocks` blocks of 16 a cycle (1, 2 or 4), `fraction_bits` below the largest exponent (20 to 35)."""

    blocks: int = 4
    fraction_bits: int = 35

    family: ClassVar[str] = "nvlut"

    def __post_init__(self) -> None:
        check_range(self, "blocks", 1, 4)
        check_range(self, "fraction_bits", 20, 35)

    @cached_property
    def rule(self) -> Dot:
        """The dot unit that has the same bits."""
        return Dot("e2m1", "", 16 * self.blocks, self.fraction_bits, "grouped", 16, "ue4m3")

    @property
    def name(self) -> str:
        """``nvlut.b4.f35``."""
        return f"nvlut.b{self.blocks}.f{self.fraction_bits}"

    @property
    def a_format(self) -> str:
        """``e2m1``."""
        return "e2m1"

    @property
    def b_format(self) -> str:
        """``e2m1``."""
        return "e2m1"

    @property
    def scale_format(self) -> str:
        """``ue4m3``."""
        return "ue4m3"

    @property
    def block(self) -> int:
        """16."""
        return 16

    @property
    def lanes(self) -> int:
        """Elements of all blocks."""
        return 16 * self.blocks

    @property
    def accumulator_bits(self) -> int:
        """A float32."""
        return 32

    def dot(self, a: Any, b: Any, c: Any = None, scale_a: Any = None, scale_b: Any = None) -> NDArray[Any]:
        """As of `rule`."""
        return self.rule.dot(a, b, c, scale_a, scale_b)

    def matmul(self, a: Any, b: Any, c: Any = None, scale_a: Any = None, scale_b: Any = None) -> NDArray[Any]:
        """As of `rule`."""
        return self.rule.matmul(a, b, c, scale_a, scale_b)

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> None:
        """None: products do not leave the unit."""

    def stream(
        self,
        dataflow: str,
        budget: int,
        a: NDArray[Any],
        b: NDArray[Any],
        scale_a: NDArray[Any] | None,
        scale_b: NDArray[Any] | None,
    ) -> Stream:
        """Steps with the activations that tables are built of."""
        return ordered(self, dataflow, budget, a, b, scale_a, scale_b, tables=True)

    @property
    def gates(self) -> Gates:
        """Tables that a row shares, and a unit that reads them."""
        return LutGates(self)

    @property
    def price(self) -> Price:
        """By coefficients of its own."""
        return LutPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Units of every number of blocks and several windows."""
        return Calibration(designs, arithmetics, lambda: iter(()))


_TABLES = """\
// Tables of <L> E2M1 activations: sign, three times the magnitude, magnitude, in halves.
module nvlut_tables<L> (input [<L>*4-1:0] a, output [<L>*11-1:0] t);
  genvar i;
  generate
    for (i = 0; i < <L>; i = i + 1) begin : lane
      wire [2:0] code = a[4 * i +: 3];
      wire [3:0] one = code[2] ? {1'b1, code[0], 2'b00} >> (2'd1 & {2{~code[1]}}) : {1'b0, code};
      wire [5:0] three = one + {one, 1'b0};
      assign t[11 * i +: 11] = {a[4 * i + 3], three, one};
    end
  endgenerate
endmodule
"""

_READER = """\
// Exact sum of 16 products, in quarters: an entry of each table, shifted; and whether any is not zero.
module nvlut_dot16 (input [175:0] a, input [63:0] b, output [12:0] p, output any);
  wire [127:0] magnitudes;
  wire [15:0] negative, nonzero;
  genvar i;
  generate
    for (i = 0; i < 16; i = i + 1) begin : lane
      wire [3:0] one = a[11 * i +: 4];
      wire [5:0] three = a[11 * i + 4 +: 6];
      wire [2:0] w = b[4 * i +: 3];
      wire odd = w[0] & (|w[2:1]); // 3, 6, 12
      wire [5:0] entry = (odd ? three : {2'b00, one}) & {6{|w}};
      wire [1:0] shift = w == 3'd2 ? 2'd1 : w == 3'd4 ? 2'd2 : w == 3'd5 ? 2'd1 : w == 3'd6 ? 2'd3
                       : w == 3'd7 ? 2'd2 : 2'd0;
      assign magnitudes[8 * i +: 8] = {2'b00, entry} << shift;
      assign negative[i] = a[11 * i + 10] ^ b[4 * i + 3];
      assign nonzero[i] = (|one) & (|w);
    end
  endgenerate
  <SUM> add (.terms(magnitudes), .negative(negative), .total(p));
  assign any = |nonzero;
endmodule
"""

_WHOLE = """\
// Tables and one unit that reads them.
module <TOP>_whole (
  input [<L>*4-1:0] a, input [<L>*4-1:0] b, input [31:0] c, input [<S>*8-1:0] scale_a, input [<S>*8-1:0] scale_b,
  output [31:0] d
);
  wire [<L>*11-1:0] t;
  nvlut_tables<L> build (.a(a), .t(t));
  <TOP> read (.a(t), .b(b), .c(c), .scale_a(scale_a), .scale_b(scale_b), .d(d));
endmodule
"""


@dataclass(frozen=True)
class LutGates(Gates):
    """Two circuits; the accumulator's register lies outside."""

    unit: NvLut

    @property
    def shared(self) -> Mapping[str, int]:
        """One set of tables a row."""
        return {"tables": 1}

    def circuits(self) -> Mapping[str, Unit]:
        """Tables, and the reader: the dot unit's text, whose products are read."""
        unit, lanes = self.unit, self.unit.lanes
        a, t = Port("a", 4, lanes), Port("t", ENTRY, lanes)
        text = fill(_TABLES, L=lanes)

        def table(values: Values) -> Values:
            return {"t": entries(values["a"])}

        tables = Unit(f"nvlut_tables{lanes}", text, (a,), (t,), table, uniform_and_edges(a), family=unit.family)
        whole = dot_unit(unit.rule, unit.name.replace(".", "_"))

        def golden(values: Values) -> Values:
            words = values["a"]
            codes = np.searchsorted(MAGNITUDES, words & np.uint64(15)).astype(np.uint64)
            return whole.golden({**values, "a": codes | (words >> np.uint64(10)) << np.uint64(3)})

        def operands(rng: np.random.Generator, n: int) -> Values:
            drawn = whole.operands(rng, n)
            return {**drawn, "a": entries(drawn["a"])}

        inputs = (Port("a", ENTRY, lanes), *whole.inputs[1:])
        reader = Unit(
            whole.name, self._reader(whole.verilog), inputs, whole.outputs, golden, operands, family="nvlut"
        )
        return {"tables": tables, "unit": reader}

    def _reader(self, text: str) -> str:
        """The text of the dot unit with a port of table words and our sum of 16 products."""
        add, modules = signed_sum(16, 8, 13)
        below, top = text.rsplit("\nmodule ", 1)
        for old, new in (
            (f"input [{4 * self.unit.lanes - 1}:0] a,", f"input [{ENTRY * self.unit.lanes - 1}:0] a,"),
            ("e2m1_dot16 dot (.a(a[64 * g +: 64]), .b(b[64 * g +: 64]), .p(sum));", ""),
            ("any_product16 find (.a(a[64 * g +: 64]), .b(b[64 * g +: 64]), .any(any));",
             "nvlut_dot16 read (.a(a[176 * g +: 176]), .b(b[64 * g +: 64]), .p(sum), .any(any));"),
        ):  # fmt: skip
            assert top.count(old) == 1, old
            top = top.replace(old, new)
        text = f"{below}\nmodule {top}"
        return join(modules, fill(_READER, SUM=add), text)

    def drive(self, role: str, stream: Stream) -> Driven:
        """A step of the reader, or a rebuild of the tables."""
        if role == "tables":
            return Driven({"a": stream.tables}, {})
        ports = {"a": entries(stream.a), "b": stream.b, "c": stream.before}
        return Driven(ports | {"scale_a": stream.scale_a, "scale_b": stream.scale_b}, {})

    def whole(self) -> Unit:
        """Tables and a reader."""
        made, plain = self.circuits(), dot_unit(self.unit.rule, f"{self.unit.name.replace('.', '_')}_whole")
        reader, lanes = made["unit"], self.unit.lanes
        text = fill(_WHOLE, TOP=reader.top, L=lanes, S=self.unit.blocks)
        verilog = join(made["tables"].verilog, reader.verilog, text)
        return Unit(plain.name, verilog, plain.inputs, plain.outputs, plain.golden, plain.operands, family="nvlut")

    def drive_whole(self, stream: Stream) -> Driven:
        """A step."""
        ports = {"a": stream.a, "b": stream.b, "c": stream.before}
        return Driven(ports | {"scale_a": stream.scale_a, "scale_b": stream.scale_b}, {})


@dataclass(frozen=True)
class LutPrice(Price):
    """Of a reader, and of the tables of its row."""

    unit: NvLut

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("b", "entries", "selected", "products", "groups", "quads"), "products"
    ) | dict.fromkeys(("scales", "scaled"), "scaling")

    @property
    def table(self) -> str:
        """Beside this file."""
        return str(TABLE)

    @property
    def update(self) -> str:
        """``nvlut``."""
        return "nvlut"

    @property
    def rebuild(self) -> str:
        """``nvlut.tables``."""
        return "nvlut.tables"

    @property
    def registers(self) -> Registers:
        """Weights with scale bytes of both sides, a sum, and tables; activations reach the units as entries."""
        unit = self.unit
        return Registers(
            8 * unit.blocks, 4 * unit.lanes + 8 * unit.blocks, 32, ENTRY * unit.lanes, 0.5 * 8 * unit.lanes
        )

    def blocks(self, held: Coefficients) -> Blocks:
        """One block of the reader: synthesis sees one circuit; and the tables."""
        own = held.with_table(self.table)
        tables = area(own, "nvlut.tables", {"lanes": self.unit.lanes})
        reader = area(own, "nvlut", sizes(self.unit))
        return (Component("products", reader, None),), (Component("tables", tables, None),)

    def update_flips(self, stream: Stream) -> Features:
        """Those of the dot unit behind its products, and at tables and selectors."""
        found = without(
            update_flips(self.unit.rule, stream),
            "a",
            "partials",
            "turned_by_product",
            "turned_by_exponent",
            "exponents",
        )
        one = MAGNITUDES[(stream.a & np.uint64(7)).astype(np.intp)]
        odd = np.isin(stream.b & np.uint64(7), np.array([3, 5, 7], np.uint64))
        return found | {"entries": flips(entries(stream.a)), "selected": flips(np.where(odd, 3 * one, one))}

    def rebuild_flips(self, stream: Stream) -> Features:
        """Of activations and their tables."""
        return {"codes": flips(stream.tables), "entries": flips(entries(stream.tables))}

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """Half of each entry that is read, a sum of 13 bits a block at the width of its window; tables flip half."""
        unit = self.unit
        sums = 8.0 * unit.lanes + (unit.blocks + 1) * (unit.fraction_bits + 15) / 2 + 16
        return WidthFlips(4.0 * unit.lanes, sums, 0.5 * ENTRY * unit.lanes)

    def fetch(self, dataflow: str, held: Coefficients) -> Quantity:
        """Reads of a table cost what selectors do: half of their entries flips, by the fit's coefficient."""
        price = held.with_table(self.table)["nvlut.energy.selected"]
        return price.scaled(4.0 * self.unit.lanes).with_unit("fJ")


def sizes(unit: NvLut) -> Features:
    """What the area of a reader is linear in."""
    term = unit.fraction_bits + 12
    return {
        "blocks": unit.blocks,
        "addends": (unit.blocks + 1) * term,
        "selections": (unit.blocks + 1) * term * log2(term),
        "constant": 1,
    }


def designs(quick: bool) -> Iterator[Design]:
    """Readers and their tables."""
    for blocks in (1, 2, 3, 4):
        for fraction in (20, 25, 30, 35):
            unit = NvLut(blocks, fraction)
            circuits = unit.gates.circuits()
            yield Design("nvlut", circuits["unit"].top, sizes(unit), circuits["unit"].verilog)
        tables = circuits["tables"]
        yield Design("nvlut.tables", tables.top, {"lanes": unit.lanes}, tables.verilog)


def arithmetics() -> Iterator[Arithmetic]:
    """Readers on NVFP4 operands."""
    scheme = quant.get("nvfp4.te")
    for blocks, fraction in ((1, 25), (2, 35), (4, 35)):
        yield Arithmetic(scheme, scheme, NvLut(blocks, fraction))

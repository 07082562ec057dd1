"""Price of lookup units: readers and accumulators in every unit, tables that a row shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log2
from typing import ClassVar

from hwsim import formats, quant
from hwsim.cost import features
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import area
from hwsim.cost.parts import Parts, sum_of
from hwsim.cost.quantity import Quantity
from hwsim.datapaths.base import Arithmetic, Calibration, Datapath, MissingView, Price
from hwsim.datapaths.ternary.bits import Activation, TernaryLut
from hwsim.datapaths.ternary.flips import lookup_flips, table_flips
from hwsim.datapaths.ternary.verilog import adders, ternary_core, ternary_dot, ternary_table
from hwsim.gates.steps import Stream
from hwsim.rtl.float_adders import float_adder
from hwsim.rtl.unit import Unit

PRODUCTS = (
    "keys", "keys_by_entries", "entries", "selected", "negated", "fetched", "combined", "turned_by_luts",
    "turned_by_entries",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LookupPrice(Price):
    """Of one lookup unit, and of the tables of its row."""

    unit: TernaryLut

    parts: ClassVar[Mapping[str, str]] = dict.fromkeys(PRODUCTS, "products")

    @property
    def update(self) -> str:
        """``lookup.int8``, ``lookup.fp16``, ``lookup.bf16``."""
        return f"lookup.{self.unit.activation}"

    @property
    def rebuild(self) -> str:
        """``table.`` and the activation."""
        return f"table.{self.unit.activation}"

    @property
    def registers(self) -> Registers:
        """Keys, a sum, and tables; activations reach the units as entries, broadcast along a row."""
        unit = self.unit
        operands = 0.5 * formats.get(unit.a_format).bits * unit.lanes
        tables = unit.entries * unit.entry_bits * unit.luts
        return Registers(0, unit.key_bits * unit.luts, unit.accumulator_bits, tables, operands)

    def blocks(self, held: Coefficients) -> Blocks:
        """Reader and accumulation; tables."""
        if held.fidelity != "fitted":
            return self._composed(Parts(held))
        unit = self.unit
        additions, width = max(unit.entries - unit.group, 0), unit.entry_bits
        if unit.activation != "int8":
            one = area(held, f"adder.{unit.activation}", {"constant": 1})
            read = area(held, "fetch.real", fetch_real(unit.entries, width)).scaled(unit.luts)
            own = Component("products", read, None), Component("accumulation", one.scaled(unit.luts), None)
            built = area(held, self.rebuild, table_real(additions)).scaled(unit.luts)
            return own, (Component("tables", built, None),)
        table = area(held, "table", sizes_of_table(additions, width)).scaled(unit.luts)
        read = area(held, "fetch", fetch(unit.entries, width, unit.luts))
        fetched = width + 1 + (unit.luts - 1).bit_length()
        adds = area(held, "accumulator.signed.wrap", features.accumulator(fetched, unit.accumulator_bits))
        own = Component("products", read, None), Component("accumulation", adds, None)
        return own, (Component("tables", table, None),)

    def _composed(self, parts: Parts) -> Blocks:
        unit = self.unit
        entries, group, tables = unit.entries, unit.group, unit.luts
        real = unit.activation != "int8"
        if real and unit.activation != "fp16":  # adders of two activations were measured
            raise MissingView(unit.name, f"price in {parts.of.name}")
        bits = 16 if real else 8
        width = bits if real else bits + group - 1
        additions = max(entries - group, 0)
        select, negate = parts.of["select.area.per_entry_bit"], parts.of["select.area.per_bit"]
        read = sum_of(
            (select.scaled(entries * width).with_unit("um2"), negate.scaled(1 if real else width).with_unit("um2")),
            "fetch of one group",
            0.0,
        ).scaled(tables)
        if real:
            build = Component(
                "tables",
                parts.of["fp16_adder.area"].scaled(additions * tables),
                parts.of["fp16_adder.energy"].scaled(additions * tables),
            )
            adds = parts.of["fp16_adder.area"].scaled(tables), parts.of["fp16_adder.energy"].scaled(tables)
            sums = [Component("accumulation", *adds)]
        else:
            build = Component(
                "tables",
                parts.of["table_adder.area.per_bit"].scaled(additions * width * tables).with_unit("um2"),
                parts.of["table_adder.energy.per_bit"].scaled(additions * width * tables).with_unit("fJ"),
            )
            sums = [Component("accumulation", parts.accumulator(32, width + ceil(log2(tables)), True), None)]
            if tables > 1:
                chain = parts.adder((width + 1) * (tables - 1))
                sums.append(parts.block("accumulation", f"{tables - 1} adders", chain))
        return (Component("products", read, None), *sums), (build,)

    def update_flips(self, stream: Stream) -> Features:
        """At the reader, between its tables, and in the accumulator."""
        return lookup_flips(self.unit, stream)

    def rebuild_flips(self, stream: Stream) -> Features:
        """In each adder of the tables."""
        return table_flips(self.unit, stream)

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """A fetch flips half an entry and feeds a signed accumulator; a rebuilt table flips each entry once."""
        unit = self.unit
        fetched = unit.entry_bits + ceil(log2(unit.luts))
        entries = float(unit.entry_bits * unit.entries * unit.luts)
        return WidthFlips(0.5 * unit.entry_bits * unit.luts, 0.5 * unit.accumulator_bits + fetched, entries)

    def fetch(self, dataflow: str, held: Coefficients) -> Quantity:
        """Tables are rewritten for every fetch where activations stream, and held where they stay. Groups without a
        measured fetch are priced by the area of the multiplexer."""
        name = f"fetch.{'held' if dataflow == 'is' else 'moving'}.{self.unit.group}"
        if name in held and self.unit.activation == "int8":
            return held[name].scaled(float(self.unit.luts))
        read = self.blocks(held)[0][0].area
        density = held["logic.energy_density"]
        # three measured fetches take 0.4 to 1.1 of area times density
        return Quantity(read.value * density.value, "fJ", f"{density.source}: {read.source}", 0.6)


def sizes_of_table(additions: int, entry_bits: int) -> Features:
    """Of the adders of a table of integers."""
    return {"sum_bits": additions * entry_bits, "additions": additions}


def table_real(additions: int) -> Features:
    """Of the floating-point adders of a table: a sum and a difference of two numbers share what aligns them, so that
    an adder in a table is smaller than one alone."""
    return {"additions": additions}


def fetch(entries: int, entry_bits: int, luts: int) -> Features:
    """Of one reader of `luts` integer tables: selection, negation, and the sum over the tables, which takes the ones
    that negation adds; a single table needs adders for them, and a table of one entry selects nothing."""
    return {
        "selections": luts * (entries - 1) * entry_bits,
        "entry_bits": luts * entry_bits,
        "increments": entry_bits if luts == 1 else 0,
        "sum_bits": (luts - 1) * (entry_bits + 2),
        "decoders": luts * (entries - 1),
    }


def fetch_real(entries: int, entry_bits: int) -> Features:
    """Of a reader of one table of floats, which negates by one bit; what adds over several tables is priced apart."""
    return {"selections": (entries - 1) * entry_bits, "decoders": entries - 1, "constant": 1}


def designs(quick: bool) -> Iterator[Design]:
    """Table builders, readers, and the adders of floats."""
    if quick:
        return
    for group in range(2, 6):
        unit, width = ternary_table(group), TernaryLut(group).entry_bits
        yield Design("table", unit.top, sizes_of_table(adders(group), width), unit.verilog)
    for group in range(1, 6):
        for luts in (1, 2, 3, 4, 6, 8) if group < 4 else (1, 2, 3):
            yield _fetch(group, luts)
        for readers in (2, 3, 4, 5) if group < 4 else (2,):
            yield _fetch(group, 1, readers)
    for activation in REAL:
        for group in (2, 3, 4):
            unit = ternary_table(group, activation)
            yield Design(f"table.{activation}", unit.top, table_real(adders(group)), unit.verilog)
        for group in range(1, 6):
            held = TernaryLut(group, activation)
            reader = held.gates.circuits()["reader"]
            yield Design("fetch.real", reader.top, fetch_real(held.entries, held.entry_bits), reader.verilog)
    for activation in REAL:
        unit = float_adder(activation)
        yield Design(f"adder.{activation}", unit.top, {"constant": 1}, unit.verilog)


REAL: tuple[Activation, ...] = ("fp16", "bf16")


def _fetch(group: int, luts: int, readers: int = 1) -> Design:
    """Several readers of a table are several of one, that there be enough designs of a single table."""
    sizes = fetch((3**group - 1) // 2, TernaryLut(group).entry_bits, luts)
    many = {name: readers * value for name, value in sizes.items()}
    text = ternary_dot(group, "int8", luts, readers).verilog
    return Design("fetch", f"ternary_fetch_mu{group}_int8_l{luts}_k{readers}", many, text)


def arithmetics() -> Iterator[Arithmetic]:
    """Groups and tables, on integers and on floats."""
    weight = quant.get("ternary.absmean")
    for group, luts in ((1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (1, 4)):
        yield Arithmetic(quant.get("int8.channel"), weight, TernaryLut(group, luts=luts))
    for activation in REAL:
        for group, luts in ((1, 1), (2, 1), (3, 1), (2, 2)):
            yield Arithmetic(quant.get(activation), weight, TernaryLut(group, activation, luts))


def wholes() -> Iterator[tuple[Unit, Datapath]]:
    """Cores of one reader, tables and registers included."""
    for group in (1, 2, 3, 4):
        yield ternary_core(group, "int8", 1, 1), TernaryLut(group)
    yield ternary_core(2, "int8", 2, 1), TernaryLut(2, "int8", 2)
    for group in (2, 3):
        yield ternary_core(group, "fp16", 1, 1), TernaryLut(group, "fp16")


CALIBRATION = Calibration(designs, arithmetics, wholes)

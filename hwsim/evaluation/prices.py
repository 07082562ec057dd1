"""What each event on a machine costs: memories, DRAM, wires, vector unit, clock, leakage, at its node and supply.

Decides how a machine's parts are looked up in the tables of `hwsim.cost`. Prices are made once a machine and shared
by all of its layers; a plan that is chosen for energy is chosen by these very prices (`MachinePrices.for_plan`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from hwsim.arch.clock import f_max, unit_depth, vector_stages
from hwsim.cost import clock_tree, technology
from hwsim.cost.coefficients import DEFAULT, Coefficients, load_coefficients
from hwsim.cost.dram import dram
from hwsim.cost.interleaving import clocked_sram
from hwsim.cost.quantity import Quantity, total
from hwsim.cost.sram_grid import flop_bit
from hwsim.cost.wires import crossbar_pj_per_bit
from hwsim.datapaths.vector.work import (
    cut_bits,
    delay_bits,
    delay_edges,
    lane_area_um2,
    lane_circuits,
    requantize,
    rotate,
    work,
)
from hwsim.errors import DesignError
from hwsim.timing.wiring import PlanPrices

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.memory import Memory
    from hwsim.datapaths.base import Datapath
    from hwsim.datapaths.vector.price import Operator
    from hwsim.quant import Scheme

PLACEMENT = 1 / technology.PLACEMENT - 1
"""µm² that rows of a layout leave empty for 1 µm² of cells."""


@dataclass(frozen=True, slots=True)
class LevelPrice:
    """One memory level.

    Attributes:
        component: its name in breakdowns: ``"dram"``, ``"sram.weight"``, ``"registers.spad"``.
        read_pj_per_bit, write_pj_per_bit: of an access, crossbars of shared banks included.
        wire_pj_per_bit: of the way between it and what it feeds; None for DRAM and for memories inside the units.
        area_um2: of all copies, None for DRAM.
        standing_mw: leakage of all copies; of DRAM its standby and refresh.
    """

    component: str
    read_pj_per_bit: Quantity
    write_pj_per_bit: Quantity
    wire_pj_per_bit: Quantity | None
    area_um2: Quantity | None
    standing_mw: Quantity


@dataclass(frozen=True, eq=False)
class MachinePrices:
    """Prices of one machine; made by `machine_prices`."""

    machine: Accelerator
    coefficients: Coefficients
    levels: Mapping[str, LevelPrice]

    def logic(self, price: Quantity) -> Quantity:
        """An energy of logic in fJ at the library's node and supply, as pJ at the machine's."""
        machine, held = self.machine, self.coefficients
        factor = _logic_factor(held.node_nm, held.voltage, machine.node_nm, machine.voltage)
        return price.times(factor, "pJ", self._note)

    def cells(self, size: Quantity) -> Quantity:
        """An area of cells in µm² at the library's node, at the machine's."""
        machine, held = self.machine, self.coefficients
        factor = technology.area_factor(held.node_nm, machine.node_nm)
        return size.scaled(factor, source=self._note, errors=technology.area_errors(held.node_nm, machine.node_nm))

    @property
    def _note(self) -> str:
        same = self.machine.node_nm == self.coefficients.node_nm
        return "" if same else f"to {self.machine.node_nm} nm by the node table"

    def vector(self, kind: str) -> Quantity:
        """pJ of one element of a kind of vector work, without the registers between its stages."""
        return self.logic(self.vector_fj(kind))

    def vector_fj(self, kind: str) -> Quantity:
        """`vector` in fJ, at the library's node and supply."""
        return self._operator(kind).energy_fj

    def vector_edges(self, kind: str) -> float:
        """Clock edges of the flip-flops between the stages of the circuits that one element of vector work uses, and
        in the delay lines of a rotation."""
        delays = delay_edges(self.machine.policy.rotation, self.machine.vector.lanes) if kind == "rotate" else 0
        return cut_bits(self._operator(kind).uses, vector_stages(self.machine)) + delays

    def _operator(self, kind: str) -> Operator:
        unit = self.machine.vector
        if kind == "requantize":
            return requantize(self.machine.policy.default.activation)
        if kind == "rotate":
            size = self.machine.policy.rotation
            assert size is not None, "only a product with a rotation asks for it"
            return rotate(size)
        return work(kind, unit.precision, unit.softmax)

    @property
    def vector_lane_um2(self) -> Quantity:
        """Cells of one lane of the vector unit, without the registers between its stages."""
        return self.cells(lane_area_um2(*self._lane))

    @property
    def vector_lane_bits(self) -> int:
        """Flip-flops between the stages of the circuits of one lane, and its share of a rotation's delay lines."""
        lanes = self.machine.vector.lanes
        delays = -(-delay_bits(self.machine.policy.rotation, lanes) // lanes)
        return int(cut_bits(lane_circuits(*self._lane), vector_stages(self.machine))) + delays

    @property
    def _lane(self) -> tuple[str, str, tuple[Scheme, ...], int | None]:
        unit = self.machine.vector
        schemes = tuple(dict.fromkeys(numerics.activation for numerics in self.machine.policy.numerics))
        return unit.precision, unit.softmax, schemes, self.machine.policy.rotation

    @property
    def placement(self) -> Quantity:
        """µm² that a layout leaves empty for 1 µm² of cells."""
        source = f"{technology.PLACEMENT:g} of a layout's rows filled"
        return Quantity(PLACEMENT, "um2", source, errors={"placement": technology.PLACEMENT_ERROR})

    def pipeline_bits(self, unit: Datapath) -> int:
        """Flip-flops of the pipeline stages inside one unit."""
        stages = self.machine.array.stages
        return unit_depth(unit, stages).register_bits if stages > 1 else 0

    @cached_property
    def clock_edge(self) -> Quantity:
        """pJ of one cycle of a flip-flop that is clocked: its clock pin, and the last wire of the tree to it."""
        volt = technology.supply(self.machine.node_nm, self.machine.voltage)
        wire = clock_tree.LOCAL_FF * 1e-3 * volt**2
        errors = {"clock tree": clock_tree.TREE_ERROR}
        pin = self.logic(self.coefficients["flipflop.energy.clock"])
        return total((pin, Quantity(wire, "pJ", "clock tree", errors=errors)), pin.source)

    @property
    def f_max_ghz(self) -> Quantity:
        """The highest clock of units, vector unit and memories at the node and supply (`hwsim.arch.clock.f_max`).

        Raises:
            MissingView: a unit has no circuit, so that nothing is known of its clock.
        """
        return f_max(self.machine)

    def for_plan(self, standing_pj_per_cycle: float) -> PlanPrices:
        """What a plan for energy weighs."""
        wires = {name: one.wire_pj_per_bit.value if one.wire_pj_per_bit else 0.0 for name, one in self.levels.items()}
        return PlanPrices(
            {name: level.read_pj_per_bit.value + wires[name] for name, level in self.levels.items()},
            {name: level.write_pj_per_bit.value + wires[name] for name, level in self.levels.items()},
            standing_pj_per_cycle,
        )

    def per_cycle(self, logic_um2: float) -> Iterator[tuple[str, str, Quantity]]:
        """What a cycle costs whatever happens in it: component, level, pJ.

        Args:
            logic_um2: area of all logic, for its leakage and the clock's trunk. Flip-flops are gated: their clock
                pins and last wires are charged with the work that they do.
        """
        machine = self.machine
        period_ns = 1 / machine.clock_ghz
        for name, level in self.levels.items():
            component = "dram.standby" if level.area_um2 is None else "leakage.memories"
            yield component, name, level.standing_mw.scaled(period_ns).with_unit("pJ")  # 1 mW for 1 ns is 1 pJ
        leak = technology.leakage_mw_per_mm2(machine.node_nm, "low", machine.voltage)
        yield "leakage.logic", "chip", leak.scaled(logic_um2 * 1e-6 * period_ns).with_unit("pJ")
        trunk = clock_tree.clock_tree_pj_per_cycle(0, logic_um2 * 1e-6, machine.node_nm, machine.voltage)
        yield "clock tree", "chip", trunk


@lru_cache(maxsize=512)
def _logic_factor(from_nm: int, from_v: float | None, to_nm: int, to_v: float | None) -> Quantity:
    """What turns fJ of logic at one node and supply into pJ at another."""
    factor = technology.energy_factor(from_nm, from_v, to_nm, to_v) * 1e-3
    return Quantity(factor, "", "scaling", errors=technology.energy_errors(from_nm, to_nm))


@lru_cache(maxsize=512)
def machine_prices(machine: Accelerator, coefficients: str = DEFAULT) -> MachinePrices:
    """Prices of a machine.

    Raises:
        DesignError: a memory that cannot be made, a supply outside the laws.
        ArgumentError, UnknownName: an unknown node, DRAM, device or coefficient.
    """
    technology.supply(machine.node_nm, machine.voltage, f"{machine.name}.technology.voltage")
    levels = {memory.name: level_price(machine, memory) for memory in machine.memories}
    return MachinePrices(machine, load_coefficients(coefficients), levels)


def level_price(machine: Accelerator, memory: Memory) -> LevelPrice:
    """Prices of one memory at the node and supply of `machine`.

    Raises:
        DesignError: a memory that cannot be made. UnknownName: an unknown DRAM or device.
    """
    if memory.kind == "dram":
        return _dram(machine, memory)
    if memory.kind == "registers":
        return _registers(machine, memory)
    return _sram(machine, memory)


def _dram(machine: Accelerator, memory: Memory) -> LevelPrice:
    chip = dram(memory.technology or "", memory.gbyte_s or 0.0, f"{machine.name}.memory.dram")
    read, write = chip.read_pj_per_bit(), chip.write_pj_per_bit()
    if memory.pj_per_bit is not None:
        read = write = Quantity(memory.pj_per_bit, "pJ", "the machine's own price of a bit of DRAM")
    return LevelPrice("dram", read.with_unit("pJ"), write.with_unit("pJ"), None, None, chip.background_mw)


def _sram(machine: Accelerator, memory: Memory) -> LevelPrice:
    where = f"{machine.name}.memory.{memory.name}"
    if memory.macro_ports is None:
        raise DesignError(
            "must be one port for both, one read and one write port, or two for both, as macros have them",
            got=", ".join(f"{port.bits} {port.direction}" for port in memory.ports),
            where=f"memory.{memory.name}.ports",
        )
    one = clocked_sram(
        memory.kib / memory.copies, memory.macro_bits, machine.node_nm, machine.voltage, machine.clock_ghz, where,
        banks=memory.banks, ports=memory.macro_ports, device=memory.technology,
    )  # fmt: skip
    read, write = one.read_pj_per_bit.with_unit("pJ"), one.write_pj_per_bit.with_unit("pJ")
    if memory.pj_per_bit is not None:
        read = write = Quantity(memory.pj_per_bit, "pJ", "the machine's own price of a bit")
    elif memory.banks > 1:
        crossbar = crossbar_pj_per_bit(memory.banks, machine.node_nm, machine.voltage).with_unit("pJ")
        read, write = total((read, crossbar), read.source), total((write, crossbar), write.source)
    wire = None
    if memory.copies == 1:
        wire = technology.wire_pj_per_bit_mm(machine.node_nm, machine.voltage)
        wire = wire.scaled(math.sqrt(one.area_um2.value) * 1e-3).with_unit("pJ")  # half its own half perimeter
    return LevelPrice(
        f"sram.{memory.name}", read, write, wire,
        one.area_um2.scaled(memory.copies), one.leakage_mw.scaled(memory.copies),
    )  # fmt: skip


def _registers(machine: Accelerator, memory: Memory) -> LevelPrice:
    """A memory of flip-flops: every bit that is written is a clock edge; one that is read clocks nothing, but its way
    through the multiplexers is as dear, as for the words of a latch array (`hwsim.cost.sram_grid`)."""
    area, edge = flop_bit(machine.node_nm, machine.voltage)
    bits = memory.kib * 8192
    leak = technology.leakage_mw_per_mm2(machine.node_nm, "low", machine.voltage)
    standing = leak.scaled(bits * area.value * 1e-6).with_unit("mW")
    price = edge.with_unit("pJ")
    return LevelPrice(f"registers.{memory.name}", price, price, None, area.scaled(bits), standing)

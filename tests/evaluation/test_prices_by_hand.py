"""Every price of a machine, worked out from the tables beside it."""

from __future__ import annotations

import dataclasses
import math

import pytest

from hwsim.arch import Numerics, Policy
from hwsim.arch.clock import f_max
from hwsim.arch.memory import Port
from hwsim.cost.clocking import f_max_ghz
from hwsim.cost.memory import sram
from hwsim.cost.quantity import Quantity
from hwsim.datapaths import integer
from hwsim.datapaths.vector.work import lane_area_um2, requantize, work
from hwsim.errors import DesignError
from hwsim.evaluation.area import area
from hwsim.evaluation.prices import machine_prices

WIRE = 0.10 * (1.1 / 0.9) ** 2  # pJ/bit/mm at 45 nm: 0.10 at 0.9 V in the node table, 1.1 V here
SUPPLY_7 = 0.15 * (0.75 / 0.75) ** 2 / (1.0 * (1.1 / 0.9) ** 2)  # logic from 45 nm, 1.1 V to 7 nm, 0.75 V


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-12)


def with_memory(make, **fields):
    """The machine of three memories with another activation memory."""
    machine = make.three_memories(8, 16, 32, rows=4, cols=2)
    memories = tuple(
        dataclasses.replace(memory, **fields) if memory.name == "activation" else memory
        for memory in machine.memories
    )
    return dataclasses.replace(machine, memories=memories)


def test_dram(make):
    level = machine_prices(make.three_memories(8, 16, 32, gbyte_s=12.8)).levels["dram"]
    # LPDDR4: 7 pJ a streamed bit both ways; 12.8 GB/s are two devices of 8.5, each with 24 mW standby, 8.1 refresh
    assert (level.component, level.read_pj_per_bit.value, level.write_pj_per_bit.value) == ("dram", near(7), near(7))
    assert level.standing_mw.value == near(2 * (24 + 8.1))
    assert (level.wire_pj_per_bit, level.area_um2) == (None, None)


def test_dram_that_reads_and_writes_at_other_prices(make):
    machine = make.three_memories(8, 16, 32, gbyte_s=12.8)
    root = dataclasses.replace(machine.memories[0], technology="lpddr5")
    level = machine_prices(dataclasses.replace(machine, memories=(root, *machine.memories[1:]))).levels["dram"]
    # bursts of 1.8 and 1.0 pJ; half reads, half writes make 5.0: 0.4 above and below
    assert (level.read_pj_per_bit.value, level.write_pj_per_bit.value) == (near(5.4), near(4.6))
    own = dataclasses.replace(root, pj_per_bit=3.5)
    level = machine_prices(dataclasses.replace(machine, memories=(own, *machine.memories[1:]))).levels["dram"]
    assert (level.read_pj_per_bit.value, level.write_pj_per_bit.value) == (3.5, 3.5)
    assert level.standing_mw.value == near(24 + 8.1)  # one device of 12.8 GB/s


@pytest.mark.parametrize(
    ("ports", "kind"),
    [
        ((Port(64),), "1rw"),
        ((Port(64, "read"), Port(64, "write")), "1r1w"),
        ((Port(32, "read"), Port(64, "write")), "1r1w"),
        ((Port(64), Port(64)), "2rw"),
    ],
)
def test_sram_by_its_ports(make, ports, kind):
    level = machine_prices(with_memory(make, ports=ports)).levels["activation"]
    macro = sram(8, 64, 45, None, ports=kind, device="lstp")
    assert level.component == "sram.activation"
    assert level.read_pj_per_bit.value == near(macro.read_pj.value / 64)
    assert level.write_pj_per_bit.value == near(macro.write_pj.value / 64)
    assert level.area_um2.value == near(macro.area_um2.value)
    assert level.standing_mw.value == near(macro.leakage_mw.value)
    assert level.wire_pj_per_bit.value == near(WIRE * math.sqrt(macro.area_um2.value) / 1000)  # its side, in mm


def test_ports_that_no_macro_has(make):
    with pytest.raises(DesignError, match=r"got '64 read, 64 read, 64 write'"):
        machine_prices(with_memory(make, ports=(Port(64, "read"), Port(64, "read"), Port(64, "write"))))


def test_banks_pay_a_crossbar_unless_the_machine_states_a_price(make):
    for banks in (2, 4):
        level = machine_prices(with_memory(make, banks=banks)).levels["activation"]
        macro = sram(8, 512, 45, None, banks=banks, ports="1r1w")
        crossbar = 0.17 * banks / 32 * WIRE / 0.065  # 0.17 pJ for 32 banks at 22 nm, where a wire takes 0.065 pJ/mm
        assert level.read_pj_per_bit.value == near(macro.read_pj.value / 512 + crossbar)
        assert level.write_pj_per_bit.value == near(macro.write_pj.value / 512 + crossbar)
    level = machine_prices(with_memory(make, banks=4, pj_per_bit=0.02)).levels["activation"]
    assert (level.read_pj_per_bit.value, level.write_pj_per_bit.value) == (0.02, 0.02)
    plain = machine_prices(with_memory(make)).levels["activation"]
    assert plain.read_pj_per_bit.value == near(sram(8, 512, 45, None, ports="1r1w").read_pj.value / 512)


def test_copies_are_small_memories_inside_the_units(make):
    level = machine_prices(with_memory(make, kib=32, copies=8)).levels["activation"]
    macro = sram(4, 512, 45, None, ports="1r1w")
    assert level.read_pj_per_bit.value == near(macro.read_pj.value / 512)
    assert level.area_um2.value == near(8 * macro.area_um2.value)
    assert level.standing_mw.value == near(8 * macro.leakage_mw.value)
    assert level.wire_pj_per_bit is None


def test_registers(make):
    fields = {"kind": "registers", "kib": 1 / 8, "copies": 8}
    level = machine_prices(with_memory(make, **fields)).levels["activation"]
    assert level.component == "registers.activation"
    assert level.read_pj_per_bit.value == near(0.008)  # 8 fJ at 45 nm, 1.1 V
    assert level.write_pj_per_bit.value == near(0.008)
    bit = 5.5 * 0.80 / 0.65  # gates of 0.80 µm² in rows that are filled to 65 %
    assert level.area_um2.value == near(1024 * bit)
    leak = 0.1 * 1.1 / 0.9 * math.exp(3 * (1.1 - 0.9))  # mW/mm²
    assert level.standing_mw.value == near(leak * 1024 * bit * 1e-6)
    small = machine_prices(with_memory(make, **fields).changed(**{"technology.node_nm": 7})).levels["activation"]
    assert small.read_pj_per_bit.value == near(0.008 * SUPPLY_7)


def test_voltage(make):
    machine = make.three_memories(8, 16, 32)
    low = machine_prices(dataclasses.replace(machine, voltage=0.88)).levels["weight"]  # 0.8 of nominal
    nominal = machine_prices(machine).levels["weight"]
    assert low.read_pj_per_bit.value == near(0.64 * nominal.read_pj_per_bit.value)
    assert low.wire_pj_per_bit.value == near(0.64 * nominal.wire_pj_per_bit.value)
    with pytest.raises(DesignError, match=r"three\.technology\.voltage"):
        machine_prices(dataclasses.replace(machine, voltage=0.05))


def test_logic_and_cells_at_other_nodes(make):
    machine = make.three_memories(8, 16, 32)
    here, small = machine_prices(machine), machine_prices(dataclasses.replace(machine, node_nm=7))
    energy, size = Quantity(1000.0, "fJ", "a test"), Quantity(100.0, "um2", "a test")
    assert (here.logic(energy).value, here.logic(energy).unit) == (near(1.0), "pJ")
    assert small.logic(energy).value == near(SUPPLY_7)
    assert here.cells(size).value == near(100)
    assert small.cells(size).value == near(100 * 0.062 / 0.80)  # NAND gates of both nodes
    assert here.placement.value == near(0.35 / 0.65)
    # 15.488 fJ at the clock pin, and 0.6 fF of wire at 1.1 V
    assert here.clock_edge.value == near(0.015488 + 0.6e-3 * 1.21)
    assert small.clock_edge.value == near(0.015488 * SUPPLY_7 + 0.6e-3 * 0.75**2)


def test_vector_work(make):
    machine = make.three_memories(8, 16, 32)
    prices = machine_prices(machine)
    assert prices.vector("add").value == near(work("add", "fp16").energy_fj.value * 1e-3)
    assert prices.vector("requantize").value == near(requantize(make.PLAIN8).energy_fj.value * 1e-3)
    exaq = machine_prices(machine.changed(**{"vector.softmax": "exaq2"}))
    assert exaq.vector("softmax").value == near(work("softmax", "fp16", "exaq2").energy_fj.value * 1e-3)
    assert prices.vector_lane_um2.value == near(lane_area_um2("fp16", "exact", (make.PLAIN8,)).value)


def test_a_cycle_of_a_square_millimetre_of_logic(make):
    prices = machine_prices(make.three_memories(8, 16, 32, gbyte_s=12.8, clock_ghz=0.5))
    found = {(component, level): price.value for component, level, price in prices.per_cycle(1e6)}
    assert list(found) == [
        ("dram.standby", "dram"), ("leakage.memories", "activation"), ("leakage.memories", "weight"),
        ("leakage.memories", "output"), ("leakage.logic", "chip"), ("clock tree", "chip"),
    ]  # fmt: skip
    assert found["dram.standby", "dram"] == near(64.2 * 2)  # mW for 2 ns
    assert found["leakage.memories", "weight"] == near(2 * prices.levels["weight"].standing_mw.value)
    assert found["leakage.logic", "chip"] == near(0.1 * 1.1 / 0.9 * math.exp(0.6) * 2)
    assert found["clock tree", "chip"] == near(50 * 1.1**2)  # 50 pF a mm², charged and discharged once


def test_what_a_plan_weighs(make):
    prices = machine_prices(make.three_memories(8, 16, 32))
    weighed = prices.for_plan(3.25)
    level = prices.levels["output"]
    assert weighed.read_pj["output"] == near(level.read_pj_per_bit.value + level.wire_pj_per_bit.value)
    assert weighed.write_pj["output"] == near(level.write_pj_per_bit.value + level.wire_pj_per_bit.value)
    assert weighed.read_pj["dram"] == near(7)
    assert weighed.write_pj["dram"] == near(7)
    assert weighed.idle_pj_per_cycle == 3.25


def test_the_slowest_unit_sets_the_clock(make):
    narrow = Numerics(make.PLAIN8, make.PLAIN8, integer(8, 8, 20))
    wide = Numerics(make.PLAIN8, make.PLAIN8, integer(8, 8, 32))
    machine = make.three_memories(8, 16, 32)
    alone = [f_max(dataclasses.replace(machine, policy=Policy(one))).value for one in (narrow, wide)]
    mixed = dataclasses.replace(machine, policy=Policy(narrow, overrides=(("head", wide),)))
    assert alone[1] != alone[0]
    assert machine_prices(mixed).f_max_ghz.value == min(alone)
    # 54.7 FO4 with a quarter for wires, 4.2 and 1.5 for the flip-flop and skew; 17 ps at 0.9 V; slow corner 1.3
    slow = (1.1 / 0.75**1.3) / (0.9 / 0.55**1.3)
    assert alone[1] == pytest.approx(1000 / ((54.7 * 1.25 + 5.7) * 17 * slow * 1.3), rel=1e-4)


def test_a_clock_asks_for_stages_of_the_vector_unit(make):
    """The requantiser, 63.62 FO4, is a lane's deepest circuit: one stage reaches its clock. A faster one takes two,
    whose longest is 31.89 FO4, and pays for the bits at the cuts (the table of the vector unit's depths)."""
    machine = make.three_memories(8, 16, 32)
    one = f_max_ghz(63.62, 45, machine.voltage).value
    slow = dataclasses.replace(machine, clock_ghz=0.99 * one)
    assert machine_prices(slow).vector_edges("add") == machine_prices(slow).vector_lane_bits == 0
    fast = dataclasses.replace(machine, clock_ghz=1.01 * one)
    assert f_max_ghz(31.89, 45, machine.voltage).value > 1.01 * one
    assert machine_prices(fast).vector_edges("add") == 60  # bits at the adder's one cut
    assert machine_prices(fast).vector_edges("gelu") == 51 + 69  # its gate and the multiplier behind it
    assert machine_prices(fast).vector_lane_bits > 60 + 51 + 69
    charges = {one.level: one for one in area(fast, machine_prices(fast)) if one.component == "pipeline"}
    assert charges["vector"].amount == near(16 * machine_prices(fast).vector_lane_bits * 4.522)

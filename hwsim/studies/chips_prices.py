"""Areas and energies of published chips: memories alone, whole machines, and what a product takes.

A chip's energy is that of one product large enough to fill it, all of what lies on the chip and nothing of the DRAM,
as test chips are measured. Energies of units follow from the widths of their operands (`hwsim.evaluation`), so that
zeros among the operands of a measurement do not show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from hwsim.arch import Accelerator, load_accelerator
from hwsim.arch.memory import Memory
from hwsim.arch.row_stationary import passes
from hwsim.cost.coefficients import DEFAULT, load_coefficients
from hwsim.cost.memory import Sram, sram
from hwsim.cost.technology import PLACEMENT, energy_factor, wire_pj_per_bit_mm
from hwsim.evaluation import Evaluation, evaluate
from hwsim.studies import chips_eyeriss
from hwsim.studies.page import Table, Value
from hwsim.workloads.network import Network

SIDE = 512
"""Rows, columns and depth of the product that efficiency is taken from."""


class Row(NamedTuple):
    """One quantity: chip, what, published, ours, the factor within which it should lie, and why it does not."""

    chip: str
    quantity: str
    published: float
    ours: float
    limit: float
    why: str = ""

    @property
    def near(self) -> bool:
        """Whether it lies within its limit."""
        return self.published / self.limit <= self.ours <= self.published * self.limit

    @property
    def cells(self) -> tuple[Value, ...]:
        """As the table has it."""
        return (
            self.chip, self.quantity, self.published, self.ours, self.ours / self.published, self.limit, self.near,
            "" if self.near else self.why,
        )  # fmt: skip


COLUMNS = ("chip", "quantity", "published", "ours", "ours / published", "limit", "within", "why not")


def areas() -> Table:
    """Areas of memories and arrays, mm²."""
    rows = (*_memories(), *_arrays())
    return Table(
        "areas",
        "Areas, mm²",
        COLUMNS,
        tuple(row.cells for row in rows),
        "Memories: CACTI's areas with the published-area factor that four of these chips agreed on within 1.35. "
        "TPUv1's shares of 331 mm² are recalled. Arrays: cells over the share of a layout's rows that they fill.",
    )


def efficiencies() -> Table:
    """Energies of products, and their ratios between precisions."""
    rows = list(_efficiencies())
    return Table(
        "efficiency",
        "Energy of a product, pJ; ratios",
        COLUMNS,
        tuple(row.cells for row in rows),
        f"One product of {SIDE} x {SIDE} x {SIDE}, DRAM left out. Limits: ratios x1.3, absolute x2.",
    )


def eyeriss_power() -> Table:
    """Power of Eyeriss by layer and part, mW."""
    machine = load_accelerator("eyeriss")
    rows: list[tuple[Value, ...]] = []
    for name, published in POWER.items():
        parts = _eyeriss_parts(machine, name)
        whole = sum(parts.values())
        near = published / 2 <= whole <= 2 * published
        rows.append((name, published, whole, whole / published, near, *parts.values()))
    return Table(
        "eyeriss_power",
        "Eyeriss: power, mW",
        ("layer", "published", "ours", "ours / published", "within", *parts),
        tuple(rows),
        "JSSC 2017, table V, 1.0 V. Limit x2. In the published passes; products of a zero input are gated, as are "
        "their filter and sum words; clock: operands, stages, sums and nothing of the tree.",
    )


NAMES = {"gemmini": "Gemmini", "eyeriss": "Eyeriss", "tpu-v1": "TPUv1", "tpu-v4i": "TPUv4i"}

POWER = {"conv1": 332.0, "conv2": 288.0, "conv3": 266.0, "conv4": 235.0, "conv5": 236.0}


def price(machine: Accelerator, memory: Memory) -> Sram:
    """One copy of a memory of a machine: a read and a write port where it has both, else one for both."""
    both = any(port.direction == "both" for port in memory.ports)
    return sram(
        memory.kib / memory.copies, max(port.bits for port in memory.ports), machine.node_nm, machine.voltage,
        banks=memory.banks, ports="1rw" if both else "1r1w", device=memory.technology,
    )  # fmt: skip


def _memories() -> Iterator[Row]:
    published = (
        ("gemmini", ("scratchpad",), 0.544, ""),
        (
            "gemmini",
            ("accumulator",),
            0.146,
            "two banks of 512 bits: CACTI joins such banks at 1.3 to 1.8 of their sum",
        ),
        ("eyeriss", ("buffer", "filters"), 2.33, ""),
        ("tpu-v1", ("unified",), 96.0, ""),
        ("tpu-v1", ("accumulators",), 19.9, "share of the die recalled; 8,192 bits wide, which costs wires here"),
        ("tpu-v4i", ("cmem",), 112.0, ""),
        ("tpu-v4i", ("vmem",), 51.0, "the vector memory's ports are not published; one read and one write port here"),
    )
    for chip, levels, size, why in published:
        machine = load_accelerator(chip)
        found = (machine.memory(level) for level in levels)
        ours = sum(price(machine, level).area_um2.value * level.copies * 1e-6 for level in found)
        yield Row(NAMES[chip], " and ".join(levels), size, ours, 1.4, why)


def _arrays() -> Iterator[Row]:
    for chip, size, why in (
        ("gemmini", 0.116, ""),
        ("tpu-v1", 79.4, "24 % of the die, recalled: skew, drain and control of the array are not in ours"),
    ):
        parts = _priced(chip).area.breakdown("level").parts
        yield Row(NAMES[chip], "array", size, parts["array"].value * 1e-6 / PLACEMENT, 1.4, why)
    whole = _priced("mx-npu-mxfp4").area_um2 * 1e-6
    why = "published after synthesis: no layout in its memories, in ours the factor of four laid-out chips"
    yield Row("MX NPU", "whole, FP4 unit alone", 0.60, whole, 1.5, why)


def _efficiencies() -> Iterator[Row]:
    int8, int4 = _on_chip("vs-quant-int8"), _on_chip("vs-quant-int4")
    yield Row("VS-Quant", "INT8, 39.1 TOPS/W", 2 / 39.1, int8, 2.0)
    yield Row("VS-Quant", "INT4, 91.1 TOPS/W", 2 / 91.1, int4, 2.0)
    yield Row("VS-Quant", "INT8 over INT4", 91.1 / 39.1, int8 / int4, 1.3)
    mx = {name: _on_chip(f"mx-npu-{name}") for name in ("mxfp8", "mxfp6", "mxfp4")}
    watts = {"mxfp8": 1438.0, "mxfp6": 1675.0, "mxfp4": 4065.0}
    for name, found in mx.items():
        yield Row("MX NPU", f"{name.upper()}, {watts[name]:.0f} GOPS/W", 2e3 / watts[name], found, 2.0)
    shared = "the chip's units of all precisions are one circuit, most of it a tree that FP8 and FP6 use in part"
    yield Row("MX NPU", "MXFP8 over MXFP4", watts["mxfp4"] / watts["mxfp8"], mx["mxfp8"] / mx["mxfp4"], 1.3, shared)
    yield Row("MX NPU", "MXFP8 over MXFP6", watts["mxfp6"] / watts["mxfp8"], mx["mxfp8"] / mx["mxfp6"], 1.3, shared)
    lowest = {"technology.voltage": 0.48, "technology.clock_ghz": 0.2}
    yield Row("Simba", "INT8, 9.1 TOPS/W at 0.42 V", 2 / 9.1, _on_chip("simba", **lowest), 2.0)


def _priced(chip: str, **changes: object) -> Evaluation:
    """A chip, with some fields of its file changed, on one large product."""
    net = Network("product")
    x = net.input(SIDE, SIDE)
    return evaluate(net.finish(net.linear("layer", x, SIDE)), load_accelerator(chip).changed(**changes))


def _on_chip(chip: str, **changes: object) -> float:
    """pJ a multiply-accumulate, DRAM left out."""
    found = _priced(chip, **changes)
    parts = found.breakdown("component").parts
    return sum(part.value for name, part in parts.items() if not name.startswith("dram")) / found.macs


def _eyeriss_parts(machine: Accelerator, layer: str) -> dict[str, float]:
    """mW of each part of the chip while it works on a layer."""
    convolution = chips_eyeriss.convolutions()[layer]
    done = passes(machine, convolution, chips_eyeriss.PASSES[layer])
    unit, held = machine.policy.default.datapath, load_coefficients(DEFAULT)
    scale = energy_factor(held.node_nm, held.voltage, machine.node_nm, machine.voltage) * 1e-3
    flips = unit.price.width_flips()
    registers = unit.price.registers
    word = machine.policy.default.activation.element_format.bits
    bits = registers.a_bits + registers.b_bits + registers.sum_bits + (machine.array.stages - 1) * 2 * word

    read, write = {}, {}
    for memory in machine.memories:
        if memory.kind != "dram":
            made = price(machine, memory)
            read[memory.name], write[memory.name] = (
                one.value * word for one in (made.read_pj_per_bit, made.write_pj_per_bit)
            )
    work = convolution.macs * (1 - chips_eyeriss.PUBLISHED[layer][2])
    half = done.sum_accesses / 2
    side = 1.75  # mm, half of the core's: a word's mean way to the array
    moved = done.buffer_words + done.dram_weights
    picojoules = {
        "products": work * (flips.products + flips.sums) * held["pann.energy_per_flip"].value * scale,
        "filter spads": work * read["filter-spad"],
        "input spads": convolution.macs * read["input-spad"],
        "sum spads": work * (read["sum-spad"] + write["sum-spad"]),
        "buffer": (done.input_reads + half) * read["buffer"] + half * write["buffer"],
        "wires": moved * word * side * wire_pj_per_bit_mm(machine.node_nm, machine.voltage).value,
        "clock": done.cycles * machine.array.units * bits * held["flipflop.energy.clock"].value * scale,
    }
    seconds = machine.latency_s(done.cycles)
    return {name: value * 1e-9 / seconds for name, value in picojoules.items()}

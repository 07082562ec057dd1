"""What a cost model of matrix products can be told of a design: an array, memories, prices, shapes, widths.

Decides what a second opinion is an opinion on. Peers choose their own mapping, count their own accesses and cycles,
and are given hwsim's prices for them, so that a difference is one of mapping and counting alone. They know no
numerics: a unit is one energy a multiplication, hwsim's own for these products with registers, clock and everything
else inside the array; an element is its bits in memory with its share of scales, in whole bits, as neither peer takes
4.5: NVFP4 has 5, a tenth too much. Vector work, leakage, DRAM standby and the clock's trunk are outside, as peers
have none; `Shared.energy_pj` leaves them out too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.arch.dataflow import OPERANDS, Dimension, Operand
from hwsim.arch.units import storage_bits
from hwsim.errors import ArgumentError, DesignError
from hwsim.evaluation.prices import machine_prices
from hwsim.evaluation.single import evaluate

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.trace import Workload

STANDING = ("dram.standby", "leakage.memories", "leakage.logic", "clock tree")


@dataclass(frozen=True, slots=True)
class Level:
    """A memory of the chip, or the DRAM.

    Attributes:
        name: as in the machine.
        holds: operands that pass through it.
        bits: of its capacity; infinite for DRAM.
        read_bits, write_bits: a cycle.
        one_port: whether reads and writes share one port.
        read_pj, write_pj: of a bit, the way to what it feeds included.
    """

    name: str
    holds: tuple[Operand, ...]
    bits: float
    read_bits: int
    write_bits: int
    one_port: bool
    read_pj: float
    write_pj: float


@dataclass(frozen=True, slots=True)
class Product:
    """`batch` products of a ``[m, k]`` by a ``[n, k]`` operand; bits of an element of each operand in memory, of a
    result there, and of a running sum. `shared` says that all of the batch use one operand b."""

    name: str
    batch: int
    m: int
    n: int
    k: int
    shared: bool
    a_bits: int
    b_bits: int
    out_bits: int
    sum_bits: int


@dataclass(frozen=True, slots=True)
class Shared:
    """A design and products as peers take them, and what hwsim says of the same.

    Attributes:
        name: of the machine.
        dataflow: ``"ws"``, ``"is"`` or ``"os"``.
        rows, cols, lanes: units along each side, and products along K that a unit takes a cycle.
        along: the dimension along rows, and that along columns.
        product_pj: of one multiplication, everything in the array included.
        levels: DRAM first.
        products: in the order of the run.
        clock_ghz: of the machine.
        latency_cycles: of hwsim, everything included.
        energy_pj: of hwsim, of the array, the memories and the DRAM's accesses.
        dram_bits: of hwsim, read and written.
    """

    name: str
    dataflow: str
    rows: int
    cols: int
    lanes: int
    along: tuple[Dimension, Dimension]
    product_pj: float
    levels: tuple[Level, ...]
    products: tuple[Product, ...]
    clock_ghz: float
    latency_cycles: int
    energy_pj: float
    dram_bits: int


def shared(machine: Accelerator, workload: Workload) -> Shared:
    """What peers can be told of a machine that runs a workload's products.

    Raises:
        DesignError: the machine has what they cannot be told: several copies of a memory or arrays, memories inside
            memories, a row-stationary array, units whose time depends on their weights, arithmetic by layer.
        ArgumentError: the workload has no product.
    """
    _check(machine)
    if not workload.gemms:
        raise ArgumentError("the workload must have a matrix product", got=workload.name)
    found = evaluate(workload, machine)
    parts = {name: one.value for name, one in found.breakdown("component").parts.items()}
    left_out = sum(parts.get(name, 0.0) for name in parts if name in STANDING or name.startswith("vector"))
    in_array = found.breakdown("level").parts["array"].value
    array = machine.array
    return Shared(
        machine.name, array.dataflow.name, array.rows, array.cols, machine.policy.default.datapath.lanes,
        (array.dataflow.rows, array.dataflow.cols), in_array / found.macs, tuple(_levels(machine)),
        tuple(_products(machine, workload)), machine.clock_ghz, found.latency_cycles, found.energy_pj - left_out,
        found.dram_read_bits + found.dram_write_bits,
    )  # fmt: skip


def _check(machine: Accelerator) -> None:
    rules = (
        (len(machine.policy.numerics) == 1, "numerics", "must be one arithmetic for a peer"),
        (machine.array.count == 1, "array.count", "must be one array for a peer"),
        (machine.array.dataflow.name != "rs", "array.dataflow", "must be ws, is or os for a peer"),
        (not machine.policy.default.datapath.timed_by_weights, "numerics", "must take one time for all weights"),
        (all(one.copies == 1 for one in machine.memories), "memory", "must be one copy of each for a peer"),
        (
            all(one.parent in (None, machine.dram.name) for one in machine.memories), "memory",
            "must be levels that the DRAM fills, for a peer",
        ),
    )  # fmt: skip
    for holds, place, rule in rules:
        if not holds:
            raise DesignError(rule, where=f"{machine.name}.{place}")


def _levels(machine: Accelerator) -> list[Level]:
    prices = machine_prices(machine)
    levels = []
    for memory in sorted(machine.memories, key=lambda one: one.kind != "dram"):
        price = prices.levels[memory.name]
        way = price.wire_pj_per_bit.value if price.wire_pj_per_bit else 0.0
        if memory.kind == "dram":
            wide = (max(1, math.floor(machine.dram_bits_per_cycle)),) * 2
            one_port = True
        else:
            wide = (
                memory.banks * sum(port.bits for port in memory.ports if port.direction != "write"),
                memory.banks * sum(port.bits for port in memory.ports if port.direction != "read"),
            )
            one_port = all(port.direction == "both" for port in memory.ports)
        levels.append(
            Level(
                memory.name, tuple(one for one in OPERANDS if one in memory.holds), memory.kib * 8192, *wide,
                one_port,
                price.read_pj_per_bit.value + way, price.write_pj_per_bit.value + way,
            )
        )  # fmt: skip
    return levels


def _products(machine: Accelerator, workload: Workload) -> list[Product]:
    numerics = machine.policy.default
    sums = numerics.datapath.accumulator_bits
    return [
        Product(
            gemm.layer or f"product {place}", gemm.batch, gemm.m, gemm.n, gemm.k, gemm.groups == 1 and gemm.batch > 1,
            _whole(storage_bits(numerics, "activation", gemm.m, gemm.k) / (gemm.m * gemm.k)),
            _whole(storage_bits(numerics, gemm.b_role, gemm.n, gemm.k) / (gemm.n * gemm.k)),
            machine.output_bits, sums,
        )
        for place, gemm in enumerate(workload.gemms)
    ]  # fmt: skip


def _whole(bits: float) -> int:
    return math.floor(bits + 0.5)

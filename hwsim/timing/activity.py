"""What a machine does for one GEMM: accesses of each memory, DRAM traffic, and how long it takes.

Accesses follow from the dataflow. With K' = ceil(K / lanes), in elements:

========  ========================  ========================  ============================  =======================
dataflow  reads of a                reads of b                results written               partial sums read back
========  ========================  ========================  ============================  =======================
``ws``    M K ceil(N / C)           N K                       M N ceil(K' / R)              M N (ceil(K' / R) - 1)
``is``    M K                       N K ceil(M / C)           M N ceil(K' / R)              M N (ceil(K' / R) - 1)
``os``    M K ceil(N / C)           N K ceil(M / R)           M N                           none
========  ========================  ========================  ============================  =======================

The counts of reads and results are SCALE-Sim's; it leaves out reading partial sums back, which costs energy and is
counted here. A partial sum has the accumulator's width, a result the machine's `output_bits`. An add-only unit makes
several additions an element: its array streams that many times longer, and its updates are additions.

Time is the bound of a double-buffered pipeline: the slowest of array, busiest memory port and DRAM channel, plus the
DRAM time of the first fold's operands and of the last fold's results, which nothing hides. Between two GEMMs,
activations go through DRAM, or, where the machine's `handover` is ``"chip"``, stay in their memory if all of the
batch fits one of its buffers; what else happens to them on the way (normalisation, quantisation) is not modelled.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

from hwsim.arch import Accelerator, Activity, Buffers, Numerics, Role
from hwsim.arch.units import storage_bits
from hwsim.errors import DesignError

if TYPE_CHECKING:
    from hwsim.trace import GemmShape


def activity(shape: GemmShape, accelerator: Accelerator, additions: float | None = None) -> Activity:
    """Counts and cycles of one GEMM, its whole batch, on a machine.

    Args:
        shape: the product.
        accelerator: the machine.
        additions: of an element of operand b in an add-only unit, where counted (`hwsim.arch.units.count_additions`);
            without it the budget of the unit. Of no effect on other units.

    Raises:
        DesignError: the layer runs in float32, for which the machine has no unit, or a memory cannot hold one fold of
            the array twice.
    """
    numerics = accelerator.policy.for_gemm(shape.layer, shape.b_role)
    if numerics is None:
        raise DesignError(
            "must run on a unit of the machine to have a cost, not in float32",
            got=shape.layer,
            where=f"{accelerator.name}.numerics.override",
        )
    batch, m = shape.batch, shape.m
    if shape.b_role == "weight":  # one weight for all batches: their rows follow each other
        batch, m = 1, batch * m
    pace = numerics.datapath.cycles_per_step(additions)
    counts = _counts(batch, m, shape.n, shape.k, shape.b_role, accelerator, numerics, pace)
    return replace(counts, layer=shape.layer)


@lru_cache(maxsize=4096)
def _counts(
    batch: int, m: int, n: int, k: int, b_role: Role, machine: Accelerator, numerics: Numerics, pace: float
) -> Activity:
    """The activity of a shape, whose layer's name is left empty: layers of a model repeat their shapes."""
    from hwsim.timing.tiling import best_tiling  # compiled: whoever asks for cycles alone should not wait for Numba

    wide = numerics.datapath.lanes
    steps_k = -(-k // wide)
    rows, cols = machine.rows, machine.cols
    a_bits = storage_bits(numerics, "activation", m, k)
    b_bits = storage_bits(numerics, b_role, n, k)
    sum_bits = numerics.datapath.accumulator_bits

    folds, steps, edge = machine.array.dataflow.fold({"m": m, "n": n, "k": steps_k}, rows, cols)
    edges = {"none": batch * folds, "fill": 1, "ideal": 0}[machine.overlap]
    compute = ceil(batch * folds * steps * pace) + edges * edge

    a_reads, b_reads, visits, a_loads, b_loads = _reads(m, n, k, steps_k, machine)
    granule = _granule(m, n, k, steps_k, wide, machine)
    tiling = best_tiling(
        (m, n, k),
        granule,
        (a_bits / (m * k), b_bits / (n * k), max(sum_bits, machine.output_bits)),
        _halves(machine),
    )
    if tiling is None:
        raise DesignError(
            "memories must hold the operands and sums of one fold of the array twice",
            got=f"{machine.activation_kib}, {machine.weight_kib} and {machine.output_kib} KiB",
            where=f"{machine.name}.memory",
        )
    results = batch * m * n * machine.output_bits
    spilled = batch * tiling.partial * sum_bits
    filled_a = ceil(batch * a_bits * (tiling.a / (m * k)))
    filled_b = ceil(batch * b_bits * (tiling.b / (n * k)))
    room_a, room_b, room_out = _halves(machine) if machine.handover == "chip" else (0.0, 0.0, 0.0)
    stays_a = batch * a_bits <= room_a
    stays_b = b_role != "weight" and batch * b_bits <= room_b
    stays_out = results <= room_out
    from_dram = Buffers(0 if stays_a else filled_a, 0 if stays_b else filled_b, spilled)
    to_dram = Buffers(0, 0, (0 if stays_out else results) + spilled)
    partial = batch * m * n * (visits - 1) * sum_bits
    read = Buffers(
        ceil(batch * a_bits * (a_reads / (m * k))),
        ceil(batch * b_bits * (b_reads / (n * k))),
        partial + results + spilled,
    )
    written = Buffers(filled_a, filled_b, partial + results + spilled)

    port = machine.port_bits
    sram_cycles = max(ceil(bits / port) for bits in (*read, *written))
    dram_bits = from_dram.total + to_dram.total
    dram_cycles = ceil(dram_bits / machine.dram_bits_per_cycle)
    first_a = 0.0 if stays_a else granule[0] * granule[2] * a_bits / (m * k)
    first = first_a + (0.0 if stays_b else granule[1] * granule[2] * b_bits / (n * k))
    last = 0 if stays_out else granule[0] * granule[1] * machine.output_bits
    first_cycles, last_cycles = ceil(first / machine.dram_bits_per_cycle), ceil(last / machine.dram_bits_per_cycle)
    return Activity(
        layer="",
        numerics_key=numerics.key,
        macs=batch * m * n * k,
        updates=ceil(batch * m * n * steps_k * pace),
        folds=batch * folds,
        compute_cycles=compute,
        array_cycles=compute * rows * cols,
        a_reads=batch * a_reads,
        b_reads=batch * b_reads,
        a_loads=batch * a_loads,
        b_loads=batch * b_loads,
        sram_read_bits=read,
        sram_write_bits=written,
        dram_read_bits=from_dram,
        dram_write_bits=to_dram,
        sram_cycles=sram_cycles,
        dram_cycles=dram_cycles,
        first_load_cycles=first_cycles,
        last_store_cycles=last_cycles,
        latency_cycles=max(compute, sram_cycles, dram_cycles) + first_cycles + last_cycles,
    )


def _reads(m: int, n: int, k: int, steps_k: int, machine: Accelerator) -> tuple[int, int, int, int, int]:
    """Elements read of a and of b, visits of each result, and elements written into operand registers of a and b."""
    rows, cols = machine.rows, machine.cols
    every = m * n * k  # a streaming operand passes the register of every unit that multiplies it
    if machine.dataflow == "ws":
        return m * k * -(-n // cols), n * k, -(-steps_k // rows), every, n * k
    if machine.dataflow == "is":
        return m * k, n * k * -(-m // cols), -(-steps_k // rows), m * k, every
    return m * k * -(-n // cols), n * k * -(-m // rows), 1, every, every


def _granule(m: int, n: int, k: int, steps_k: int, wide: int, machine: Accelerator) -> tuple[int, int, int]:
    """What one fold takes along M, N, K: the stationary tile, one step of the streaming side."""
    rows, cols = machine.rows, machine.cols
    deep = min(min(steps_k, rows) * wide, k)
    if machine.dataflow == "ws":
        return 1, min(n, cols), deep
    if machine.dataflow == "is":
        return min(m, cols), 1, deep
    return min(m, rows), min(n, cols), min(wide, k)


def _halves(machine: Accelerator) -> tuple[float, float, float]:
    """Bits that one of the two buffers of each memory holds."""
    return (machine.activation_kib * 4096.0, machine.weight_kib * 4096.0, machine.output_kib * 4096.0)

"""Eight GEMMs beside ZigZag, AccelForge and SCALE-Sim, and peers' own machines beside the cycles that they report.

The eight ran on one machine (ZigZag 3.9.1, AccelForge 1.0.467, SCALE-Sim 3.0.0, November 2026): 32 x 32 multipliers
of 8 bits, weights stay; accumulators 128 KiB, one port of 1,024 bits a direction; 256 KiB for inputs and weights, one
port of 512 bits a direction; DRAM 256 bits a cycle. ZigZag's results leave with 8 bits, AccelForge's with 32. What
each of them leaves out explains the distance:

* AccelForge takes the largest total of any component: no tile comes first or last, all transfers spread evenly.
* ZigZag's weight registers are single: every fold waits while 32 x 32 x 8 bits come through the 512-bit port, 16
  cycles; its counts without first load and last store are 11 to 16 cycles a fold above ideal on the first six GEMMs.
  Its first load and last store are of its own tiles, from a bounded search over loop orders.
* SCALE-Sim loads, streams and drains every fold alone, memories never waiting.

Ours are tiles of one fold, in blocks of as many columns as half of the accumulators holds, K inside the block and the
columns innermost; inputs stay for the next block where they fill at most half of their memory.
"""

from __future__ import annotations

from math import ceil

import pytest

from hwsim.timing import gemm_cycles
from hwsim.timing.schedule import Run, Tile, evenly, latency

DRAM_BITS, PORT_BITS = 256, 512
INPUT_BITS, SUM_BITS = 256 * 8192, 128 * 8192

PEERS = {  # M, N, K: ZigZag's total, AccelForge's
    (128, 128, 128): (2_773, 3_072),
    (128, 128, 64): (1_373, 2_560),
    (128, 64, 128): (1_629, 1_792),
    (128, 768, 768): (89_584, 73_728),
    (128, 3072, 768): (335_728, 294_912),
    (128, 768, 3072): (333_808, 297_984),
    (512, 512, 512): (147_457, 131_072),
    (1, 768, 768): (18_553, 18_552),
}
shapes = pytest.mark.parametrize("shape", PEERS)


def tiles(shape: tuple[int, int, int], fill: int) -> list[Run]:
    """The folds of a GEMM, results of 8 bits; `fill` cycles that the array waits for its weights at every fold."""
    m, n, k = shape
    folds_n, folds_k = n // 32, k // 32
    block = min(folds_n, SUM_BITS // 2 // (m * 32 * 32))
    stay = m * k * 8 <= INPUT_BITS // 2
    found = []
    for column in range(0, folds_n, block):
        width = min(block, folds_n - column)
        fresh = ceil((32 * 32 * 8 + m * 32 * 8) / DRAM_BITS) if column == 0 or not stay else 32
        for row in range(folds_k):
            store = ceil(m * 32 * 8 / DRAM_BITS) if row == folds_k - 1 else 0
            found += [Run(1, Tile(fresh, m + fill, 0, store)), Run(width - 1, Tile(32, m + fill, 0, store))]
    return found


def test_the_smallest_by_hand():
    """128 x 128 x 128: 16 folds of 128 cycles, a block of four columns, four steps along K.

    The first fold of each step brings 128 x 32 inputs and 32 x 32 weights, 160 cycles, the others 32. Load 4 starts
    when fold 2 is computed, 160 + 3 x 128 = 544, and ends at 704, where fold 3 ended at 672: 32 cycles of waiting,
    and the same before folds 8 and 12. The last four folds store 128 cycles each: with T the end of fold 12, load 14
    takes until T + 32, store 12 until T + 160, and fold 14, which needs its accumulators, waits from T + 128 until
    then; load 15 and store 13 let fold 15 wait 32 cycles more in the same way.
    """
    found = latency(tiles((128, 128, 128), 0))
    assert found.stalls == {"input": 3 * 32, "output": 2 * 32, "shared": 0}
    assert found.latency == 160 + 16 * 128 + 3 * 32 + 2 * 32 + 128 == 2_496


@shapes
def test_between_ideal_and_no_overlap(shape):
    ideal, alone = (gemm_cycles(*shape, 32, 32, "ws", way) for way in ("ideal", "none"))
    found = latency(tiles(shape, 0)).latency
    assert ideal < found < alone
    assert ideal < latency(tiles(shape, 32 * 32 * 8 // PORT_BITS)).latency < alone


@shapes
def test_single_weight_registers_explain_zigzag(shape):
    """Within 10 %: what is left is its other first and last tile, up to 515 cycles of the smallest GEMMs."""
    zigzag, _ = PEERS[shape]
    found = latency(tiles(shape, 32 * 32 * 8 // PORT_BITS)).latency
    assert found == pytest.approx(zigzag, rel=0.1)


def test_a_layer_of_gpt2_beside_zigzag():
    """Four projections, up, down, twelve heads of two products: ZigZag 1,063,896 cycles; ours 1.5 % fewer."""
    number = {(128, 768, 768): 4, (128, 3072, 768): 1, (128, 768, 3072): 1, (128, 128, 64): 12, (128, 64, 128): 12}
    assert sum(count * PEERS[shape][0] for shape, count in number.items()) == 1_063_896
    ours = sum(count * latency(tiles(shape, 16)).latency for shape, count in number.items())
    assert ours == pytest.approx(1_063_896, rel=0.02)


@shapes
def test_the_largest_total_explains_accelforge(shape):
    """Every operand once and 32-bit results: the larger of array and channel is its number, in seven of eight.

    At K = 3072, where neither inputs nor sums fit, it has 3,072 cycles more: as many as one more pass of all sums
    through the 1,024-bit port takes. Ours, with the same totals in as many equal tiles as there are folds, adds at
    most one load, one store and one tile.
    """
    m, n, k = shape
    _, accelforge = PEERS[shape]
    ideal = gemm_cycles(*shape, 32, 32, "ws", "ideal")
    load, store = (m * k + n * k) * 8 // DRAM_BITS, m * n * 32 // DRAM_BITS
    again = m * n * 32 // 1024 if shape == (128, 768, 3072) else 0
    assert accelforge == max(ideal + again, load + store)
    folds = n * k // 1024
    found = latency(evenly(folds, (load, ideal + again, 0, store)))
    assert accelforge <= found.latency <= accelforge + ceil(load / folds) + ceil(store / folds) + ceil(ideal / folds)


# Machine, products, units that work, DRAM bits and bits a cycle, the cycles that the peer reports. AccelForge's own
# files (1.0.467): nvdla 32 x 192 units at 1 GHz, 38.4 GB/s; tpu_v4i 4 x 128 x 128 at 1.05 GHz, 614 GB/s. Timeloop's
# exercises (2d55108): eyeriss_like, 14 x 12 units of which it says that 0.75 work.
MACHINES = [
    ("nvdla", 128 * 768 * 768, 32 * 192, 7_864_320, 307.2, 25_600),
    ("nvdla", 64 * 64 * 9 * 56 * 56, 32 * 192, 3_622_912, 307.2, 18_816),
    ("nvdla", 512**3, 32 * 192, 14_680_064, 307.2, 47_787),
    ("tpu_v4i", 128 * 768 * 768, 4 * 128 * 128, 6_291_456, 614 * 8 / 1.05, 1_345),
    ("tpu_v4i", 1024**3, 4 * 128 * 128, 41_943_040, 614 * 8 / 1.05, 16_384),
    ("tpu_v4i", 512**3, 4 * 128 * 128, 6_291_456, 614 * 8 / 1.05, 2_048),
    ("eyeriss_like", 3 * 32 * 9 * 112 * 112, 14 * 12 * 3 // 4, None, None, 86_016),
]


@pytest.mark.parametrize(("machine", "macs", "units", "dram_bits", "pace", "cycles"), MACHINES)
def test_machines_of_peers(machine, macs, units, dram_bits, pace, cycles):
    """Peers report the slowest total; ours is that and one tile's way in and out, here a hundredth of everything."""
    compute = ceil(macs / units)
    channel = round(dram_bits / pace) if pace else 0
    assert max(compute, channel) == cycles, machine
    found = latency(evenly(100, (channel, compute, 0, 0)))
    assert cycles <= found.latency <= cycles + ceil(min(compute, channel) / 100)

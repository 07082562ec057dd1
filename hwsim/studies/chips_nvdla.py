"""NVDLA on ResNet-50: seven configurations, each with its bandwidth, against the primer's table."""

from __future__ import annotations

from collections.abc import Sequence

from hwsim.arch import load_accelerator
from hwsim.studies.chips_networks import resnet50
from hwsim.studies.page import Table, Value
from hwsim.timing.planning import plan

SOURCE = "NVDLA hardware primer, estimated ResNet-50 performance; batch 1, 1 GHz"

PUBLISHED = {2048: 269.0, 1024: 153.0, 512: 93.0, 256: 46.0, 128: 20.0, 64: 7.3, 32: 3.6}
"""Images a second by multipliers."""

LIMIT = 1.25

WHY = (
    "bound by the channel: at the published rate it moves {needed:.0f} MB an image, by our plan {moved:.0f}; the two "
    "smallest have memory atoms of 8 bytes (recalled), which fill no burst of DRAM"
)


def table(configurations: Sequence[int] = tuple(PUBLISHED)) -> Table:
    """Images a second, DRAM bytes and bounds of each configuration."""
    network = resnet50()
    rows: list[tuple[Value, ...]] = []
    for macs in configurations:
        machine = load_accelerator(f"nvdla-{macs}")
        made = plan(network, machine)
        rate = 1 / machine.latency_s(made.latency_cycles)
        moved = (made.dram_read_bits + made.dram_write_bits) / 8
        multipliers = machine.array.units * machine.policy.default.datapath.lanes
        ideal = multipliers * machine.clock_ghz * 1e9 / network.macs
        channel = (machine.dram.gbyte_s or 0.0) * 1e9 / moved
        ratio = rate / PUBLISHED[macs]
        near = 1 / LIMIT <= ratio <= LIMIT
        needed = (machine.dram.gbyte_s or 0.0) * 1e3 / PUBLISHED[macs]
        why = "" if near else WHY.format(needed=needed, moved=moved * 1e-6)
        rows.append(
            (macs, machine.memory("buffer").kib, machine.dram.gbyte_s, PUBLISHED[macs], rate, ratio, near, ideal,
             channel, moved * 1e-6, why)
        )  # fmt: skip
    return Table(
        "nvdla",
        "NVDLA: ResNet-50, images a second",
        ("multipliers", "buffer, KiB", "GB/s sustained", "published", "ours", "ours / published", "within",
         "array bound", "channel bound", "DRAM, MB", "why not"),
        tuple(rows),
        f"{SOURCE}. Limit x1.25. Layers start and end in DRAM; additions and ReLU are part of the convolution.",
    )  # fmt: skip

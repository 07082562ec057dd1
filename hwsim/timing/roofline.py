"""Bought accelerators as a roofline: what a kernel takes from its operations, its bytes and a few constants.

``t = t0 + (compute^p + memory^p)^(1/p)``. Compute is the operations over a part of the dense peak; a product whose
tiles do not fill the processors evenly takes longer by a root of that loss, as kernels choose other tiles or split K
where it hurts. Two sets of constants, each for all devices:

`KERNELS` was fitted to 993 measured products of 7 and 8 B models on A100 and H100 (Vidur's profiles). On 1,005 of
70 B models, which it never saw, it is off by 7.0 % (A100) and 8.6 % (H100) in the mean, by at most 41 %; on 440 of
seven other models, measured on an H100 and an H200 afterwards, by 10.6 % each, most at 256 rows (23 % too slow).
Rows that are not whole multiples of 16 bytes are not told apart: GPT-2's 50,257 columns take up to 7.5 times longer.

`STEPS` is for whole steps of a serving engine, which hides launches and chooses among kernels: the pair of
efficiencies with which three vLLM runs of 300 requests are replayed.

Rejected: one set of constants a device (6.7 and 9.5 %), and the whole loss of unfilled tiles (16 and 12 %).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path

from hwsim.errors import ArgumentError, UnknownName

TABLE = Path(__file__).parent / "data" / "devices.csv"


@dataclass(frozen=True, slots=True)
class Constants:
    """What joins a data sheet to a time.

    Attributes:
        compute: part of the peak that a large product reaches.
        bandwidth: part of the memory's that it reaches.
        launch_s: of a kernel.
        sharpness: of the join of compute and memory.
        tile: rows and columns of a tile of a product.
        uneven: power of the loss by tiles that do not fill the processors; 0 where it is not seen.
        error_factor: within which 90 % of the measurements lie.
    """

    compute: float
    bandwidth: float
    launch_s: float
    sharpness: float
    tile: tuple[int, int]
    uneven: float
    error_factor: float


KERNELS = Constants(0.75, 0.85, 4e-6, 2.0, (64, 128), 0.5, 1.17)
STEPS = Constants(0.75, 0.90, 0.0, 2.0, (64, 128), 0.0, 1.10)


@dataclass(frozen=True, slots=True)
class Device:
    """An accelerator by its data sheet.

    Attributes:
        name: of the table.
        flops: dense, 16-bit floating point with 32-bit sums, a second.
        bytes_s: of its memory.
        bytes: of its memory.
        processors: that share the tiles of a product.
        link_bytes_s: to the other chips, a direction.
        source: where the numbers are from.
    """

    name: str
    flops: float
    bytes_s: float
    bytes: float
    processors: int
    link_bytes_s: float
    source: str

    def product_s(self, m: int, n: int, k: int, bits: int = 16, constants: Constants = KERNELS) -> float:
        """Seconds of a product of ``[m, k]`` by ``[n, k]``, all three tensors at `bits`.

        Raises:
            ArgumentError: a size below 1.
        """
        if min(m, n, k) < 1:
            raise ArgumentError("sizes of a product must be at least 1", got=(m, n, k), where="Device.product_s")
        rows, columns = constants.tile
        tiles = ceil(m / rows) * ceil(n / columns)
        filled = ceil(tiles / self.processors) * self.processors / tiles * ceil(m / rows) * rows / m
        moved = (m * k + n * k + m * n) * bits / 8
        compute = 2 * m * n * k / (self.flops * constants.compute) * filled**constants.uneven
        memory = moved / (self.bytes_s * constants.bandwidth)
        power = constants.sharpness
        return float(constants.launch_s + (compute**power + memory**power) ** (1 / power))


@cache
def devices() -> dict[str, Device]:
    """The table, by name."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return {
        row["name"]: Device(
            row["name"], float(row["tflops_16"]) * 1e12, float(row["gbyte_s"]) * 1e9, float(row["gbyte"]) * 1e9,
            int(row["processors"]), float(row["link_gbyte_s"]) * 1e9, row["source"],
        )
        for row in csv.DictReader(lines)
    }  # fmt: skip


def device(name: str) -> Device:
    """A device of the table; `UnknownName` lists what there is."""
    if name not in devices():
        raise UnknownName("device", name, devices())
    return devices()[name]

"""Memories off the chip: what a bit costs in each direction, and what a device costs while it waits.

Four shares are told apart. A burst and the opening of a row are the device's. Controller, PHY, I/O and termination
are what is left of the published total of a streamed bit. Standby and refresh flow in every device that the
bandwidth needs, whether or not a bit moves. The total's error is half of its published range, in the logarithm;
system measurements of GPUs (12 to 15 pJ for HBM) lie at its upper end, as they hold the chip's own control.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from hwsim.cost.quantity import Quantity, total
from hwsim.cost.tables import FOLDER, read
from hwsim.errors import DesignError, UnknownName

CONTROLLER_PJ = 2.25  # LPDDR4's controller and PHY, 1.5 to 3; only where no data sheet gives the device's share
ACTIVATION_ERROR = 2.0  # maximum against measured
STANDBY_ERROR = 1.4
REFRESH_ERROR = 2.0
PHY_ERROR = 1.5


@dataclass(frozen=True, slots=True)
class Dram:
    """Off-chip memory of a kind and peak bandwidth.

    Args:
        kind: its name in the table.
        gbyte_s: peak bandwidth, 10^9 byte/s.
        devices: dies (or HBM stacks) that give it.
        efficiency: part of the peak that a stream sustains.
        read_burst_pj_per_bit: the device's share of a bit read, without its row.
        write_burst_pj_per_bit: of a bit written.
        interface_pj_per_bit: controller, PHY, I/O and termination.
        activate_pj: opening one row of one device.
        page_bits: length of a row.
        standby_mw: all devices, always.
        refresh_mw: all devices, always.
        phy_um2: area of the PHYs on the chip, None where no source gives it.
    """

    kind: str
    gbyte_s: float
    devices: int
    efficiency: float
    read_burst_pj_per_bit: Quantity
    write_burst_pj_per_bit: Quantity
    interface_pj_per_bit: Quantity
    activate_pj: Quantity
    page_bits: int
    standby_mw: Quantity
    refresh_mw: Quantity
    phy_um2: Quantity | None

    @property
    def sustained_gbyte_s(self) -> float:
        """What a long stream gets."""
        return self.gbyte_s * self.efficiency

    @property
    def background_mw(self) -> Quantity:
        """Standby and refresh: what flows when nothing moves."""
        return total((self.standby_mw, self.refresh_mw), f"{self.kind}: standby and refresh of {self.devices}")

    def activation_pj_per_bit(self, bits_per_row: float | None = None) -> Quantity:
        """A row's energy over the bits that each opening moves; None: the whole row, as a stream does."""
        bits = float(self.page_bits if bits_per_row is None else bits_per_row)
        if not 0 < bits <= self.page_bits:
            raise DesignError(
                f"must lie above 0 and up to {self.page_bits} bits", got=bits, where="dram.bits_per_row"
            )
        return self.activate_pj.scaled(1 / bits).with_unit("pJ/bit")

    def read_pj_per_bit(self, bits_per_row: float | None = None) -> Quantity:
        """All of a bit read, but background."""
        return self._all(self.read_burst_pj_per_bit, bits_per_row)

    def write_pj_per_bit(self, bits_per_row: float | None = None) -> Quantity:
        """All of a bit written, but background."""
        return self._all(self.write_burst_pj_per_bit, bits_per_row)

    def _all(self, burst: Quantity, bits_per_row: float | None) -> Quantity:
        return total((burst, self.activation_pj_per_bit(bits_per_row), self.interface_pj_per_bit), burst.source)


@cache
def dram(kind: str, gbyte_s: float, where: str = "memory.dram") -> Dram:
    """A memory of a kind whose devices together have a peak of `gbyte_s`.

    Raises:
        UnknownName: no such kind.
        DesignError: no bandwidth.
    """
    row = _row(kind, where)
    if not 0 < gbyte_s < math.inf:
        raise DesignError("bandwidth must be positive", got=gbyte_s, where=f"{where}.gbyte_s")
    devices = math.ceil(gbyte_s / float(row["gbyte_s"]) * (1 - 1e-12))
    errors = {f"dram {kind}": math.sqrt(float(row["high"]) / float(row["low"]))}
    source = f"{kind}: {row['source']}"
    page, opening, streamed = int(row["page_bits"]), float(row["activate_nj"]) * 1e3, float(row["total_pj"])
    if row["read_pj"]:
        reading, writing = float(row["read_pj"]), float(row["write_pj"])
        # a stream that reads as much as it writes pays the total
        interface = streamed - (reading + writing) / 2 - opening / page
    else:
        interface = CONTROLLER_PJ
        reading = writing = streamed - interface - opening / page
    phy = float(row["phy_mm2"]) * 1e6 * devices if row["phy_mm2"] else None

    def each(value: float, error: float, what: str) -> Quantity:
        return Quantity(value * devices, "mW", f"{source}; {what} of {devices}", errors={f"dram {what}": error})

    return Dram(
        kind,
        gbyte_s,
        devices,
        float(row["efficiency"]),
        Quantity(reading, "pJ/bit", source, errors=errors),
        Quantity(writing, "pJ/bit", source, errors=errors),
        Quantity(interface, "pJ/bit", f"{source}; controller, PHY and I/O", errors=errors),
        Quantity(opening, "pJ", f"{source}; one row", errors={"dram rows": ACTIVATION_ERROR}),
        page,
        each(float(row["standby_mw"]), STANDBY_ERROR, "standby"),
        each(float(row["refresh_mw"]), REFRESH_ERROR, "refresh"),
        None if phy is None else Quantity(phy, "um2", f"{source}; PHY", errors={"dram phy": PHY_ERROR}),
    )


@cache
def dram_pj_per_bit(kind: str) -> Quantity:
    """All of a streamed bit, the mean of both directions, without background.

    Raises:
        UnknownName: no such kind.
    """
    one = dram(kind, device_gbyte_s(kind))
    both = total((one.read_pj_per_bit(), one.write_pj_per_bit()))
    return both.scaled(0.5)


def device_gbyte_s(kind: str) -> float:
    """Peak bandwidth of one device (or HBM stack) of a kind, 10^9 byte/s.

    Raises:
        UnknownName: no such kind.
    """
    return float(_row(kind, "memory.dram")["gbyte_s"])


def dram_kinds() -> list[str]:
    """The kinds that `dram` knows."""
    return list(_rows())


@cache
def _rows() -> dict[str, dict[str, str]]:
    return {row["kind"]: row for row in read(FOLDER / "dram.csv")[1]}


def _row(kind: str, where: str) -> dict[str, str]:
    if kind not in _rows():
        raise UnknownName("kind of DRAM", kind, _rows(), where=where)
    return _rows()[kind]

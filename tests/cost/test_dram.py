"""Off-chip memories: shares of a bit, background that never vanishes, and what is not known."""

from __future__ import annotations

import math

import pytest

from hwsim.cost import dram, dram_kinds, dram_pj_per_bit
from hwsim.errors import DesignError, UnknownName


def test_lpddr5x_by_hand() -> None:
    """25.6 GB/s are two x16 dies of 15. Read 1.8 and write 1.0 pJ at the device (0.6 and 0.5 of 3.1 and 2.0), a row
    of 0.96 nJ over 8,192 b, and the rest of 4.5 pJ a streamed bit; 24 mW standby a die, always."""
    one = dram("lpddr5x", 25.6)
    row = 960 / 8192
    interface = 4.5 - 1.4 - row
    assert one.devices == 2
    assert one.read_burst_pj_per_bit.value == 1.8
    assert one.write_burst_pj_per_bit.value == 1.0
    assert one.activation_pj_per_bit().value == pytest.approx(row)
    assert one.interface_pj_per_bit.value == pytest.approx(interface)
    assert one.read_pj_per_bit().value == pytest.approx(4.9)
    assert one.write_pj_per_bit().value == pytest.approx(4.1)
    assert dram_pj_per_bit("lpddr5x").value == pytest.approx(4.5)
    assert one.standby_mw.value == 48
    # refresh: 205 mA x 1.05 V x 245 ns / 3.9 us x 0.6
    assert one.refresh_mw.value / 2 == pytest.approx(205 * 1.05 * 0.245 / 3.9 * 0.6, abs=0.05)
    assert one.background_mw.value == pytest.approx(one.standby_mw.value + one.refresh_mw.value)
    assert one.sustained_gbyte_s == pytest.approx(25.6 * 0.8)
    assert one.phy_um2 is None


def test_a_burst_of_64_byte_a_row() -> None:
    """LPDDR5X: 960 pJ over 512 bits."""
    one = dram("lpddr5x", 15)
    assert one.activation_pj_per_bit(512).value == pytest.approx(1.875)
    assert one.read_pj_per_bit(512).value == pytest.approx(4.9 - 960 / 8192 + 1.875)
    with pytest.raises(DesignError, match=r"^dram.bits_per_row: must lie above 0 and up to 8192 bits, got 9000.0$"):
        one.activation_pj_per_bit(9000)


def test_hbm2_by_hand() -> None:
    """614 GB/s (TPUv4i) are two stacks, 0.34 + 0.94 W of each, 16 x 17.1 nJ a 3.9 us; 0.9 of the peak; its PHY
    10.45 mm2 a stack; 3.9 to 13 pJ published."""
    one = dram("hbm2", 614)
    assert one.devices == 2
    assert one.standby_mw.value == 2 * 1280
    assert one.refresh_mw.value / 2 == pytest.approx(16 * 17.1 / 3.9, abs=0.2)
    assert one.sustained_gbyte_s == pytest.approx(552.6)
    assert one.phy_um2 is not None
    assert one.phy_um2.value == pytest.approx(20.9e6)
    assert one.read_pj_per_bit().value - one.write_pj_per_bit().value == pytest.approx(5.16 - 3.47)
    assert dram_pj_per_bit("hbm2").value == pytest.approx(7)
    assert one.read_burst_pj_per_bit.errors == pytest.approx({"dram hbm2": math.sqrt(13 / 3.9)})


RECOMMENDED = {
    "ddr3l": 20, "ddr4": 15, "ddr5": 12, "lpddr4": 7, "lpddr4x": 5, "lpddr5": 5, "lpddr5x": 4.5, "gddr5": 14,
    "gddr6": 6.5, "hbm2": 7, "hbm2e": 7, "hbm3": 5.3, "hbm3e": 4.6,
}  # fmt: skip


def test_every_kind() -> None:
    assert {kind: dram_pj_per_bit(kind).value for kind in dram_kinds()} == pytest.approx(RECOMMENDED)
    for kind in dram_kinds():
        idle = dram(kind, 0.001)
        assert idle.devices == 1
        assert idle.background_mw.value >= 24
        assert all(
            quantity.value > 0 and quantity.error_factor > 1.2
            for quantity in (idle.read_burst_pj_per_bit, idle.interface_pj_per_bit, idle.activate_pj, idle.refresh_mw)
        )
        assert idle.efficiency == (0.9 if kind.startswith("hbm") else 0.8)


def test_devices_are_whole() -> None:
    """Ten dies of 2.4 GB/s give 24 GB/s, whatever the rounding of the quotient; a little more takes another."""
    assert dram("ddr4", 24.0).devices == 10
    assert dram("ddr4", 24.1).devices == 11


def test_unknown() -> None:
    with pytest.raises(UnknownName, match=r"^memory.dram: kind of DRAM must be one of lpddr.*, got 'lpddr9'$"):
        dram_pj_per_bit("lpddr9")
    with pytest.raises(DesignError, match=r"^mine.gbyte_s: bandwidth must be positive, got 0$"):
        dram("hbm3", 0, "mine")

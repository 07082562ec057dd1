"""On-chip memories: rows of the table, silicon, and that nothing is cheaper for being larger, wider or joined."""

from __future__ import annotations

import csv
import itertools
import math
from typing import Any

import pytest

from hwsim.cost import sram
from hwsim.cost.sram_grid import flop_bit
from hwsim.cost.sram_table import KIB, PORTS, WIDTHS, Kind, Macro, macro, rows
from hwsim.cost.tables import FOLDER
from hwsim.errors import ArgumentError, DesignError, UnknownName

LINES = [line for line in (FOLDER / "sram.csv").read_text().splitlines() if not line.startswith("#")]
COLUMNS = {
    "read_pJ": "read_pj",
    "write_pJ": "write_pj",
    "area_mm2": "area_mm2",
    "leak_mW": "leakage_mw",
    "cycle_ns": "cycle_ns",
    "access_ns": "access_ns",
}
DEVICES = {
    ("lstp", "lstp"): "lstp",
    ("lstp", "lop"): "lop",
    ("lstp", "hp"): "hp",
    ("lop", "lop"): "lop-cells",
    ("hp", "hp"): "hp-cells",
}


def test_every_row_of_the_table_comes_back() -> None:
    """At its own configuration, within 1 %: the file read here by its own columns."""
    found = list(csv.DictReader(LINES))
    assert len(found) == len(rows()) == 273
    for row in found:
        ports = {(1, 0, 0): "1rw", (0, 1, 1): "1r1w", (2, 0, 0): "2rw"}[
            int(row["rw_ports"]), int(row["r_ports"]), int(row["w_ports"])
        ]
        device = DEVICES[row["cell"], row["periph"]]
        kind = Kind(int(row["node_nm"]), ports, device, int(row["banks"]), float(row["temp_K"]))
        own = macro(float(row["kib"]), float(row["width_bits"]), kind)
        for column, name in COLUMNS.items():
            assert getattr(own, name) == pytest.approx(float(row[column]), rel=0.01), (row, column)


def test_between_two_rows() -> None:
    """48 KiB of 64 b lies log2(48 / 32) = 0.585 of the way from 32 KiB to 64; 96 b as far from 64 to 128 b."""
    part = math.log2(1.5)
    assert macro(48, 64).read_pj == pytest.approx(3.78652 ** (1 - part) * 5.6696**part, rel=1e-4)
    assert macro(32, 96).read_pj == pytest.approx(3.78652 ** (1 - part) * 5.24192**part, rel=1e-4)


def test_between_two_nodes_and_bank_counts() -> None:
    """28 nm of 128 KiB and 64 b: between 22 (7.4023 pJ) and 32 nm (18.2). Two banks: a third of the way to four."""
    part = math.log(28 / 22) / math.log(32 / 22)
    there = macro(128, 64, Kind(32)).read_pj
    assert there == pytest.approx(18.2, abs=0.05)
    assert macro(128, 64, Kind(28)).read_pj == pytest.approx(7.4023 ** (1 - part) * there**part, rel=1e-4)
    one, four = macro(64, 256).area_mm2, macro(64, 256, Kind(banks=4)).area_mm2
    assert macro(64, 256, Kind(banks=2)).area_mm2 == pytest.approx(one ** (2 / 3) * four ** (1 / 3))


def test_a_price_by_hand() -> None:
    """128 KiB of 64 b at 22 nm: the row 7.4023 / 6.1602 pJ stands (0.116 pJ a bit is above the floor), its area
    0.1188 mm2 times 2.5; 8 KiB of 256 b: 2.8495 x 1.6 = 4.56 is below 0.025 x 256 = 6.4 pJ, which is then the price.
    """
    own = sram(128, 64, 22)
    assert own.read_pj.value == pytest.approx(7.4023, rel=1e-4)
    assert own.write_pj.value == pytest.approx(6.1602, rel=1e-4)
    assert own.area_um2.value == pytest.approx(0.1188e6 * 2.5, rel=1e-3)
    assert own.cacti_area_um2.value == pytest.approx(0.1188e6, rel=1e-3)
    assert "published-area factor" in own.area_um2.source
    assert own.area_um2.errors == pytest.approx({"sram published area": 1.35})
    assert own.read_pj.errors == pytest.approx({"sram table": 1.6})
    assert own.read_pj_per_bit.value == pytest.approx(7.4023 / 64, rel=1e-4)
    assert own.cycle_ns.value == pytest.approx(0.8674, rel=1e-3)
    assert own.access_ns.value == pytest.approx(1.246, rel=1e-3)
    small = sram(8, 256, 22)
    assert small.read_pj.value == pytest.approx(6.4)
    assert small.write_pj.value == pytest.approx(6.1644 * 1.6, rel=1e-3)
    # 16 KiB of 64 b: 2.6436 x 1.6, still small
    assert sram(16, 64, 22).read_pj.value == pytest.approx(2.6436 * 1.6, rel=1e-3)


def test_area_of_banks_by_hand() -> None:
    """64 KiB of 512 b. One port: four banks of 0.1243 mm2 are 0.0711 larger than one, and the factor is
    not of these tracks. With a read and a write port they run along a side that is sqrt(0.1152 / 0.0530) longer.
    """
    size = (64, 512, "lstp", 22, 300)
    rows_ = {
        (kind.ports, kind.banks): numbers.area_mm2
        for kib, width, kind, numbers in rows()
        if (kib, width, kind.device, kind.node_nm, kind.temperature_k) == size
    }
    single, four, two_ports = rows_["1rw", 1], rows_["1rw", 4], rows_["1r1w", 1]
    tracks = four - single
    assert tracks == pytest.approx(0.0711, abs=5e-4)
    # the isotonic step: 256 b of one port are larger, but not in four banks
    assert sram(64, 512, 22, banks=4).area_um2.value == pytest.approx((2.5 * single + tracks) * 1e6, rel=1e-3)
    joined = 1.3 * two_ports + tracks * math.sqrt(two_ports / single)
    assert sram(64, 512, 22, banks=4, ports="1r1w").area_um2.value == pytest.approx(joined * 1e6, rel=1e-3)


def test_supply_and_heat_by_hand() -> None:
    """At 0.7 V of 0.8: energy x (7/8)^2, delay x [0.7/0.35^1.3] / [0.8/0.45^1.3], leakage x 7/8 exp(-0.3); at 350 K
    the table's own row of 64 KiB and 256 b leaks so much more."""
    base, low = sram(64, 256, 22), sram(64, 256, 22, 0.7)
    assert low.read_pj.value == pytest.approx(base.read_pj.value * 49 / 64)
    slow = 0.7 / 0.35**1.3 / (0.8 / 0.45**1.3)
    assert low.cycle_ns.value == pytest.approx(base.cycle_ns.value * slow)
    assert low.leakage_mw.value == pytest.approx(base.leakage_mw.value * 0.875 * math.exp(-0.3))
    hot = next(row for row in csv.DictReader(LINES) if row["temp_K"] == "350" and row["kib"] == "64")
    cold = next(numbers for kib, width, kind, numbers in rows() if (kib, width, kind) == (64, 256, Kind()))
    more = sram(64, 256, 22, temperature_k=350.0).leakage_mw.value / base.leakage_mw.value
    assert more == pytest.approx(float(hot["leak_mW"]) / cold.leakage_mw)
    assert 3.5 < more < 5


def test_devices() -> None:
    """Leakage spans 600 times at one node; the faster peripheries' cycle is shorter."""
    found = {device: sram(512, 64, 22, device=device) for device in DEVICES.values()}
    leaks = {name: one.leakage_mw.value for name, one in found.items()}
    assert leaks["hp-cells"] / leaks["lstp"] == pytest.approx(520, rel=0.15)
    assert leaks["lstp"] < leaks["lop"] < leaks["lop-cells"] < leaks["hp-cells"]
    assert found["hp"].cycle_ns.value < 0.65 * found["lstp"].cycle_ns.value


SILICON = [  # what, ours, published, largest factor
    ("Horowitz ISSCC 2014, 45 nm: 8 KiB of 64 b, pJ", sram(8, 64, 45).read_pj.value, 10, 1.7),
    ("32 KiB", sram(32, 64, 45).read_pj.value, 20, 1.7),
    ("1 MiB", sram(1024, 64, 45).read_pj.value, 100, 1.7),
    ("TPUv4i, 7 nm: 4 MiB read, pJ/bit", sram(4096, 1024, 7).read_pj_per_bit.value, 0.249, 1.2),
    ("4 MiB write", sram(4096, 1024, 7).write_pj_per_bit.value, 0.293, 1.2),
    ("1 MiB of 64 b, pJ", sram(1024, 64, 7).read_pj.value, 14, 1.2),
    ("CMEM of 128 MiB, read, pJ/bit", sram(131072, 2048, 7).read_pj_per_bit.value, 1.88, 1.4),
    ("CMEM, mm2", sram(131072, 2048, 7).area_um2.value / 1e6, 112, 1.4),
    ("Gemmini, 22 nm: scratchpad of 256 KiB, mm2", sram(256, 128, 22, banks=4).area_um2.value / 1e6, 0.544, 1.4),
    ("its accumulators, 64 KiB", sram(64, 512, 22, banks=2, ports="1r1w").area_um2.value / 1e6, 0.146, 1.4),
    ("Eyeriss, 65 nm: buffer of 108 KiB, mm2", sram(108, 64, 65).area_um2.value / 1e6, 2.33, 1.4),
    ("TPUv1, 28 nm: unified buffer of 24 MiB, mm2", sram(24576, 2048, 28).area_um2.value / 1e6, 96, 1.4),
    ("its accumulators, 4 MiB", sram(4096, 1024, 28).area_um2.value / 1e6, 0.06 * 331, 1.4),
]


@pytest.mark.parametrize(("what", "ours", "published", "factor"), SILICON)
def test_silicon(what: str, ours: float, published: float, factor: float) -> None:
    assert 1 / factor < ours / published < factor, what


def test_tpuv4i_small_memories_are_the_outlier() -> None:
    """Its 8 and 32 KiB take 7.5 and 8.5 pJ where 1 MiB takes 14: flat, as a cache that reads all ways and tags. Ours
    are four times less, and the same rule meets its 1 MiB and 4 MiB."""
    assert 7.5 / sram(8, 64, 7).read_pj.value > 3
    assert 8.5 / sram(32, 64, 7).read_pj.value > 3


SIZES = (0.25, 1, 3, 7.9, *KIB[:4], 100, 128, 200, 300, 777, 1024, 3000, 4096, 5000, 40000, 262144)
PORT_BITS = (1, 8, 24, 32, 50, 64, 128, 200, 256, 512, 700, 1024, 2048)


@pytest.mark.parametrize(
    ("node", "device", "ports", "banks"),
    [
        (22, "lstp", "1rw", 1), (22, "lstp", "1rw", 4), (22, "lstp", "1rw", 32), (22, "lop", "2rw", 2),
        (45, "hp", "1r1w", 1), (180, "lstp", "1rw", 16), (28, "lop-cells", "1r1w", 3), (3, "hp-cells", "2rw", 1),
    ],
)  # fmt: skip
def test_nothing_is_cheaper_for_being_larger_or_wider(node: int, device: str, ports: str, banks: int) -> None:
    def prices(kib: float, bits: float) -> list[float] | None:
        if bits * banks > kib * 8192:
            return None
        one = sram(kib, bits, node, banks=banks, ports=ports, device=device)
        found = (one.read_pj, one.write_pj, one.area_um2, one.cacti_area_um2, one.leakage_mw, one.cycle_ns)
        return [quantity.value for quantity in (*found, one.access_ns)]

    pairs = [((a, bits), (b, bits)) for bits in PORT_BITS for a, b in itertools.pairwise(SIZES)]
    pairs += [((kib, a), (kib, b)) for kib in SIZES for a, b in itertools.pairwise(PORT_BITS)]
    compared = 0
    for less, more in pairs:
        before, after = prices(*less), prices(*more)
        if before and after:
            compared += 1
            assert all(b >= a * (1 - 1e-9) for a, b in zip(before, after, strict=True)), (less, more)
    assert compared > 250


def test_banks_are_never_below_three_quarters_of_the_whole() -> None:
    """The row of the whole, at every knot, whatever the number of banks."""
    for kib, bits, banks in itertools.product(KIB, WIDTHS, (2, 3, 4, 8, 16, 32, 100)):
        if bits * banks <= kib * 8192:
            whole, joined = macro(kib, bits), sram(kib, bits, 22, banks=banks)
            assert joined.read_pj.value >= 0.75 * whole.read_pj * (1 - 1e-12)
            assert joined.write_pj.value >= 0.75 * whole.write_pj * (1 - 1e-12)


def test_an_h_tree_by_hand() -> None:
    """16 MiB of 512 b at 22 nm: four of 4 MiB. The wire from the root of the whole to one's is sqrt(A) (sqrt(4) - 1)
    long, at 0.165 pJ a bit and mm; the tracks of 512 b take 0.33 um each, 3/4 of the side of the whole."""
    one, four = sram(4096, 512, 22), sram(16384, 512, 22)
    side = math.sqrt(one.area_um2.value / 1e6)
    assert four.read_pj.value == pytest.approx(one.read_pj.value + 0.165 * 512 * side)
    assert four.write_pj.value == pytest.approx(one.write_pj.value + 0.165 * 512 * side)
    assert set(four.read_pj.errors) == {"sram table", "sram tree"}
    whole = 4 * one.area_um2.value / 1e6 * (1 + 0.05 * 0.75)
    assert four.area_um2.value / 1e6 == pytest.approx(whole + 512 * 0.75 * 0.33e-3 * math.sqrt(whole))
    assert four.leakage_mw.value == pytest.approx(4 * one.leakage_mw.value)
    assert four.cycle_ns.value == pytest.approx(one.cycle_ns.value)
    assert four.access_ns.value == pytest.approx(one.access_ns.value + 0.636 * side)


def test_wide_and_narrow_ports_by_hand() -> None:
    """Of 4,096 b in proportion to 1,024; of 8 b as of 32."""
    wide, table = sram(4096, 4096, 22), sram(4096, 1024, 22)
    assert wide.read_pj.value == pytest.approx(4 * table.read_pj.value)
    assert wide.write_pj.value == pytest.approx(4 * table.write_pj.value)
    assert sram(64, 8, 22).read_pj.value == sram(64, 32, 22).read_pj.value == pytest.approx(4.359, rel=1e-3)


def test_latch_arrays_by_hand() -> None:
    """One word of 64 flip-flops at 45 nm and 1.1 V: 64 x 8 fJ, 64 x 5.5 gates of 0.8 um2 at 65 %; 1 KiB is
    log(128) / log(1024) = 0.7 of the way to the macro of 8 KiB."""
    word, macro_, between = sram(64 / 8192, 64, 45), sram(8, 64, 45), sram(1, 64, 45)
    assert word.read_pj.value == pytest.approx(64 * 0.008)
    assert word.area_um2.value == pytest.approx(64 * 5.5 * 0.8 / 0.65)
    assert between.read_pj.value == pytest.approx(word.read_pj.value**0.3 * macro_.read_pj.value**0.7)
    assert between.area_um2.value == pytest.approx(word.area_um2.value**0.3 * macro_.area_um2.value**0.7)
    assert "latch arrays" in between.read_pj.errors
    assert "latch arrays" not in macro_.read_pj.errors
    area, clock = flop_bit(45)
    assert (area.value, clock.value) == pytest.approx((5.5 * 0.8 / 0.65, 0.008))


def test_below_and_above_the_table_by_hand() -> None:
    """7 nm: energy sqrt(7/22), area 0.027/0.088, delay 7.5/11.5, leakage 0.79 sqrt(7/22). 130 nm: (130/90)^2."""
    base, small = sram(256, 128, 22), sram(256, 128, 7)
    assert small.read_pj.value == pytest.approx(base.read_pj.value * math.sqrt(7 / 22))
    assert small.area_um2.value == pytest.approx(base.area_um2.value * 0.027 / 0.088)
    assert small.cycle_ns.value == pytest.approx(base.cycle_ns.value * 7.5 / 11.5)
    assert small.leakage_mw.value == pytest.approx(base.leakage_mw.value * 0.79 * math.sqrt(7 / 22))
    old, older = sram(256, 128, 90), sram(256, 128, 130)
    assert older.read_pj.value == pytest.approx(old.read_pj.value * (130 / 90) ** 2)
    # the square root against logic's 0.15 / 0.45: 0.564 / 0.333, all steps from 22 nm together
    steps = [math.log(factor) for cause, factor in small.read_pj.errors.items() if cause != "sram table"]
    assert math.exp(math.hypot(*steps)) == pytest.approx(math.sqrt(7 / 22) / (0.15 / 0.45))
    # the cell's 0.307 against the compiled memories' 5 / 20
    assert small.area_um2.errors["sram area 7 nm"] == pytest.approx(0.027 / 0.088 * 20 / 5)
    assert older.read_pj.errors["sram 130 to 90 nm"] == pytest.approx(1.18)


@pytest.mark.parametrize(
    ("arguments", "extra", "error", "message"),
    [
        ((0, 64, 22), {}, DesignError, "mine: capacity must lie above 0 and up to 262144 KiB, got 0"),
        ((3e5, 64, 22), {}, DesignError, "mine: capacity must lie above 0 and up to 262144 KiB, got 300000.0"),
        ((1, 0, 22), {}, DesignError, "mine: a port must have up to 8192 bits, what a bank holds, got 0"),
        ((1, 4096, 22), {"banks": 4}, DesignError,
         "mine: a port must have up to 2048 bits, what a bank holds, got 4096"),
        ((1, 64, 22), {"banks": 0}, DesignError, "mine: banks must be at least 1, got 0"),
        ((8, 64, 22, 0.4), {}, DesignError, "technology.voltage: must lie in 0.5..0.96 V at 22 nm, got 0.4"),
        ((8, 64, 22), {"temperature_k": 500.0}, DesignError,
         "technology.temperature_k: must lie in 250..400 K, got 500.0"),
        ((8, 64, 22), {"ports": "3rw"}, UnknownName, "sram.ports: ports must be one of 2rw, 1rw, 1r1w, got '3rw'"),
        ((8, 64, 22), {"device": "cmos"}, UnknownName,
         "sram.device: device must be one of hp, hp-cells, lop, lop-cells, lstp, got 'cmos'"),
    ],
)  # fmt: skip
def test_what_cannot_be_made(
    arguments: tuple[Any, ...], extra: dict[str, Any], error: type[Exception], message: str
) -> None:
    where = (None, "mine") if len(arguments) == 3 else ("mine",)
    with pytest.raises(error) as caught:
        sram(*arguments, *where, **extra)
    assert str(caught.value) == message


def test_outside_the_table() -> None:
    with pytest.raises(ArgumentError, match=r"^sram.kib: must lie in 8..4096, got 4$"):
        macro(4, 64)
    with pytest.raises(ArgumentError, match=r"^sram.width_bits: must lie in 32..1024, got 2048$"):
        macro(64, 2048)
    with pytest.raises(ArgumentError, match=r"^sram.node_nm: must lie in 22..90, got 7$"):
        Kind(7)
    with pytest.raises(ArgumentError, match=r"^sram.banks: must lie in 1..16, got 17$"):
        Kind(banks=17)
    assert set(PORTS) == {"1rw", "1r1w", "2rw"}
    assert isinstance(macro(8, 32), Macro)

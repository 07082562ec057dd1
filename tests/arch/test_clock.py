"""The clock that a machine's units allow: from the table of depths, from the rule, by stages; and of every file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from hwsim.arch import load_accelerator
from hwsim.arch.clock import f_max, unit_depth
from hwsim.cost.clocking import f_max_ghz
from hwsim.cost.depths import depth

INT8 = load_accelerator("edge-int8")
FILES = sorted((Path(__file__).resolve().parents[2] / "dse" / "machines").rglob("*.toml"))


def test_a_unit_of_the_table() -> None:
    """An 8 x 8 unit of 32 bits stands in the table; the machine's clock is that of its depth."""
    known = depth("mac_s8x8_acc32_wrap_array")
    assert unit_depth(INT8.policy.default.datapath, 1) == known
    assert f_max(INT8) == f_max_ghz(known, 45, 1.1)
    assert f_max(INT8).value == INT8.f_max_ghz
    # 54.7 FO4 with wires of a quarter, 5.7 for flip-flop and skew, 17 ps at 0.9 V, the slow corner 1.3
    other = INT8.changed(**{"technology.voltage": 0.9})
    by_hand = 1e3 / ((known.depth_fo4 * 1.25 + 5.7) * 17 * 1.3)
    assert other.f_max_ghz == pytest.approx(by_hand, rel=1e-6)


def test_the_slowest_unit_decides() -> None:
    ternary = load_accelerator("edge-ternary")
    attention = ternary.policy.attention
    assert attention is not None
    both = [
        f_max_ghz(unit_depth(numerics.datapath, 1), 45, 1.1).value for numerics in (ternary.policy.default, attention)
    ]
    assert ternary.f_max_ghz == min(both)
    assert both[0] != both[1]


def test_stages_and_volts_and_nodes_speed_it_up() -> None:
    assert all(
        slow <= fast
        for slow, fast in pairwise(INT8.changed(**{"array.stages": stages}).f_max_ghz for stages in range(1, 9))
    )
    assert INT8.changed(**{"array.stages": 2}).f_max_ghz > 1.5 * INT8.f_max_ghz
    assert INT8.changed(**{"technology.voltage": 0.8}).f_max_ghz < INT8.f_max_ghz
    # 45 nm: 17 ps at 0.9 V, and V / (V - 0.35)^1.3 from there to 1.1 V; 7 nm: 7.5 ps
    ratio = 17 * (1.1 / 0.75**1.3) / (0.9 / 0.55**1.3) / 7.5
    assert INT8.changed(**{"technology.voltage": None, "technology.node_nm": 7}).f_max_ghz == pytest.approx(
        ratio * INT8.f_max_ghz
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_machine_file_can_run_at_its_clock(path: Path) -> None:
    machine = load_accelerator(path)
    assert machine.name == path.stem
    assert machine.clock_ghz <= machine.f_max_ghz

"""Published clocks beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwsim.cost.clocking import unit_f_max_ghz
from hwsim.studies.clocks import PUBLISHED, text


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.unit}-{one.node_nm}nm-{one.clock_ghz}")
def test_published_clocks_lie_beside_ours(one):
    found = unit_f_max_ghz(one.unit, one.node_nm, one.voltage, one.stages, one.corner)
    # units alone within the stated factor; a chip's clock is a bound from below
    assert found.value > one.clock_ghz / (1 + found.relative_error)
    if one.kind == "unit":
        assert found.value < one.clock_ghz * 1.25


def test_the_report_of_clocks_is_what_the_table_gives():
    report = Path(__file__).parents[2] / "reports" / "clocks.md"
    assert report.read_text() == text()
    assert {one.node_nm for one in PUBLISHED} >= {7, 22, 28, 65}

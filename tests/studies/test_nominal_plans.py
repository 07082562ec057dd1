"""What nominal plans cost: the page by hand, and a design whose own plan is the nominal one."""

from __future__ import annotations

import hwsim
from hwsim.studies import nominal_plans


def test_the_page_has_the_spread_of_both_columns():
    """Of -1, 0, 1, 2 and 8 % the median is 1 %, the mean 2 %, and the 90th of 100 lies 0.6 of the way from 2 to 8."""
    rows = [(percent / 100, percent / 50) for percent in (8, -1, 2, 0, 1)]
    page = nominal_plans.page(rows)
    assert "5 random designs" in page
    assert "| energy | -1.0% | +1.0% | +2.0% | +5.6% | +8.0% |" in page
    assert "| latency | -2.0% | +2.0% | +4.0% | +11.2% | +16.0% |" in page


def test_designs_are_priced_under_both_plans(tmp_path, monkeypatch):
    """Two designs of the GPT alone: a plan for energy never takes more of it than a nominal one, to a percent."""
    monkeypatch.setattr(
        nominal_plans, "load_space", lambda name: hwsim.search.load_space(name).held({"unit": "int4"})
    )
    rows = list(nominal_plans.more([hwsim.load_trace("gpt-small")], count=2))
    assert len(rows) == 2
    assert all(-0.01 < energy < 1 and abs(latency) < 1 for energy, latency in rows)

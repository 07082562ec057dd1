"""Sentences of findings follow their tables: hand-made ones that say the opposite must change the words."""

from __future__ import annotations

from hwsim.studies import ternary_findings
from hwsim.studies.page import Table

BEST = ("activation", "K", "best µ", "largest µ", "µm² a weight", "accumulators", "add tree", "multiply narrow",
        "multiply wide", "bare")  # fmt: skip


def best(fp16, best_group=2):
    rows = [
        ("int8", 8, 2, 4, 100.0, 30.0, 1.2, 1.5, 5.0, 1.7),
        ("fp16", 8, best_group, 4, 300.0, 60.0, fp16, 4, 4, 5),
    ]
    return Table("best", "", BEST, tuple(rows))


def test_the_activation_type_decides_where_floats_gain_more():
    assert "The activation type decides" in ternary_findings._activation(best(2.0))
    assert "does not decide" in ternary_findings._activation(best(1.1))


def test_an_optimum_at_the_end_of_the_grid_is_said():
    assert "inside that range everywhere" in ternary_findings._activation(best(2.0))
    assert "at its end somewhere" in ternary_findings._activation(best(2.0, best_group=4))


def test_energy_names_the_least_group_and_the_end_of_the_grid():
    columns = ("µ", "cycles held", "ratio zero", "ratio unit", "table zero fJ", "table unit fJ", "clock gated fJ",
               "accumulate zero fJ", "accumulate unit fJ")  # fmt: skip
    rows = ((2, 4, 0.6, 0.7, 10.0, 20.0, 1.0, 50.0, 90.0), (3, 4, 0.7, 0.5, 20.0, 30.0, 1.0, 45.0, 60.0))
    text = ternary_findings._energy(Table("energy", "", columns, rows))
    assert "µ = 2 with zero delay (61 fJ a weight) and by µ = 3 (the largest tried) with unit delay (91 fJ" in text
    assert "glitches favour tables of µ = 3," in text

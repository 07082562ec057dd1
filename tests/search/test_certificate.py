"""A certificate says what was proven, about which values, and claims no more."""

from __future__ import annotations

import copy

import pytest

from hwsim.search import sentence, space_from_dict
from hwsim.search.certificate import Certificate, fidelities

from .conftest import SPACE


@pytest.mark.parametrize(
    ("known", "told"),
    [
        (
            Certificate(5, 3, False, 40, 1, fidelity={"energy": "pann, plans chosen for time"}),
            "3 of 5 on the front are proven against every other value of every knob, 1 against those of every two; "
            "the rest have neighbours that were not priced; proven about energy (pann, plans chosen for time)",
        ),
        (
            Certificate(5, 5, False, 40, 5),
            "5 of 5 on the front are proven against every other value of every knob, 5 against those of every two",
        ),
        (
            Certificate(5, 5, False, 0, 5, arithmetics=9,
                        agreement={"arithmetics": 9, "spearman": 0.951, "kendall": 0.8}),
            "5 of 5 on the front are proven against every other value of every knob, 5 against those of every two, "
            "and all against every machine of 9 arithmetics; a replay ranks 9 arithmetics as the rerun does with a "
            "correlation of 0.95 (Spearman), 0.80 (Kendall)",
        ),
        (Certificate(5, 5, True, 0, 5),
         "every design of the space was priced: 5 of 5 on the front hold against all of them"),
        (Certificate(6, 5, False, 0, 5, grid=True),
         "every design of the coarser grid was priced: 5 of 6 on the front hold against all of them"),
    ],
)  # fmt: skip
def test_a_sentence_says_what_is_proven(known, told):
    assert sentence(known.to_dict()) == told


def test_only_an_exhaustive_front_that_holds_has_a_hypervolume():
    known = Certificate(5, 5, True, 0, 5), Certificate(5, 4, True, 0, 4), Certificate(5, 5, False, 9, 5)
    found = [one.to_dict()["hypervolume"] for one in known]
    assert found == [1.0, None, None]


def test_fidelities_name_what_plans_are_chosen_for():
    table = copy.deepcopy(SPACE)
    table["objectives"] = ["accuracy", "energy", "area", "latency"]
    plain = fidelities(space_from_dict(table, "here"))
    assert plain == {
        "accuracy": "replay", "energy": "trace, plans chosen for energy", "area": "fitted",
        "latency": "computed, plans chosen for energy",
    }  # fmt: skip
    table["parameters"]["aim"] = {"choice": ["time", "nominal"], "sets": "objective"}
    assert fidelities(space_from_dict(table, "here"))["latency"] == "computed, plans chosen for nominal or time"

"""Questions to a study: answers that a brute-force look finds too, chances and flips that are calculated by hand."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

import hwsim
from hwsim import cli
from hwsim.cli.ask import answer_lines
from hwsim.cost import Breakdown, Quantity, probability_less
from hwsim.errors import ArgumentError, DesignError, UnknownName
from hwsim.search.comparison import chance_matrix, chances, compare, flips, uncertain
from hwsim.search.limits import likely_kept, why_no_front
from hwsim.search.points import Point
from hwsim.search.study import Study

EDGE = Path(__file__).resolve().parents[2] / "reports" / "edge-lm"
GOALS = {"bits_per_byte": "min", "energy_uj": "min", "area_mm2": "min", "latency_ms": "min"}


def point(number, energy, area, latency, loss=1.0, causes=None, unit="int8", **knobs):
    """A design with an energy of named parts in pJ, and an area of logic alone."""
    parts = energy if isinstance(energy, dict) else {"products": energy}
    uj = sum(parts.values()) * 1e-6
    values = {
        "bits_per_byte": loss, "energy_uj": uj, "area_mm2": area, "latency_ms": latency,
        "power_mw": uj / latency, "tokens_s": 1000 / latency, "tops_w": 5 / uj,
    }  # fmt: skip
    detail = {
        "family": unit, "numerics": unit, "array": "8×8 ws", "energy_pj": parts, "area_um2": {"products": area * 1e6},
        "causes": {
            "energy_pj": causes or {name: {} for name in parts}, "area_um2": {"products": {"gate area 16 nm": 0.2}},
        },
    }  # fmt: skip
    return Point(number, (("unit", unit), *knobs.items()), None, values, {"area_mm2": area - 10}, detail)


def study(*points):
    knobs = {"unit": ["int8", "int4"], "rows": [4, 8, 16], "clock_ghz": [0.2, 0.4]}
    manifest = {
        "space": "small", "metric": "bits_per_byte", "objectives": list(GOALS), "goals": GOALS, "parameters": knobs,
    }  # fmt: skip
    return Study(points, manifest)


FOUR = study(
    point(0, 100e6, 1.0, 4.0, unit="int8", rows=8, clock_ghz=0.4),
    point(1, 90e6, 2.0, 5.0, loss=1.5, unit="int4", rows=8, clock_ghz=0.4),
    point(2, 120e6, 0.5, 8.0, unit="int8", rows=4, clock_ghz=0.4),
    point(3, 110e6, 1.0, 8.0, unit="int8", rows=8, clock_ghz=0.2),
)


@pytest.mark.parametrize(
    ("minimize", "where", "best"),
    [
        ("energy", {}, 1),
        ("energy_uj", {"bits_per_byte": 1.2}, 0),
        ("energy", {"area_mm2": 0.9}, 2),
        (
            "energy",
            ["tokens_s>=200", "accuracy<=1.2"],
            0,
        ),  # 250 and 200 tokens a second: #0, #1; #1 is too inaccurate
        ("energy", {"tokens_s": {"min": 110, "max": 210}}, 1),
        ("energy", {"tokens_s": {"min": 110, "max": 130}}, 3),
        ("energy", {"tokens_s": "<=130"}, 3),
        ("latency", {"unit": "int8"}, 0),
        ("area", ["rows>=8", "unit!=int4"], 0),
        ("area", {"rows": [4, 16]}, 2),
        ("energy", ["clock_ghz=0.2"], 3),
    ],
)
def test_the_best_design_under_conditions(minimize, where, best):
    assert FOUR.query(minimize, where).best.number == best


def test_the_runner_up_and_the_best_of_another_arithmetic():
    answer = FOUR.query("energy", {"area_mm2": 1.5})
    assert (answer.best.number, answer.runner_up.other.number, answer.candidates) == (0, 3, 3)
    assert answer.runner_up.ratio == pytest.approx(1.1)
    assert dict(answer.runner_up.knobs) == {"clock_ghz": (0.4, 0.2)}
    assert dict(answer.runner_up.alone) == {"clock_ghz": pytest.approx(110)}  # that design is the runner-up itself
    assert answer.rival is None
    assert FOUR.query("latency").rival is None  # the runner-up is of another arithmetic already
    assert FOUR.query("area", {"area_mm2": 5}).rival.other.number == 1


def test_what_a_limit_costs():
    answer = FOUR.query("energy", {"area_mm2": 1.5, "bits_per_byte": 1.2})
    assert answer.best.number == 0
    assert answer.loosened == ()  # #1 breaks both limits: loosening one alone lets it stay out
    (loose,) = FOUR.query("energy", {"bits_per_byte": 1.2}).loosened
    assert (loose.design.number, loose.needed, loose.gain) == (1, 1.5, pytest.approx(100 / 90))
    (large,) = FOUR.query(maximize="tokens", where={"area_mm2": 0.9}).loosened
    assert (large.design.number, large.needed, large.gain) == (0, 1.0, pytest.approx(2.0))


def test_a_chance_is_that_of_the_error_between_the_two():
    """Own causes of 0.3 and 0.4: ln(1.25) = 0.223 against sqrt(0.09 + 0.16) = 0.5, 0.446 standard deviations."""
    one = point(0, 100.0, 1.0, 1.0, causes={"products": {"a": 0.3}})
    other = point(1, 125.0, 1.0, 1.0, causes={"products": {"b": 0.4}})
    expected = NormalDist().cdf(math.log(1.25) / 0.5)
    assert compare(one, other, "energy_uj").chance == pytest.approx(expected, abs=0.015)
    assert not compare(one, other, "energy_uj").apart
    # operations per joule are the energy's reciprocal; the same error, the same chance of being the better one
    assert compare(one, other, "tops_w").chance == pytest.approx(expected, abs=0.015)
    assert compare(other, one, "tops_w").chance == pytest.approx(1 - expected, abs=0.015)
    assert compare(one, other, "latency_ms").chance is None


def test_power_has_the_error_of_energy():
    """Twice the time at 1.25 times the energy: 0.625 of the power."""
    one = point(0, 125.0, 1.0, 2.0, causes={"products": {"a": 0.3}})
    other = point(1, 100.0, 1.0, 1.0, causes={"products": {"b": 0.4}})
    expected = NormalDist().cdf(math.log(1 / 0.625) / 0.5)
    assert compare(one, other, "power_mw").chance == pytest.approx(expected, abs=0.015)


def test_a_shared_cause_cancels_and_equal_designs_are_even():
    one, other = (
        point(number, value, 1.0, 1.0, causes={"products": {"a": 0.5}}) for number, value in ((0, 10.0), (1, 11.0))
    )
    assert compare(one, other, "energy_uj").chance == 1.0
    assert compare(one, one, "energy_uj").chance == 0.5


def test_many_sums_compare_as_two_do(rng):
    causes = [f"cause {number}" for number in range(6)]

    def part(value):
        own = zip(rng.choice(causes, 2, False), (0.2, 0.5), strict=True)
        return Quantity(value, "pJ", "", sigmas=own)

    many = [
        Breakdown({str(number): part(value) for number, value in enumerate(rng.uniform(1, 3, 4))}, "trace", "pJ")
        for _ in range(8)
    ]
    matrix = chance_matrix(many)
    for i, one in enumerate(many):
        pairs = [probability_less(one, other) for other in many]
        np.testing.assert_allclose(chances(one, many), pairs, atol=0.015)  # causes lie on other axes of the lattice
        np.testing.assert_allclose(matrix[i] + matrix[:, i], 1.0, atol=1e-12)


def test_a_few_sums_are_compared_as_the_kernel_of_many_does(rng):
    """`chances` has no kernel; on the same draws, near and equal ones too, it says the same to the last bit."""
    from hwsim.cost.likelihood import samples
    from hwsim.search.pairs import less

    values = [2.0, 2.0, 2.0 * (1 + 1e-13), 2.1, *rng.uniform(1.5, 2.5, 20).tolist()]
    many = [Breakdown({"a": Quantity(value, "pJ", "", sigmas=(("shared", 0.3), (f"own {value > 2.05}", 0.2)))},
                      "trace", "pJ") for value in values]  # fmt: skip
    drawn = samples(many)
    wanted = np.empty((1, len(many) - 1))
    less(0, 1, drawn[:1], drawn[1:], np.ones(wanted.shape, np.bool_), wanted)
    np.testing.assert_array_equal(chances(many[0], many[1:]), wanted[0])
    assert wanted[0, :2].tolist() == [0.5, 0.5]
    assert 0 < wanted[0, 2] < 1


def test_the_factor_that_turns_two_designs():
    """60 of DRAM and 40 of logic against 30 and 75: 100 to 105. DRAM x f: 60 f + 40 = 30 f + 75 at f = 7/6. Logic:
    60 + 40 f = 30 + 75 f at f = 6/7. Errors 0.45 and 0.3 in the logarithm: 0.34 and 0.51 standard deviations."""
    causes = {"dram": {"dram lpddr4": 0.45}, "products": {"logic 22 to 16 nm": 0.3}}
    one = point(0, {"dram": 60.0, "products": 40.0}, 1, 1, causes=causes)
    other = point(1, {"dram": 30.0, "products": 75.0}, 1, 1, causes=causes)
    found = flips(uncertain(one, "energy_uj"), uncertain(other, "energy_uj"))
    assert [flip.group for flip in found] == ["DRAM", "logic", "logic's node"]
    assert [flip.factor for flip in found] == pytest.approx([7 / 6, 6 / 7, 6 / 7])
    assert [flip.sigmas for flip in found] == pytest.approx(
        [math.log(7 / 6) / 0.45, math.log(7 / 6) / 0.3, math.log(7 / 6) / 0.3]
    )


def test_no_factor_turns_what_is_better_in_every_part():
    one = point(0, {"dram": 10.0, "products": 10.0}, 1, 1)
    other = point(1, {"dram": 20.0, "products": 10.0}, 1, 1)
    assert flips(uncertain(one, "energy_uj"), uncertain(other, "energy_uj")) == ()


def test_designs_that_the_model_cannot_tell_from_the_best():
    points = [
        point(n, value, 1, 1, causes={"products": {f"own {n}": 0.1}}) for n, value in enumerate((100.0, 110.0, 200.0))
    ]
    assert [one.number for one in study(*points).query("energy").alike] == [1]  # 0.67 and 4.9 standard deviations


def test_how_surely_a_limit_is_kept():
    """0.8 mm² with an error of 0.2 in the logarithm, at most 1.0: 1.116 standard deviations."""
    answer = study(point(0, 1.0, 0.8, 1.0)).query("energy", {"area_mm2": 1.0})
    ((limit, sure),) = answer.kept
    assert (limit.column, sure) == ("area_mm2", pytest.approx(NormalDist().cdf(math.log(1.25) / 0.2), abs=0.01))
    assert (answer.runner_up, answer.rival, answer.alike) == (None, None, ())


def test_a_least_efficiency_is_kept_as_its_reciprocal_is():
    made = study(point(0, 1e6, 0.8, 1.0, causes={"products": {"a": 0.5}}))  # 1 µJ: 5 TOPS/W
    ((_, sure),) = made.query("latency", {"tops_w": 4}).kept
    assert sure == pytest.approx(NormalDist().cdf(math.log(1.25) / 0.5), abs=0.01)
    ((limit, whole),) = made.query("latency", {"tops_w": {"min": 4, "max": 6.25}}).kept
    assert whole == pytest.approx(2 * sure - 1, abs=0.01)
    assert likely_kept(limit, made.points[0]) == whole


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"area_mm2": 0.1}, "no design of 4 keeps area_mm2 ≤ 0.1; the nearest, #2, has 0.5"),
        ({"tokens_s": 300, "area_mm2": 5}, "no design of 4 keeps tokens_s ≥ 300; the nearest, #0, has 250"),
        (
            {"area_mm2": 0.9, "tokens_s": 200},
            "each limit is kept by some design, but none of 4 keeps area_mm2 ≤ 0.9 and tokens_s ≥ 200; the nearest, "
            "#0, breaks area_mm2 ≤ 0.9 by 1",
        ),
        ({"unit": "int4", "rows": 4}, "no design of 4 has unit = int4 and rows = 4"),
    ],
)
def test_a_question_without_an_answer_names_the_limit_and_the_nearest(where, told):
    with pytest.raises(ArgumentError) as error:
        FOUR.query("energy", where)
    assert str(error.value) == f"study small: {told}"


MISTAKES = [
    ("energy", {"area_mm2": 0}, DesignError,
     "where.area_mm2.max: no design can keep a maximum of zero or less, got 0"),
    ("energy", {"area_mm2": math.nan}, DesignError, "where.area_mm2.max: a limit must be a finite number, got nan"),
    ("energy", ["area_mm2<=x"], ArgumentError, "where.area_mm2: a bound must be a number, got 'x'"),
    ("energy", ["area_mm2=1"], ArgumentError, "where.area_mm2: a measure must be bounded by <= or >=, got '='"),
    ("energy", ["area_mm2<=1", "area_mm2>=2"], DesignError,
     "where.area_mm2: the minimum must not lie above the maximum, got (2.0, 1.0)"),
    ("energy", ["area"], ArgumentError,
     "where: a condition must be NAME<=NUMBER, NAME>=NUMBER or KNOB=VALUE, got 'area'"),
    ("energy", {"unit": "int9"}, UnknownName, "where.unit: value of unit must be one of int8, int4, got 'int9'"),
    ("energy", ["rows<=many"], ArgumentError, "where.rows: a bound must be a number, got 'many'"),
    ("enrgy_uj", {}, UnknownName, "minimize: measure must be one of energy_uj, got 'enrgy_uj'"),
    ("tokens", {}, ArgumentError, "query: tokens_s is better large; ask for that"),
    (None, {}, ArgumentError,
     "query: one measure must be minimized or maximized, got {'minimize': None, 'maximize': None}"),
]  # fmt: skip


@pytest.mark.parametrize(("minimize", "where", "error", "told"), MISTAKES)
def test_a_mistake_is_one_clear_line(minimize, where, error, told):
    with pytest.raises(error) as raised:
        FOUR.query(minimize, where)
    assert str(raised.value) == told


def test_a_misspelt_condition_names_near_measures_and_knobs():
    with pytest.raises(UnknownName, match=r"condition's measure or knob must be one of area_mm2, .*got 'aera_mm2'"):
        FOUR.query("energy", {"aera_mm2": 1})
    with pytest.raises(UnknownName, match=r"must be one of clock_ghz, got 'clok_ghz'"):
        FOUR.query("energy", {"clok_ghz": 1})


def test_the_tighter_of_two_bounds_holds():
    assert FOUR.query("energy", ["area_mm2<=5", "area_mm2<=0.9"]).best.number == 2


def test_a_design_that_breaks_the_study_s_own_limit_is_no_answer():
    broken = point(9, 1.0, 11.0, 1.0)
    assert study(*FOUR.points, broken).query("energy").best.number == 1


def test_the_committed_study_answers_as_a_look_through_it_does():
    made = hwsim.load_study(EDGE)
    answer = made.query("energy", {"area_mm2": 1.5, "bits_per_byte": 1.35})
    keeping = [
        one for one in made.points
        if one.feasible and one.values["area_mm2"] <= 1.5 and one.values["bits_per_byte"] <= 1.35
    ]  # fmt: skip
    assert answer.candidates == len(keeping) > 1
    assert answer.best.values["energy_uj"] == min(one.values["energy_uj"] for one in keeping)
    assert answer.runner_up.chance == pytest.approx(
        made.probability_less(answer.best, answer.runner_up.other, "energy_pj"), abs=0.015
    )
    json.dumps(answer.to_dict(), allow_nan=False)


def test_the_command_answers_and_refuses(capsys):
    line = ["query", str(EDGE), "--minimize", "energy", "--where", "area_mm2<=0.5", "--where", "bits_per_byte<=1.6"]
    assert cli.run(line) == 0
    text = capsys.readouterr().out
    for word in ("best ", "runner-up", "as good", "really keeps area_mm2 ≤ 0.5", "is in the way"):
        assert word in text
    assert cli.run([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert f"#{found['best']['number']} " in text
    assert cli.run([*line, "--where", "area_mm2<=0.01"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("hwsim: study edge-lm: no design of ")
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        (
            (0.45, 0.3),
            "equal if all DRAM prices ×1.17 (0.3 σ), all logic prices ×0.857 (0.5 σ), "
            "all logic's node prices ×0.857 (0.5 σ)",
        ),
        ((0.05, 0.03), "no one group turns them within 2 σ; the nearest is all DRAM prices ×1.17"),
    ],
)
def test_sentences_tell_the_ratio_and_what_turns_it(errors, told):
    """The two designs of `test_the_factor_that_turns_two_designs`: 105 of energy to 100; 3.1 standard deviations."""
    causes = {"dram": {"dram lpddr4": errors[0]}, "products": {"logic 22 to 16 nm": errors[1]}}
    one = point(0, {"dram": 60.0, "products": 40.0}, 1.0, 1.0, causes=causes)
    other = point(1, {"dram": 30.0, "products": 75.0}, 1.0, 1.0, causes=causes)
    lines = list(answer_lines(study(one, other).query("energy")))
    (runner_up,) = [line for line in lines if line.startswith("runner-up")]
    assert runner_up.endswith(", ×1.05")
    assert f"           {told}" in lines


def test_a_sentence_tells_what_a_limit_costs():
    """#1 takes 90 in place of 100."""
    (line,) = [one for one in answer_lines(FOUR.query("energy", {"bits_per_byte": 1.2})) if one.startswith("limit")]
    assert "bits_per_byte ≤ 1.2 is in the way: at 1.5, " in line
    assert line.endswith(" is better by 11.1%")


def test_a_study_without_a_front_says_which_limit_and_the_nearest_design():
    far = [point(n, 1.0, area, time) for n, (area, time) in enumerate(((12.0, 1.0), (11.0, 9.0)))]
    manifest = study().manifest | {"constraints": ["area_mm2 ≤ 10", "latency_ms ≤ 5"]}
    over = [{"area_mm2": 0.2, "latency_ms": -0.8}, {"area_mm2": 0.1, "latency_ms": 0.8}]
    made = Study(tuple(dataclasses.replace(p, violations=v) for p, v in zip(far, over, strict=True)), manifest)
    told = "all of 2 designs break area_mm2 ≤ 10; the nearest, #1, is over area_mm2 by 10.0%"
    assert why_no_front(made) == told
    with pytest.raises(ArgumentError, match=f"study small: a report needs at least one feasible design: {told}"):
        hwsim.write_report(made, "reports/none")
    over = [{"area_mm2": 0.2, "latency_ms": -0.8}, {"area_mm2": -0.1, "latency_ms": 0.8}]
    made = Study(tuple(dataclasses.replace(p, violations=v) for p, v in zip(far, over, strict=True)), manifest)
    assert why_no_front(made) == (
        "each limit is kept by some design, but no design keeps all; the nearest, #0, is over area_mm2 by 20.0%"
    )
    broken = Study((Point(0, (), None, {}, reason="array.rows: must lie in 1..4096, got 0"),), manifest)
    assert (
        why_no_front(broken) == "none of 1 designs could be built; the first: array.rows: must lie in 1..4096, got 0"
    )

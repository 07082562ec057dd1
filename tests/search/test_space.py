"""Design spaces: what a draw means, and what a wrong file is told."""

from __future__ import annotations

import math
import tomllib

import pytest

from hwsim.errors import DesignError
from hwsim.search.space_file import load_space, space_from_dict


@pytest.fixture
def edge_lm():
    return load_space("edge-lm")


def _edge_table():
    from hwsim import workbench

    return tomllib.loads(workbench.find("dse", "edge-lm", ".toml").read_text())


def test_every_draw_of_a_small_space_is_its_own_machine(edge_lm):
    point = {parameter.name: parameter.values[0] for parameter in edge_lm.parameters}
    machine = edge_lm.design(point).accelerator
    assert machine.name.startswith("edge-lm-")
    assert machine.array.rows == point["rows"] == 8
    other = edge_lm.design(point | {"rows": 32}).accelerator
    assert (other.array.rows, other.name != machine.name) == (32, True)


def test_inactive_parameters_are_not_part_of_a_design(edge_lm):
    conditional = next(parameter for parameter in edge_lm.parameters if parameter.when)
    other, allowed = conditional.when[0]
    inactive = next(value for parameter in edge_lm.parameters if parameter.name == other
                    for value in parameter.values if value not in allowed)  # fmt: skip
    draw = {parameter.name: parameter.values[0] for parameter in edge_lm.parameters} | {other: inactive}
    first = edge_lm.canonical(draw | {conditional.name: conditional.values[0]})
    last = edge_lm.canonical(draw | {conditional.name: conditional.values[-1]})
    assert first == last
    assert conditional.name not in dict(first)


def test_size_counts_what_draws_lists():
    table = _edge_table()
    table["parameters"] = {
        "a": {"choice": ["x", "y"], "sets": "array.dataflow"},
        "b": {"int": [1, 8], "log": True, "sets": "array.rows", "when": {"a": ["x"]}},
        "c": {"float": [0.5, 1.0], "step": 0.25, "sets": "technology.clock_ghz"},
    }
    table["options"] = {"a": {"x": {"array": {"dataflow": "ws"}}, "y": {"array": {"dataflow": "os"}}}}
    table["machine"]["numerics"] = _edge_table()["options"]["unit"]["int8"]["numerics"]
    space = space_from_dict(table, where="here")
    draws = list(space.draws())
    assert [parameter.values for parameter in space.parameters] == [("x", "y"), (1, 2, 4, 8), (0.5, 0.75, 1.0)]
    assert len({space.canonical(draw) for draw in draws}) == len(draws) == space.size == 4 * 3 + 3


SPACE_KEYS = (
    "keys must be among name, title, models, objectives, phase, machine, parameters, options, constraints, search"
)
KNOB_KEYS = "keys must be among choice, int, float, log, step, sets, when"
LIMITS = (
    "keys must be among accuracy, energy_uj, area_mm2, latency_ms, power_mw, edp_uj_ms, dram_mbit, passes_s, "
    "tokens_s, tops_w, tops_mm2, tokens_s_w, memory_gb, chip_gb, attainment"
)
# fmt: off
WRONG = [
    (("paramters",), {}, f"here: {SPACE_KEYS}; did you mean 'parameters'?, got 'paramters'"),
    (("parameters", "r"), {"chioce": [1]}, f"here: parameters.r: {KNOB_KEYS}; did you mean 'choice'?, got 'chioce'"),
    (("parameters", "r"), {"choice": [1, 1]}, "here: parameters.r: choice must list different values, got [1, 1]"),
    (("parameters", "r"), {"int": [9, 1]},
     "here: parameters.r: int must be [low, high] with low below high, got [9, 1]"),
    (("parameters", "r"), {"float": [0, 1]}, "here: parameters.r: a float range must have a step above 0, got None"),
    (("parameters", "r"), [8], "here: parameters.r: a parameter must be a table such as {choice = [8, 16]}, got [8]"),
    (("constraints", "area_mm2"), 4,
     "here: constraints.area_mm2: a limit must be {max = NUMBER}, {min = NUMBER} or both, got 4"),
    (("constraints", "area_mm2"), {"max": 0.0},
     "here: constraints.area_mm2.max: no design can keep a maximum of zero or less, got 0.0"),
    (("constraints", "tokens_s"), {"min": math.nan},
     "here: constraints.tokens_s.min: a limit must be a finite number, got nan"),
    (("constraints", "tops_w"), {"min": 3, "max": 2},
     "here: constraints.tops_w: the minimum must not lie above the maximum, got (3, 2)"),
    (("objectives",), ["energie"], None),
    (("constraints", "area"), {"max": 4}, f"here: constraints: {LIMITS}; did you mean 'area_mm2'?, got 'area'"),
    (("options", "rows"), {"7": {}}, "here: options.rows: keys must be among 8, 16, 32, got '7'"),
    (("parameters", "acc_bits", "when"), {"unti": ["int8"]}, None),
    (("parameters", "acc_bits", "when"), {"unit": ["int9"]},
     "here: parameters.acc_bits.when: unit must be able to take the value, got 'int9'"),
    (("machine", "array", "rowz"), 3, None),
]
# fmt: on


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=lambda part: str(part)[:40])
def test_a_wrong_space_is_told_the_rule_the_value_and_the_place(path, value, message):
    table = _edge_table()
    *parents, leaf = path
    spoilt = table
    for parent in parents:
        spoilt = spoilt[parent]
    spoilt[leaf] = value
    with pytest.raises(DesignError) as caught:
        space_from_dict(table, where="here")
    assert path[-1] in str(caught.value) or next(iter(value)) in str(caught.value)
    if message is not None:
        assert str(caught.value) == message


def test_options_for_models_without_a_trace_are_left_out_by_name(edge_lm):
    space, dropped = edge_lm.without({"gpt"})
    assert dropped
    assert all("model bitnet" in text for text in dropped)
    assert space.size < edge_lm.size


def test_a_space_less_a_model_is_a_space_by_its_own_tables():
    """Knobs, conditions and options of what is gone go too, so that a manifest can hold what was searched."""
    left, dropped = load_space("edge-lm").without({"gpt"})
    assert dropped == ["unit=ternary (model bitnet)"]
    assert space_from_dict(left.to_dict(), where="manifest") == left
    assert "ternary_group" not in {one.name for one in left.parameters}
    few = load_space("edge-lm").held({"unit": "int8"})
    assert space_from_dict(few.to_dict(), where="manifest") == few
    when = {one.name: dict(one.when) for one in few.parameters}
    assert when["acc_bits"] == {"unit": ("int8",)}

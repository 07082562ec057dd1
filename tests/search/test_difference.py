"""What separates two designs: knobs, measures and components, of a study's designs and of machine files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hwsim
from hwsim import cli
from hwsim.errors import ArgumentError
from hwsim.search import as_point, difference
from hwsim.search.differences import leaves

from .test_query import FOUR, point

EDGE = Path(__file__).resolve().parents[2] / "reports" / "edge-lm"


def test_knobs_and_measures_that_differ():
    found = difference(FOUR.point(0), FOUR.point(2))
    assert dict(found.knobs) == {"rows": (8, 4)}
    by_name = {one.column: one for one in found.measures}
    assert by_name["energy_uj"].values == (pytest.approx(100), pytest.approx(120))
    assert by_name["latency_ms"].ratio == 2.0
    assert by_name["latency_ms"].chance is None
    assert by_name["area_mm2"].chance == 0.0  # 1.0 against 0.5 mm², all of it of one cause
    assert [(one.column, one.values) for one in found.parts["area, mm²"]] == [("products", (1.0, 0.5))]


def test_a_component_that_one_lacks_is_zero_and_the_largest_comes_first():
    found = difference(
        point(0, {"dram": 5e6, "products": 1e6}, 1, 1), point(1, {"products": 3e6, "wires": 9e6}, 1, 1)
    )
    assert [(one.column, one.values) for one in found.parts["energy, µJ"]] == [
        ("wires", (0.0, 9.0)), ("dram", (5.0, 0.0)), ("products", (1.0, 3.0)),
    ]  # fmt: skip
    assert [one.ratio for one in found.parts["energy, µJ"]] == [None, 0.0, 3.0]


def test_leaves_are_named_by_their_path():
    table = {"array": {"rows": 8}, "memory": [{"name": "glb", "kib": 64}, {"kib": 8}], "split": [0.5, 0.5]}
    assert dict(leaves(table)) == {
        "array.rows": 8, "memory.glb.name": "glb", "memory.glb.kib": 64, "memory.1.kib": 8, "split": [0.5, 0.5],
    }  # fmt: skip


def test_two_machine_files_differ_in_their_arithmetic_alone(tiny_trace):
    machines = [hwsim.load_accelerator(name) for name in ("edge-int4", "edge-int8")]
    found = difference(*map(as_point, machines))
    assert found.knobs["numerics.activation"] == ("int4.channel", "int8.channel")
    assert all(name.startswith("numerics.") for name in found.knobs)
    assert found.measures == ()
    priced = [hwsim.evaluate(tiny_trace, machine) for machine in machines]
    made = difference(*(as_point(machine, one) for machine, one in zip(machines, priced, strict=True)))
    by_name = {one.column: one for one in made.measures}
    assert by_name["energy_uj"].values == tuple(one.energy_pj * 1e-6 for one in priced)
    assert by_name["energy_uj"].chance > 0.99


def test_the_command_shows_studies_and_machines(capsys):
    study = hwsim.load_study(EDGE)
    one, other = study.front[:2]
    assert cli.run(["diff", f"{EDGE}:{one.number}", f"{EDGE}:{other.number}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["measures"]["energy_uj"]["values"] == [one.values["energy_uj"], other.values["energy_uj"]]
    assert found["knobs"] == {
        name: [value, dict(other.point).get(name)]
        for name, value in one.point
        if dict(other.point).get(name) != value
    }  # two designs of one arithmetic
    assert cli.run(["diff", "edge-int4", "edge-int8"]) == 0
    assert "numerics.weight" in capsys.readouterr().out
    assert cli.run(["diff", f"{EDGE}:9999", "edge-int8"]) == 2
    assert "study edge-lm: a design of the study must have the number (it has 1403 designs), got 9999" in (
        capsys.readouterr().err
    )


def test_a_number_that_no_design_has():
    with pytest.raises(ArgumentError, match=r"study small: a design of the study must have the number .*, got 7"):
        FOUR.point(7)

"""Every knob of a committed space pays in both directions: on an exact front no knob has one value alone.

A knob with one best value would be a constant that costs the search a dimension.
"""

from __future__ import annotations

import pytest

from hwsim.search import load_space, load_study, space_from_dict, sweep


def _values(points):
    found = {}
    for point in points:
        for name, value in point.point:
            found.setdefault(name, set()).add(value)
    return found


@pytest.fixture(scope="module")
def committed():
    return load_study("reports/edge-lm")


def test_edge_lm_on_its_exact_front(committed):
    """The committed front is that of all designs. The add-only unit is beaten on it: its own knobs are not there."""
    assert committed.certificate["exhaustive"]
    found = _values(committed.front)
    knobs = {one.name for one in load_space("edge-lm").parameters}
    alone = {name for name in knobs if len(found.get(name, ())) < 2}
    assert alone == {"pann_bits", "pann_additions"}
    assert "pann" not in found["unit"]
    ends = {"rows", "cols", "voltage", "stages", "activation_kib", "weight_kib", "vector_lanes"}
    for one in load_space("edge-lm").parameters:
        if one.name in ends:  # also the least and the most of it
            assert {one.values[0], one.values[-1]} <= found[one.name]


def test_numerics_free_on_the_front_of_its_search():
    """Every value of every knob but a third stage, which no unit needs at half a gigahertz once groups are chosen."""
    found = _values(load_study("reports/numerics-free").front)
    every = {one.name: set(one.values) for one in load_space("numerics-free").parameters}
    assert every == found | {"stages": found["stages"] | {3}}
    assert found["stages"] == {1, 2}


GRID = {
    "element": ["e2m1", "e2m3"], "block": [8, 32], "scale": ["ue4m3", "e8m0"], "group": [8, 32],
    "fraction_bits": [7, 13], "acc": ["fp32", "e8m13"], "rows": [4, 16], "cols": [4, 16], "dataflow": ["ws", "os"],
    "stages": [1, 3],
}  # fmt: skip


def test_numerics_free_on_the_exact_front_of_a_coarse_grid(tiny_trace):
    """Two values of each knob, every design of them priced, on two small products: each is on the front."""
    table = load_space("numerics-free").to_dict()
    assert set(GRID) == set(table["parameters"])
    for name, values in GRID.items():
        table["parameters"][name]["choice"] = values
    table["options"] = {
        name: {value: option for value, option in options.items() if value in map(str, GRID[name])}
        for name, options in table["options"].items()
    }
    table["search"] |= {"accuracy": "replay", "metric": {}}
    study = sweep(space_from_dict(table, "here"), tiny_trace)
    assert study.certificate["exhaustive"]
    assert _values(study.front) == {name: set(values) for name, values in GRID.items()}

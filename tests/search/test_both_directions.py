"""Every knob of the committed spaces pays in both directions: on an exact front no knob has one value alone.

A knob with one best value would be a constant that costs the search a dimension.
"""

from __future__ import annotations

import pytest

from hwsim.search import load_space, load_study, sweep
from hwsim.studies.seeds_spaces import restricted


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
    found = _values(committed.pareto)
    knobs = {one.name for one in load_space("edge-lm").parameters}
    alone = {name for name in knobs if len(found.get(name, ())) < 2}
    assert alone == {"pann_bits", "pann_additions"}
    assert "pann" not in found["unit"]
    ends = {"rows", "cols", "voltage", "stages", "activation_kib", "weight_kib", "vector_lanes"}
    for one in load_space("edge-lm").parameters:
        if one.name in ends:  # also the least and the most of it
            assert {one.values[0], one.values[-1]} <= found[one.name]


def test_the_add_only_unit_s_knobs_on_the_exact_front_of_its_own_designs(tiny_trace, tmp_path, monkeypatch):
    """Bits and additions of the unit that edge-lm's whole front leaves out, on a coarse grid of its designs alone."""
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
    space = restricted(
        "edge-lm",
        {
            "unit": ("pann",), "rows": (8, 32), "cols": (8,), "dataflow": ("ws", "os"), "clock_ghz": (0.4, 0.8),
            "voltage": (0.8,), "stages": (1,), "activation_kib": (128,), "weight_kib": (128,), "port_bits": (256,),
            "sram": ("lstp",), "dram_gbyte_s": (12.8,), "vector_lanes": (16,),
        },
    )  # fmt: skip
    found = _values(sweep(space, tiny_trace).points)
    assert found["pann_bits"] == {4, 6}
    assert found["pann_additions"] == {1, 2}


def test_numerics_free_on_the_exact_front_of_a_coarse_grid(tiny_trace, tmp_path, monkeypatch):
    """Ends of every knob of numbers, and every name but the elements of five bits."""
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
    space = restricted(
        "numerics-free",
        {
            "element": ("e2m1", "e2m3"), "block": (8, 128), "group": (4, 32), "fraction_bits": (7, 25),
            "rows": (2, 32), "cols": (2, 32), "stages": (1, 3),
        },
    )  # fmt: skip
    found = _values(sweep(space, tiny_trace).points)
    assert {name: len(found.get(name, ())) for name in found} == {
        one.name: len(one.values) for one in space.parameters
    }

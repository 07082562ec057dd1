"""Every knob of a committed space pays in both directions: on an exact front no knob has one value alone.

A knob with one best value would be a constant that costs the search a dimension.
"""

from __future__ import annotations

import pytest

from hwsim.search import load_space, load_study


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

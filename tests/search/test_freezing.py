"""A frozen knob has one value in every design; mistakes are one line."""

from __future__ import annotations

import pytest

from hwsim.errors import ArgumentError, UnknownName
from hwsim.search import freeze, load_space, space_from_dict


def test_a_frozen_knob_has_one_value_everywhere(small):
    space = space_from_dict(small, "here")
    held = freeze(space, ["rows=8", "dataflow = os"])
    assert [dict(held.canonical(draw)) for draw in held.draws()] == [
        {"bits": bits, "rows": 8, "dataflow": "os"} for bits in (12, 16)
    ]
    assert (space.size, held.size) == (8, 2)
    assert held == freeze(space, {"rows": 8, "dataflow": "os"})
    assert held.digest != space.digest
    assert freeze(space, ()) == space


def test_a_condition_of_another_knob_still_holds():
    held = freeze(load_space("edge-lm"), ["unit=int8", "nvfp4_scheme=te"])
    draw = {knob.name: knob.values[0] for knob in held.parameters}
    assert "nvfp4_scheme" not in dict(held.canonical(draw))
    assert "acc_bits" in dict(held.canonical(draw))


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("rows", ArgumentError, "freeze: a frozen knob must be KNOB=VALUE, got 'rows'"),
        ("row=8", UnknownName, "freeze: knob must be one of rows, got 'row'"),
        ("rows=5", UnknownName, "freeze: value of rows must be one of 4, 8, got '5'"),
    ],
)
def test_a_mistake_is_one_clear_line(small, text, error, told):
    with pytest.raises(error) as raised:
        freeze(space_from_dict(small, "here"), [text])
    assert str(raised.value) == told

"""The space of free dot units: every knob builds a machine whose unit has circuits and a price."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import hwsim
from hwsim import quant
from hwsim.datapaths import dot
from hwsim.quant.catalog import block_scheme
from hwsim.search.space_file import load_space
from hwsim.testing import missing_views


@pytest.fixture(scope="module")
def space():
    return load_space("numerics-free")


@pytest.fixture(scope="module")
def first(space):
    return {parameter.name: parameter.values[0] for parameter in space.parameters}


NUMERICS = ("element", "block", "scale", "group", "fraction_bits", "acc")


def _numerics(space, draw):
    return space.design(draw).accelerator.policy.default


def test_every_numeric_draw_is_a_machine_with_the_unit_it_names(space, first):
    """All combinations of the six numeric knobs; circuits and prices of those two knobs away from the first."""
    values = {parameter.name: parameter.values for parameter in space.parameters}
    names = set()
    for draw in itertools.product(*(values[name] for name in NUMERICS)):
        point = dict(zip(NUMERICS, draw, strict=True))
        unit = dot(
            point["element"], group=point["group"], fraction_bits=point["fraction_bits"], block=point["block"],
            scale=point["scale"], acc=point["acc"],
        )  # fmt: skip
        names.add(unit.name)
        if sum(point[name] != first[name] for name in NUMERICS) <= 2:
            assert _numerics(space, first | point).datapath == unit
            assert missing_views(unit) == []
    assert len(names) == 6 * 5 * 3 * 5 * 5 * 2


def test_schemes_are_those_of_the_published_grid(space, first):
    """Tables of fields give the schemes that `block_scheme` makes, but for the name."""
    for element, block, scale in itertools.product(("e2m1", "e3m2"), (8, 128), ("ue4m3", "ue5m3", "e8m0")):
        made = _numerics(space, first | {"element": element, "block": block, "scale": scale})
        assert made.activation == made.weight == block_scheme(element, block, scale, name=f"{element}.free")


def test_its_nvfp4_draw_is_nvfp4(space, first):
    """E2M1 in blocks of 16 under UE4M3 by Transformer Engine's rule, in codes and scale bytes."""
    x = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    made, named = quant.quantize(x, _numerics(space, first | {"block": 16}).weight), quant.quantize(x, "nvfp4.te")
    assert (made.codes == named.codes).all()
    assert (made.scales == named.scales).all()


def test_draws_are_evaluated(space, first, tmp_path, monkeypatch):
    """Two bits of mantissa more help and take larger multipliers; a coarse power of two as scale hurts."""
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
    trace = hwsim.load_trace("traces/gpt-small")
    results = {}
    for name, energy, change in (
        ("base", "pann", {}),
        ("wide", "pann", {"element": "e2m3"}),
        ("coarse", "pann", {"scale": "e8m0", "block": 128}),
        ("deep", "pann", {"group": 64, "fraction_bits": 13, "stages": 2}),  # 0.34 GHz in one stage
        ("mixed", "trace", {"element": "e3m1", "scale": "ue5m3", "group": 8, "fraction_bits": 7, "acc": "e8m13"}),
    ):
        results[name] = hwsim.evaluate(trace, space.design(first | change).accelerator, energy=energy)
    assert all(one.energy_pj > 0 and one.area_um2 > 0 and one.latency_cycles > 0 for one in results.values())
    assert results["wide"].accuracy > results["base"].accuracy > results["coarse"].accuracy
    products = {name: one.area.breakdown().parts["products"].value for name, one in results.items()}
    assert products["wide"] > products["base"] > products["coarse"]

"""Clock energies by hand, and idle chips."""

from __future__ import annotations

import math

import pytest

from hwsim.cost.clock_tree import clock_tree_pj_per_cycle, flip_flop_fj
from hwsim.cost.gates import default_library, flip_flop
from hwsim.cost.technology import leakage_mw_per_mm2
from hwsim.errors import ArgumentError


def test_a_flip_flop_is_what_two_libraries_of_45_nm_say_within_the_error():
    own = flip_flop(default_library()).clock_fj
    assert own == pytest.approx(2 * (0.5 * 1.6 * 1.1**2 + 0.5 * 7 * 1.6 * 1.1**2))  # 15.5 fJ
    assert flip_flop_fj(45, 1.1).value == pytest.approx(8.6)
    assert own / 8.6 == pytest.approx(1 + flip_flop_fj(45, 1.1).relative_error, abs=0.01)


def test_a_clock_tree_by_hand():
    # 45 nm, 1.1 V: 1,000 flip-flops x (8.6 fJ + 0.6 fF x 1.21 V2) + 0.01 mm2 x 50 pF/mm2 x 1.21 V2
    found = clock_tree_pj_per_cycle(1000, 0.01, 45, 1.1)
    assert found.value == pytest.approx(8.6 + 0.726 + 0.605)
    sigmas = math.log(1.8) * 8.6 / 9.931, math.log(2.0) * 1.331 / 9.931
    assert dict(found.sigmas) == pytest.approx(dict(zip(("flip-flop", "clock tree"), sigmas, strict=True)))


def test_nodes_and_voltages_scale_it_as_logic():
    # 22 nm: 0.45 of 45 nm at 0.9 V, nominal 0.8 V
    assert flip_flop_fj(22).value == pytest.approx(8.6 * (0.9 / 1.1) ** 2 * 0.45)
    assert flip_flop_fj(22, 0.6).value == pytest.approx(flip_flop_fj(22).value * (0.6 / 0.8) ** 2)
    assert flip_flop_fj(22).error_factor == pytest.approx(math.exp(math.hypot(math.log(1.8), math.log(1.5))))


def test_sizes_are_checked():
    with pytest.raises(ArgumentError, match=r"^clock_tree: flip_flops must be finite and not negative, got -1$"):
        clock_tree_pj_per_cycle(-1, 0.0)
    with pytest.raises(ArgumentError, match=r"^clock_tree: area_mm2 must be finite and not negative, got inf$"):
        clock_tree_pj_per_cycle(1, math.inf)
    assert clock_tree_pj_per_cycle(0, 0.0).value == 0


def test_idle_power_of_two_chips_lies_beside_ours():
    # Idle is leakage of fast devices and the tree, flip-flops gated: TPUv1 28 W on 331 mm2 (28 nm, 0.7 GHz), A100
    # 54 W on 826 mm2 (7 nm, 1.41 GHz), both with memories and pads in them
    for node_nm, clock_ghz, published in ((28, 0.7, 28e3 / 331), (7, 1.41, 54e3 / 826)):
        tree = clock_tree_pj_per_cycle(0, 1.0, node_nm).value * clock_ghz
        ours = tree + leakage_mw_per_mm2(node_nm, "high").value
        assert 1 / 1.3 < ours / published < 1.3

"""Nodes: the table's numbers, the laws of supply and heat, and errors that neighbours share."""

from __future__ import annotations

import math

import pytest

from hwsim.cost.technology import (
    area_errors,
    area_factor,
    delay_factor,
    energy_errors,
    energy_factor,
    fo4_ps,
    leakage_mw_per_mm2,
    logic_area_um2,
    node,
    nodes,
    scaling_error,
    supply,
    wire_pj_per_bit_mm,
)
from hwsim.errors import ArgumentError, DesignError

NAMES = [180, 130, 90, 65, 45, 40, 32, 28, 22, 16, 14, 12, 10, 7, 5, 4, 3, 2]
ENERGY = [20, 5.6, 2.8, 1.9, 1, 0.85, 0.66, 0.58, 0.45, 0.30, 0.30, 0.27, 0.20, 0.15, 0.105, 0.098, 0.075, 0.055]
ERROR = [1.8, 1.5, 1.4, 1.3, 1, 1.3, 1.3, 1.4, 1.5, 1.7, 1.7, 1.8, 2.0, 2.2, 2.3, 2.4, 2.5, 2.7]
GATE = [10, 3.75, 2.8, 1.44, 0.80, 0.71, 0.55, 0.49, 0.33, 0.20, 0.20, 0.18, 0.11, 0.062, 0.040, 0.037, 0.028, 0.020]
FO4 = [99, 45, 30, 23, 17, 16, 14, 13, 11.5, 9, 9, 8.5, 8, 7.5, 6.5, 6.3, 5.8, 5.2]


def test_the_table_by_hand() -> None:
    """Each node at its reference supply against 45 nm at 0.9 V."""
    assert list(nodes()) == NAMES
    for name, energy, error, gate, delay in zip(NAMES, ENERGY, ERROR, GATE, FO4, strict=True):
        volt = node(name).reference_v
        assert energy_factor(45, 0.9, name, volt) == pytest.approx(energy)
        assert scaling_error(45, name) == pytest.approx(error - 1)
        assert area_factor(45, name) == pytest.approx(gate / 0.80)
        assert fo4_ps(name, volt).value == pytest.approx(delay)


def test_every_number_falls_with_the_node() -> None:
    for name in ("energy", "gate_um2", "fo4_ps", "wire"):
        values = [getattr(one, name) for one in nodes().values()]
        assert values == sorted(values, reverse=True), name


def test_energy_and_delay_with_the_supply_by_hand() -> None:
    """V^2 at 7 nm from 0.75 to 0.6 V: 0.64. Delay V / (V - 0.3)^1.2: 0.6/0.3^1.2 over 0.75/0.45^1.2 = 1.301."""
    assert energy_factor(7, None, 7, 0.6) == pytest.approx(0.64)
    assert energy_factor(45, None, 45, 0.9) == pytest.approx((0.9 / 1.1) ** 2)
    slower = 0.6 / 0.3**1.2 / (0.75 / 0.45**1.2)
    assert slower == pytest.approx(1.301, abs=1e-3)
    assert delay_factor(7, 0.6) == pytest.approx(slower)
    assert fo4_ps(7, 0.6).value == pytest.approx(7.5 * slower)
    assert fo4_ps(7).errors == pytest.approx({"delay 7 nm": 1.4})


def test_the_law_against_a_chip() -> None:
    """Eyeriss, 65 nm: 45 frames a second at 1.17 V, 34.7 at 1.0 V, 1.297 times as fast; 250 MHz against 200."""
    assert delay_factor(65, 1.0, 1.17) == pytest.approx(1 / 0.65**1.55 / (1.17 / 0.82**1.55))
    assert delay_factor(65, 1.0, 1.17) == pytest.approx(1.25, rel=0.03)


def test_leakage_by_hand() -> None:
    """22 nm at 0.7 V and 55 K above 25 C: 0.2 x 0.875 exp(-0.3) x 2^(55/30)."""
    assert leakage_mw_per_mm2(22).value == pytest.approx(0.2)
    assert leakage_mw_per_mm2(22, "high").value == pytest.approx(40)
    hot = leakage_mw_per_mm2(22, "low", 0.7, 298.15 + 55)
    assert hot.value == pytest.approx(0.2 * 0.875 * math.exp(-0.3) * 2 ** (55 / 30))
    with pytest.raises(ArgumentError, match=r"^technology.device: must be one of low, high, got 'lp'$"):
        leakage_mw_per_mm2(22, "lp")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match=r"^technology.temperature_k: must lie in 250..400 K, got 25$"):
        leakage_mw_per_mm2(22, "low", None, 25)


def test_placed_area_and_wires_by_hand() -> None:
    """1,000 gates at 7 nm: 62 um2 at 65 %. A bit over 1 mm at 7 nm and 0.6 V: 0.05 x 0.64."""
    placed = logic_area_um2(1000, 7)
    assert placed.value == pytest.approx(62 / 0.65)
    assert placed.errors == pytest.approx({"gate area 7 nm": 1.41, "placement": 1.25})
    assert wire_pj_per_bit_mm(7, 0.6).value == pytest.approx(0.032)
    assert wire_pj_per_bit_mm(45).errors == pytest.approx({"wires": 1.5})


def test_errors_of_energy_are_steps_between_neighbours() -> None:
    """7 to 5 nm: ln^2 = ln^2 2.3 - ln^2 2.2, and nothing else; 45 to 7 nm has all steps, together 2.2."""
    step = math.exp(math.sqrt(math.log(2.3) ** 2 - math.log(2.2) ** 2))
    assert energy_errors(7, 5) == pytest.approx({"logic 7 to 5 nm": step})
    assert energy_errors(5, 7) == energy_errors(7, 5)
    assert energy_errors(45, 45) == {}
    assert energy_errors(16, 14) == {}  # one row of the sources
    assert set(energy_errors(45, 5)) == set(energy_errors(45, 7)) | {"logic 7 to 5 nm"}
    assert energy_errors(65, 45) == pytest.approx({"logic 65 to 45 nm": 1.3})
    assert set(energy_errors(90, 40)) == {"logic 90 to 65 nm", "logic 65 to 45 nm", "logic 45 to 40 nm"}
    assert area_errors(45, 7) == {"gate area 45 nm": 1.25, "gate area 7 nm": 1.41}
    assert area_errors(7, 7) == {}


def test_supplies() -> None:
    assert supply(45, None) == 1.1
    assert supply(5, 0.46) == 0.46  # a published accelerator's lowest
    for nm, volt, low, high in (
        (22, 0.49, 0.5, 0.96),
        (7, 0.91, 0.45, 0.9),
        (45, 1.33, 0.5, 1.32),
        (16, 50, 0.47, 0.96),
    ):
        with pytest.raises(DesignError) as caught:
            supply(nm, volt)
        assert str(caught.value) == f"technology.voltage: must lie in {low:g}..{high:g} V at {nm} nm, got {volt}"
    with pytest.raises(DesignError):
        energy_factor(45, None, 22, 0.05)


def test_unknown_nodes() -> None:
    known = ", ".join(map(str, NAMES))
    for call in (lambda: area_factor(45, 6), lambda: energy_errors(6, 6), lambda: fo4_ps(6), lambda: supply(6, None)):
        with pytest.raises(ArgumentError) as caught:
            call()
        assert str(caught.value) == f"technology.node_nm: node must be one of {known} nm, got 6"

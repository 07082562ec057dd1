"""Crossbars, routers, links."""

from __future__ import annotations

import pytest

from hwsim.cost.wires import crossbar_pj_per_bit, link_pj_per_bit, router_pj_per_bit
from hwsim.errors import ArgumentError, UnknownName


def test_crossbar_by_hand() -> None:
    """0.17 pJ for 32 banks at 22 nm and 0.8 V; half of it for 16; 0.05 / 0.065 at 7 nm; none before one bank."""
    assert crossbar_pj_per_bit(32, 22).value == pytest.approx(0.17)
    assert crossbar_pj_per_bit(32, 22).errors == pytest.approx({"crossbar": 2.0})
    assert crossbar_pj_per_bit(16, 22, 0.6).value == pytest.approx(0.085 * (0.6 / 0.8) ** 2)
    assert crossbar_pj_per_bit(32, 7).value == pytest.approx(0.17 * 0.050 / 0.065)
    assert crossbar_pj_per_bit(8, 22).errors == pytest.approx({"crossbar": 4.0})
    assert crossbar_pj_per_bit(1, 22).value == 0
    with pytest.raises(ArgumentError, match=r"^crossbar.banks: must be at least 1, got 0$"):
        crossbar_pj_per_bit(0, 22)


def test_routers_lie_between_their_two_anchors() -> None:
    """ISAAC 20.74 pJ for 256 b at 32 nm, FlooNoC 0.15 pJ a byte at 12 nm: each within 1.34 of the price there."""
    for nm, anchor in ((32, 20.74 / 256), (12, 0.15 / 8)):
        assert router_pj_per_bit(nm).value == pytest.approx(anchor, rel=0.34)
    assert router_pj_per_bit(45, 0.9).value == pytest.approx(0.0923)
    assert router_pj_per_bit(12).value == pytest.approx(0.0923 * 0.27)
    assert set(router_pj_per_bit(40).errors) == {"router", "logic 45 to 40 nm"}


def test_links() -> None:
    assert link_pj_per_bit("grs").value == 1.2
    assert (link_pj_per_bit("grs").low, link_pj_per_bit("grs").high) == pytest.approx((0.82, 1.75), rel=0.01)
    assert link_pj_per_bit("ucie-advanced").errors == pytest.approx({"link ucie-advanced": 1.5})
    with pytest.raises(UnknownName, match=r"^link: kind of link must be one of .*, got 'usb'$"):
        link_pj_per_bit("usb")

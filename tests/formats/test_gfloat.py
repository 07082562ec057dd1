"""Directed and stochastic rounding against gfloat, which follows the same standards and shares no code with hwsim.

ml_dtypes rounds to nearest even only; gfloat has every mode of ours. gfloat is not needed by hwsim: without it these
tests skip, and the definition in `hwsim.formats.reference` stands alone.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim import formats

gfloat = pytest.importorskip("gfloat", reason="gfloat is not installed (pip install gfloat)")

PEERS = {
    "e2m1": "ocp_e2m1",
    "e2m3": "ocp_e2m3",
    "e3m2": "ocp_e3m2",
    "e4m3": "ocp_e4m3",
    "e5m2": "ocp_e5m2",
    "bf16": "bfloat16",
    "fp16": "binary16",
}
MODES = {"rne": "TiesToEven", "rz": "TowardZero", "rp": "TowardPositive", "away": "TiesToAway"}


def peer(name):
    import gfloat.formats as catalogue

    return getattr(catalogue, f"format_info_{PEERS[name]}")


def same(ours, theirs):
    nan = np.isnan(theirs)
    assert_array_equal(np.isnan(ours), nan)
    assert_array_equal(ours[~nan].view(np.uint32), theirs.astype(np.float32)[~nan].view(np.uint32))


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", PEERS)
def test_rounds_as_gfloat(name, rounding, patterns):
    form = formats.get(name)
    x = patterns[~np.isnan(patterns)]
    for saturate in (True, False) if form.specials != "none" else (True,):
        theirs = gfloat.round_ndarray(peer(name), x.astype(np.float64), gfloat.RoundMode[MODES[rounding]], saturate)
        same(form.decode(form.encode(x, rounding, saturate=saturate)), theirs)


@pytest.mark.parametrize("sr_bits", [1, 8, 20])
@pytest.mark.parametrize("name", PEERS)
def test_rounds_stochastically_as_gfloat(name, sr_bits, patterns, rng):
    """gfloat's StochasticFastest is our rule: up where the discarded fraction and the random fraction reach 1."""
    form = formats.get(name)
    x = patterns[~np.isnan(patterns)]
    noise = rng.integers(0, 1 << sr_bits, x.size)
    mode = gfloat.RoundMode.StochasticFastest
    for saturate in (True, False) if form.specials != "none" else (True,):
        theirs = gfloat.round_ndarray(peer(name), x.astype(np.float64), mode, saturate, noise, sr_bits)
        words = noise.astype(np.uint32) << np.uint32(32 - sr_bits)
        same(form.decode(form.encode(x, "sr", words, saturate, sr_bits)), theirs)

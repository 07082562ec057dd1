"""Published values of each format, rounding cases by hand, and messages."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim import formats
from hwsim.errors import ArgumentError, UnknownName
from hwsim.formats import Format

# name: bits, largest, smallest normal, smallest; OCP MX 1.0 tables 1-7, OFP8 table 1, IEEE 754-2019 table 3.5,
# ml_dtypes README (e3m4, e4m3_ieee, fnuz), arXiv 2505.19115 (ue5m3)
PUBLISHED = {
    "e2m1": (4, 6.0, 1.0, 0.5),
    "e2m3": (6, 7.5, 1.0, 0.125),
    "e3m2": (6, 28.0, 0.25, 0.0625),
    "e1m6": (8, 2 * (1 + 63 / 64), 2.0, 2 / 64),  # by hand, as e2m5 and e6m1
    "e2m5": (8, 4 * (1 + 31 / 32), 1.0, 1 / 32),
    "e6m1": (8, 2.0**32 * 1.5, 2.0**-30, 2.0**-31),
    "e3m4": (8, 15.5, 2.0**-2, 2.0**-6),
    "e4m3": (8, 448.0, 2.0**-6, 2.0**-9),
    "e4m3_ieee": (8, 240.0, 2.0**-6, 2.0**-9),
    "e4m3fnuz": (8, 240.0, 2.0**-7, 2.0**-10),
    "e5m2": (8, 57344.0, 2.0**-14, 2.0**-16),
    "e5m2fnuz": (8, 57344.0, 2.0**-15, 2.0**-17),
    "e8m0": (8, 2.0**127, 2.0**-127, 2.0**-127),
    "ue4m3": (8, 448.0, 2.0**-6, 2.0**-9),
    "ue5m3": (8, 114688.0, 2.0**-14, 2.0**-17),
    "fp16": (16, 65504.0, 2.0**-14, 2.0**-24),
    "bf16": (16, 2.0**127 * (2 - 2.0**-7), 2.0**-126, 2.0**-133),
    "tf32": (19, 2.0**127 * (2 - 2.0**-10), 2.0**-126, 2.0**-136),
    "fp32": (32, 2.0**127 * (2 - 2.0**-23), 2.0**-126, 2.0**-149),
    "int4": (4, 7.0, 1.0, 1.0),
    "int8": (8, 127.0, 1.0, 1.0),
    "int16": (16, 32767.0, 1.0, 1.0),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values(name):
    form = formats.get(name)
    assert (form.bits, form.max, form.min_normal, form.smallest) == PUBLISHED[name]


def test_the_catalogue_is_complete():
    floats = {"e2m1", "e3m0", "e1m2", "e2m3", "e3m2", "e3m4", "e4m3", "e5m2", "fp16", "bf16", "fp32", "tf32"}
    assert floats | {"e8m0", "ue4m3", "ue5m3"} | {f"int{width}" for width in range(2, 9)} <= set(formats.names())


def test_grids_of_four_bit_formats():
    assert formats.get("e2m1").values[:8].tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert formats.get("e1m2").values[:8].tolist() == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]
    powers = formats.get("e3m0").values[1:8]
    assert powers[-1] / powers[0] == 2.0**6
    assert_array_equal(powers[1:] / powers[:-1], 2.0)
    assert formats.get("int4").values.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1]


def test_emax_of_the_ocp_scale_rule():
    emax = {name: formats.get(name).max_exponent for name in ("e2m1", "e2m3", "e3m2", "e4m3", "e5m2")}
    assert emax == {"e2m1": 2, "e2m3": 2, "e3m2": 4, "e4m3": 8, "e5m2": 15}


def test_e2m1_ties_signs_and_specials():
    values = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 5.0001, -0.0, -0.25, -1e-30, np.inf, -np.inf, np.nan]
    codes = [0, 2, 2, 4, 4, 6, 6, 7, 8, 8, 8, 7, 15, 7]
    assert formats.get("e2m1").encode(values).tolist() == codes


@pytest.mark.parametrize(("name", "largest"), [("e4m3fnuz", 240.0), ("e5m2fnuz", 57344.0)])
def test_fnuz_has_one_zero_and_one_nan(name, largest):
    form = formats.get(name)
    zeros = form.encode([0.0, -0.0, -form.smallest / 2, -1e-30])
    assert zeros.tolist() == [0, 0, 0, 0]
    assert form.encode([-form.smallest]).tolist() == [0x81]
    assert np.flatnonzero(np.isnan(form.values)).tolist() == [0x80]
    beyond = [np.inf, -np.inf, 2 * largest, -2 * largest, np.nan, -np.nan]
    assert form.encode(beyond).tolist() == [0x7F, 0xFF, 0x7F, 0xFF, 0x80, 0x80]
    assert form.encode(beyond, saturate=False).tolist() == [0x80] * 6
    # IEEE 754-2019, 7.4: what rounds toward zero stays the largest finite number
    assert form.encode(beyond, "rz", saturate=False).tolist() == [0x80, 0x80, 0x7F, 0xFF, 0x80, 0x80]


def test_e4m3_overflow():
    values = [448.0, 464.0, 464.0001, 1e30, np.inf, -np.inf, -500.0]
    assert formats.get("e4m3").encode(values).tolist() == [0x7E, 0x7E, 0x7E, 0x7E, 0x7E, 0xFE, 0xFE]
    overflowed = formats.get("e4m3").encode(values, saturate=False)
    assert overflowed.tolist() == [0x7E, 0x7E, 0x7F, 0x7F, 0x7F, 0xFF, 0xFF]
    kept = formats.get("e4m3").encode(values, "rz", saturate=False)  # IEEE 754-2019, 7.4: the largest finite number
    assert kept.tolist() == [0x7E, 0x7E, 0x7E, 0x7E, 0x7F, 0xFF, 0xFE]


def test_e5m2_overflow():
    values = [57344.0, 61439.996, 61440.0, -61440.0]
    assert formats.get("e5m2").encode(values).tolist() == [0x7B, 0x7B, 0x7B, 0xFB]
    assert formats.get("e5m2").encode(values, saturate=False).tolist() == [0x7B, 0x7B, 0x7C, 0xFC]


def test_e8m0_takes_the_magnitude():
    values = [1.0, 1.5, 1.4999999, 3.0, -1.25, 0.0, 2**-127, 2**-128, 2**-126 * 1.1, 2**127 * 1.1, np.inf]
    e8m0 = formats.get("e8m0")
    assert e8m0.encode(values, "rz").tolist() == [127, 127, 127, 128, 127, 0, 0, 0, 1, 254, 254]
    assert e8m0.encode(values, "rp").tolist() == [127, 128, 128, 129, 128, 0, 0, 0, 2, 254, 254]
    assert e8m0.encode(values, "rne").tolist() == [127, 128, 127, 129, 127, 0, 0, 0, 1, 254, 254]
    assert e8m0.encode(values, "rp", saturate=False).tolist() == [127, 128, 128, 129, 128, 0, 0, 0, 2, 255, 255]


def test_directions_of_rounding():
    values = [1.1, -1.1, 1.25, -1.25]
    e2m1 = formats.get("e2m1")
    assert e2m1.decode(e2m1.encode(values, "rz")).tolist() == [1.0, -1.0, 1.0, -1.0]
    assert e2m1.decode(e2m1.encode(values, "rp")).tolist() == [1.5, -1.0, 1.5, -1.0]
    assert e2m1.decode(e2m1.encode(values, "away")).tolist() == [1.0, -1.0, 1.5, -1.5]
    assert e2m1.decode(e2m1.encode(values, "rne")).tolist() == [1.0, -1.0, 1.0, -1.0]


def test_integers_reach_the_full_range_and_nan_is_zero():
    values = [7.5, 6.5, -8.5, -9.0, 1e30, -np.inf, np.nan, -0.4]
    assert formats.get("int4").encode(values).tolist() == [7, 6, 8, 8, 7, 8, 0, 0]


def test_stochastic_rounding_uses_the_top_bits_of_a_word():
    e2m1 = formats.get("e2m1")
    # 2.25 lies a quarter of the way from 2 to 3, so the quarter of words at the top goes up.
    words = np.array([0xBFFFFFFF, 0xC0000000], dtype=np.uint32)
    for sr_bits in (2, 8, 32):
        assert e2m1.encode([2.25, 2.25], "sr", words, sr_bits=sr_bits).tolist() == [4, 5]
    assert e2m1.encode([2.25, 2.25], "sr", words, sr_bits=1).tolist() == [4, 4]


@pytest.mark.parametrize("sr_bits", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("name", ["e2m1", "e3m0", "e4m3", "int4", "bf16"])
def test_stochastic_rounding_counts_all_words(name, sr_bits):
    """Over all 2^sr_bits random inputs a value goes up floor(fraction 2^sr_bits) times."""
    form = formats.get(name)
    low = form.decode(form.encode([1.0]))[0]
    high = form.decode(form.encode([np.nextafter(np.float32(1.0), np.float32(2.0))], "rp"))[0]
    words = np.arange(1 << sr_bits, dtype=np.uint32) << np.uint32(32 - sr_bits)
    for fraction in (0.0, 0.1, 0.25, 1 / 3, 0.5, 0.99, 1 - 2.0**-10):
        value = np.float32(low + (high - low) * fraction)
        exact = float((np.float64(value) - low) / (high - low))
        results = form.decode(form.encode(np.full(words.shape, value), "sr", words, sr_bits=sr_bits))
        assert set(results) <= {low, high}
        assert int((results == high).sum()) == int(exact * (1 << sr_bits))


def test_shapes_and_dtypes_are_kept():
    assert formats.get("e2m1").encode(1.5).shape == ()
    assert formats.get("fp16").encode(np.ones((2, 0, 3))).shape == (2, 0, 3)
    assert formats.get("tf32").encode(np.ones((2, 3))).dtype == np.uint32
    assert formats.get("e4m3").decode(np.zeros((2, 3), np.uint8)).shape == (2, 3)
    strided = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::3]
    assert formats.get("int8").encode(strided).tolist() == [[0, 3], [12, 15]]
    assert not formats.get("e2m1").values.flags.writeable


def test_words_beyond_a_piece_are_encoded_alike(rng):
    values = rng.standard_normal(40_000, dtype=np.float32)
    form = formats.get("e4m3")
    assert_array_equal(form.encode(values), np.concatenate([form.encode(part) for part in np.array_split(values, 7)]))


def test_a_format_is_a_literal():
    e4m2 = Format("e4m2", 4, 2, 7)
    assert (e4m2.bits, e4m2.max) == (7, 1.75 * 2.0**8)
    assert formats.get(e4m2) is e4m2
    assert e4m2.encode([1.1]).tolist() == [0x1C]


def message(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_messages():
    e2m1 = formats.get("e2m1")
    assert message(UnknownName, lambda: formats.get("fp4")) == "format must be one of fp32, fp16, got 'fp4'"
    assert (
        message(ArgumentError, lambda: e2m1.decode(np.array([3, 16], np.uint8)))
        == "e2m1: codes must lie in 0..15, got 16"
    )
    assert (
        message(ArgumentError, lambda: e2m1.decode([1.0])) == "e2m1: codes must be unsigned integers, got 'float64'"
    )
    assert (
        message(ArgumentError, lambda: e2m1.encode([1.0], "nearest"))
        == "e2m1: rounding must be one of rne, rz, rp, away, sr, got 'nearest'"
    )
    assert (
        message(ArgumentError, lambda: e2m1.encode([1.0], "sr"))
        == "e2m1: random_bits must be given for \"sr\" and only there, got 'sr'"
    )
    assert (
        message(ArgumentError, lambda: e2m1.encode([1.0], "sr", np.zeros(2, np.uint32)))
        == "e2m1: random_bits must be uint32 of shape (1,), got ('uint32', (2,))"
    )
    assert (
        message(ArgumentError, lambda: e2m1.encode([1.0], "sr", np.zeros(1, np.uint32), sr_bits=33))
        == "e2m1: sr_bits must lie in 1..32, got 33"
    )
    assert (
        message(ArgumentError, lambda: Format("e9m0", 9, 0, 255))
        == "e9m0: a float format must fit float32: 1 to 8 exponent bits, at most 23 mantissa bits, got (9, 0)"
    )


def test_importing_formats_is_light():
    code = "import sys, hwsim.formats; print([name for name in ('numba', 'torch', 'pandas') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"

"""Every code and a sweep of float32 patterns against ml_dtypes, which shares no code with hwsim.

Where ml_dtypes decides otherwise than NVIDIA's conversions, the case is stated and both answers are pinned.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim import formats

ORACLE = {
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e3m4": ml_dtypes.float8_e3m4,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e4m3_ieee": ml_dtypes.float8_e4m3,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "e5m2": ml_dtypes.float8_e5m2,
    "e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "bf16": ml_dtypes.bfloat16,
    "fp16": np.float16,
}


def bits(values):
    return np.asarray(values, dtype=np.float32).view(np.uint32)


def peer_codes(values, name):
    with np.errstate(all="ignore"):
        cast = values.astype(ORACLE[name])
    return cast.view(formats.get(name).code_dtype)


@pytest.mark.parametrize("name", ORACLE)
def test_decodes_every_code_as_ml_dtypes(name):
    form = formats.get(name)
    codes = np.arange(form.code_count, dtype=form.code_dtype)
    ours, theirs = form.decode(codes), codes.view(ORACLE[name]).astype(np.float32)
    nan = np.isnan(theirs)
    assert_array_equal(np.isnan(ours), nan)
    assert_array_equal(bits(ours)[~nan], bits(theirs)[~nan])
    assert set(bits(ours)[nan]) <= {0x7FC00000}


@pytest.mark.parametrize("name", ORACLE)
def test_encodes_as_ml_dtypes(name, patterns):
    form = formats.get(name)
    ours, theirs = form.encode(patterns, saturate=False), peer_codes(patterns, name)
    nan = np.isnan(patterns)
    assert_array_equal(ours[~nan], theirs[~nan])  # overflow to a NaN that keeps its sign included


@pytest.mark.parametrize("name", ORACLE)
def test_saturates_where_ml_dtypes_overflows(name, patterns):
    form = formats.get(name)
    finite = patterns[~np.isnan(patterns)]
    ours, theirs = form.encode(finite), peer_codes(finite, name)
    over = ~np.isfinite(form.decode(theirs))
    assert_array_equal(ours[~over], theirs[~over])
    assert_array_equal(form.decode(ours[over]), np.copysign(np.float32(form.max), finite[over]))


def test_nan_of_ml_dtypes_differs_and_how():
    nans = np.array([0x7FC00000, 0xFFC00000], dtype=np.uint32).view(np.float32)
    ours = {name: formats.get(name).encode(nans).tolist() for name in ORACLE}
    theirs = {name: peer_codes(nans, name).tolist() for name in ORACLE}
    # NVIDIA: one positive NaN of all ones, and the largest value where there is no NaN.
    assert ours == {
        "e2m1": [0x7, 0x7],
        "e2m3": [0x1F, 0x1F],
        "e3m2": [0x1F, 0x1F],
        "e3m4": [0x7F, 0x7F],
        "e4m3": [0x7F, 0x7F],
        "e4m3_ieee": [0x7F, 0x7F],
        "e4m3fnuz": [0x80, 0x80],
        "e5m2fnuz": [0x80, 0x80],
        "e5m2": [0x7F, 0x7F],
        "bf16": [0x7FFF, 0x7FFF],
        "fp16": [0x7FFF, 0x7FFF],
    }
    # ml_dtypes: keeps the sign, writes the quiet bit alone, and a zero of inverted sign where there is no NaN.
    assert theirs == {
        "e2m1": [0x8, 0x0],
        "e2m3": [0x20, 0x0],
        "e3m2": [0x20, 0x0],
        "e3m4": [0x78, 0xF8],
        "e4m3": [0x7F, 0xFF],
        "e4m3_ieee": [0x7C, 0xFC],
        "e4m3fnuz": [0x80, 0x80],
        "e5m2fnuz": [0x80, 0x80],
        "e5m2": [0x7E, 0xFE],
        "bf16": [0x7FC0, 0xFFC0],
        "fp16": [0x7E00, 0xFE00],
    }


def test_e8m0_as_ml_dtypes_on_positive_values(patterns):
    e8m0, peer = formats.get("e8m0"), ml_dtypes.float8_e8m0fnu
    codes = np.arange(256, dtype=np.uint8)
    assert_array_equal(e8m0.decode(codes)[:255], codes.view(peer).astype(np.float32)[:255])
    assert np.isnan(e8m0.decode(codes)[255])
    assert np.isnan(codes.view(peer).astype(np.float32)[255])
    positive = patterns[patterns > 0]
    with np.errstate(all="ignore"):
        theirs = positive.astype(peer).view(np.uint8)
    # Between its two smallest values ml_dtypes (torch too) goes up from all of (1, 1.5) * 2^-127, past the nearest.
    strayed = (positive > 2.0**-127) & (positive < 1.5 * 2.0**-127)
    assert strayed.sum() == 191
    assert set(theirs[strayed]) == {1}
    assert set(e8m0.encode(positive[strayed], saturate=False)) == {0}
    assert_array_equal(e8m0.encode(positive, saturate=False)[~strayed], theirs[~strayed])


def test_e8m0_of_ml_dtypes_differs_and_how():
    values = np.array([0.0, -0.0, -2.0, -np.inf, np.nan], dtype=np.float32)
    with np.errstate(all="ignore"):
        theirs = values.astype(ml_dtypes.float8_e8m0fnu).view(np.uint8)
    assert theirs.tolist() == [255, 255, 255, 255, 255]  # ml_dtypes: no zero and no sign, so NaN
    # NVIDIA: the magnitude, and zero becomes the smallest value.
    assert formats.get("e8m0").encode(values).tolist() == [0, 0, 128, 254, 255]
    assert formats.get("e8m0").encode(values, saturate=False).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("name", "peer"), [("int2", ml_dtypes.int2), ("int4", ml_dtypes.int4), ("int8", np.int8), ("int16", np.int16)]
)
def test_decodes_integers_as_two_s_complement(name, peer):
    form = formats.get(name)
    codes = np.arange(form.code_count, dtype=form.code_dtype)
    assert_array_equal(form.decode(codes), codes.view(peer).astype(np.float32))


def test_integers_of_ml_dtypes_differ_and_how():
    values = np.array([1.5, 2.5, -1.5, 9.0, -9.0, np.nan], dtype=np.float32)
    with np.errstate(all="ignore"):
        theirs = values.astype(ml_dtypes.int4).astype(np.int32)
    assert theirs.tolist()[:3] == [1, 2, -1]  # ml_dtypes truncates; beyond the range it keeps the low bits
    assert formats.get("int4").encode(values).tolist() == [2, 2, 0xE, 7, 8, 0]


@pytest.mark.parametrize("name", [f"int{width}" for width in (*range(2, 9), 16)])
def test_integers_as_numpy_rounds_and_clips(name, patterns):
    form = formats.get(name)
    number = np.nan_to_num(np.where(np.isnan(patterns), 0, patterns), posinf=3e38, neginf=-3e38)
    for rounding, function in {"rne": np.rint, "rz": np.trunc, "rp": np.ceil}.items():
        expected = np.clip(function(number), form.min, form.max).astype(np.int64) & (form.code_count - 1)
        assert_array_equal(form.encode(patterns, rounding), expected)


def test_tf32_drops_thirteen_bits_and_fp32_none(patterns):
    words, nan = patterns.view(np.uint32), np.isnan(patterns)
    assert_array_equal(formats.get("fp32").encode(patterns, saturate=False)[~nan], words[~nan])
    assert_array_equal(bits(formats.get("fp32").decode(words))[~nan], words[~nan])
    assert_array_equal(formats.get("tf32").encode(patterns, "rz", saturate=False)[~nan], words[~nan] & 0xFFFFE000)
    assert_array_equal(bits(formats.get("tf32").decode(words))[~nan], words[~nan] & 0xFFFFE000)


@pytest.mark.parametrize(("unsigned", "signed"), [("ue4m3", "e4m3")])
def test_ignored_sign_is_that_of_the_magnitude(unsigned, signed, patterns):
    for saturate in (True, False):
        ours = formats.get(unsigned).encode(patterns, saturate=saturate)
        assert_array_equal(ours, formats.get(signed).encode(np.abs(patterns), saturate=saturate))
    codes = np.arange(256, dtype=np.uint8)
    assert_array_equal(formats.get(unsigned).decode(codes), np.abs(formats.get(signed).decode(codes)))

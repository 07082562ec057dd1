"""Element formats against NVIDIA's own headers on float32 words: 2^24 of them, and (slow) all 2^32."""

from __future__ import annotations

import pytest

import hwsim.formats
from hwsim.errors import ArgumentError, MissingExtra
from hwsim.verify import host_headers
from hwsim.verify.host_headers import CONVERSIONS, PATTERNS, HostHeaders


@pytest.fixture(scope="module")
def headers():
    try:
        return HostHeaders()
    except MissingExtra as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("conversion", CONVERSIONS, ids=lambda conversion: conversion.name)
def test_equal_on_a_subset(headers, conversion):
    # 2^24 words from end to end, 255 apart: an odd distance reaches every lower half
    assert headers.mismatches(conversion, CONVERSIONS.index(conversion), (1 << 24), 255) == []


@pytest.mark.slow
@pytest.mark.parametrize("conversion", CONVERSIONS, ids=lambda conversion: conversion.name)
def test_equal_on_every_word(headers, conversion):
    assert headers.mismatches(conversion) == []


def test_a_planted_fault_is_found(headers, monkeypatch):
    """A converter that rounds ties away differs at the midpoints of E2M1 whose lower neighbour is even."""
    encode = hwsim.formats.Format.encode
    monkeypatch.setattr(hwsim.formats.Format, "encode", lambda self, x, *_, **__: encode(self, x, "away"))
    first = 0x3E800000  # 0.25, and from there four words a binade up to 3.5
    assert headers.mismatches(CONVERSIONS[0], first, 16, 1 << 21) == [0x3E800000, 0x3FA00000, 0x40200000]


def test_a_toolkit_is_looked_for_in_order(tmp_path, monkeypatch):
    for folder in ("home", "path"):
        (tmp_path / folder / "include").mkdir(parents=True)
        (tmp_path / folder / "include" / "cuda_fp4.h").touch()
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "path"))
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "home"))
    assert host_headers.cuda_include() == tmp_path / "home" / "include"
    monkeypatch.delenv("CUDA_HOME")
    assert host_headers.cuda_include() == tmp_path / "path" / "include"


def test_without_a_toolkit_the_reason_is_told(monkeypatch):
    monkeypatch.setattr(host_headers, "cuda_include", lambda: None)
    with pytest.raises(MissingExtra) as caught:
        HostHeaders()
    assert str(caught.value) == ("a CUDA toolkit with cuda_fp4.h is needed, install it with: pip install hwsim[dev]")


def test_words_beyond_the_last_are_refused(headers):
    with pytest.raises(ArgumentError) as caught:
        headers.codes(CONVERSIONS[0], PATTERNS - 1, 2)
    assert str(caught.value) == "words must lie in 0..2^32-1, got (4294967295, 2, 1)"

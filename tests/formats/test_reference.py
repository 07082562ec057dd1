"""The fast conversions equal the definition, for every format, rounding and overflow rule."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim import formats
from hwsim.formats import codec, reference

SMALL = [name for name in formats.names() if formats.get(name).bits <= 8]


def hard_values(form, rng):
    """Values of the format, their midpoints and both float32 neighbours of each; extremes; random words."""
    if form.code_count <= 1 << 8:
        values = form.values[np.isfinite(form.values)].astype(np.float64)
    else:
        codes = rng.integers(0, form.code_count, 40, dtype=np.int64).astype(form.code_dtype)
        extremes = [form.max, form.smallest, form.min_normal, form.min_normal - form.smallest, 1.0, 0.0]
        values = np.concatenate([form.decode(codes).astype(np.float64), extremes])
        values = values[np.isfinite(values)]
    grid = np.unique(np.concatenate([values, -values]))
    step = float(form.max - form.smallest) if form.code_count <= 4 else None
    middle = (grid[1:] + grid[:-1]) / 2
    top = np.array([form.max])
    ulp = np.array([2.0 ** (form.max_exponent - (0 if form.is_integer else form.mantissa_bits))])
    beyond = np.concatenate([top + ulp / 2, top + ulp, top + 3 * ulp, top * 2]) if step is None else top * 2
    chosen = np.concatenate([grid, middle, beyond, -beyond])
    with np.errstate(over="ignore"):
        chosen = chosen.astype(np.float32)
    special = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 2**-127, 2**-126, 3.4e38], dtype=np.float32
    )
    wild = rng.integers(0, 1 << 32, 60, dtype=np.uint32).view(np.float32)
    near = np.concatenate([chosen, special])
    with np.errstate(over="ignore"):
        return np.concatenate(
            [near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, -np.float32(np.inf)), wild]
        )


@pytest.mark.parametrize("name", SMALL)
def test_decode_equals_the_definition_on_every_code(name):
    form = formats.get(name)
    expected = np.array([reference.decode(form, code) for code in range(form.code_count)], dtype=np.float32)
    assert_array_equal(form.values.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("name", ["fp16", "bf16", "tf32", "fp32"])
def test_decode_equals_the_definition_on_words(name, rng):
    form = formats.get(name)
    codes = rng.integers(0, form.code_count, 2000, dtype=np.int64)
    codes = np.concatenate([codes, [0, 1, form.code_count - 1, form.code_count // 2, 1 << form.padding_bits]])
    expected = np.array([reference.decode(form, int(code)) for code in codes], dtype=np.float32)
    got = form.decode(codes.astype(form.code_dtype))
    assert_array_equal(got.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("rounding", ["rne", "rz", "rp", "away"])
@pytest.mark.parametrize("name", formats.names())
def test_encode_equals_the_definition(name, rounding, rng):
    form = formats.get(name)
    values = hard_values(form, rng)
    for saturate in (True, False):
        expected = [reference.encode(form, float(value), rounding, saturate=saturate) for value in values]
        assert_array_equal(form.encode(values, rounding, saturate=saturate), expected)


@pytest.mark.parametrize("sr_bits", [1, 8, 32])
@pytest.mark.parametrize("name", formats.names())
def test_stochastic_encode_equals_the_definition(name, sr_bits, rng):
    form = formats.get(name)
    values = hard_values(form, rng)
    words = rng.integers(0, 1 << 32, values.size, dtype=np.uint32)
    words[: values.size // 4] = np.uint32(0xFFFFFFFF)
    words[values.size // 4 : values.size // 2] = 0
    expected = [
        reference.encode(form, float(value), "sr", int(word), saturate=False, sr_bits=sr_bits)
        for value, word in zip(values, words, strict=True)
    ]
    assert_array_equal(form.encode(values, "sr", words, saturate=False, sr_bits=sr_bits), expected)


@pytest.mark.parametrize("name", SMALL)
def test_the_definition_picks_the_nearest_of_all_values(name, rng):
    """A definition of the definition: rounding to nearest by trying every code."""
    form = formats.get(name)
    values = hard_values(form, rng)
    values = values[np.isfinite(values)]
    if not form.signed:
        values = np.abs(values)
    table = form.values.astype(np.float64)
    table = np.where(np.isfinite(table), table, 1e300)
    distance = np.abs(table[None, :] - values.astype(np.float64)[:, None])
    chosen = form.values[form.encode(values)].astype(np.float64)
    assert_array_equal(np.abs(chosen - values.astype(np.float64)), distance.min(axis=1))


@pytest.mark.parametrize("rounding", ["rne", "rz", "rp", "away"])
@pytest.mark.parametrize("name", formats.names())
def test_encode_inverts_decode(name, rounding):
    form = formats.get(name)
    if form.code_count <= 1 << 16:
        codes = np.arange(form.code_count, dtype=form.code_dtype)
    else:
        codes = (np.arange(1 << 16, dtype=np.uint32) * np.uint32(65537)) >> np.uint32(0)
        codes &= ~np.uint32((1 << form.padding_bits) - 1)
    if form.sign == "ignored":
        codes &= form.code_count // 2 - 1
    values = form.decode(codes)
    number = ~np.isnan(values)
    assert_array_equal(form.encode(values, rounding, saturate=False)[number], codes[number])


@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("rounding", ["rne", "rz", "rp", "away"])
def test_tables_of_narrow_formats_equal_the_general_arithmetic(rounding, saturate, rng):
    words = rng.integers(0, 1 << 32, 1 << 15, dtype=np.uint32)
    for name in SMALL:
        form = formats.get(name)
        general = codec._encode_words(form, words.astype(np.int64), rounding, None, saturate, 32)
        assert_array_equal(form.encode(words.view(np.float32), rounding, saturate=saturate), general)

"""Ternary lookup-table units: keys, table order, INT8 sums."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.errors import ArgumentError


@pytest.mark.parametrize("group", range(1, 8))
def test_every_key_comes_back(group):
    unit = datapaths.ternary_lut(group)
    w = np.array(list(itertools.product([1, 0, -1], repeat=group)), np.int8)
    keys = unit.encode(w)
    assert len(np.unique(keys)) == 3**group
    np.testing.assert_array_equal(unit.decode(keys), w)
    np.testing.assert_array_equal(unit.encode(w.view(np.uint8) & 3), keys)  # int2 codes
    flag = 1 << unit.key_bits - 1
    first = list(range(unit.entries + 1))  # this enumeration is in the order of v
    assert keys[:, 0].tolist() == first + [flag | v for v in reversed(first[:-1])]
    assert unit.key_bits == [2, 4, 5, 7, 8, 10, 12][group - 1]  # ceil(log2(entries + 1)) + 1


def test_table_holds_the_sums_in_lexicographic_order():
    from hwsim.datapaths.ternary.keys import int_tables

    x = np.array([100, 10, 1])
    table = [111, 110, 109, 101, 100, 99, 91, 90, 89, 11, 10, 9, 1, 0, 0, 0]
    assert int_tables(x).tolist() == table


@pytest.mark.parametrize("group", range(1, 8))
@pytest.mark.parametrize("k", [0, 1, 6, 7, 29, 1030])
def test_int8_equals_plain_dot_product(rng, group, k):
    unit = datapaths.ternary_lut(group)
    x, w = rng.integers(-128, 128, (9, k)), rng.integers(-1, 2, (11, k)).astype(np.int8)
    x[0], w[1], w[2], w[3] = -128, -1, 1, 0
    keys = unit.encode(w)
    assert keys.shape == (11, -(-k // group))
    expected = (x @ w.T.astype(np.int64)).tolist()
    assert unit.matmul(x, keys).tolist() == expected
    assert unit.matmul((x & 255).astype(np.uint8), keys).tolist() == expected
    assert unit.dot(x[:, None], keys[None]).tolist() == expected


def test_int8_accumulator_wraps_at_32_bits():
    unit = datapaths.ternary_lut(3)
    x, w, c = np.full((1, 6), 127), np.ones((1, 6), np.int8), np.array([[2**31 - 700]])
    expected = [[2**31 - 700 + 762 - 2**32]]
    assert unit.matmul(x, unit.encode(w), c).tolist() == expected
    assert unit.dot(x, unit.encode(w), c[0]).tolist() == expected[0]


@pytest.mark.parametrize("group", [2, 3, 5, 6])
def test_index_without_an_entry_reads_as_zero(rng, group):
    unit = datapaths.ternary_lut(group)
    x = rng.integers(-128, 128, (4, group))
    keys = np.arange(1 << unit.key_bits).astype(unit.encode(np.zeros(1, np.int8)).dtype)[:, None]
    product = unit.matmul(x, keys)
    np.testing.assert_array_equal(product, unit.dot(x[:, None], keys[None]))
    flag = 1 << unit.key_bits - 1
    assert not product[:, unit.entries : flag].any()
    assert not product[:, flag + unit.entries :].any()


def test_spec_round_trip():
    spec = {"family": "ternary_lut", "group": 3, "activation": "int8", "luts": 1, "semantics": "ieee"}
    unit = datapaths.from_spec(spec)
    assert unit.spec() == spec
    assert unit == datapaths.ternary_lut(3)
    assert (unit.a_format, unit.b_format, unit.accumulator_bits) == ("int8", "int2", 32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datapaths.ternary_lut(8), "ternary_lut: group must lie in 1..7, got 8"),
        (
            lambda: datapaths.ternary_lut(2).encode(np.array([2], np.uint8)),
            "encode.w: weights must be -1, 0 or 1 along one axis or more, got array([2], dtype=uint8)",
        ),
        (
            lambda: datapaths.ternary_lut(2).matmul(np.zeros((1, 4), np.uint8), np.zeros((1, 3), np.uint8)),
            "ternary_lut: keys must number ceil(K / 2) along the last axis, got ((1, 4), (1, 3))",
        ),
        (
            lambda: datapaths.ternary_lut(6).matmul(np.zeros((1, 6), np.uint8), np.zeros((1, 1), np.uint8)),
            "matmul.b: keys of group 6 must be uint16 from encode, got 'uint8'",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message

"""Packings of ternary weights: round trips, and every byte against a loop over the published layout."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwsim.datapaths.ternary.packing import I2S, TL1, TL2, Base3
from hwsim.errors import ArgumentError


@pytest.fixture
def weights(rng):
    return lambda *shape: rng.integers(-1, 2, shape).astype(np.int8)


def test_base3_uses_243_bytes():
    groups = np.array(list(itertools.product([-1, 0, 1], repeat=5)), np.int8)
    packed = Base3().pack(groups)
    assert packed[:, 0].tolist() == list(range(243))
    np.testing.assert_array_equal(Base3().unpack(packed, 5), groups)


@pytest.mark.parametrize("k", [0, 1, 5, 23, 640])
def test_base3_round_trip(weights, k):
    w = weights(3, k)
    packed = Base3().pack(w)
    assert packed.shape == (3, -(-k // 5))
    np.testing.assert_array_equal(Base3().unpack(packed, k), w)


def test_i2s_bytes(weights):
    w = weights(2, 256)
    packed = I2S().pack(w)
    for row, block, j in itertools.product(range(2), range(2), range(32)):
        four = [int(w[row, 128 * block + j + 32 * q]) + 1 for q in range(4)]
        assert packed[row, 32 * block + j] == four[0] * 64 + four[1] * 16 + four[2] * 4 + four[3]
    np.testing.assert_array_equal(I2S().unpack(packed, 256), w)


@pytest.mark.parametrize("inner", [32, 64])
def test_tl1_bytes(weights, inner):
    layout, by = TL1(rows=128, columns=64, inner=inner), 256 // inner
    w = weights(256, 192).astype(int)
    packed = layout.pack(w.astype(np.int8)).tolist()
    expected = [
        (3 * w[m, k] + w[m, k + 1] + 4) * 16 + 3 * w[m, k + 2] + w[m, k + 3] + 4
        for tile_m in range(0, 256, 128)
        for tile_k in range(0, 192, 64)
        for inner_m in range(tile_m, tile_m + 128, inner)
        for inner_k in range(tile_k, tile_k + 64, by)
        for minor in range(inner_m, inner_m + inner, 16)
        for k in range(inner_k, inner_k + by, 4)
        for m in range(minor, minor + 16)
    ]
    assert packed == expected
    np.testing.assert_array_equal(layout.unpack(np.array(packed, np.uint8), 256, 192), w)


@pytest.mark.parametrize("rest", [0, 32, 64])
def test_tl2_bytes(weights, rest):
    layout, m, threes = TL2(rows=64, columns=96), 128, 192
    w = weights(m, threes + rest).astype(int)
    packed = layout.pack(w.astype(np.int8))
    rows = [r for group in (0, 16, 8, 24) for r in range(group, group + 8)]

    def three(row, k):
        return 9 * w[row, k] + 3 * w[row, k + 1] + w[row, k + 2]

    def tiles(first, last, columns):
        return [
            (inner_m, tile_k)
            for tile_m in range(0, m, 64)
            for tile_k in range(first, last, columns)
            for inner_m in range(tile_m, tile_m + 64, 32)
        ]

    values = [
        abs(three(inner_m + r, k)) * 16 + abs(three(inner_m + r, k + 3))
        for inner_m, tile_k in tiles(0, threes, 96)
        for k in range(tile_k, tile_k + 96, 6)
        for r in rows
    ]
    words = [
        sum((three(inner_m + 16 * h + r, k + 3 * g) < 0) << 15 - (2 * g + h) for g in range(8) for h in range(2))
        for inner_m, tile_k in tiles(0, threes, 96)
        for k in range(tile_k, tile_k + 96, 24)
        for r in range(16)
    ]
    pairs = [
        (3 * w[inner_m + r, k] + w[inner_m + r, k + 1] + 4) * 16
        + 3 * w[inner_m + r, k + 2]
        + w[inner_m + r, k + 3]
        + 4
        for inner_m, tile_k in tiles(threes, threes + rest, 32)
        for k in range(tile_k, tile_k + 32, 4)
        for r in rows
    ]
    assert packed.tolist() == values + [byte for word in words for byte in (word & 255, word >> 8)] + pairs
    np.testing.assert_array_equal(layout.unpack(packed, m, threes + rest), w)
    assert 8 * (len(values) + 2 * len(words)) == layout.bits_per_weight * m * threes


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: I2S().pack(np.zeros((2, 100), np.int8)), "pack: K must be a multiple of 128, got 100"),
        (lambda: TL1().pack(np.zeros((128, 128), np.int8)), "pack: M must be a multiple of 256, got 128"),
        (lambda: TL2().pack(np.zeros((256, 112), np.int8)), "pack: K modulo 96 must be a multiple of 32, got 16"),
        (lambda: Base3().pack(np.full((1, 1), 2, np.int8)), "pack: weights must be int8 -1, 0 or 1, got 'int8'"),
        (lambda: Base3().unpack(np.array([243], np.uint8), 5), "unpack: a base-3 byte must be at most 242, got 243"),
    ],
)
def test_messages(call, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message

"""The Hadamard transform against its matrix, where every sum is exact."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hwsim.errors import ArgumentError
from hwsim.quant.rotation import NVIDIA_SIGNS, hadamard


def sylvester(size):
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def test_signs_are_those_of_transformer_engine():
    assert "".join("+" if sign > 0 else "-" for sign in NVIDIA_SIGNS) == "+++-+------+-+--"


@pytest.mark.parametrize("signs", ["nvidia", None])
def test_equals_the_matrix_on_integers(signs, rng):
    x = rng.integers(-1000, 1000, (3, 5, 48)).astype(np.float32)  # sums below 2^14, a quarter of them exact
    vector = np.array(NVIDIA_SIGNS if signs else [1] * 16)
    expected = ((x.reshape(3, 5, 3, 16) * vector) @ sylvester(16) / 4).reshape(x.shape)
    assert_array_equal(hadamard(x, signs=signs), expected.astype(np.float32))


@pytest.mark.parametrize("size", [1, 4, 64, 256])
def test_other_sizes_with_own_signs(size, rng):
    signs = rng.choice([-1, 1], size)
    x = rng.integers(-8, 8, (7, 2 * size)).astype(np.float32)
    expected = ((x.reshape(7, 2, size) * signs) @ sylvester(size) / np.sqrt(size)).reshape(x.shape)
    assert_array_equal(hadamard(x, size, signs), expected.astype(np.float32))
    assert_array_equal(hadamard(hadamard(x, size, signs), size, signs, inverse=True), x)


def test_odd_powers_of_two_round_once_at_the_end(rng):
    x = rng.integers(-8, 8, (4, 32)).astype(np.float32)
    sums = (x @ sylvester(32)).astype(np.float32)
    assert_array_equal(hadamard(x, 32, None), sums * np.float32(1 / np.sqrt(32)))


def test_order_of_additions_is_butterflies(rng):
    """Wide data, where the order shows: the definition, one stage after another, in numpy."""
    x = (rng.standard_normal((6, 64)) * np.exp(8 * rng.standard_normal((6, 64)))).astype(np.float32)
    stage = x.reshape(6, 4, 16) * np.array(NVIDIA_SIGNS, dtype=np.float32)
    for apart in (1, 2, 4, 8):
        pairs = stage.reshape(6, 4, 8 // apart, 2, apart)
        stage = np.stack([pairs[..., 0, :] + pairs[..., 1, :], pairs[..., 0, :] - pairs[..., 1, :]], axis=-2)
    expected = stage.reshape(6, 64) * np.float32(0.25)
    assert_array_equal(hadamard(x).view(np.uint32), expected.view(np.uint32))


def test_a_product_over_the_axis_keeps_its_value(rng):
    a, b = rng.integers(-50, 50, (2, 8, 64)).astype(np.float32)
    assert_array_equal(hadamard(a) @ hadamard(b).T, a @ b.T)


def test_results_do_not_depend_on_threads(rng, monkeypatch):
    x = rng.standard_normal((512, 256), dtype=np.float32)
    monkeypatch.setenv("HWSIM_NUM_THREADS", "1")
    alone = hadamard(x)
    monkeypatch.setenv("HWSIM_NUM_THREADS", "3")
    assert_array_equal(hadamard(x), alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0] * 12, 12), "size must be a power of two from 1 to 4096, got 12"),
        (([0.0] * 20,), "the last axis must be a multiple of 16, got (20,)"),
        (([0.0] * 32, 32), 'signs "nvidia" need size 16, got 32'),
        (([0.0] * 2, 2, "random"), "signs must be \"nvidia\", a vector of +1 and -1, or None, got 'random'"),
        (([0.0] * 2, 2, [1, 2]), "signs must be 2 values of +1 or -1, got [1, 2]"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(ArgumentError) as caught:
        hadamard(*arguments)
    assert str(caught.value) == message

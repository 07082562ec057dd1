"""The add-only unit: repeated additions, integer dot product and fast product agree in every bit."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.datapaths.pann import reference_dot
from hwsim.errors import ArgumentError


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize(("bits_x", "acc_bits"), [(2, 6), (6, 12), (7, 32), (8, 33), (12, 64)])
def test_equals_repeated_additions(rng, bits_x, acc_bits, signed):
    unit = datapaths.pann(bits_x, 2.9, acc_bits, signed)
    least, greatest = (-(1 << bits_x - 1), (1 << bits_x - 1) - 1) if signed else (0, (1 << bits_x) - 1)
    x, w = rng.integers(least, greatest + 1, (6, 23)), rng.integers(-40, 41, (5, 23))
    x[0], x[1], w[0], w[1], w[2] = least, greatest, -40, 40, 0
    expected = [[reference_dot(a.tolist(), b.tolist(), 0, acc_bits) for b in w] for a in x]
    assert unit.matmul(x, w).tolist() == expected
    assert unit.dot(x[:, None], w[None]).tolist() == expected
    c = rng.integers(-(1 << acc_bits - 1), (1 << acc_bits - 1) - 1, (6, 5))
    expected = [
        [reference_dot(a.tolist(), b.tolist(), int(c[i, j]), acc_bits) for j, b in enumerate(w)]
        for i, a in enumerate(x)
    ]
    assert unit.matmul(x, w, c).tolist() == expected
    assert unit.dot(x[:, None], w[None], c).tolist() == expected


def test_large_weights_stay_exact(rng):
    # products of 8 + 31 bits: float64 chunks
    unit = datapaths.pann(8, 7.5, 64)
    x, w = rng.integers(-128, 128, (3, 50)), rng.integers(-(2**31) + 1, 2**31, (4, 50))
    expected = [[sum(int(p) * int(q) for p, q in zip(a, b, strict=True)) for b in w] for a in x]
    assert unit.matmul(x, w).tolist() == expected


def test_counts_additions():
    unit = datapaths.pann(4, 1.5)
    assert unit.count_additions(np.array([[3, -2, 0], [0, 0, 1]])).tolist() == [5, 1]
    assert unit.count_additions(np.array([0x80, 0xFF], np.uint8)) == 129


def test_spec_round_trip():
    spec = {"family": "pann", "bits_x": 6, "additions": 1.17, "acc_bits": 32, "signed": False}
    unit = datapaths.from_spec(spec)
    assert unit.spec() == spec
    assert unit.name == "pann.uint6.add1.17.acc32"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datapaths.pann(1, 2.0), "pann: bits_x must lie in 2..16, got 1"),
        (lambda: datapaths.pann(4, 0), "pann: additions must be positive, got 0"),
        (
            lambda: datapaths.pann(4, 2.0).matmul(np.zeros((1, 1), np.uint8), np.zeros((1, 1))),
            "matmul.b: weights must be signed integers or uint8 codes, got 'float64'",
        ),
    ],
)
def test_messages(call, message):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert str(caught.value) == message

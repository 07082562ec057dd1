"""Encoding and decoding arrays against ml_dtypes; random words against numpy; the Hadamard transform against BLAS."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from hwsim import formats, quant

pytestmark = pytest.mark.benchmark
PEERS = {
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
}


@pytest.mark.parametrize("name", PEERS)
def test_encode_and_decode(bench, name, rng):
    form, peer = formats.get(name), np.dtype(PEERS[name])
    x = rng.standard_normal((2048, 2048), dtype=np.float32)
    codes = form.encode(x)
    bench.compare(
        f"encode {name}, 2048 x 2048",
        {"hwsim": lambda: form.encode(x), "ml_dtypes": lambda: x.astype(peer)},
        baseline="ml_dtypes",
    )
    bench.compare(
        f"decode {name}, 2048 x 2048",
        {"hwsim": lambda: form.decode(codes), "ml_dtypes": lambda: codes.view(peer).astype(np.float32)},
        baseline="ml_dtypes",
    )


def test_random_words(bench):
    generator = np.random.Generator(np.random.Philox(0))
    bench.compare(
        "2^22 random words",
        {
            "hwsim Philox4x32-10": lambda: quant.random_words(0, 1 << 22),
            "numpy Philox4x64-10": lambda: generator.integers(0, 1 << 32, 1 << 22, dtype=np.uint32),
        },
        baseline="numpy Philox4x64-10",
    )


@pytest.mark.parametrize("size", [16, 128])
def test_hadamard(bench, rng, size):
    x = rng.standard_normal((2048, 2048), dtype=np.float32)
    matrix = np.ones((1, 1), dtype=np.float32)
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    scaled = matrix * np.float32(1 / np.sqrt(size))
    bench.compare(
        f"Hadamard {size}, 2048 x 2048",
        {
            "hwsim": lambda: quant.hadamard(x, size, None),
            "product with the matrix": lambda: x.reshape(-1, size) @ scaled,
        },
        baseline="product with the matrix",
    )

"""Bit-exact tensor-core products of 1024^3, from codes, against float32 `torch.matmul` and against mmasim."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths, formats

SIZE = 1024


@pytest.fixture(scope="module")
def normal():
    """Two matrices of normal numbers, float32."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((SIZE, SIZE), np.float32), rng.standard_normal((SIZE, SIZE), np.float32)


@pytest.fixture(scope="module")
def float_product(normal):
    """`torch.matmul` of float32 matrices of the same size."""
    import torch

    a, b = (torch.from_numpy(x) for x in normal)
    return lambda: torch.matmul(a, b.T)


def block_codes(x, unit):
    """Codes and scale bytes as a quantiser writes them: the largest element of a block becomes at most 6."""
    blocks = x.reshape(SIZE, -1, unit.block)
    amax = np.abs(blocks).max(-1)
    form = formats.get(unit.scale_format)
    scale = form.encode(amax / 6, rounding="rp" if unit.scale_format == "e8m0" else "rne")
    return formats.get("e2m1").encode(blocks / form.decode(scale)[..., None]).reshape(x.shape), scale


@pytest.mark.benchmark
@pytest.mark.parametrize(("operand", "bound"), [("nvfp4", 2.0), ("mxfp4", 2.0)])
def test_fp4_product(bench, normal, float_product, operand, bound):
    unit = datapaths.tensor_core("blackwell", operand)
    (a, scale_a), (b, scale_b) = (block_codes(x, unit) for x in normal)
    bench.compare(
        f"Blackwell {operand} GEMM {SIZE}^3, bit-exact, from codes",
        {"hwsim": lambda: unit.matmul(a, b, None, scale_a, scale_b), "torch.matmul float32": float_product},
        baseline="torch.matmul float32",
        bound=bound,
        repeats=15,
    )


@pytest.mark.benchmark
def test_nvfp4_product_of_scales_far_apart(bench, normal, float_product):
    rng = np.random.default_rng(1)
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    a, b = (rng.integers(0, 16, (SIZE, SIZE)).astype(np.uint8) for _ in range(2))
    scale_a, scale_b = (rng.integers(0, 127, (SIZE, SIZE // 16)).astype(np.uint8) for _ in range(2))
    bench.compare(
        f"Blackwell nvfp4 GEMM {SIZE}^3, uniformly random codes and scale bytes",
        {"hwsim": lambda: unit.matmul(a, b, None, scale_a, scale_b), "torch.matmul float32": float_product},
        baseline="torch.matmul float32",
        repeats=15,
    )


@pytest.mark.benchmark
@pytest.mark.parametrize(
    ("arch", "operand", "bound"),
    [
        ("hopper", "e4m3", 4.0),
        ("ada", "e4m3", None),
        ("blackwell", "e4m3", None),
        ("hopper", "fp16", None),
        ("hopper", "bf16", None),
        ("hopper", "tf32", None),
        ("ampere", "fp16", None),
    ],
)
def test_product_of_plain_operands(bench, normal, float_product, arch, operand, bound):
    unit = datapaths.tensor_core(arch, operand)
    a, b = (formats.get(operand).encode(x) for x in normal)
    bench.compare(
        f"{arch} {operand} GEMM {SIZE}^3, bit-exact, from codes",
        {"hwsim": lambda: unit.matmul(a, b), "torch.matmul float32": float_product},
        baseline="torch.matmul float32",
        bound=bound,
        repeats=15 if bound else 7,
    )


@pytest.mark.benchmark
def test_nvfp4_product_against_mmasim(bench, normal):
    pytest.importorskip("mmasim", reason="mmasim is not installed (pip install hwsim[dev])", exc_type=ImportError)
    import torch
    from mmasim import nv_ptx

    unit = datapaths.tensor_core("blackwell", "nvfp4")
    (a, scale_a), (b, scale_b) = (block_codes(x, unit) for x in normal)
    rows, columns, depth = 128, 256, 64
    instruction = nv_ptx.TCGen05MMABlockScale("Blackwell", "m128n256k64.kind::mxf4nvf4.block16.f32.e2m1.e2m1.ue4m3")
    packed_a, packed_b = (torch.from_numpy(x[:, 0::2] | x[:, 1::2] << 4) for x in (a, b))
    bytes_a, bytes_b = (torch.from_numpy(s).view(torch.float8_e4m3fn) for s in (scale_a, scale_b))

    def mmasim():
        out = torch.zeros(SIZE, SIZE)
        for m in range(0, SIZE, rows):
            for n in range(0, SIZE, columns):
                tile = torch.zeros(rows, columns)
                for k in range(0, SIZE, depth):
                    half, block = slice(k // 2, (k + depth) // 2), slice(k // 16, (k + depth) // 16)
                    tile = instruction(
                        packed_a[m : m + rows, half],
                        packed_b[n : n + columns, half].T,
                        tile,
                        bytes_a[m : m + rows, block],
                        bytes_b[n : n + columns, block].T,
                    )
                out[m : m + rows, n : n + columns] = tile
        return out.numpy()

    def hwsim():
        return unit.matmul(a, b, None, scale_a, scale_b)

    np.testing.assert_array_equal(hwsim().view(np.uint32), mmasim().view(np.uint32))
    bench.compare(
        f"Blackwell nvfp4 GEMM {SIZE}^3 against mmasim 2.1.1, all outputs bit-equal",
        {"hwsim": hwsim, "mmasim 2.1.1": mmasim},
        baseline="mmasim 2.1.1",
        bound=300.0,
        at_least=True,
        repeats=1,  # some ten seconds each; the comparison above has warmed both up
        warmup=0,
    )

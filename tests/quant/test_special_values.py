"""Zeros, scales that underflow, NaN, infinity, huge and tiny tensors: codes and scales by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import quant

torch = pytest.importorskip("torch", reason="the sources of NVFP4 are torch code")

from nvfp4_sources import E4M3, F  # noqa: E402


def bits(x: list[float] | NDArray[np.float32], name: str) -> tuple[list[int], list[int]]:
    q = quant.quantize(np.asarray(x, dtype=F), name)
    return q.codes.tolist(), q.scales.tolist()


def test_all_zero_tensors() -> None:
    x = [0.0, -0.0]
    assert bits(x, "nvfp4.te") == ([0, 8], [0])
    assert bits(x, "nvfp4.te_4over6") == ([0, 8], [0])
    assert bits(x, "nvfp4.te_fast") == ([0, 8], [0])
    assert bits(x, "nvfp4.flashinfer_exact") == ([0, 8], [0])
    assert bits(x, "nvfp4.exact") == ([0, 8], [0])
    assert bits(x, "nvfp4.vllm_ref") == ([0, 0], [0])  # torch.sign(-0.0) is 0
    assert bits(x, "nvfp4.torchao_1level") == ([0, 8], [0x08])  # 2^-6
    assert bits(x, "nvfp4.torchao") == ([12, 12], [0xFF])  # 0/0
    assert bits(x, "nvfp4.modelopt") == ([7, 7], [0x7F])  # 0/0
    for name in ("te", "te_2d", "te_4over6", "te_fast", "flashinfer_exact", "exact", "vllm_ref", "torchao_1level"):
        assert quant.fake_quantize(np.zeros((16, 16), F), f"nvfp4.{name}").tolist() == np.zeros((16, 16)).tolist()


def test_blocks_whose_scale_underflows() -> None:
    """A = 2688, so S = 1 and a block with a / 6 <= 2^-10 stores the scale 0; zero elements stay zero in it."""
    x = np.zeros((2, 16), F)
    x[0, 0] = 2688
    x[1, :3] = 0.005, -0.005, -0.0
    expected = {
        "te": ([7, 15, 8, 0], 0),  # the multiplier is FLT_MAX
        "te_fast": ([7, 15, 8, 0], 0),
        "flashinfer_exact": ([7, 15, 8, 0], 0),
        "te_4over6": ([7, 15, 8, 0], 0),
        "vllm_ref": ([0, 0, 0, 0], 0),  # reciprocal of 0 := 0, and -0.005 * 0 is -0.0, whose sign is 0
        "exact": ([0, 8, 8, 0], 0),
        "modelopt": ([7, 15, 7, 7], 0),  # 0/0 converts to +6
        "torchao": ([1, 9, 8, 0], 8),  # 2^-6 is the least scale: 0.005 * 64 = 0.32
    }
    for name, (codes, scale) in expected.items():
        q = quant.quantize(x, f"nvfp4.{name}")
        assert q.codes[1, :4].tolist() == codes, name
        assert q.scales[1, 0] == scale, name
        if scale == 0 and name != "modelopt":
            assert not q.dequantize()[1].any(), name


def test_nan() -> None:
    """CUDA's maxima ignore NaN and its conversion makes +6 of it, whatever its sign; torch.amax carries it on."""
    x = np.array([6.0, np.nan, -np.nan, -3.0], F)
    for name in ("te", "te_fast", "flashinfer_exact", "exact", "te_4over6"):
        q = quant.quantize(x, f"nvfp4.{name}")
        assert q.codes.tolist() == [7, 7, 7, 13], name
        assert q.amax == 6
    for name in ("vllm_ref", "torchao", "modelopt", "fp4atw", "torchao_1level"):
        q = quant.quantize(x, f"nvfp4.{name}")
        assert q.scales.tolist() == [0x7F], name
        assert np.isnan(q.dequantize()).all(), name


def test_infinity() -> None:
    """2688 / infinity is 0, and TransformerEngine takes 1 for it: its block saturates, others are scaled by 1."""
    x = np.zeros((2, 16), F)
    x[0, 0], x[1, 0], x[1, 1] = np.inf, 6.0, -3.0
    q = quant.quantize(x, "nvfp4.te")
    assert q.scales.tolist() == [[0x7E], [0x38]]  # 448 and 1
    assert q.codes[0, 0] == 7
    assert q.codes[1, :2].tolist() == [7, 13]
    assert np.isinf(q.amax)


def test_huge_and_tiny_tensors() -> None:
    """Below 2688 / FLT_MAX = 7.9e-36 the encode scale is clamped to FLT_MAX, so the block scale is no longer 448."""
    largest = F(3e38)
    q = quant.quantize(np.array([largest, -largest / 2], F), "nvfp4.te")
    assert (q.codes.tolist(), q.scales.tolist()) == ([7, 13], [0x7E])
    # A = 1e-37: a * (FLT_MAX / 6) = 5.67, stored as 5.5; 1e-37 / (5.5 / FLT_MAX) = 6.19 saturates
    q = quant.quantize(np.array([1e-37, -0.5e-37], F), "nvfp4.te")
    assert (q.codes.tolist(), q.scales.tolist()) == ([7, 13], [int(E4M3.encode(F(5.5)))])
    assert quant.fake_quantize(np.array([1e-37], F), "nvfp4.te")[0] == pytest.approx(6 * 5.5 * 1e-37 / 2688, rel=1e-6)


# How far the variants are apart

"""How fast tensors are quantized, against a copy of the same tensor and against torchao."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from hwsim import quant

pytestmark = pytest.mark.benchmark

SIZE = 4096


@pytest.fixture(scope="module")
def tensors() -> Any:
    torch = pytest.importorskip("torch", reason="the baseline is torch's copy")
    torch.manual_seed(0)
    x = torch.randn(SIZE, SIZE)
    return x, torch.empty_like(x)


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("nvfp4.te", 3.0),
        ("mxfp4.rceil", 3.0),
        ("int8.tensor", 3.0),
        ("int8.channel", 3.0),
        ("mxfp8", None),
        ("nvfp4.torchao", None),
        ("nvfp4.te_2d", None),
        ("nvfp4.te_sr", None),
        ("nvfp4.te_4over6", None),
        ("nvfp4.exact", None),
        ("fp8.e4m3fnuz.tensor", None),
        ("ternary.absmean", None),
    ],
)
def test_fake_quantize_against_a_copy(bench: Any, tensors: Any, name: str, bound: float | None) -> None:
    x, y = tensors
    source, target = x.numpy(), y.numpy()
    bench.compare(
        f"{name} fake-quantization of {SIZE} x {SIZE} float32",
        {
            "hwsim": lambda: quant.fake_quantize(source, name, seed=0, out=target),
            "torch copy_": lambda: y.copy_(x),
        },
        baseline="torch copy_",
        bound=bound,
        repeats=21,
    )


@pytest.mark.parametrize("name", ["nvfp4.te", "nvfp4.te_4over6", "nvfp4.te_sr", "mxfp4.rceil", "int8.channel"])
def test_quantize_against_a_copy(bench: Any, tensors: Any, name: str) -> None:
    x, y = tensors
    source = x.numpy()
    bench.compare(
        f"{name} quantization (codes and scales) of {SIZE} x {SIZE} float32",
        {"hwsim": lambda: quant.quantize(source, name, seed=0), "torch copy_": lambda: y.copy_(x)},
        baseline="torch copy_",
    )


def test_nvfp4_against_torchao(bench: Any, tensors: Any) -> None:
    """torchao's own two-level NVFP4, there and back: eager, and compiled where the compiler works."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchao = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor", reason="torchao is not installed")
        x, y = tensors
        source, target = x.numpy(), y.numpy()

        def eager(value: Any) -> Any:
            scale = torchao.per_tensor_amax_to_scale(torch.max(torch.abs(value)))
            return torchao.NVFP4Tensor.to_nvfp4(value, per_tensor_scale=scale).dequantize(torch.float32)

        expected = quant.fake_quantize(source, "nvfp4.torchao")
        assert np.array_equal(eager(x).numpy(), expected)
        candidates = {
            "hwsim nvfp4.te": lambda: quant.fake_quantize(source, "nvfp4.te", out=target),
            "hwsim nvfp4.torchao": lambda: quant.fake_quantize(source, "nvfp4.torchao", out=target),
            "torchao eager": lambda: eager(x),
        }
        compiled = torch.compile(eager)
        right = np.array_equal(compiled(x).numpy(), expected)  # for AVX2 alone, torch 2.13 compiles another function
        if right:
            candidates["torchao compiled"] = lambda: compiled(x)
        bench.compare(
            f"NVFP4 fake-quantization of {SIZE} x {SIZE} float32 against torchao",
            candidates,
            baseline="torchao compiled" if right else "torchao eager",
            bound=6.0 if right else None,
            at_least=True,
            repeats=5,
        )

"""The reference does what its sources do.

Parents: torchao 0.18.0 itself, where it is installed; the code of TransformerEngine's and vLLM's references, written
again in `nvfp4_sources`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import quant

torch = pytest.importorskip("torch", reason="the sources of NVFP4 are torch code")

from nvfp4_sources import KINDS, F, data, four_over_six_source, te_source, vllm_source  # noqa: E402


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "source"),
    [("nvfp4.te", te_source), ("nvfp4.te_4over6", four_over_six_source), ("nvfp4.vllm_ref", vllm_source)],
)
def test_codes_and_scales_are_those_of_the_source(name: str, source: Any, kind: str) -> None:
    x = data(kind)
    codes, scales = source(x)
    q = quant.quantize(x, name)
    assert np.array_equal(q.scales, scales)
    assert np.array_equal(q.codes, codes)


# torchao


@pytest.fixture(scope="module")
def torchao() -> Any:
    os.environ.setdefault("TORCHAO_SKIP_LOADING_SO_FILES", "1")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor", reason="torchao is not installed")
        pytest.importorskip("torchao.prototype.mx_formats.mx_tensor", reason="torchao is not installed")
    return module


def unpacked(packed: Any) -> NDArray[np.uint8]:
    byte = packed.view(torch.uint8).numpy()
    return np.stack([byte & 15, byte >> 4], axis=-1).reshape(byte.shape[0], -1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["nvfp4.torchao", "nvfp4.torchao_1level"])
def test_nvfp4_is_that_of_torchao(torchao: Any, name: str, kind: str) -> None:
    x = data(kind)
    tensor = torch.from_numpy(x)
    per_tensor = torchao.per_tensor_amax_to_scale(tensor.abs().max()) if name == "nvfp4.torchao" else None
    scales, packed = torchao.nvfp4_quantize(tensor, 16, per_tensor)
    q = quant.quantize(x, name)
    assert np.array_equal(q.scales, scales.view(torch.uint8).numpy())
    assert np.array_equal(q.codes, unpacked(packed))
    own = torchao.NVFP4Tensor.to_nvfp4(tensor, per_tensor_scale=per_tensor).dequantize(torch.float32).numpy()
    assert np.array_equal(q.dequantize().view(np.uint32), own.view(np.uint32))


@pytest.mark.parametrize("special", ["zero", "nan", "inf"])
@pytest.mark.parametrize("name", ["nvfp4.torchao", "nvfp4.torchao_1level"])
def test_special_values_are_those_of_torchao(torchao: Any, name: str, special: str) -> None:
    x = np.zeros((2, 32), F)
    x[0, 1] = {"zero": 0.0, "nan": np.nan, "inf": np.inf}[special]
    x[1, 3] = 0 if special == "zero" else 2
    tensor = torch.from_numpy(x)
    per_tensor = torchao.per_tensor_amax_to_scale(tensor.abs().max()) if name == "nvfp4.torchao" else None
    scales, packed = torchao.nvfp4_quantize(tensor, 16, per_tensor)
    q = quant.quantize(x, name)
    own = scales.view(torch.uint8).numpy()
    if special == "nan":  # the sign of a NaN that goes through arithmetic is the processor's choice
        own = own & 0x7F
    assert q.scales.tolist() == own.tolist()
    finite = np.repeat((q.scales & 0x7F) != 0x7F, 16, axis=1)
    assert np.array_equal(q.codes[finite], unpacked(packed)[finite])
    if special == "zero":
        assert np.array_equal(q.codes, unpacked(packed))
        two_level = name == "nvfp4.torchao"
        assert set(q.codes.ravel()) == ({12} if two_level else {0})
        assert set(q.scales.ravel()) == ({255} if two_level else {8})  # 8 is 2^-6
        assert np.isnan(q.dequantize()).all() == two_level


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tiny"])
@pytest.mark.parametrize("rule", ["floor", "ceil", "even", "rceil"])
@pytest.mark.parametrize("element", ["mxfp4", "mxfp6.e2m3", "mxfp6.e3m2", "mxfp8.e4m3", "mxfp8.e5m2"])
def test_mx_is_that_of_torchao(torchao: Any, element: str, rule: str, kind: str) -> None:
    """Equal but for blocks whose maximum is so near a power of two that torchao's float32 log2 cannot tell."""
    from torchao.prototype.mx_formats.config import ScaleCalculationMode
    from torchao.prototype.mx_formats.mx_tensor import to_mx

    dtypes = {
        "mxfp4": torch.float4_e2m1fn_x2,
        "mxfp6.e2m3": "fp6_e2m3",
        "mxfp6.e3m2": "fp6_e3m2",
        "mxfp8.e4m3": torch.float8_e4m3fn,
        "mxfp8.e5m2": torch.float8_e5m2,
    }
    x = data(kind)
    mode = ScaleCalculationMode[rule.upper()]
    scales, packed = to_mx(torch.from_numpy(x.copy()), dtypes[element], 32, mode)
    q = quant.quantize(x, f"{element}.{rule}")
    codes = unpacked(packed) if element == "mxfp4" else packed.view(torch.uint8).numpy().reshape(x.shape)
    quotient = np.abs(x.reshape(128, -1, 32)).max(-1) / F(q.scheme.element_max)
    mantissa = quotient.view(np.uint32) & 0x7FFFFF
    sure = (mantissa == 0) | ((mantissa > 8) & (mantissa < 0x7FFFF8)) if rule == "rceil" else mantissa >= 0
    assert sure.mean() > 0.9
    assert np.array_equal(q.scales[sure], scales.view(torch.uint8).numpy()[sure])
    sure = np.repeat(sure, 32, axis=1)
    assert np.array_equal(q.codes[sure], codes[sure])


# Scale rules of OCP MX

"""GEMMs of one arithmetic: the order of the epilogue, ragged K, reuse of an operand, and what fits which unit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import datapaths, formats, quant
from hwsim.arch import Numerics
from hwsim.errors import ArgumentError, DesignError
from hwsim.quant import Quantized

INT8 = datapaths.integer(8, 8, 32)
NVFP4 = datapaths.tensor_core("blackwell", "nvfp4")


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def values(quantized: Quantized) -> NDArray[np.int64]:
    return formats.get(quantized.scheme.element).decode(quantized.codes).astype(np.int64)


def assert_bits(one: NDArray[np.float32], other: NDArray[np.float32]) -> None:
    assert one.dtype == other.dtype == np.float32
    np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32))


@pytest.mark.parametrize("k", [16, 17, 96])
def test_integer_scales_a_row_then_a_column(k: int) -> None:
    numerics = Numerics(quant.get("int8.channel"), quant.get("int8.channel"), INT8)
    a, b = normal(5, k), normal(7, k, seed=1)
    qa, qb = quant.quantize(a, "int8.channel"), quant.quantize(b, "int8.channel")
    exact = values(qa) @ values(qb).T
    assert np.abs(exact).max() < 1 << 24  # exact in float32
    expected = exact.astype(np.float32) * qa.scales.reshape(-1, 1) * qb.scales.reshape(1, -1)
    assert_bits(numerics.gemm(a, b), expected)


def test_one_factor_a_tensor_is_rounded_before_it_is_used() -> None:
    numerics = Numerics(quant.get("int8.tensor"), quant.get("int8.tensor"), INT8)
    a, b = normal(6, 32), normal(6, 32, seed=1)
    qa, qb = quant.quantize(a, "int8.tensor"), quant.quantize(b, "int8.tensor")
    exact = (values(qa) @ values(qb).T).astype(np.float32)
    alpha = np.float32(qa.scales) * np.float32(qb.scales)
    assert_bits(numerics.gemm(a, b), exact * alpha)


@pytest.mark.parametrize("k", [64, 80, 40, 17])
@pytest.mark.parametrize("scheme", ["nvfp4.te", "nvfp4.torchao", "nvfp4.torchao_1level"])
def test_nvfp4_is_the_unit_then_alpha(scheme: str, k: int) -> None:
    numerics = Numerics(quant.get(scheme), quant.get(scheme), NVFP4)
    a, b = normal(4, k), normal(3, k, seed=1)
    qa, qb = quant.quantize(a, scheme), quant.quantize(b, scheme)
    unit = NVFP4.matmul(qa.codes, qb.codes, None, qa.scales, qb.scales)
    assert_bits(numerics.gemm(a, b), unit * (np.float32(qa.tensor_scale) * np.float32(qb.tensor_scale)))


def test_square_blocks_serve_every_row() -> None:
    """16 x 16 scales of a weight: each row reads the scale of its square, also in a ragged last square."""
    numerics = Numerics(quant.get("nvfp4.te"), quant.get("nvfp4.te_2d"), NVFP4)
    a, b = normal(4, 64), normal(20, 64, seed=1)
    qa, qb = quant.quantize(a, "nvfp4.te"), quant.quantize(b, "nvfp4.te_2d")
    rows = np.repeat(qb.scales, 16, axis=0)[:20]
    unit = NVFP4.matmul(qa.codes, qb.codes, None, qa.scales, rows)
    assert_bits(numerics.gemm(a, b), unit * (np.float32(qa.tensor_scale) * np.float32(qb.tensor_scale)))


@pytest.mark.parametrize("k", [12, 13, 64])
def test_ternary_weights_are_lookup_keys(k: int) -> None:
    numerics = Numerics(quant.get("int8.channel"), quant.get("ternary.absmean"), datapaths.ternary_lut(3))
    a, w = normal(5, k), normal(6, k, seed=1)
    qa, qw = quant.quantize(a, "int8.channel"), quant.quantize(w, "ternary.absmean")
    assert set(np.unique(values(qw))) <= {-1, 0, 1}
    exact = (values(qa) @ values(qw).T).astype(np.float32)
    assert_bits(numerics.gemm(a, w), (exact * qa.scales.reshape(-1, 1)) * np.float32(qw.scales))
    assert not numerics.multiplies_activations
    with pytest.raises(DesignError, match=r"^numerics.activation: element must be int2, which port b of "):
        numerics.gemm(a, w, b_role="activation")


def test_narrow_integers_enter_a_wide_port() -> None:
    """INT4 activations on an 8-bit port: the same sums as on a 4-bit port."""
    wide = Numerics(quant.get("int4.channel"), quant.get("int8.channel"), INT8)
    narrow = Numerics(quant.get("int4.channel"), quant.get("int8.channel"), datapaths.integer(4, 8, 32))
    a, b = normal(5, 48), normal(7, 48, seed=1)
    assert_bits(wide.gemm(a, b), narrow.gemm(a, b))
    words = wide.words(wide.quantize(a, "activation"), "a")
    np.testing.assert_array_equal(words.view(np.int8), values(quant.quantize(a, "int4.channel")))


def test_plain_casts_have_no_factor() -> None:
    half = Numerics(quant.get("fp16"), quant.get("fp16"), datapaths.tensor_core("hopper", "fp16"))
    a, b = normal(3, 20), normal(4, 20, seed=1)
    codes = a.astype(np.float16).view(np.uint16), b.astype(np.float16).view(np.uint16)
    assert_bits(half.gemm(a, b), half.datapath.matmul(*codes))


def test_a_prepared_operand_is_the_operand() -> None:
    for numerics in (
        Numerics(quant.get("nvfp4.te"), quant.get("nvfp4.te"), NVFP4),
        Numerics(quant.get("int8.channel"), quant.get("int8.tensor"), INT8),
    ):
        a, b = normal(4, 48), normal(8, 48, seed=1)
        for role in ("weight", "activation"):
            ready = numerics.prepare_b(b, role)
            assert_bits(numerics.gemm(a, ready), numerics.gemm(a, b, role))


@pytest.mark.parametrize(
    ("scheme", "unit"),
    [
        ("int8.channel", INT8),
        ("int8.tensor", INT8),
        ("nvfp4.te", NVFP4),
        ("mxfp8.e4m3.rceil", datapaths.tensor_core("blackwell", "mxfp8.e4m3")),
        ("fp8.e4m3.channel", datapaths.tensor_core("hopper", "e4m3")),
        ("bf16", datapaths.tensor_core("hopper", "bf16")),
    ],
)
def test_a_batch_of_attention_is_its_matrices(scheme: str, unit: datapaths.Datapath) -> None:
    numerics = Numerics(quant.get(scheme), quant.get(scheme), unit)
    a, b = normal(3, 5, 64), normal(3, 7, 64, seed=1) * np.float32([[[1]], [[8]], [[0.01]]])
    expected = np.stack([numerics.gemm(one, other, "activation") for one, other in zip(a, b, strict=True)])
    assert_bits(numerics.gemms(a, b), expected)


def test_keys_know_numerics_only() -> None:
    base = Numerics(quant.get("nvfp4.te"), quant.get("nvfp4.te"), NVFP4)
    assert base.key == Numerics(quant.get("nvfp4.te"), quant.get("nvfp4.te"), NVFP4).key
    free = quant.block_scheme("e2m1", 16, "e4m3", "te")
    renamed = Numerics(free, free, NVFP4)
    assert renamed.key != base.key
    assert renamed.key == Numerics(free, free, NVFP4).key


@pytest.mark.parametrize(
    ("activation", "weight", "unit", "message"),
    [
        (
            "int4.channel",
            "int8.channel",
            datapaths.integer(8, 4, 32),
            "numerics.weight: element must be int4, which port b of int8x4.acc32.wrap reads, got 'int8'",
        ),
        (
            "mxfp4.floor",
            "nvfp4.te",
            NVFP4,
            "numerics.activation: scales must be per block of 16, which blackwell.nvfp4 multiplies, "
            "got 'mxfp4.floor (block, 32)'",
        ),
        (
            "nvfp4.te",
            "nvfp4.te",
            datapaths.tensor_core("blackwell", "e2m1"),
            "numerics.activation: scales must be per tensor or per channel, as blackwell.e2m1 multiplies no block "
            "scales, got 'nvfp4.te'",
        ),
        (
            "nvfp4.te",
            "nvfp4.te",
            datapaths.tensor_core("blackwell", "mxfp4.block16"),
            "numerics.activation: block scales must be e8m0, which blackwell.mxfp4.block16 multiplies, got 'e4m3'",
        ),
        (
            "nvfp4.fp4atw",
            "nvfp4.te",
            NVFP4,
            "numerics.activation: scales must be factors, blackwell.nvfp4 divides by none, got 'nvfp4.fp4atw'",
        ),
        (
            "fp8.e4m3.tensor",
            "fp8.e4m3.tensor",
            NVFP4,
            "numerics.activation: element must be e2m1, which port a of blackwell.nvfp4 reads, got 'e4m3'",
        ),
    ],
)
def test_what_does_not_fit(activation: str, weight: str, unit: datapaths.Datapath, message: str) -> None:
    with pytest.raises(DesignError) as caught:
        Numerics(quant.get(activation), quant.get(weight), unit)
    assert str(caught.value) == message


def test_shapes_and_roles() -> None:
    numerics = Numerics(quant.get("int8.channel"), quant.get("int8.channel"), INT8)
    with pytest.raises(ArgumentError, match=r"^numerics.gemm: operands must have one K, b has 5, got \(2, 4\)$"):
        numerics.gemm(normal(2, 4), normal(3, 5))
    with pytest.raises(ArgumentError, match=r"^numerics: role must be activation, weight or gradient, got 'bias'$"):
        numerics.scheme("bias")  # type: ignore[arg-type]

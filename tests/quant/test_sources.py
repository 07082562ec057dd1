"""The reference does what its sources do.

Parents: torchao 0.18.0 itself, where it is installed; the code of TransformerEngine's and vLLM's references, written
again here in torch, whose conversions to FP8 are not ours; published tables; calculations shown in the test.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import formats, quant
from hwsim.errors import ArgumentError
from hwsim.quant import reference_scales

torch = pytest.importorskip("torch", reason="the sources of NVFP4 are torch code")

F = np.float32
E4M3, E2M1 = formats.get("e4m3"), formats.get("e2m1")
FLT_MAX = torch.finfo(torch.float32).max


def ladder(x: Any) -> NDArray[np.uint8]:
    """E2M1 codes by the thresholds that TransformerEngine's and vLLM's Python references write out."""
    size = x.abs()
    code = torch.zeros(x.shape, dtype=torch.uint8)
    for bound, closed in ((0.25, 0), (0.75, 1), (1.25, 0), (1.75, 1), (2.5, 0), (3.5, 1), (5.0, 0)):
        code += (size >= bound) if closed else (size > bound)
    return np.asarray((code + 8 * torch.signbit(x)).numpy(), dtype=np.uint8)


def blocks_of(x: NDArray[np.float32], block: int = 16) -> Any:
    return torch.from_numpy(np.ascontiguousarray(x)).reshape(x.shape[0], -1, block)


def e4m3(x: Any) -> Any:
    return x.clamp(-448, 448).to(torch.float8_e4m3fn)


def te_source(x: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """NVFP4QuantizerRef._quantize_blockwise_reference."""
    blocks = blocks_of(x)
    vec_max, amax = blocks.abs().amax(-1, keepdim=True), blocks.abs().max()
    encode = torch.min(torch.div(torch.tensor(448.0) * torch.tensor(6.0), amax), torch.tensor(FLT_MAX))
    if encode == 0:
        encode = torch.tensor(1.0)
    decode = torch.div(1.0, encode)
    scale = vec_max * (encode * torch.reciprocal(torch.tensor(6.0)))
    scale = e4m3(torch.min(scale, torch.tensor(FLT_MAX)))
    multiplier = torch.min(torch.div(1.0, scale.float() * decode), torch.tensor(FLT_MAX))
    codes = ladder((blocks * multiplier).clamp(-6, 6)).reshape(x.shape)
    return codes, scale.view(torch.uint8).squeeze(-1).numpy()


def four_over_six_source(x: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """NVFP4QuantizerRef._quantize_blockwise_4over6_reference, mean absolute error, E4M3 bound 256."""
    blocks = blocks_of(x)
    vec_max, amax = blocks.abs().amax(-1, keepdim=True), blocks.abs().max()
    encode = torch.min(torch.div(torch.tensor(256.0 * 6.0), amax), torch.tensor(FLT_MAX))
    decode = torch.div(1.0, encode)
    base = torch.div(vec_max, torch.tensor(6.0)) * encode
    table = torch.from_numpy(E2M1.values.copy())
    found = []
    for target in (base * 1.5, base):
        scale = e4m3(target)
        multiplier = torch.min(torch.div(1.0, scale.float() * decode), torch.tensor(FLT_MAX))
        codes = ladder((blocks * multiplier).clamp(-6, 6))
        error = torch.zeros_like(vec_max[..., 0])
        for index in range(16):
            value = table[torch.from_numpy(codes[..., index].astype(np.int64))] * scale.float()[..., 0]
            value = value * amax / torch.tensor(6.0 * 256.0)
            error = error + (value - blocks[..., index]).abs()
        found.append((codes, scale.view(torch.uint8).squeeze(-1).numpy(), error.numpy()))
    four = found[0][2] < found[1][2]
    codes = np.where(four[..., None], found[0][0], found[1][0]).reshape(x.shape)
    return codes, np.where(four, found[0][1], found[1][1])


def vllm_source(x: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """ref_nvfp4_quant with the usual global scale; its elements are sign(x) times a ladder, so -0.0 is lost."""

    def reciprocal(value: Any) -> Any:
        return torch.where(value == 0, torch.tensor(0.0), 1.0 / value)

    blocks = blocks_of(x)
    global_scale = torch.tensor(448.0 * 6.0) / blocks.abs().max()
    scale = e4m3(global_scale * (blocks.abs().amax(-1, keepdim=True) * (1.0 / 6.0)))
    multiplier = reciprocal(scale.float() * reciprocal(global_scale))
    scaled = (blocks * multiplier).clamp(-6, 6)
    size = torch.from_numpy(E2M1.values[ladder(scaled.abs())])
    codes = E2M1.encode((size * torch.sign(scaled)).numpy()).reshape(x.shape)
    return codes.astype(np.uint8), scale.view(torch.uint8).squeeze(-1).numpy()


def data(name: str, seed: int = 11, rows: int = 128, columns: int = 512) -> NDArray[np.float32]:
    """Kinds of data on which the variants were seen to disagree, float32 [rows, columns]."""
    rng = np.random.default_rng(seed)
    shape, blocks = (rows, columns), (rows, columns // 16, 16)
    normal = rng.standard_normal(shape).astype(F)
    if name == "bfloat16":
        return formats.get("bf16").decode(formats.get("bf16").encode(normal))
    if name == "ties":
        unit = rng.choice(E4M3.values[1:127], (*blocks[:2], 1)).astype(F) * F(rng.uniform(1, 8) / 2688)
        middle = rng.choice(np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0], F), blocks)
        middle[..., 0] = 6
        return np.asarray(middle * rng.choice([-1, 1], blocks) * unit, dtype=F).reshape(shape)
    if name == "ties of scales":  # block maxima that fall between two E4M3 scales
        largest = rng.uniform(1, 8)
        middle = (E4M3.values[1:126] + E4M3.values[2:127]) / 2
        top = rng.choice(middle, blocks[:2]) * 6 * largest / 2688
        values = normal.reshape(blocks) / 8 * top[..., None]
        values[..., 0], values[0, 0, 0] = top, largest
        return values.astype(F).reshape(shape)
    if name == "lognormal blocks":
        size = np.exp(3 * rng.standard_normal((*blocks[:2], 1)))
        return np.asarray(normal.reshape(blocks) * size, dtype=F).reshape(shape)
    if name == "tiny":
        return normal * F(1e-30)
    if name == "requantized":
        return quant.fake_quantize(normal, "nvfp4.te")
    assert name == "normal"
    return normal


KINDS = ["normal", "bfloat16", "ties", "ties of scales", "lognormal blocks", "tiny", "requantized"]


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


def test_exponents_of_the_four_rules() -> None:
    """Exponents measured with torchao for block maxima around E2M1's limits."""
    expected = {
        3.9: {"floor": -1, "ceil": 0, "even": 0, "rceil": 0},
        5.9: {"floor": 0, "ceil": 1, "even": 0, "rceil": 0},
        6.9: {"floor": 0, "ceil": 1, "even": 0, "rceil": 1},
        7.0: {"floor": 0, "ceil": 1, "even": 1, "rceil": 1},
    }
    for largest, rules in expected.items():
        for rule, exponent in rules.items():
            assert int(quant.quantize([largest], f"mxfp4.{rule}").scales[0]) - 127 == exponent, (largest, rule)


@pytest.mark.parametrize("element", ["mxfp4", "mxfp6.e2m3", "mxfp6.e3m2", "mxfp8.e4m3", "mxfp8.e5m2", "mxint8"])
def test_rceil_never_clips_and_never_wastes_a_binade(element: str) -> None:
    """ceil(log2(A / max)) by integers: the largest power of two below which A does not fit."""
    rng = np.random.default_rng(3)
    top = quant.get(f"{element}.rceil").element_max
    amax = np.concatenate([
        np.ldexp(F(top), rng.integers(-100, 100, 500)),
        np.nextafter(np.ldexp(F(top), rng.integers(-100, 100, 500)), F(np.inf), dtype=F),
        rng.lognormal(0, 20, 3000).astype(F),
    ]).astype(F)  # fmt: skip
    scales = quant.quantize(amax[:, None], f"{element}.rceil").scales[:, 0].astype(int) - 127
    fits = amax.astype(np.float64) <= top * 2.0**scales
    tight = amax.astype(np.float64) > top * 2.0 ** (scales - 1)
    assert fits.all()
    assert tight.all()


def test_rceil_by_quotient_equals_rceil_by_reciprocal() -> None:
    """torchao divides by the largest element, the kernels multiply with its reciprocal: no bit of the scale differs.

    All 2^23 mantissas; other exponents only shift both.
    """
    amax = (np.arange(1 << 23, dtype=np.uint32) | np.uint32(127 << 23)).view(F)
    for top in (6.0, 7.5, 28.0, 448.0, 57344.0):
        quotient, product = (v.view(np.uint32) for v in (amax / F(top), amax * (F(1) / F(top))))
        assert np.array_equal((quotient + 0x7FFFFF) >> 23, (product + 0x7FFFFF) >> 23), top


def test_floor_next_to_powers_of_two() -> None:
    """floor(log2) in float32 is wrong just below 2^k: amax = 8 - ulp has the scale 1 and the value 6, not 8."""
    x = np.nextafter(np.ldexp(F(1), np.arange(-100, 100)), F(0), dtype=F)[:, None]
    scales = quant.quantize(x, "mxfp4.floor").scales[:, 0].astype(int) - 127
    assert np.array_equal(scales, np.arange(-100, 100) - 1 - 2)
    below_8 = np.nextafter(F(8), F(0), dtype=F)
    assert quant.fake_quantize([below_8], "mxfp4.floor").tolist() == [6.0]


def test_mx_special_blocks() -> None:
    for rule in ("floor", "ceil", "even", "rceil", "rceil_te"):
        name = f"mxfp4.{rule}"
        zero = quant.quantize(np.array([0.0, -0.0], F), name)
        assert (zero.scales.tolist(), zero.codes.tolist()) == ([0], [0, 8])
        nan = quant.quantize(np.array([1.0, np.nan], F), name)
        assert nan.scales.tolist() == [255]
        assert np.isnan(nan.dequantize()).all()
        infinite = quant.quantize(np.array([-np.inf, 1.0], F), name)
        assert infinite.scales.tolist() == [254 if "rceil" in rule else 253]  # as torchao has them
        assert infinite.codes.tolist() == [15, 0]
        huge = quant.quantize(np.array([3.4e38, 1e38], F), name)
        assert huge.scales.tolist() == [252 if rule == "floor" else 253]
    # code 0 is 2^-127: exact, or, as TransformerEngine's exp2f_rcp has it, a multiplier of 1
    tiny = np.array([2e-38, 1e-38], F)
    assert quant.quantize(tiny, "mxfp4.rceil").codes.tolist() == [5, 3]  # 3.4 and 1.7 of 2^-127
    assert quant.quantize(tiny, "mxfp4.rceil_te").codes.tolist() == [0, 0]


# NVFP4 on zeros, underflow, NaN, infinity, huge and tiny tensors


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


def disagreement(x: NDArray[np.float32], name: str) -> tuple[float, float]:
    """Percent of codes and of scale bytes in which a variant differs from ``nvfp4.te``."""
    te, other = quant.quantize(x, "nvfp4.te"), quant.quantize(x, name)
    return 100 * float(np.mean(te.codes != other.codes)), 100 * float(np.mean(te.scales != other.scales))


@pytest.mark.parametrize(
    ("kind", "name", "measured"),
    [
        ("normal", "nvfp4.te_fast", 0.334),
        ("bfloat16", "nvfp4.te_fast", 0.514),
        ("bfloat16", "nvfp4.exact", 0.049),
        ("ties", "nvfp4.te_fast", 38.5),
        ("lognormal blocks", "nvfp4.te_fast", 0.076),
        ("lognormal blocks", "nvfp4.vllm_ref", 54.1),
        ("lognormal blocks", "nvfp4.exact", 54.1),
        ("lognormal blocks", "nvfp4.torchao", 80),
        ("tiny", "nvfp4.te_fast", 0.27),
    ],
)
def test_variants_disagree_as_measured(kind: str, name: str, measured: float) -> None:
    """Percent of codes, measured with the libraries' own code on one draw of 2048 x 4096.

    The figure hangs on that draw's one tensor amax, whose mantissa enters every quotient. So the expectation is that
    it lies between the least and the most of ten draws. The amax of lognormal blocks grows with their number.
    """
    shape = (1024, 1024) if kind == "lognormal blocks" else (256, 512)
    percents = [disagreement(data(kind, seed, *shape), name)[0] for seed in range(10)]
    assert min(percents) <= measured <= max(percents)


@pytest.mark.parametrize("kind", ["normal", "ties", "tiny"])
def test_these_variants_agree_there(kind: str) -> None:
    """Measured as 0 % of codes and scales."""
    for seed in range(3):
        assert disagreement(data(kind, seed), "nvfp4.vllm_ref") == (0, 0)
        assert disagreement(data(kind, seed), "nvfp4.flashinfer_exact") == (0, 0)


def test_blocks_of_lognormal_size_underflow_in_half() -> None:
    """There vLLM's reference stores zeros where TransformerEngine stores +-6, both of value 0; torchao's values
    differ."""
    x = data("lognormal blocks")
    te, vllm, torchao_ = (quant.quantize(x, f"nvfp4.{name}") for name in ("te", "vllm_ref", "torchao"))
    underflown = np.repeat(te.scales == 0, 16, axis=1)
    assert np.array_equal(te.codes != vllm.codes, underflown)
    assert not te.dequantize()[underflown].any()
    assert not vllm.dequantize()[underflown].any()
    assert (torchao_.scales != te.scales).mean() > (te.scales == 0).mean()


# FlashInfer's fast kernels


def test_flashinfer_fast_needs_a_table() -> None:
    message = (
        r"nvfp4\.flashinfer_fast: flashinfer_fast must have a table of float32 \[8388608\]: it uses "
        r"rcp\.approx\.ftz\.f32, whose bits only a GPU knows; make it with flashinfer_fast\(reciprocals\)"
    )
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        quant.get("nvfp4.flashinfer_fast")


def test_flashinfer_fast_with_a_table() -> None:
    """With correctly rounded reciprocals: zeros in a block whose scale underflows get code 7, as 0 * infinity
    converts."""
    mantissa = np.arange(1 << 23, dtype=np.float64)
    table = (1 / (1 + mantissa / (1 << 23))).astype(F)
    scheme = quant.flashinfer_fast(table)
    x = np.zeros((3, 16), F)
    x[0, 0] = 2688
    x[1, :2] = 0.005, -0.005
    q = quant.quantize(x, scheme)
    assert q.codes[1, :3].tolist() == [7, 15, 7]
    assert not q.codes[2].any()
    assert q.scales[:, 0].tolist() == [0x7E, 0, 0]
    assert not q.dequantize()[1:].any()
    normal = data("normal")
    fast, te = quant.quantize(normal, scheme), quant.quantize(normal, "nvfp4.te")
    assert np.mean(fast.codes != te.codes) < 1e-3


def test_a_wrong_table_is_refused() -> None:
    table = (1 / (1 + np.arange(1 << 23) / (1 << 23))).astype(F)
    table[5] = 0.75
    message = r"^reciprocals: reciprocals must lie within one unit in the last place, got 5$"
    with pytest.raises(ArgumentError, match=message):
        quant.flashinfer_fast(table)


# Others


def test_weights_of_bitnet() -> None:
    """mean |w| = (1 + 0.2 + 3 + 0) / 4 = 1.05; w / 1.05 = 0.95, -0.19, -2.86, 0 rounds to 1, 0, -1, 0."""
    q = quant.quantize(np.array([1.0, -0.2, -3.0, 0.0], F), "ternary.absmean")
    assert q.codes.tolist() == [1, 0, 3, 0]
    assert q.scales == F(1.05)
    assert q.dequantize().tolist() == [F(1.05), 0, -F(1.05), 0]
    assert q.bits == 4 * 2 + 32


def test_symmetric_integers() -> None:
    """Largest magnitude 2.54: scale 0.02, codes x / 0.02 to nearest even, in two's complement; -128 is never used."""
    q = quant.quantize(np.array([[2.54, -2.54, 0.02, -0.03]], F), "int8.tensor")
    assert q.codes.tolist() == [[127, 129, 1, 254]]
    assert q.scales.shape == ()
    q = quant.quantize(np.array([[7.0, -7.0], [0.5, -3.5]], F), "int4.channel")
    assert q.codes.tolist() == [[7, 9], [1, 9]]
    assert q.scales.tolist() == [[1.0], [0.5]]
    zero = quant.quantize(np.zeros(3, F), "int8.tensor")
    assert (zero.codes.tolist(), float(zero.scales)) == ([0, 0, 0], 1.0)
    for bad in (np.nan, np.inf):
        assert np.isnan(quant.fake_quantize(np.array([bad, 1.0], F), "int8.tensor")).all()


def test_mxint8_counts_in_64ths() -> None:
    """OCP MX: the largest magnitude 1.984375 has exponent 0, so its scale byte is 127 and its code 127."""
    q = quant.quantize(np.array([1.984375, -1.0, 1 / 64, -2.0], F)[:3], "mxint8.floor")
    assert (q.scales.tolist(), q.codes.tolist()) == ([127], [127, 192, 1])
    assert quant.quantize(np.array([-2.0], F), "mxint8.floor").codes.tolist() == [192]  # -1 of 2^1, not -2


def test_decode_orders_differ_in_the_last_bits_only() -> None:
    """Against TransformerEngine's order 31 to 40 % of values were seen to differ, by at most 3e-7; A decides."""
    from dataclasses import replace

    x, te = data("normal"), quant.get("nvfp4.te")
    base = quant.fake_quantize(x, te)
    for decode in ("torchao", "vllm", "code_first"):
        other = quant.fake_quantize(x, replace(te, name=decode, decode=decode))  # type: ignore[arg-type]
        nonzero = base != 0
        assert 0.1 < np.mean(base != other) < 0.6, decode
        assert np.max(np.abs(other[nonzero] / base[nonzero] - 1)) < 4e-7, decode


def test_e4m3_of_the_reference_is_that_of_torch() -> None:
    """All magnitudes of a scale that are near a tie of E4M3, and beyond its largest number."""
    values = E4M3.values[:127].astype(np.float64)
    ties = ((values[1:] + values[:-1]) / 2).astype(F)
    around = [ties, np.nextafter(ties, F(0), dtype=F), np.nextafter(ties, F(1e9), dtype=F), F([449, 464, 1e30])]
    near = np.concatenate(around)
    torch_codes = e4m3(torch.from_numpy(near)).view(torch.uint8).numpy()
    assert np.array_equal(E4M3.encode(near), torch_codes)
    assert np.array_equal(reference_scales.stored(near, quant.get("nvfp4.te"))[0], torch_codes)

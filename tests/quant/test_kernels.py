"""The kernels equal the reference, bit for bit, on data chosen to break them; and a result depends on nothing else.

The reference is `hwsim.quant.reference`; what shows that the reference is right is in `test_sources.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwsim import formats, quant
from hwsim.quant import Quantized, Scheme, engine, reference
from hwsim.quant.element_kernels import MULTIPLY, ElementConstants, code_rows
from hwsim.quant.layout import layout

F = np.float32
E2M1 = formats.get("e2m1")
MIDPOINTS = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0], dtype=F)


def tie_aligned(rng: np.random.Generator, rows: int, blocks: int, block: int) -> NDArray[np.float32]:
    """Midpoints of E2M1 times an E4M3 scale times a tensor scale; the largest of each block is 6 of that unit."""
    scales = formats.get("e4m3").values[1:127]
    unit = rng.choice(scales, (rows, blocks, 1)).astype(F) * F(3.7 / 2688)
    values = rng.choice(MIDPOINTS, (rows, blocks, block)) * rng.choice([-1, 1], (rows, blocks, block))
    values[..., 0] = 6
    return np.asarray(values * unit, dtype=F).reshape(rows, blocks * block)


def scale_ties(rng: np.random.Generator, rows: int, blocks: int, block: int) -> NDArray[np.float32]:
    """Block maxima that, divided by 6 and the tensor scale, fall between two E4M3 numbers."""
    scales = formats.get("e4m3").values[1:127]
    top = rng.choice((scales[1:] + scales[:-1]) / 2, (rows, blocks)) * 6 * 3.7 / 2688
    values = rng.uniform(-1, 1, (rows, blocks, block)) * top[..., None]
    values[..., 0], values[0, 0, 0] = top, 3.7
    return np.asarray(values, dtype=F).reshape(rows, blocks * block)


def hard_data() -> dict[str, NDArray[np.float32]]:
    """Each name says what it is there to break."""
    rng = np.random.default_rng(7)
    normal = rng.standard_normal((24, 96)).astype(F)
    data = {
        "normal": normal,
        "bfloat16": (normal.view(np.uint32) & np.uint32(0xFFFF0000)).view(F),
        "ties": tie_aligned(rng, 24, 6, 16),
        "ties of scales": scale_ties(rng, 24, 6, 16),
        "ties of 32": tie_aligned(rng, 24, 3, 32),
        "requantized": reference.dequantize(reference.quantize(normal, quant.get("nvfp4.te"))),
        "lognormal blocks": (
            rng.standard_normal((24, 6, 16)) * np.exp(3 * rng.standard_normal((24, 6, 1)))
        ).reshape(24, 96).astype(F),
        "tiny": (normal * F(1e-30)),
        "scale of the tensor overflows": (normal * F(1e-37)),
        "subnormal": (normal * F(1e-40)).astype(F),
        "huge": (normal * F(1e38)).astype(F),
        "powers of two and neighbours": np.ldexp(
            np.nextafter(F(1), rng.choice([0, 1, 2], (24, 96)).astype(F)), rng.integers(-20, 20, (24, 96))
        ).astype(F),
        "random bits": rng.integers(0, 1 << 32, (24, 96), dtype=np.uint64).astype(np.uint32).view(F),
        "zeros of both signs": np.where(rng.random((24, 96)) < 0.5, F(0), F(-0.0)),
    }  # fmt: skip
    for name, values in {
        "NaN": (np.nan, -np.nan),
        "infinity": (np.inf, -np.inf),
        "NaN and infinity": (np.nan, np.inf),
    }.items():
        data[name] = normal.copy()
        data[name][1, 3], data[name][5, 40] = values
    blocks = normal.copy()
    blocks[:, :48] = 0
    blocks[::3, 48:64] *= F(1e-8)
    blocks[1::3, 50] = -0.0
    data["zero and underflowing blocks"] = blocks
    for length in (1, 7, 17, 100):
        data[f"short last block of {length}"] = rng.standard_normal((5, length)).astype(F)
    return data


HARD = hard_data()

GRID = [
    quant.block_scheme(element, block, scale, rule)
    for element, block, scale, rule in [
        ("e2m1", 8, "e4m3", "te"),
        ("e2m1", 128, "e3m4", "te"),
        ("e2m1", 64, "ue5m3", "exact"),
        ("e2m1", 32, "e5m2", "torchao"),
        ("e2m1", 24, "ue4m3", "vllm_ref"),
        ("e3m2", 16, "e4m3_ieee", "fp4atw"),
        ("e1m2", 16, "e4m3", "te_4over6"),
        ("int4", 16, "e4m3", "te"),
        ("e4m3", 16, "e4m3", "te"),
        ("e5m2", 16, "e4m3", "modelopt"),
        ("int8", 16, "e4m3", "exact"),
        ("e3m4", 128, "e8m0", "rceil"),
        ("int4", 8, "e8m0", "even"),
    ]
] + [
    quant.block_scheme("e2m1", 16, "e4m3", "te", tensor_scale=False),
    quant.block_scheme("e2m1", 32, "ue5m3", "te_4over6", tensor_scale=False),
    replace(quant.get("nvfp4.te"), name="te, decoded code first", decode="code_first"),
    replace(quant.get("nvfp4.te"), name="te, decoded as vLLM", decode="vllm"),
    replace(quant.get("nvfp4.te_4over6"), name="4over6 up to 448", scale_bound=None),
    replace(quant.get("mxint8.floor"), name="mxint8 in squares", granularity="block2d"),
    replace(quant.get("nvfp4.te"), name="nvfp4 with headroom, to nearest", element_bound=96 / 17),
]
STOCHASTIC = [
    quant.get("nvfp4.te_sr"),
    replace(quant.get("nvfp4.te_sr"), name="nvfp4 with headroom", element_bound=96 / 17, sr_bits=24),
    *(
        replace(quant.get(name), name=f"{name}.sr{bits}", rounding="sr", sr_bits=bits)
        for name, bits in [
            ("mxfp4.rceil", 8),
            ("mxfp8", 3),
            ("int8.tensor", 16),
            ("mxint8.floor", 8),
            ("nvfp4.fp4atw", 24),
        ]
    ),
]
SCHEMES = [*(quant.get(name) for name in quant.names() if not name.endswith("_sr")), *GRID, *STOCHASTIC]


def assert_same_bits(got: NDArray[Any], want: NDArray[Any], what: str) -> None:
    """Equal dtype, shape and bits; NaN equals NaN, as its payload is the processor's."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape), what
    if got.dtype == F:
        got, want = (np.where(np.isnan(x), F(np.nan), x).view(np.uint32) for x in (got, want))
    different = np.argwhere(np.atleast_1d(got != want))
    assert not len(different), f"{what}: {len(different)} differ, first at {different[0]}"


def assert_kernels_equal_reference(x: NDArray[np.float32], scheme: Scheme, axis: int, what: str) -> None:
    noise = engine.random_noise(scheme, 5, layout(x.shape, scheme, axis))
    random = None if noise is None else engine.noise_integers(noise, scheme)
    want = reference.quantize(x, scheme, axis, random=random)
    values = reference.dequantize(want)
    got = quant.quantize(x, scheme, axis, seed=5)
    assert_same_bits(got.codes, want.codes, f"codes of {what}")
    assert_same_bits(got.scales, want.scales, f"scales of {what}")
    assert_same_bits(np.asarray(got.tensor_scale), np.asarray(want.tensor_scale), f"tensor scale of {what}")
    assert_same_bits(np.asarray(got.amax), np.asarray(want.amax), f"amax of {what}")
    assert_same_bits(got.dequantize(), values, f"values of {what}")
    assert_same_bits(quant.fake_quantize(x, scheme, axis, seed=5), values, f"fused values of {what}")


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
def test_kernels_equal_reference_on_hard_data(scheme: Scheme) -> None:
    for name, x in HARD.items():
        assert_kernels_equal_reference(x, scheme, -1, name)


@pytest.mark.parametrize("scheme", STOCHASTIC, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("length", [1023, 1025, 3001])
def test_random_numbers_of_rows_longer_than_a_piece(scheme: Scheme, length: int, rng: np.random.Generator) -> None:
    """Rows that neither begin nor end with a word or a block of the counter."""
    x = rng.standard_normal((3, length), dtype=F)
    assert_kernels_equal_reference(x, scheme, -1, f"rows of {length}")


@pytest.mark.parametrize(
    "name",
    [
        "nvfp4.te",
        "nvfp4.te_sr",
        "nvfp4.te_4over6",
        "nvfp4.exact",
        "mxfp4.floor",
        "int8.channel",
        "int8.tensor",
        "bf16",
    ],
)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        *[((), -1), ((40,), 0), ((5, 40), 0), ((3, 5, 40), 1), ((3, 5, 40), -1), ((2, 3, 4, 33), -4), ((1, 1), 0)],
        *[((0, 16), -1), ((4, 0), -1), ((0,), 0), ((4, 0, 3), 0)],
    ],
)
def test_any_shape_and_axis(name: str, shape: tuple[int, ...], axis: int, rng: np.random.Generator) -> None:
    x = np.asarray(rng.standard_normal(shape), dtype=F)
    assert_kernels_equal_reference(x, quant.get(name), axis, f"{shape} along {axis}")
    assert quant.quantize(x, name, axis, seed=0).codes.shape == shape


def converted(x: NDArray[np.float32], element: str) -> NDArray[np.uint8]:
    """Codes of `x` [rows, length] by the kernel, under a scale of 1."""
    scheme = Scheme("x", element, "channel", None, "fp32", "absmax")
    constants = ElementConstants(scheme, int(scheme.element_format.encode(F(np.nan))))
    codes, ones, no_noise = np.empty(x.shape, np.uint8), np.ones((len(x), 1), F), np.empty((0, 0), np.uint8)
    rows, length = x.shape
    code_rows(
        *(0, rows, x, length, 1, rows, ones, MULTIPLY, F(1), constants.words, no_noise, np.uint8(0), F(1), codes)
    )
    return codes


ELEMENTS = [
    "e2m1",
    "e1m2",
    "e2m3",
    "e3m2",
    "e3m4",
    "e4m3",
    "e4m3_ieee",
    "e4m3fnuz",
    "e5m2",
    "e5m2fnuz",
    "int2",
    "int4",
    "int8",
]


def assert_converts(words: NDArray[np.uint32], element: str) -> None:
    form = formats.get(element)
    x = words.view(F)
    want = form.encode(x)
    if form.is_integer:  # a scheme is symmetric: the most negative code is not used
        want = np.where(want == 1 << (form.bits - 1), (1 << (form.bits - 1)) + 1, want)
    assert_same_bits(converted(x, element), want.astype(np.uint8), element)


def assert_converts_all(low: NDArray[np.uint32], element: str) -> None:
    """Every upper half of a float32 with each of these lower halves."""
    for start in range(0, 1 << 16, 1 << 12):
        upper = np.arange(start, start + (1 << 12), dtype=np.uint32)[:, None] << np.uint32(16)
        assert_converts(upper | low, element)


@pytest.mark.parametrize("element", ELEMENTS)
def test_rounding_by_addition_equals_the_format(element: str) -> None:
    """Lower halves at and around ties, and others: 2^24 float32."""
    around = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
    assert_converts_all(np.union1d(around, np.arange(0, 1 << 16, 262)).astype(np.uint32), element)


@pytest.mark.slow
@pytest.mark.parametrize("element", ["e2m1", "e4m3", "int8"])
def test_rounding_by_addition_equals_the_format_on_every_float32(element: str) -> None:
    for start in range(0, 1 << 16, 1 << 8):
        assert_converts_all(np.arange(start, start + (1 << 8), dtype=np.uint32), element)


@pytest.mark.parametrize("shape", [(16, 16), (40, 33), (3, 20, 48), (2, 1, 1), (0, 16), (2, 16, 0)])
def test_square_blocks_of_any_shape(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    x = rng.standard_normal(shape).astype(F)
    assert_kernels_equal_reference(x, quant.get("nvfp4.te_2d"), -1, str(shape))
    scales = quant.quantize(x, "nvfp4.te_2d").scales
    assert scales.shape == (*shape[:-2], -(-shape[-2] // 16), -(-shape[-1] // 16))


def test_square_blocks_quantize_a_matrix_and_its_transpose_alike(rng: np.random.Generator) -> None:
    x = rng.standard_normal((48, 64)).astype(F)
    q, t = quant.quantize(x, "nvfp4.te_2d"), quant.quantize(x.T, "nvfp4.te_2d")
    assert np.array_equal(q.codes.T, t.codes)
    assert np.array_equal(q.scales.T, t.scales)


def test_axis_equals_moving_it(rng: np.random.Generator) -> None:
    x = rng.standard_normal((48, 5, 7)).astype(F)
    q, moved = quant.quantize(x, "nvfp4.te", axis=0), quant.quantize(np.moveaxis(x, 0, -1), "nvfp4.te")
    assert np.array_equal(np.moveaxis(q.codes, 0, -1), moved.codes)
    assert q.scales.shape == (3, 5, 7)
    assert np.array_equal(np.moveaxis(q.scales, 0, -1), moved.scales)


@pytest.mark.parametrize("name", ["nvfp4.te", "mxfp4.rceil", "nvfp4.te_2d", "int8.tensor", "ternary.absmean"])
def test_strides_do_not_matter(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((64, 96)).astype(F)
    for view in (x[::2, ::3], x.T, x[::-1, 5:50], np.asfortranarray(x)):
        want = quant.quantize(view.copy(), name)
        got = quant.quantize(view, name)
        assert np.array_equal(got.codes, want.codes)
        assert np.array_equal(got.scales, want.scales)
        assert_same_bits(quant.fake_quantize(view, name), want.dequantize(), name)


@pytest.mark.parametrize(
    "name", ["nvfp4.te", "nvfp4.te_sr", "nvfp4.te_4over6", "mxfp4.floor", "int8.tensor", "int4.channel"]
)
@pytest.mark.parametrize("shape", [(1, 1 << 17), (1 << 17,), (300, 520)])
def test_threads_do_not_matter(
    name: str, shape: tuple[int, ...], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = rng.standard_normal(shape).astype(F)
    results: list[tuple[Quantized, NDArray[np.float32]]] = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
        results.append((quant.quantize(x, name, seed=3), quant.fake_quantize(x, name, seed=3)))
    for q, values in results[1:]:
        assert np.array_equal(q.codes, results[0][0].codes)
        assert np.array_equal(q.scales, results[0][0].scales)
        assert_same_bits(values, results[0][1], name)


@pytest.mark.parametrize("name", ["nvfp4.te", "nvfp4.exact", "mxfp4.floor", "int8.tensor", "nvfp4.te_2d", "bf16"])
def test_out_may_be_anything_float32_even_the_input(name: str, rng: np.random.Generator) -> None:
    x = rng.standard_normal((32, 64)).astype(F)
    want = quant.fake_quantize(x, name)
    strided = np.empty((64, 64), F)[::2]
    for out in (np.empty((32, 64), F), strided, x.copy()):
        source = out if out.base is None and np.array_equal(out, x) else x
        assert quant.fake_quantize(source, name, out=out) is out
        assert_same_bits(out, want, name)


def test_the_tensor_maximum_may_be_given(rng: np.random.Generator) -> None:
    x = rng.standard_normal((32, 64)).astype(F)
    for name in ("nvfp4.te", "nvfp4.torchao", "nvfp4.exact"):
        own, given = quant.quantize(x, name), quant.quantize(x, name, amax=float(np.abs(x).max()))
        assert np.array_equal(own.codes, given.codes)
        fixed = quant.quantize(x, name, amax=1.0)
        assert fixed.tensor_scale == F(1) * (F(1) / F(2688))
        assert_same_bits(quant.fake_quantize(x, name, amax=1.0), fixed.dequantize(), name)

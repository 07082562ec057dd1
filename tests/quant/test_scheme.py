"""Schemes: what they say of themselves, what they refuse, and what stochastic rounding does on average."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwsim import formats, quant
from hwsim.errors import ArgumentError, UnknownName

F = np.float32


def test_every_name_is_its_own() -> None:
    for name in quant.names():
        scheme = quant.get(name)
        assert scheme.name == name
        assert scheme.source
        assert quant.get(scheme) is scheme


def test_the_named_variants_are_there() -> None:
    nvfp4 = "te te_sr te_2d te_4over6 te_fast flashinfer_exact vllm_ref torchao torchao_1level modelopt fp4atw exact"
    wanted = {f"nvfp4.{name}" for name in nvfp4.split()}
    rules = ("floor", "rceil", "ceil", "even")
    elements = ("mxfp4", "mxfp6.e2m3", "mxfp6.e3m2", "mxfp8.e4m3", "mxfp8.e5m2", "mxint8")
    wanted |= {f"{element}.{rule}" for element in elements for rule in rules}
    wanted |= {f"{name}.{by}" for name in ("int8", "int4", "fp8.e4m3") for by in ("tensor", "channel")}
    wanted |= {"ternary.absmean", "bf16", "fp16", "fp32"}
    assert wanted <= set(quant.names())
    assert quant.get("mxfp8") is quant.get("mxfp8.e4m3.rceil")


def test_derived_facts_of_nvfp4() -> None:
    te = quant.get("nvfp4.te")
    assert (te.element_max, te.scale_max, te.product_max, te.scale_bits) == (6.0, 448.0, 2688.0, 8)
    assert quant.get("nvfp4.te_4over6").product_max == 6 * 256
    assert quant.get("nvfp4.fp4atw").product_max == 6 * 240


@pytest.mark.parametrize(
    ("name", "shape", "bits"),
    [
        ("nvfp4.te", (3, 40), 120 * 4 + 9 * 8 + 32),  # a short last block has a scale of its own
        ("nvfp4.te_2d", (20, 32), 640 * 4 + 4 * 8 + 32),
        ("nvfp4.torchao_1level", (3, 40), 120 * 4 + 9 * 8),
        ("mxfp4.rceil", (3, 40), 120 * 4 + 6 * 8),
        ("mxfp6.e2m3.floor", (1, 32), 32 * 6 + 8),
        ("int8.tensor", (3, 40), 120 * 8 + 32),
        ("int4.channel", (3, 40), 120 * 4 + 3 * 32),
        ("ternary.absmean", (3, 40), 120 * 2 + 32),
        ("bf16", (3, 40), 120 * 16),
    ],
)
def test_storage_counts_scales(name: str, shape: tuple[int, ...], bits: int) -> None:
    assert quant.quantize(np.ones(shape, F), name).bits == bits


def test_a_free_combination_has_a_name_and_works() -> None:
    for block in (8, 16, 32, 64, 128):
        for scale in ("e8m0", "e4m3", "ue5m3", "e3m4", "e5m2"):
            scheme = quant.block_scheme("e2m1", block, scale)
            rule = "rceil" if scale == "e8m0" else "te"
            assert scheme.name == f"e2m1.b{block}.{scale}.{rule}"
            q = quant.quantize(np.linspace(-1, 1, 200, dtype=F), scheme)
            assert q.scales.shape == (-(-200 // block),)
            assert np.abs(q.dequantize() - np.linspace(-1, 1, 200)).max() < 0.26


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"element": "e9m9"}, r"format must be one of .*, got 'e9m9'"),
        ({"block": None}, r"scheme x\.block: block must be given for blocks and only there, got None"),
        ({"block": 0}, r"scheme x\.block: block must lie in 1\.\.1048576, got 0"),
        ({"sr_bits": 25}, r"scheme x\.sr_bits: sr_bits must lie in 1\.\.24, got 25"),
        ({"rounding": "up"}, r"scheme x\.rounding: rounding must be one of rne, sr, got 'up'"),
        ({"element": "fp16"}, r"scheme x\.element: scaled elements must have at most 8 bits, got 'fp16'"),
        (
            {"element": "e3m0"},
            r"scheme x\.element: scaled elements must have a sign, a zero and mantissa bits, got 'e3m0'",
        ),
        (
            {"scale_format": "e8m0"},
            r"scheme x\.scale_format: te must have scales in a float format of at most 8 bits with a zero, "
            r"got 'e8m0'",
        ),
        (
            {"scale_rule": "floor"},
            r"scheme x\.scale_format: floor must have e8m0 scales and no tensor scale, got 'e4m3'",
        ),
        (
            {"scale_rule": "absmax"},
            r"scheme x\.scale_format: absmax must have fp32 scales and no tensor scale, got 'e4m3'",
        ),
        (
            {"scale_rule": "none"},
            r"scheme x\.scale_format: a plain cast must have no scale and the granularity tensor, got 'e4m3'",
        ),
        (
            {"scale_rule": "exact", "rounding": "sr"},
            r"scheme x\.rounding: exact must round to nearest even, got 'sr'",
        ),
        (
            {"scale_rule": "te_4over6", "granularity": "block2d"},
            r"scheme x\.granularity: te_4over6 must have the granularity block, got 'block2d'",
        ),
    ],
)
def test_a_scheme_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises((ArgumentError, UnknownName)) as caught:
        replace(quant.get("nvfp4.te"), name="x", **change)
    assert re.fullmatch(message, str(caught.value))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quant.get("nvfp4.t"), r"scheme must be one of nvfp4\.te, .*, got 'nvfp4\.t'"),
        (lambda: quant.quantize([1.0], "nvfp4.te", axis=1), r"axis: axis must name one of 1 axes, got 1"),
        (
            lambda: quant.quantize(np.ones(16), "nvfp4.te_2d"),
            r"axis: square blocks must lie on the last two axes of a matrix, got \(\(16,\), 0\)",
        ),
        (lambda: quant.quantize(["a"], "nvfp4.te"), r"x: x must be an array of real numbers, got 'str32'"),
        (lambda: quant.quantize([1j], "nvfp4.te"), r"x: x must be an array of real numbers, got 'complex128'"),
        (
            lambda: quant.quantize([1.0], "nvfp4.te_sr"),
            r"nvfp4\.te_sr: seed must be given for stochastic rounding",
        ),
        (
            lambda: quant.fake_quantize([1.0], "nvfp4.te_sr"),  # by another kernel
            r"nvfp4\.te_sr: seed must be given for stochastic rounding",
        ),
        (
            lambda: quant.quantize([1.0], "mxfp4.floor", amax=1.0),
            r"mxfp4\.floor: amax must be left out where there is no tensor scale, got 1\.0",
        ),
        (
            lambda: quant.quantize([1.0], "nvfp4.te", amax=-1.0),
            r"nvfp4\.te: amax must be a finite magnitude, got -1\.0",
        ),
        (
            lambda: quant.fake_quantize(np.ones(4, F), "nvfp4.te", out=np.empty(4)),
            r"out: out must be float32 of shape \(4,\), got \('float64', \(4,\)\)",
        ),
    ],
)
def test_messages(call: Any, message: str) -> None:
    with pytest.raises((ArgumentError, UnknownName)) as caught:
        call()
    assert re.fullmatch(message, str(caught.value))


def test_other_dtypes_are_rounded_to_float32() -> None:
    x = np.linspace(-3, 3, 64)
    for dtype in (np.float64, np.float16, np.int8, bool):
        given = x.astype(dtype)
        want = quant.fake_quantize(given.astype(F), "nvfp4.te")
        assert np.array_equal(quant.fake_quantize(given, "nvfp4.te"), want)


def test_schemes_cost_no_compiler() -> None:
    code = "import sys, hwsim.quant as q; q.get('nvfp4.te'); sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def stochastic(value: float, count: int, bits: int, element: str = "e2m1") -> np.ndarray:
    """Draws of one value, in a block whose scale is 1."""
    form = formats.get(element)
    scheme = replace(quant.get("mxfp4.floor"), name="x", element=element, block=16, rounding="sr", sr_bits=bits)
    x = np.full((count, 16), value, F)
    x[:, 0] = form.max
    q = quant.quantize(x, scheme, seed=1)
    assert (q.scales == 127).all()
    return q.dequantize()[:, 1:].ravel()


@pytest.mark.parametrize(("value", "mean"), [(1.99, 1.98828125), (5.999, 5.9921875), (0.3, 0.298828125), (2.0, 2.0)])
def test_eight_bits_round_a_truncated_value(value: float, mean: float) -> None:
    """NVIDIA's rule: the mean is the value truncated to 1/256 of the step, 0.5 below 2, 1 below 4, 2 above.

    The 240000 draws' mean may be off by four standard deviations of a Bernoulli step.
    """
    drawn = stochastic(value, 16000, 8)
    step = 0.5 if value < 2 else 2.0
    assert set(drawn) <= {np.floor(value / step) * step, np.floor(value / step) * step + step}
    assert abs(drawn.mean() - mean) <= 4 * step / 2 / np.sqrt(drawn.size)


@pytest.mark.parametrize("element", ["e2m1", "e4m3", "int8"])
@pytest.mark.parametrize("bits", [1, 4, 24])
def test_probability_of_going_up_counts_in_bits(element: str, bits: int) -> None:
    """floor(fraction 2^bits) / 2^bits, at fraction 0.7 of the distance of neighbours."""
    form = formats.get(element)
    low, step = (1.0, 0.125) if element == "e4m3" else (2.0, 1.0)
    value = low + 0.7 * step
    scheme = replace(quant.get("mxfp4.floor"), name="x", element=element, block=16, rounding="sr", sr_bits=bits)
    x = np.full((8000, 16), value, F)
    x[:, 0] = form.max
    drawn = quant.quantize(x, scheme, seed=2).dequantize()[:, 1:].ravel()
    assert set(drawn) <= {F(low), F(low + step)}
    expected = np.floor(0.7 * 2**bits) / 2**bits
    assert abs((drawn == F(low + step)).mean() - expected) <= 4 * 0.5 / np.sqrt(drawn.size)


def test_seeds_and_elements_are_independent() -> None:
    x = np.random.default_rng(0).standard_normal((64, 64)).astype(F)
    first, again = (quant.quantize(x, "nvfp4.te_sr", seed=1) for _ in range(2))
    other = quant.quantize(x, "nvfp4.te_sr", seed=2)
    assert np.array_equal(first.codes, again.codes)
    assert not np.array_equal(first.codes, other.codes)
    assert np.array_equal(first.scales, other.scales)


def test_headroom_below_the_largest_element_keeps_stochastic_rounding_unbiased() -> None:
    """A scale 17/16 larger: E4M3 to nearest shrinks it by at most 1/17, so the largest element stays at 6 or below.
    Elements saturate at 6, not at the 96/17 that the scale aims at, and values lie on the grid."""
    scheme = replace(quant.get("nvfp4.te_sr"), name="headroom", element_bound=96 / 17, sr_bits=24)
    x = np.random.default_rng(6).standard_normal((64, 128)).astype(F)
    total, square, draws = np.zeros(x.shape), 0.0, 400
    for seed in range(draws):
        q = quant.quantize(x, scheme, seed=seed)
        value = quant.fake_quantize(x, scheme, seed=seed)
        np.testing.assert_array_equal(value, q.dequantize())
        total += value
        square += np.square(value.astype(np.float64) - x).sum()
    assert (q.codes & 7).max() == 7  # 6 is reached
    found, expected = np.square(total / draws - x).sum(), square / draws / draws
    assert found == pytest.approx(expected, rel=0.08)  # 8,192 squared errors: 1.6 % a deviation
    assert (total / draws * x).sum() / np.square(x.astype(np.float64)).sum() == pytest.approx(1, abs=5e-4)

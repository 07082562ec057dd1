"""The exponent rules of MX scales: published tables, borders next to powers of two, special blocks."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import quant

pytest.importorskip("torch", reason="the sources of NVFP4 are torch code")

from nvfp4_sources import F


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

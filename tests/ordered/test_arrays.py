"""Functions against mpmath's 120 bits, sums and products against sums of fractions in the order that is promised."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from hwsim.ordered import arrays, functions, kernels

FUNCTIONS = {  # function -> mpmath's, greatest error in units of the last place of float64
    "exp": (mpmath.exp, 1.5),
    "expm1": (mpmath.expm1, 4.5),
    "log": (mpmath.log, 2.5),
    "log1p": (mpmath.log1p, 4.0),
    "sin": (mpmath.sin, 1.5),
    "cos": (mpmath.cos, 1.5),
    "tanh": (mpmath.tanh, 4.5),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), 3.0),
    "erf": (mpmath.erf, 20.0),
    "softplus": (lambda x: mpmath.log1p(mpmath.exp(x)), 4.0),
    "gelu": (lambda x: x * mpmath.ncdf(x), None),  # cancels below zero: bounded absolutely
    "gelu_tanh": (
        lambda x: x * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf(0.044715) * x**3))) / 2, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_the_nearest_number_but_for_a_few_units(rng, name):
    reference, units = FUNCTIONS[name]
    x = np.concatenate([rng.standard_normal(60) * scale for scale in (1e-9, 1e-3, 0.2, 1.0, 4.0, 20.0, 150.0)])
    if name in ("log", "log1p"):
        x = np.concatenate([np.abs(x), [5e-324, 1e-310, 1e300, 1.0, 1 + 2**-52, 1 - 2**-53]])
    if name in ("sin", "cos"):
        x = np.concatenate([x, [1e5, -1e5, np.pi, np.pi / 2, 31415.926535897932, 22 / 7]])
    made = arrays.apply(getattr(kernels, name), x)
    with mpmath.workprec(400):
        exact = [reference(mpmath.mpf(float(value))) for value in x]
        errors = [abs(mpmath.mpf(float(got)) - want) for got, want in zip(made, exact, strict=True)]
        for value, error, want in zip(x, errors, exact, strict=True):
            room = np.spacing(abs(float(want))) if units else 2**-52 * max(1.0, abs(value))
            assert error <= (units or 10.0) * room, value
    single = np.clip(x, -3e38, 3e38).astype(np.float32)
    with mpmath.workprec(400), np.errstate(over="ignore", under="ignore"):
        wanted = [np.float32(float(reference(mpmath.mpf(float(value))))) for value in single]
    if units:  # rounded from float64, a float32 result is the nearest one
        np.testing.assert_array_equal(arrays.apply(getattr(kernels, name), single), wanted)


def test_special_values_of_functions():
    inf, nan = np.inf, np.nan
    x = np.array([0.0, -0.0, inf, -inf, nan, -1.0])
    expected = {
        "exp": [1, 1, inf, 0, nan, None], "expm1": [0.0, -0.0, inf, -1, nan, None],
        "log": [-inf, -inf, inf, nan, nan, nan], "sigmoid": [0.5, 0.5, 1, 0, nan, None],
        "log1p": [0.0, -0.0, inf, nan, nan, -inf], "sin": [0.0, -0.0, nan, nan, nan, None],
        "cos": [1, 1, nan, nan, nan, None], "tanh": [0.0, -0.0, 1, -1, nan, None],
        "erf": [0.0, -0.0, 1, -1, nan, None],
    }  # fmt: skip
    for name, values in expected.items():
        made = arrays.apply(getattr(kernels, name), x)
        for got, want in zip(made, values, strict=True):
            if want is not None:
                np.testing.assert_array_equal(got, want, err_msg=name)
                assert np.isnan(want) or np.signbit(got) == np.signbit(want), name
    assert list(arrays.apply(kernels.exp, np.array([709.782712893384, 709.79, -745.2]))) == [
        1.7976931348622732e308, inf, 0.0,
    ]  # fmt: skip


def test_powers_follow_ieee_754():
    values = np.array(
        [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, np.inf, -np.inf, np.nan, 1e300, -1e-300]
    )
    x, y = (one.copy() for one in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        expected = np.power(x, y)  # of C, whose annex F has IEEE's table; here only of values that all agree on
    made = arrays.power(x, y)
    plain = np.isfinite(expected) & (expected != 0)
    np.testing.assert_allclose(made[plain], expected[plain], rtol=1e-13)  # y log x: 700 units of 2^-53 at most
    np.testing.assert_array_equal(made[~plain], expected[~plain])
    np.testing.assert_array_equal(np.signbit(made[~np.isnan(made)]), np.signbit(expected[~np.isnan(made)]))


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 100])
def test_a_sum_has_eight_lanes_and_a_rest(rng, n):
    x = (rng.standard_normal((3, n)) * 10.0 ** rng.integers(-9, 9, (3, n))).astype(np.float32)
    for row, got in zip(x.astype(np.float64), arrays.sums(x), strict=True):
        lanes = [0.0] * 8
        for at in range(n - n % 8):
            lanes[at % 8] += row[at]
        rest = 0.0
        for value in row[n - n % 8 :]:
            rest += value
        a, b, c, d, e, f, g, h = lanes
        assert got == (((a + b) + (c + d)) + ((e + f) + (g + h))) + rest


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (3, 33, 17), (5, 64, 8), (2, 7, 0), (4, 5, 31)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_adds_up_k_after_k(rng, m, n, k, dtype):
    a, b = (
        (rng.standard_normal((rows, k)) * 10.0 ** rng.integers(-6, 6, (rows, k))).astype(dtype) for rows in (m, n)
    )
    expected = np.empty((m, n), dtype)
    for i in range(m):
        for j in range(n):
            total = 0.0
            for p in range(k):
                total += float(a[i, p]) * float(b[j, p])  # of float32 the product is exact
            expected[i, j] = total
    np.testing.assert_array_equal(arrays.products(a, b).view(np.uint8), expected.view(np.uint8))
    if dtype == np.float32 and k:
        exact = float(
            sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a[0], b[0], strict=True)), Fraction(0))
        )
        bound = k * 2**-53 * float(np.abs(a[0].astype(float)) @ np.abs(b[0].astype(float)))
        assert abs(arrays.products(a, b, np.float64)[0, 0] - exact) <= bound


def test_softmax_is_rounded_once(rng):
    x = (rng.standard_normal((7, 45)) * 5).astype(np.float32)
    x[0, :3], x[1, 5] = -np.inf, 60.0
    with mpmath.workprec(120):
        for row, got, logs in zip(x, arrays.softmax(x), arrays.softmax(x, logarithm=True), strict=True):
            powers = [mpmath.exp(mpmath.mpf(float(value))) for value in row]
            total = mpmath.fsum(powers)
            np.testing.assert_array_equal(got, [np.float32(float(one / total)) for one in powers])
            finite = np.isfinite(row)
            wanted = [
                np.float32(float(mpmath.log(one / total))) for one, ok in zip(powers, finite, strict=True) if ok
            ]
            np.testing.assert_allclose(logs[finite], wanted, rtol=0, atol=2**-50)  # a share next to 1 has no log
            far = np.abs(wanted) > 1e-3
            np.testing.assert_array_equal(logs[finite][far], np.array(wanted)[far])
            assert (logs[~finite] == -np.inf).all()
    assert np.isnan(arrays.softmax(np.array([[1.0, np.nan], [-np.inf, -np.inf]], np.float32))).all()


def test_layer_norm_is_rounded_once(rng):
    x = (rng.standard_normal((5, 37)) * 3 + 100).astype(np.float32)
    w, b = rng.standard_normal(37).astype(np.float32), rng.standard_normal(37).astype(np.float32)
    made, moments = arrays.layer_norm(x, w, b, 1e-5)
    with mpmath.workprec(120):
        for row, got, (mean, scale) in zip(x, made, moments, strict=True):
            values = [mpmath.mpf(float(one)) for one in row]
            centre = mpmath.fsum(values) / 37
            inverse = 1 / mpmath.sqrt(mpmath.fsum((one - centre) ** 2 for one in values) / 37 + mpmath.mpf(1e-5))
            wanted = [
                np.float32(float((one - centre) * inverse * float(g) + float(o)))
                for one, g, o in zip(values, w, b, strict=True)
            ]
            np.testing.assert_array_equal(got, wanted)
            assert abs(mean - float(centre)) <= 1e-14 * abs(mean)
            assert abs(scale - float(inverse)) <= 1e-13 * scale


def test_threads_change_no_bit(rng, monkeypatch):
    a, b = rng.standard_normal((300, 64)).astype(np.float32), rng.standard_normal((900, 64)).astype(np.float32)
    found = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
        x = np.tile(a, (40, 1))
        parts = arrays.products(x, b), arrays.softmax(x), arrays.apply(kernels.exp, x), arrays.sums(x)
        found.append([part.tobytes() for part in parts])
    assert found[0] == found[1] == found[2]


def test_constants_are_the_numbers_they_are_named_after():
    with mpmath.workprec(200):
        pieces = mpmath.mpf(functions.PI_1) + functions.PI_2 + functions.PI_3 + functions.PI_4
        assert abs(pieces - mpmath.pi / 2) < mpmath.mpf(2) ** -150
        assert abs(mpmath.mpf(functions.LN2_HIGH) + functions.LN2_LOW - mpmath.log(2)) < mpmath.mpf(2) ** -85
        for name, exact in {
            "LOG2_E": 1 / mpmath.log(2), "TWO_BY_PI": 2 / mpmath.pi, "TWO_BY_ROOT_PI": 2 / mpmath.sqrt(mpmath.pi),
            "ROOT_TWO_BY_PI": mpmath.sqrt(2 / mpmath.pi), "ROOT_HALF": 1 / mpmath.sqrt(2),
        }.items():  # fmt: skip
            assert getattr(functions, name) == float(exact), name

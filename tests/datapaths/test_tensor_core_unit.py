"""Tensor cores as units: codes split into fields, specs, names, facts, messages."""

from __future__ import annotations

import numpy as np
import pytest
from tensor_core_operands import UNITS

from hwsim import datapaths, formats
from hwsim.datapaths.dot import ROWS, reference
from hwsim.datapaths.dot.elements import INF, NAN, element, parts
from hwsim.errors import ArgumentError, UnknownName


@pytest.mark.parametrize("name", ["e2m1", "e3m2", "e2m3", "e4m3", "e5m2", "ue4m3", "e8m0", "fp16", "bf16"])
def test_splitting_a_code_loses_nothing(name):
    """Significand and exponent against the value that the format catalogue gives, for every code."""
    form, codes = element(name), np.arange(1 << element(name).word_bits).astype(element(name).code_dtype)
    significands, exponents = parts(form, codes)
    values = formats.get(name).decode(codes)
    finite = exponents < INF
    np.testing.assert_array_equal(
        np.ldexp(significands[finite].astype(np.float64), exponents[finite].astype(int) - form.mantissa_bits),
        values[finite],
    )
    np.testing.assert_array_equal(np.isnan(values), exponents == NAN)
    np.testing.assert_array_equal(np.isinf(values), exponents == INF)
    sample = codes if len(codes) <= 256 else codes[::97]
    for word in sample.tolist():
        scalar = reference.number(form, word)
        kind = "nan" if exponents[word] == NAN else "inf" if exponents[word] == INF else "finite"
        assert scalar.kind == kind
        assert kind != "finite" or (scalar.significand, scalar.e) == (significands[word], exponents[word])


@pytest.mark.parametrize(("name", "dtype"), [("e4m3fnuz", "float8_e4m3fnuz"), ("e5m2fnuz", "float8_e5m2fnuz")])
def test_fp8_of_cdna3_equals_ml_dtypes(name, dtype):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    codes = np.arange(256, dtype=np.uint8)
    values = codes.view(getattr(ml_dtypes, dtype)).astype(np.float64)
    significands, exponents = parts(element(name), codes)
    np.testing.assert_array_equal(np.isnan(values), exponents == NAN)
    finite = exponents < INF
    np.testing.assert_array_equal(
        np.ldexp(significands.astype(np.float64), exponents - element(name).mantissa_bits)[finite], values[finite]
    )


# The catalogue


def test_spec_builds_the_same_unit_again():
    for arch, operand, out in UNITS:
        unit = datapaths.tensor_core(arch, operand, out)
        assert datapaths.from_spec(unit.spec()) == unit
    mixed = datapaths.tensor_core("blackwell", ("e4m3", "e2m1"), promote_every=128)
    assert mixed.spec()["operand"] == ["e4m3", "e2m1"]
    assert datapaths.from_spec(mixed.spec()) == mixed
    assert hash(datapaths.from_spec(mixed.spec())) == hash(mixed)
    assert (mixed.name, mixed.a_format, mixed.b_format) == ("blackwell.e4m3*e2m1.promote128", "e4m3", "e2m1")


def test_names_are_unique_and_every_row_has_a_source():
    names = [datapaths.tensor_core(*unit).name for unit in UNITS]
    assert len(set(names)) == len(names)
    assert all(row.source and row.instruction for row in ROWS)


def test_facts_of_a_unit():
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    assert (unit.scale_format, unit.block, unit.accumulator_bits) == ("ue4m3", 16, 32)
    assert datapaths.tensor_core("hopper", "e4m3").accumulator_bits == 22


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("pascal", "fp16"), UnknownName, "tensor_core.arch: arch of a tensor core must be one of {}, got 'pascal'"),
        (("hopper", "nvfp4"), UnknownName, "tensor_core.operand: operand of hopper must be one of {}, got 'nvfp4'"),
        (("volta", "bf16"), UnknownName, "tensor_core.operand: operand of volta must be one of fp16, got 'bf16'"),
        (
            ("hopper", ("e4m3", "fp16")),
            ArgumentError,
            "tensor_core.operand: operand b beside e4m3 on hopper must be one of e4m3, e5m2, got 'fp16'",
        ),
        (
            ("ampere", "bf16", "fp16"),
            ArgumentError,
            "tensor_core.out: a float16 result on ampere needs an operand of fp16, got 'bf16'",
        ),
        (("hopper", "fp16", "bf16"), ArgumentError, "tensor_core.out: out must be 'fp32' or 'fp16', got 'bf16'"),
        (
            ("hopper", "e4m3", "fp32", 100),
            ArgumentError,
            "tensor_core.promote_every: promote_every must be a multiple of 32 on a unit with a float32 result of "
            "its own, got 100",
        ),
    ],
)
def test_what_does_not_exist_is_refused_by_name(arguments, error, message):
    with pytest.raises(error) as caught:
        datapaths.tensor_core(*arguments)
    start, _, end = message.partition("{}")
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(end)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": np.zeros((2, 16), np.int8)}, "dot.a: codes of e2m1 must be uint8, got 'int8'"),
        ({"b": np.full((3, 16), 16, np.uint8)}, "dot.b: codes of e2m1 must be below 16, got 16"),
        (
            {"b": np.zeros((3, 32), np.uint8)},
            "matmul: matmul needs a [M, K] and b [N, K] with one K, got ((2, 16), (3, 32))",
        ),
        ({"scale_a": None}, "matmul.scale_a: scales must be uint8 of shape (2, 1), got None"),
        (
            {"scale_b": np.zeros((3, 2), np.uint8)},
            "matmul.scale_b: scales must be uint8 of shape (3, 1), got ('uint8', (3, 2))",
        ),
        ({"c": np.zeros((2, 3))}, "matmul.c: c must be float32 of shape (2, 3), got ('float64', (2, 3))"),
    ],
)
def test_operands_that_do_not_fit_are_refused(change, message):
    good = {
        "a": np.zeros((2, 16), np.uint8),
        "b": np.zeros((3, 16), np.uint8),
        "c": None,
        "scale_a": np.zeros((2, 1), np.uint8),
        "scale_b": np.zeros((3, 1), np.uint8),
    }
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    assert unit.matmul(**good).shape == (2, 3)
    with pytest.raises(ArgumentError) as caught:
        unit.matmul(**(good | change))
    assert str(caught.value) == message


def test_a_unit_without_scales_refuses_them():
    unit = datapaths.tensor_core("hopper", "e4m3")
    a = np.zeros((1, 32), np.uint8)
    with pytest.raises(ArgumentError) as caught:
        unit.dot(a, a, None, a, a)
    assert str(caught.value) == "dot.scale_a: hopper.e4m3 takes no scales, got (1, 32)"


def test_the_catalogue_loads_no_compiler():
    import subprocess
    import sys

    unit = "datapaths.tensor_core('hopper', 'e4m3').spec()"
    program = f"import sys; from hwsim import datapaths; {unit}; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

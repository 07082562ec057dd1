"""What users hand over: float64 and whole numbers round once, torch's tensors are read as they are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import hwsim
from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.formats import reference

NAMES = ("e2m1", "e4m3", "e5m2", "e8m0", "ue4m3", "fp16", "bf16", "tf32", "fp32", "int8", "int4")
ROUNDINGS = ("rne", "rz", "rp", "away")


def hard_doubles(form, rng):
    """Midpoints and values of the format, with the float64 neighbours of each, which float32 cannot tell apart."""
    codes = rng.integers(0, min(form.code_count, 1 << 31), 60).astype(form.code_dtype)
    values = form.decode(codes).astype(np.float64)
    values = np.unique(np.append(values[np.isfinite(values)], [form.max, form.smallest, 0.0]))
    near = np.concatenate([values, (values[1:] + values[:-1]) / 2, [form.max * 1.03125, form.smallest / 2]])
    near = np.concatenate([near, np.nextafter(near, np.inf), np.nextafter(near, -np.inf)])
    return np.concatenate([near, -near, [1e300, -1e300, 5e-324, np.inf, -np.inf, np.nan]])


def test_a_double_just_inside_a_tie_is_not_pushed_onto_it():
    e4m3 = formats.get("e4m3")
    value = -431.99999999999994  # between -416 and -448, whose middle is -432: nearer to -416
    assert e4m3.decode(e4m3.encode(value)) == -416
    assert e4m3.decode(e4m3.encode([value, -432.0])).tolist() == [-416, -448]


@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", NAMES)
def test_doubles_round_once(name, rounding, saturate, rng):
    form = formats.get(name)
    values = hard_doubles(form, rng)
    expected = [reference.encode(form, float(value), rounding, saturate=saturate) for value in values]
    np.testing.assert_array_equal(form.encode(values, rounding, saturate=saturate), expected)


@pytest.mark.parametrize(("name", "sr_bits"), [("e4m3", 32), ("e2m1", 7), ("bf16", 16), ("fp32", 32), ("e5m2", 1)])
def test_doubles_round_stochastically_once(name, sr_bits, rng):
    form = formats.get(name)
    values = hard_doubles(form, rng)
    random = rng.integers(0, 1 << 32, len(values), dtype=np.uint32)
    expected = [
        reference.encode(form, float(value), "sr", random=int(word), sr_bits=sr_bits)
        for value, word in zip(values, random, strict=True)
    ]
    np.testing.assert_array_equal(form.encode(values, "sr", random, sr_bits=sr_bits), expected)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", ["bf16", "fp32", "tf32"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.longdouble])
def test_whole_numbers_and_long_doubles_round_once(name, dtype, rounding):
    form = formats.get(name)
    bits = form.mantissa_bits
    ties = [(1 << 62) + (1 << (61 - bits)) + step for step in (-1, 0, 1)]  # neighbours of a tie, one apart in 2^62
    values = [*ties, (1 << 63) - 1, 0, 7]
    for value, code in zip(values, form.encode(np.array(values, dtype), rounding), strict=True):
        kept, rest = divmod(Fraction(value), Fraction(2) ** max(value.bit_length() - 1 - bits, 0))
        step = Fraction(2) ** max(value.bit_length() - 1 - bits, 0)
        up = {
            "rne": rest * 2 > step or (rest * 2 == step and kept % 2 == 1), "rz": False, "rp": rest > 0,
            "away": rest * 2 >= step,
        }[rounding]  # fmt: skip
        assert Fraction(float(form.decode(np.array([code]))[0])) == (kept + up) * step, value


def test_tensors_of_torch_are_read_as_they_are():
    torch = pytest.importorskip("torch")
    numbers = torch.linspace(-3, 3, 64, dtype=torch.bfloat16)
    e4m3 = formats.get("e4m3")
    plain = numbers.float().numpy()
    np.testing.assert_array_equal(e4m3.encode(numbers), e4m3.encode(plain))
    np.testing.assert_array_equal(e4m3.encode(numbers.to(torch.float8_e4m3fn)), e4m3.encode(numbers))
    parameter = torch.nn.Parameter(numbers.float())
    np.testing.assert_array_equal(e4m3.encode(parameter), e4m3.encode(plain))
    np.testing.assert_array_equal(e4m3.encode(torch.tensor([-431.99999999999994], dtype=torch.float64)), [0xFD])
    for given in (numbers, parameter, numbers.double().requires_grad_()):
        made = hwsim.quantize(given, "nvfp4.te")
        np.testing.assert_array_equal(made.codes, hwsim.quantize(plain, "nvfp4.te").codes)
        np.testing.assert_array_equal(
            hwsim.fake_quantize(given, "nvfp4.te"), hwsim.fake_quantize(plain, "nvfp4.te")
        )  # fmt: skip
    np.testing.assert_array_equal(hwsim.quant.hadamard(parameter), hwsim.quant.hadamard(plain))


def test_what_is_no_number_is_refused():
    rule = "e4m3: values must be real numbers, whole ones of at most 64 bits"
    for given, kind in (([1 + 2j], "complex128"), (["x"], "str32"), ([1 << 80], "object")):
        with pytest.raises(ArgumentError) as caught:
            formats.get("e4m3").encode(given)
        assert str(caught.value) == f"{rule}, got {kind!r}"

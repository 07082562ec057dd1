"""Free dot units: any formats, groups, blocks and scales. Reference = kernel = product = Verilog, drawn at random."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hwsim import datapaths, formats
from hwsim.cost import load_coefficients
from hwsim.datapaths.dot import reference
from hwsim.datapaths.dot.cost import FREE_ERROR
from hwsim.datapaths.dot.kernels import runner
from hwsim.datapaths.dot.verilog import dot_unit
from hwsim.errors import ArgumentError, UnknownName
from hwsim.rtl.bench import run_rtl
from hwsim.rtl.tools import available

ELEMENTS = (
    "e1m1", "e2m0", "e2m1", "e1m2", "e3m0", "e1m3", "e2m2", "e3m1", "e4m0", "e2m3", "e3m2", "e4m1", "e3m3", "e2m4",
    "e4m2", "e5m1", "e3m4", "e4m3", "e5m2", "e2m5", "e4m3_ieee",
)  # fmt: skip
SCALES = (None, "e8m0", "ue4m3", "ue5m3", "e4m3", "e2m3", "e6m1")
SIDES = ("scale_a", "scale_b")


def drawn(seed: int, count: int) -> list[datapaths.dot]:
    """Units that exist, at random."""
    rng = np.random.default_rng(seed)
    units: list[datapaths.dot] = []
    while len(units) < count:
        a = str(rng.choice(ELEMENTS))
        scale = SCALES[rng.integers(len(SCALES))]
        try:
            units.append(
                datapaths.dot(
                    a, str(rng.choice(ELEMENTS)) if rng.random() < 0.5 else a,
                    group=int(rng.choice([4, 8, 16, 24, 32, 64])), fraction_bits=int(rng.integers(5, 36)),
                    align="grouped" if scale and rng.random() < 0.4 else "fused",
                    block=None if scale is None else int(rng.choice([8, 16, 32, 64, 128])), scale=scale,
                    acc="e8m13" if rng.random() < 0.2 else "fp32", sub_group=int(rng.choice([4, 8, 16])),
                )
            )  # fmt: skip
        except ArgumentError:  # blocks that do not divide, sums of more than 62 bits
            continue
    return units


def agree(unit: datapaths.dot, rows: int, verilog: bool) -> None:
    circuit = dot_unit(unit)
    values = circuit.operands(np.random.default_rng(1), rows)
    golden = circuit.golden(values)["d"]
    form_a, form_b = unit.forms
    a = values["a"].reshape(rows, -1).astype(form_a.code_dtype)
    b = values["b"].reshape(rows, -1).astype(form_b.code_dtype)
    c = values["c"].astype(np.uint32).view(np.float32)
    scales = [values[name].reshape(rows, -1).astype(np.uint8) if name in values else None for name in SIDES]
    for row in range(min(rows, 60)):
        own = [() if one is None else one[row] for one in scales]
        assert reference.dot(unit, a[row], b[row], c[row], *own) == golden[row], (unit.name, row)
    few = slice(0, 24)
    product = unit.matmul(
        a[few], b[few], np.repeat(c[few, None], 24, 1), *(None if one is None else one[few] for one in scales)
    )
    np.testing.assert_array_equal(np.diagonal(product).view(np.uint32), golden[few], unit.name)
    if verilog and available("iverilog", "vvp"):
        assert run_rtl(circuit, values) == 0, unit.name


@pytest.mark.parametrize("unit", drawn(11, 12), ids=lambda unit: unit.name)
def test_a_random_unit_is_one_object(unit: datapaths.dot) -> None:
    agree(unit, 150, verilog=unit.group <= 32)


@pytest.mark.slow
@pytest.mark.parametrize("unit", drawn(12, 200), ids=lambda unit: unit.name)
def test_two_hundred_random_units(unit: datapaths.dot) -> None:
    agree(unit, 1000, verilog=True)


def test_scales_of_ue5m3_in_blocks_of_64() -> None:
    """E2M1 in groups of 64 beside UE5M3 scales: the fast kernel fits, and the circuit follows."""
    unit = datapaths.dot("e2m1", group=64, align="grouped", fraction_bits=35, block=64, scale="ue5m3")
    assert runner.grouped_fits(unit)
    agree(unit, 300, verilog=True)


def test_small_sums_are_exact() -> None:
    """Where nothing is cut, a group is the truncated sum of fractions: E3M1 with UE5M3 scales near one."""
    unit = datapaths.dot("e3m1", group=8, fraction_bits=40, block=8, scale="ue5m3")
    rng = np.random.default_rng(5)
    element, scale = formats.get("e3m1"), formats.get("ue5m3")
    a, b = (rng.integers(0, 32, (200, 8)).astype(np.uint8) for _ in "ab")
    scale_a, scale_b = (rng.integers(110, 130, (200, 1)).astype(np.uint8) for _ in "ab")
    found = unit.dot(a, b, None, scale_a, scale_b)
    for row in range(200):
        products = [
            Fraction(float(x)) * Fraction(float(y))
            for x, y in zip(element.decode(a[row]), element.decode(b[row]), strict=True)
        ]
        exact = (
            sum(products)
            * Fraction(float(scale.decode(scale_a[row])[0]))
            * Fraction(float(scale.decode(scale_b[row])[0]))
        )
        near = np.float32(float(exact))  # float64 holds such sums
        wanted = near if abs(Fraction(float(near))) <= abs(exact) else np.nextafter(near, np.float32(0))
        assert found[row] == wanted


def test_exact_sums_are_rounded_once() -> None:
    """Terms 2^40 apart, of which the small one decides a tie."""
    unit = datapaths.dot("e5m2", group=4, align="exact")
    one = formats.get("e5m2").encode
    a, b = one(np.array([[2.0**12, 2.0**-14, 0, 0]])), one(np.array([[2.0**12, 2.0**-14, 0, 0]]))
    c = np.array([1.0], np.float32)
    assert unit.dot(a, b, c)[0] == np.float32(2.0**24 + 2)  # 2^24 + 1 + 2^-28 lies above the tie
    assert unit.dot(a * np.uint8(0) + one(np.array([2.0**12, 0, 0, 0])), b, c)[0] == np.float32(2.0**24)


def test_named_values_keep_their_facts() -> None:
    nvfp4 = datapaths.tensor_core("blackwell", "nvfp4")
    free = replace(nvfp4, named=None)
    assert free == datapaths.dot(
        "e2m1", group=64, fraction_bits=35, align="grouped", block=16, scale="ue4m3", e_zero=-139
    )
    assert free.name == "dot.e2m1.g64.grouped16.f35.b16xue4m3"
    with pytest.raises(ArgumentError, match=r"^dot.named: a named unit must have the facts of blackwell.nvfp4; "):
        replace(nvfp4, fraction_bits=25)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"a": "e9m9"}, UnknownName, "format must be one of"),
        ({"a": "int8"}, ArgumentError, "dot: an element must be a float with a sign, a zero and at most 10 mantissa"),
        ({"a": "e2m1", "block": 32}, ArgumentError, "dot: block and scale must come together, got (32, None)"),
        (
            {"a": "e2m1", "block": 24, "scale": "e8m0", "group": 16}, ArgumentError,
            "dot.block: a block must be a divisor or a multiple of the group of 16, got 24",
        ),
        ({"a": "e2m1", "block": 16, "scale": "e5m2"}, ArgumentError, "dot.scale: scales must be floats of at most 8"),
        ({"a": "e2m1", "align": "grouped"}, ArgumentError, "dot.sub_group: a grouped unit must have blocks of whole"),
        (
            {"a": "e5m2", "align": "grouped", "block": 16, "scale": "e8m0"}, ArgumentError,
            "dot.fraction_bits: terms and their sum must fit 62 bits, fewer fraction bits or narrower formats would",
        ),
        ({"a": "e2m1", "acc": "bf16"}, ArgumentError, "dot: acc must be 'fp32', 'e8m13' or 'fp16', got 'bf16'"),
        ({"a": "e2m1", "rounding": "rne", "acc": "e8m13"}, ArgumentError, "dot: acc and rounding must be one of"),
        ({"a": "e2m1", "e_zero": -100}, ArgumentError, "dot: e_zero must lie in -160..-126, got -100"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_is_refused(fields: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        datapaths.dot(**fields)
    assert str(caught.value).startswith(message)


def test_what_no_fit_has_seen_says_so() -> None:
    """Coefficients stand on UE4M3 and E8M0 scales in blocks of 16 and 32: other scales carry another error."""
    held = load_coefficients()

    def error(unit: datapaths.dot) -> float:
        return max(block.area.relative_error for block in unit.price.blocks(held)[0])

    nvfp4 = datapaths.tensor_core("blackwell", "nvfp4")
    free = replace(nvfp4, named=None)
    assert error(free) == error(nvfp4) == pytest.approx(held["dot.grouped.area.constant"].relative_error)
    both = math.exp(math.hypot(math.log1p(error(free)), math.log1p(FREE_ERROR))) - 1  # causes add in quadrature
    assert error(replace(free, block=64, scale="ue5m3")) == pytest.approx(both)
    fused = datapaths.dot("e3m1", group=16)
    assert error(fused) == pytest.approx(held["dot.fused.area.constant"].relative_error)
    assert error(replace(fused, block=16, scale="ue4m3")) > error(fused) + 0.2

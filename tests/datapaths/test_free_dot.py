"""Free dot units: any formats, groups, blocks and scales. Reference = kernel = product = Verilog, drawn at random."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensor_core_operands import EDGES, KINDS, assert_product_equals_dot
from yosys_eval import eval_mismatches

from hwsim import datapaths, formats
from hwsim.cost import load_coefficients
from hwsim.datapaths.base import MissingView
from hwsim.datapaths.dot import reference
from hwsim.datapaths.dot.cost import FREE_ERROR, OTHER_ERROR
from hwsim.datapaths.dot.kernels import runner
from hwsim.datapaths.dot.verilog import dot_unit
from hwsim.errors import ArgumentError, UnknownName
from hwsim.gates.synth_report import gate_mismatches
from hwsim.gates.synthesis import synth
from hwsim.rtl.bench import run_rtl
from hwsim.rtl.tools import available
from hwsim.studies import free_units
from hwsim.studies.free_units import EVERY, drawn

SIDES = ("scale_a", "scale_b")
REPORT = Path(__file__).parents[2] / "reports" / "free_units.md"


def agree(unit: datapaths.dot, rows: int, verilog: bool, simulated: int | None = None) -> None:
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
        assert run_rtl(circuit, {name: held[:simulated] for name, held in values.items()}) == 0, unit.name


def exponent(value: Fraction, form: formats.Format) -> int:
    """Of a number as it is written: a subnormal keeps the smallest."""
    high = value.numerator.bit_length() - value.denominator.bit_length()
    return max(high - (abs(value) < Fraction(2) ** high), (1 if form.zero else 0) - form.bias)


def truncated(total: Fraction, bits: int) -> int:
    """The float32 word of a sum, toward zero, `bits` of fraction kept."""
    if not total:
        return 0
    step = Fraction(2) ** (max(exponent(total, formats.get("fp32")), -126) - bits)
    kept = math.trunc(total / step) * step
    if abs(kept) >= Fraction(2) ** 128:
        return 0x7F800000 | (total < 0) << 31
    return int(np.float32(float(kept)).view(np.uint32)) if kept else 0


def exact_word(unit: datapaths.dot, a: Any, b: Any, c: np.float32, scale_a: Any, scale_b: Any) -> int | None:
    """The result in fractions, from the values of the codes alone; None where a term has bits that are cut."""
    form_a, form_b = formats.get(unit.a), formats.get(unit.b)
    values = [[Fraction(float(x)) for x in form.decode(codes)] for form, codes in ((form_a, a), (form_b, b))]
    scales, shared = [(Fraction(1), 0)], 1
    if unit.scale is not None:
        form, shared = formats.get(unit.scale), min(unit.block, unit.group)
        unread = np.uint8((1 << form.bits - form.signed) - 1)  # a sign is not read
        pairs = zip(form.decode(scale_a & unread), form.decode(scale_b & unread), strict=True)
        each = [(Fraction(float(x)), Fraction(float(y))) for x, y in pairs]
        scales = [(x * y, exponent(x, form) + exponent(y, form) if x * y else 0) for x, y in each]
    else:
        shared = unit.group
    terms = []
    wide = unit.sub_group if unit.align == "grouped" else 1
    for first in range(0, unit.group, wide):
        scale, e = scales[first // shared]
        pairs = list(zip(*(side[first : first + wide] for side in values), strict=True))
        if wide == 1 and all(pairs[0]):
            e += exponent(pairs[0][0], form_a) + exponent(pairs[0][1], form_b)
        some = scale and any(x * y for x, y in pairs)
        terms.append((sum(x * y for x, y in pairs) * scale, e if some else unit.e_zero))
    start = Fraction(float(c))
    terms.append((start, exponent(start, formats.get("fp32")) if start else unit.e_zero))
    unit_of_cut = Fraction(2) ** (max(e for _, e in terms) - unit.fraction_bits)
    if any((term / unit_of_cut).denominator != 1 for term, _ in terms):
        return None
    return truncated(sum(term for term, _ in terms), 13 if unit.acc == "e8m13" else 23)


def fractions_agree(unit: datapaths.dot, rows: int, seed: int = 2) -> None:
    """Rows of one product, its negative and zeros, and of two that are near: few bits are cut."""
    rng = np.random.default_rng(seed)
    found = 0
    for row in range(rows):
        codes, steps = [], []
        for name in (unit.a, unit.b):
            form = formats.get(name)
            held = np.arange(1 << form.bits).astype(np.uint8)
            value = form.decode(held)
            usable = held[np.isfinite(value) & (value > 0)]
            if row % 2:  # powers of two
                usable = usable[np.frexp(form.decode(usable))[0] == 0.5]
            at = int(rng.integers(len(usable)))
            near = usable[[at, min(at + row % 3, len(usable) - 1)]]
            codes.append(rng.choice(near, unit.group))
            steps.append(form)
        sign = np.uint8(1 << steps[0].bits - 1)
        a = np.where(rng.random(unit.group) < 0.5, codes[0], codes[0] | sign).astype(np.uint8)
        a[rng.random(unit.group) < 0.3] = 0
        scales: list[Any] = [None, None]
        if unit.scale is not None:
            form = formats.get(unit.scale)
            held = np.arange(1 << form.bits - form.signed).astype(np.uint8)
            value = form.decode(held)
            middle = held[np.isfinite(value) & (value > 2.0**-20) & (value < 2.0**20)]
            scales = [np.full(max(unit.group // unit.block, 1), rng.choice(middle)) for _ in SIDES]
        c = np.float32(0 if row % 4 < 2 else rng.integers(-9, 10) * 2.0 ** int(rng.integers(-6, 7)))
        word = exact_word(unit, a, codes[1], c, *scales)
        if word is not None:
            found += 1
            made = unit.dot(a[None], codes[1][None], c[None], *(None if one is None else one[None] for one in scales))
            assert int(made.view(np.uint32)[0]) == word, (unit.name, row)
    assert found >= rows // 20, f"{found} rows of {unit.name} are exact"  # few bits cut most of them


@pytest.mark.parametrize("unit", drawn(11, 12), ids=lambda unit: unit.name)
def test_a_random_unit_is_one_object(unit: datapaths.dot) -> None:
    agree(unit, 150, verilog=unit.group <= 32)
    fractions_agree(unit, 40)


FAST = [
    datapaths.dot("e2m1", group=16, fraction_bits=13, block=16, scale="ue4m3"),
    datapaths.dot("e2m1", group=64, fraction_bits=25, block=8, scale="ue5m3"),  # four products share an int32
    datapaths.dot("e2m3", group=4, fraction_bits=19, block=128, scale="ue4m3", acc="e8m13"),  # as do sixteen
    datapaths.dot("e2m3", group=64, fraction_bits=13, block=32, scale="ue4m3", acc="e8m13"),  # and all 64 a float32
    datapaths.dot("e2m1", group=32, fraction_bits=10, block=128, scale="e8m0"),
    datapaths.dot("e4m3", group=16, fraction_bits=22, block=8, scale="e8m0", rounding="rne"),
    datapaths.dot("e5m2", "e3m2", group=8, fraction_bits=7, block=16, scale="e4m3", promote_every=32),
    datapaths.dot("e4m3", group=16, fraction_bits=20, acc="fp16"),
]


@pytest.mark.parametrize("unit", FAST, ids=lambda unit: unit.name)
def test_the_fast_product_equals_the_integer_kernel(unit: datapaths.dot) -> None:
    """Specials, scales far apart, sums that cancel, subnormal and overflowing results, c of every size."""
    assert runner.fused_fits(unit)
    assert_product_equals_dot(unit, KINDS + EDGES, 5, rows=10, columns=131, length=150)


@pytest.mark.parametrize(("fraction_bits", "result"), [(7, 127.5), (23, 127.75)])
def test_zeros_cut_a_sum_that_has_more_bits_than_the_window(fraction_bits: int, result: float) -> None:
    """4 · 28 + 14 + 1 + 1/2 + 1/4 has the exponent 4 of its largest term, and a last bit of 2^(4 - 7); when zeros
    come it stands at exponent 6, and 2^(6 - 7) takes its quarter."""
    unit = datapaths.dot("e5m2", group=8, fraction_bits=fraction_bits)
    encode = formats.get("e5m2").encode
    a = np.zeros((1, 24), np.uint8)
    a[0, :8] = encode(np.float32([28, 28, 28, 28, 14, 1, 0.5, 0.25]))
    b = encode(np.ones((1, 24), np.float32))
    assert unit.matmul(a, b).tolist() == [[result]]
    assert unit.dot(a, b).tolist() == [result]


def test_what_the_fast_product_cannot_hold_goes_by_the_integer_kernel() -> None:
    """Significands of 11 and 4 bits on either side are more than 24; terms of 30 bits leave no sum of 4 room."""
    wide = datapaths.dot("tf32", group=8, fraction_bits=13, block=8, scale="ue4m3")
    assert [wide.term_bits, runner.fused_fits(wide)] == [30, False]
    deep = datapaths.dot("e2m1", group=8, fraction_bits=26, block=8, scale="ue4m3")
    assert [deep.fraction_bits + deep.integer_bits, runner.fused_fits(deep)] == [30, False]
    for unit in (wide, deep):
        assert_product_equals_dot(unit, KINDS, 6, rows=4, columns=9, length=40)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "unit"), [*enumerate(drawn())], ids=lambda one: getattr(one, "name", str(one)))
def test_two_hundred_random_units(place: int, unit: datapaths.dot, tmp_path: Path) -> None:
    """Emulator = scalar reference = fractions where nothing is cut = Verilog = gates (one in ten); and a price."""
    wide = unit.group > 16 and available("yosys")
    agree(unit, 1000, verilog=True, simulated=1000 // unit.group if wide else None)
    fractions_agree(unit, 60)
    circuit = dot_unit(unit)
    if wide:
        assert eval_mismatches(circuit, circuit.operands(np.random.default_rng(1), 1000), tmp_path) == 0
    if place % EVERY == 0 and available("yosys", "yosys-abc"):
        assert gate_mismatches(circuit, synth(circuit).netlist, circuit.operands(np.random.default_rng(3), 1000)) == 0
    held = load_coefficients()
    if unit.align == "grouped" and (unit.a, unit.b) != ("e2m1", "e2m1"):
        with pytest.raises(MissingView, match="price of exact sums of other elements than e2m1"):
            unit.price.blocks(held)
    else:
        assert sum(block.area.value for block in unit.price.blocks(held)[0]) > 0


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
    """Fused coefficients stand on some elements and windows, all on UE4M3 and E8M0 scales in blocks of 16 and 32."""
    held = load_coefficients()

    def error(unit: datapaths.dot) -> float:
        return max(block.area.relative_error for block in unit.price.blocks(held)[0])

    def both(one: float, other: float) -> float:
        return math.exp(math.hypot(math.log1p(one), math.log1p(other))) - 1  # causes add in quadrature

    nvfp4 = datapaths.tensor_core("blackwell", "nvfp4")
    free = replace(nvfp4, named=None)
    grouped, known = (held[f"dot.{align}.area.constant"].relative_error for align in ("grouped", "fused"))
    assert error(free) == error(nvfp4) == pytest.approx(grouped)
    assert error(replace(free, block=64, scale="ue5m3")) == pytest.approx(both(grouped, FREE_ERROR))
    fused = datapaths.dot("e3m2", group=16)
    assert error(fused) == pytest.approx(known)
    assert error(replace(fused, fraction_bits=8)) == pytest.approx(both(known, OTHER_ERROR))
    assert error(replace(fused, b="e3m1")) == pytest.approx(both(known, OTHER_ERROR))
    assert error(replace(fused, block=16, scale="ue4m3")) == pytest.approx(both(known, FREE_ERROR))


def test_their_errors_are_those_of_the_report() -> None:
    rows = [line.split(" | ") for line in REPORT.read_text().splitlines() if " scales" in line and line[0] == "|"]
    largest = [[float(row[at].strip(" |%")) / 100 for at in (3, 5)] for row in rows]
    assert [round(max(row), 2) for row in largest] == [OTHER_ERROR, FREE_ERROR]


@pytest.mark.slow
def test_their_prices_deviate_as_reported() -> None:
    assert free_units.report() == REPORT.read_text()


PLUS, MINUS, NAN = 0x7F800000, 0xFF800000, 0x7FFFFFFF


@pytest.mark.parametrize(
    ("a", "b", "scale", "word"),
    [
        ((0x7C, 0x3C), (0x2, 0x2), 0x38, PLUS),
        ((0x7C, 0x3C), (0xA, 0x2), 0x38, MINUS),
        ((0x7C, 0x3C), (0x0, 0x2), 0x38, NAN),  # infinity times zero
        ((0x7C, 0x3C), (0x2, 0x2), 0x00, NAN),  # infinity times a scale of zero
        ((0x7C, 0x7C), (0x2, 0xA), 0x38, NAN),  # both infinities
        ((0x7E, 0x3C), (0x2, 0x2), 0x38, NAN),
        ((0x3C, 0x3C), (0x2, 0x2), 0x7F, NAN),  # a scale that is NaN
        ((0x3C, 0x3C), (0x2, 0x2), 0x38, 0x40000000),
    ],
)
def test_infinities_of_elements_in_a_grouped_unit_follow_ieee_754(a: Any, b: Any, scale: int, word: int) -> None:
    """E5M2, which has infinities, beside E2M1: by the kernel and by the definition."""
    unit = datapaths.dot("e5m2", "e2m1", group=16, align="grouped", fraction_bits=25, block=16, scale="ue4m3")
    rows = [np.zeros((1, 16), np.uint8) for _ in "ab"]
    rows[0][0, :2], rows[1][0, :2] = a, b
    scales = [np.full((1, 1), word, np.uint8) for word in (scale, 0x38)]
    found = unit.dot(*rows, np.zeros(1, np.float32), *scales)
    assert found.view(np.uint32).tolist() == [word]
    own = [one[0] for one in (*rows, np.zeros(1, np.float32), *scales)]
    assert reference.dot(unit, *own) == word

"""Quantizers of any block scheme: exact fractions, Verilog, gates, and prices that follow from fields."""

from __future__ import annotations

import bisect
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hwsim import formats
from hwsim.datapaths.vector import encoder_prices
from hwsim.datapaths.vector.cost import unit_depth, unit_price
from hwsim.datapaths.vector.encoder_prices import encoder_price, errors, named, samples, short
from hwsim.datapaths.vector.encoders import Encoder
from hwsim.datapaths.vector.measuring import measured
from hwsim.datapaths.vector.work import lane_area_um2, lane_depth, requantize
from hwsim.errors import ArgumentError
from hwsim.gates.synth_report import gate_mismatches
from hwsim.gates.synthesis import synth
from hwsim.quant import Scheme
from hwsim.rtl import tools
from hwsim.rtl.bench import run_rtl

needs_icarus = pytest.mark.skipif(not tools.available("iverilog", "vvp"), reason="needs Icarus Verilog")
needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")

SEVERAL = [
    Encoder(*fields) for fields in (
        ("e2m1", "ue4m3"), ("e2m1", "e8m0"), ("e3m2", "ue5m3"), ("e4m3", "e8m0"), ("int4", "ue4m3"), ("int8", "e8m0"),
        ("e1m1", "e4m2"), ("e2m5", "e5m2"), ("e5m2", "e3m4"), ("ue4m3", 28.0), ("ue5m3", 7.5), ("e3m4", 127.0),
    )
]  # fmt: skip


def _exact(encoder: Encoder, word: int, scale: int) -> int:
    """The code of the nearest magnitude, ties to the even code, from fractions and the format's own values."""
    form = encoder.form
    number = Fraction(float(np.array([word], np.uint32).view(np.float32)[0])) if word >> 23 & 255 else Fraction(0)
    by = encoder.divisor
    if isinstance(by, str):
        divisor = Fraction(float(formats.get(by).decode(np.array([scale], np.uint8))[0]))
    else:
        divisor = Fraction(by)
    quotient = abs(number) / divisor if divisor else Fraction(0)
    codes = np.arange(encoder.largest + 1, dtype=np.uint8)
    values = (
        [Fraction(int(c)) for c in codes] if form.is_integer else [Fraction(float(v)) for v in form.decode(codes)]
    )
    below = bisect.bisect_right(values, quotient) - 1
    if below == len(values) - 1:
        return below
    nearer = (quotient - values[below]) - (values[below + 1] - quotient)
    return below if nearer < 0 or (nearer == 0 and below % 2 == 0) else below + 1


@pytest.mark.parametrize("encoder", SEVERAL, ids=lambda one: one.name)
def test_codes_are_the_nearest_to_the_exact_quotient(encoder, rng):
    drawn = encoder.drawn(rng, 1500)
    scales = drawn.get("scale", np.zeros(1500, np.uint64))
    finite = np.ones(1500, bool)
    if isinstance(encoder.divisor, str):
        finite = np.isfinite(formats.get(encoder.divisor).decode(scales.astype(np.uint8)))
    codes = encoder.code(drawn["x"], drawn.get("scale")).astype(np.int64)
    sign = drawn["x"] >> np.uint64(31) == 1
    bits = encoder.form.bits
    if encoder.form.is_integer:
        codes = np.where(codes >> bits - 1 == 1, codes - (1 << bits), codes)
        assert ((codes < 0) <= sign).all()
        codes = np.abs(codes)
    elif encoder.signed:
        assert (codes >> bits - 1 == sign).all()
        codes &= (1 << bits - 1) - 1
    expected = [_exact(encoder, int(x), int(s)) for x, s in zip(drawn["x"][finite], scales[finite], strict=True)]
    assert codes[finite].tolist() == expected
    assert len(set(expected)) > min(encoder.largest, 60) * 0.9


@needs_icarus
@pytest.mark.parametrize("encoder", SEVERAL, ids=lambda one: one.name)
def test_text_equals_bits(encoder):
    unit = encoder.unit()
    assert run_rtl(unit, unit.operands(np.random.default_rng(1), 5000)) == 0


@needs_yosys
@pytest.mark.parametrize("encoder", SEVERAL[:3], ids=lambda one: one.name)
def test_gates_equal_bits(encoder):
    unit = encoder.unit()
    assert gate_mismatches(unit, synth(unit).netlist, unit.operands(np.random.default_rng(1), 5000)) == 0


@needs_yosys
def test_the_table_is_what_gates_give():
    encoder = Encoder("e3m2", "e8m0")
    made = measured(encoder.unit(), lambda rng, steps: encoder_prices.stream(encoder, rng, steps))
    kept = encoder_price(encoder)
    assert made.area_um2 == pytest.approx(kept.area_um2, abs=0.06)
    assert made.energy_fj == pytest.approx(kept.energy_fj, abs=0.006)
    assert made.depth_fo4 == pytest.approx(kept.depth_fo4, abs=0.006)


def test_a_circuit_that_nobody_synthesised_has_the_fit_and_its_error():
    known, unseen = Encoder("e3m2", "e8m0"), Encoder("e2m4", "e3m3")
    assert {one.name for one in samples()} >= {known.name}
    assert known.name not in {one.name for one in samples()} - {known.name}
    assert unit_price(known.name).fit_error == 0
    found, fits = unit_price(unseen.name), errors()
    assert found.fit_error == max(fits["area_um2"].p95_error, fits["energy_fj"].p95_error)
    assert found.area.errors == pytest.approx({"synthesis": 1.1, "fit of circuits": 1 + found.fit_error})
    # what the documents say of circuits held out: medians of 7, 11 and 5 %, at most 31 % for 95 of 100
    medians = [round(fits[column].median_error, 2) for column in ("area_um2", "energy_fj", "depth_fo4")]
    assert medians == [0.07, 0.11, 0.05]
    assert max(one.p95_error for one in fits.values()) < 0.31
    assert unit_depth(unseen.name, 4).depth_fo4 < 0.4 * unit_depth(unseen.name, 1).depth_fo4
    assert named(unseen.name) == unseen
    assert named(Encoder("ue4m3", 7.5).name) == Encoder("ue4m3", 7.5)


def test_what_is_no_encoder_is_refused():
    with pytest.raises(
        ArgumentError, match=r"^a target must have mantissa bits, a zero, and at most 8 bits, got 'e3m0'"
    ):
        Encoder("e3m0", "e8m0")
    with pytest.raises(ArgumentError, match=r"^a scale must be a float of at most 8 bits, got 'int8'$"):
        Encoder("e2m1", "int8")
    with pytest.raises(ArgumentError, match=r"^a divisor must be positive, got 0.0$"):
        Encoder("ue4m3", 0.0)


def _random_scheme(rng: np.random.Generator, name: str) -> Scheme:
    while True:
        exponent, mantissa = int(rng.integers(1, 6)), int(rng.integers(1, 6))
        if 2 <= exponent + mantissa <= 7:
            break
    element = f"e{exponent}m{mantissa}" if rng.random() < 0.8 else f"int{rng.integers(3, 9)}"
    scale = str(rng.choice(["e8m0", "ue4m3", "e4m3", "ue5m3", "e5m2", "e3m4", "e4m2"]))
    block = int(rng.choice([8, 16, 32, 64, 128]))
    if scale == "e8m0":
        return Scheme(name, element, "block", block, scale, "floor")
    kind = "block2d" if rng.random() < 0.2 else "block"
    return Scheme(name, element, kind, block, scale, "te", True, "te")  # type: ignore[arg-type]


def test_two_hundred_schemes_are_priced_without_their_names():
    """Fields decide: another name changes nothing; twice the block halves what scales take; a lane has a clock."""
    rng = np.random.default_rng(0)
    kinds = set()
    for index in range(200):
        scheme = _random_scheme(rng, f"scheme {index}")
        found = requantize(scheme)
        assert found == requantize(replace(scheme, name="nvfp4.te"))
        kinds.add((scheme.element, scheme.scale_format))
        scale = next(name for name, count in found.uses.items() if count < 1)
        side = scheme.block ** (2 if scheme.granularity == "block2d" else 1)
        rest = sum(unit_price(name).energy_fj for name in found.uses if name != scale)
        assert found.energy_fj.value == pytest.approx(rest + unit_price(scale).energy_fj / side)
        assert found.area_um2.value == pytest.approx(sum(unit_price(name).area_um2 for name in found.uses))
        assert 5 < lane_depth("fp16", "exact", (scheme,), 8).value < 30
        assert lane_area_um2("fp16", "exact", (scheme,)).value > 0
    assert len(kinds) > 80


def test_a_wider_element_costs_more_and_constants_are_short():
    areas = [requantize(Scheme("s", element, "block", 16, "ue4m3", "te", True, "te")).area_um2.value
             for element in ("e1m2", "e2m2", "e2m3")]  # fmt: skip
    assert areas == sorted(areas)
    assert short(5.3) == 5.3125 != 5.3  # 170 / 32, of eight bits
    assert short(448.0) == 448.0

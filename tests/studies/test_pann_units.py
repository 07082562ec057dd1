"""Streams and counts of the study of PANN, against counting by hand and another counter."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import quant
from hwsim.arch import Numerics
from hwsim.cost import pann as formulas
from hwsim.datapaths import integer
from hwsim.datapaths.pann.verilog import pann_unit
from hwsim.evaluation.counting import count_toggles
from hwsim.rtl import tools
from hwsim.studies import operands, pann, pann_units
from hwsim.studies.circuits import measure, running
from hwsim.studies.operands import Stream
from hwsim.trace import Gemm, Operand


def stream(x, w, clear):
    return Stream(np.array(x), np.array(w), np.array(clear, np.uint64))


def test_formulas_are_the_published_ones():
    table = {row.bits: row for row in formulas.table()}
    for bits, (signed, unsigned, saving) in pann.PAPER.items():
        assert signed is None or table[bits].signed == signed
        assert unsigned is None or table[bits].unsigned == unsigned
        assert saving is None or round(table[bits].saving, 2) == saving


def test_running_sums_start_anew_and_wrap():
    sums = running(np.array([3, -5, 2, 7]), np.array([1, 0, 1, 0]), 8)
    assert sums.tolist() == [3, 254, 2, 9]


def test_counts_by_hand():
    # x: 00, 11, 01; w: 01, 01, 11; products 0, -1, -1
    found = pann_units.count_mac(stream([0, -1, 1], [1, 1, -1], [1, 0, 0]), 2, 2)
    assert found.inputs == (2 + 0 + 1 + 1) / 2
    assert found.partial == (2 + 2) / 2  # ANDs: none, then x0w0 x1w0, then x0w0 x0w1
    assert found.addend == (32 + 0) / 2  # 0 -> -1 -> -1
    assert found.register == (32 + 1) / 2  # 0 -> -1 -> -2: all bits, then the lowest one
    assert found.total == found.inputs + found.partial + found.addend + 2 * found.register


def test_counts_agree_with_those_of_a_trace(rng):
    """The same product, counted by the code that prices machines: other loops, the same bits."""
    x, w = rng.integers(-7, 8, size=(2, 4, 96)).astype(np.float32)
    x[:, 0], w[:, 0] = 7, 7  # so that every row's step is one
    gemm = Gemm(
        "l", "linear", "forward", 0, 1, 4, 4, 96, Operand(x[None], "activation", 4), Operand(w[None], "weight", 4)
    )
    scheme = quant.get("int4.channel")
    counted = count_toggles(gemm, Numerics(scheme, scheme, integer(4, 4, 32)), "os")
    streams = [stream(x[m].astype(int), w[n].astype(int), [1] + 95 * [0]) for m in range(4) for n in range(4)]
    own = [pann_units.count_mac(one, 4, 4) for one in streams]
    for name, theirs in (("addend", counted.addend), ("register", counted.sum)):
        assert np.mean([getattr(one, name) for one in own]) == pytest.approx(theirs, rel=1e-12)
    whole = pann_units.count_mac(operands.joined(streams), 4, 4)  # rows follow one another at one unit
    assert whole.partial == pytest.approx(counted.inner["partials"], rel=1e-12)


def test_two_passes_hold_every_element_once_in_each():
    found = pann_units.two_passes(stream([5, 6, 7], [2, -3, 0], [1, 0, 1]))
    assert found.x.tolist() == [5, 6, 5, 6, 7, 7]
    assert found.w.tolist() == [2, 0, 0, 3, 0, 0]
    assert found.clear.tolist() == [1, 0, 1, 0, 1, 1]


def test_sorted_signs_reads_every_element_once():
    found = pann_units.sorted_signs(stream([5, 6, 7, 8], [-2, 3, 0, -1], [1, 0, 0, 0]))
    assert found.x.tolist() == [6, 7, 5, 8]
    assert found.w.tolist() == [3, 0, 2, 1]
    assert found.clear.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_splitting_weights_changes_no_dot_product(bits):
    assert pann_units.same_dots(operands.after_relu("half-normal", bits, bits, 2048), bits, bits) == 0


def test_elements_repeat_as_often_as_their_weight_says():
    found = pann_units._repeated(stream([5, 6, 7], [2, 0, -1], [1, 0, 1]), np.array([1, 0, -1]))
    assert found.x.tolist() == [5, 5, 7]
    assert found.w.tolist() == [1, 1, -1]
    assert found.clear.tolist() == [1, 0, 1]


@pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="Yosys is not installed")
def test_the_subtractor_rests_until_a_dot_product_ends(rng):
    """Energy of an add-only unit that is asked for its result never, at the end of a dot product, and always."""
    x, clear = rng.integers(0, 64, 4096), operands.clears(4096, 256)
    sums = running(x, clear, 32)
    spent = []
    for last in (np.zeros_like(clear), np.append(clear[1:], np.uint64(1)), np.ones_like(clear)):
        ports = {"x": x, "clear": clear, "add": np.ones_like(x), "negate": np.zeros_like(x), "last": last}
        after = {"positive": sums, "negative": np.zeros_like(sums), "ended": last}
        spent.append(measure(pann_unit(6, 32), ports, after).unit_fj)
    assert spent[0] < spent[1] < 1.03 * spent[0]
    assert spent[2] > 1.2 * spent[0]


def test_recorded_inputs_behind_the_squared_relu_are_not_negative():
    assert operands.after_relu("gpt down", 4, 4, 4096).x.min() == 0
    assert operands.gpt_signed(4, 4096).x.min() < 0


def test_quantizer_uses_the_codes_of_its_port(rng):
    values = rng.standard_normal(1000).astype(np.float32)
    for bits, signed in ((2, True), (2, False), (8, True)):
        x, step = operands.quantize(values if signed else np.abs(values), bits, signed)
        assert x.max() <= operands.largest(bits, signed)
        assert x.min() >= (-operands.largest(bits, signed) if signed else 0)
        assert step > 0

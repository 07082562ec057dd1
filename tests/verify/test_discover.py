"""Discovery gives back every vendor's unit from its answers alone, and does not invent one for what it cannot be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import hwsim
from hwsim import datapaths
from hwsim.errors import ArgumentError, UnknownName
from hwsim.verify import free
from hwsim.verify.campaign import discoveries
from hwsim.verify.discover import discover
from hwsim.verify.probes import Case, Probe

UNITS = free.vendor_units()
SEEN = {
    "bf16",
    "tf32",
    "mxfp8.e5m2",
    "mxfp8.e4m3",
    "mxfp6.e3m2",
    "mxfp6.e2m3",
    "mxf8f6f4.e2m1",
    "mxfp4",
    "mxfp4.block16",
}
"""Operands whose products reach the smallest results, so that the exponent of zeros shows."""


@pytest.mark.parametrize(("arch", "operand", "out"), UNITS)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_vendors_unit_is_given_back(arch, operand, out, groups):
    unit = datapaths.tensor_core(arch, operand, out)
    found = discover(unit, free.instruction_k(unit, groups), count=100)
    want = free.of(unit)
    nvidia = want.align in ("fused", "grouped") and not want.rewrite
    if not (nvidia and (operand in SEEN or (out == "fp16" and operand == "fp16"))):
        want = dataclasses.replace(want, e_zero=None)
    elif operand in ("mxf8f6f4.e2m1",):
        want = dataclasses.replace(want, e_zero=found.parameters.e_zero)
    assert found.parameters == want
    assert found.found
    assert found.checked.cases == 1200


def test_the_text_is_a_call_and_what_was_seen():
    unit = datapaths.tensor_core("blackwell", "nvfp4")
    text = discover(unit, 64, count=50).text().splitlines()
    assert text[0] == (
        "blackwell.nvfp4: hwsim.datapaths.dot(a='e2m1', b='e2m1', acc='fp32', align='grouped', group=64, "
        "fraction_bits=35, rounding='rz', block=16, scale='ue4m3')"
    )
    assert text[1:] == [
        "  c NaN: 0x7fffffff",
        "  c -0: 0x00000000",
        "  c infinite: 0x7f800000",
        "  smallest c: 0x00000001",
        "  codes of a: every code as in e2m1",
        "  scale codes: every code as in ue4m3",
        "  block: 16 elements a scale",
        "  compared with it on 600 dot products: 0 differ",
    ]


@pytest.mark.parametrize(
    ("changes", "k"),
    [
        ({"fraction_bits": 19, "group": 8}, 16),
        ({"group": 4, "fraction_bits": 30}, 16),
        ({"acc": "e8m13", "fraction_bits": 17}, 32),
    ],
)
def test_a_unit_that_nobody_sells_is_found_too(changes, k):
    unit = free.changed(datapaths.tensor_core("hopper", "bf16"), **changes)
    found = discover(unit, k, count=100)
    assert found.found
    assert found.parameters == free.of(unit)
    assert eval(found.parameters.literal(), {"hwsim": hwsim}) == unit


class Descending:
    """A Hopper FP16 unit whose later group comes first."""

    def __init__(self):
        self.unit = datapaths.tensor_core("hopper", "fp16")

    def __getattr__(self, name):
        return getattr(self.unit, name)

    def dot(self, a, b, c=None, *scales):
        return self.unit.dot(np.roll(a, 16, axis=-1), np.roll(b, 16, axis=-1), c)


class Strided(Descending):
    """One whose groups are the even and the odd elements."""

    def dot(self, a, b, c=None, *scales):
        order = [*range(0, 32, 2), *range(1, 32, 2)]
        return self.unit.dot(a[..., order], b[..., order], c)


class Flushing(Descending):
    """One that takes subnormal operands for zeros, which no question asks about."""

    def dot(self, a, b, c=None, *scales):
        return self.unit.dot(*(np.where(x & 0x7C00, x, 0).astype(x.dtype) for x in (a, b)), c)


@pytest.mark.parametrize("unit", [Descending(), Strided()])
def test_another_order_is_no_known_kind(unit):
    found = discover(unit, 32, count=10)
    assert found.parameters is None
    assert not found.found
    assert found.text().startswith("hopper.fp16: no known kind of unit\n")


def test_a_description_that_does_not_hold_is_not_given_as_found():
    found = discover(Flushing(), 16, count=100)
    assert not found.found
    assert found.checked.count > 0
    assert found.facts["codes of a"] == "2046 of 65536 codes are not those of fp16, the first 0x1"
    assert "hopper.fp16: " in found.text().splitlines()[-1]


def test_a_campaign_goes_over_an_architecture():
    found = list(discoveries("volta"))
    assert [(one.unit, one.found) for one in found] == [("volta.fp16", True), ("volta.fp16.fp16", True)]
    with pytest.raises(UnknownName) as caught:
        list(discoveries("pascal"))
    assert str(caught.value).startswith("verify --emulated: arch must be one of ")


def test_a_question_is_about_whole_blocks():
    with pytest.raises(ArgumentError) as caught:
        Probe(datapaths.tensor_core("blackwell", "nvfp4"), 40)
    assert str(caught.value) == "verify.discover: k must be a multiple of 16, got 40"
    with pytest.raises(AssertionError, match=r"0.3 is no number of e2m1"):
        Probe(datapaths.tensor_core("blackwell", "nvfp4"), 64).words([Case({0: (0.3, 1.0)})])

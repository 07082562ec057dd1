"""mmasim 2.1.1, written by others and checked on silicon by its authors, on operands that are hard for both.

Differences, all outside NVIDIA's units, are of special values and stated here. hwsim writes one NaN (0x7FFFFFFF)
everywhere; for CDNA1 and CDNA2 mmasim hands on what the host's float32 arithmetic gives. mmasim's FP8 unit of CDNA3
drops an infinite or NaN c beside products above 2^24, because it reads an exponent of -1 from it; hwsim keeps it.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.datapaths.dot import ARCHS, legal

pytest.importorskip("mmasim", reason="mmasim is not installed (pip install hwsim[dev])", exc_type=ImportError)

_spec = importlib.util.spec_from_file_location("mmasim_oracle", Path(__file__).with_name("mmasim_oracle.py"))
oracle = importlib.util.module_from_spec(_spec)
sys.modules["mmasim_oracle"] = oracle
_spec.loader.exec_module(oracle)

UNITS = [
    (arch, operand, out)
    for out in ("fp32", "fp16")
    for arch in ARCHS
    for operand in legal(arch, out)
    if not operand.endswith("mma_sync")  # no instruction of mmasim: checked on silicon
]
MIXED = [
    ("ada", ("e4m3", "e5m2"), "fp32"), ("hopper", ("e5m2", "e4m3"), "fp16"), ("blackwell", ("e2m1", "e5m2"), "fp32"),
    ("blackwell", ("e3m2", "e4m3"), "fp16"), ("rtx_blackwell", ("e2m3", "e2m1"), "fp32"),
    ("blackwell", ("mxfp8.e4m3", "mxf8f6f4.e2m1"), "fp32"), ("rtx_blackwell", ("mxfp6.e2m3", "mxfp8.e5m2"), "fp32"),
    ("cdna3", ("e4m3fnuz", "e5m2fnuz"), "fp32"),
]  # fmt: skip
FAMILIES = {  # one unit stands for an instruction family
    "volta": ("volta", "fp16", "fp32"), "turing": ("turing", "fp16", "fp16"), "ampere": ("ampere", "bf16", "fp32"),
    "ampere.tf32": ("ampere", "tf32", "fp32"), "ada.fp8": ("ada", "e4m3", "fp32"),
    "hopper.fp16": ("hopper", "fp16", "fp32"),
    "hopper.half": ("hopper", "fp16", "fp16"), "hopper.bf16": ("hopper", "bf16", "fp32"),
    "hopper.tf32": ("hopper", "tf32", "fp32"), "wgmma.e4m3": ("hopper", "e4m3", "fp32"),
    "wgmma.e5m2": ("hopper", "e5m2", "fp32"), "wgmma.half": ("hopper", "e5m2", "fp16"),
    "f8f6f4": ("blackwell", "e4m3", "fp32"), "f8f6f4.half": ("rtx_blackwell", "e3m2", "fp16"),
    "mxf8f6f4": ("blackwell", "mxfp8.e4m3", "fp32"), "mxf4": ("blackwell", "mxfp4", "fp32"),
    "mxf4nvf4": ("blackwell", "nvfp4", "fp32"), "mxf4nvf4.ue8m0": ("rtx_blackwell", "mxfp4.block16", "fp32"),
    "cdna1": ("cdna1", "bf16", "fp32"), "cdna2": ("cdna2", "fp16", "fp32"), "cdna3": ("cdna3", "fp16", "fp32"),
    "cdna3.fp8": ("cdna3", "e4m3fnuz", "fp32"),
}  # fmt: skip


def compare(unit, count, seed):
    """Every kind of operands, `count` dot products each; returns how many were compared."""
    instruction, k = oracle.instruction(unit)
    for number, kind in enumerate(oracle.KINDS):
        case = oracle.draw(unit, np.random.default_rng([seed, number]), count, kind, k)
        got = unit.dot(case.a, case.b, case.c, case.scale_a, case.scale_b)
        want = oracle.run(unit, instruction, case)
        words = got.view(want.dtype)
        if unit.arch in ("cdna1", "cdna2"):
            nan = np.isnan(want.view(got.dtype))
            assert (words[nan] == 0x7FFFFFFF).all()
            want = np.where(nan, np.uint32(0x7FFFFFFF), want)
        if unit.align == "interleaved":
            special = ~np.isfinite(got)  # c, or the NaN of the first group as the c of the second
            words, want = words[~special], want[~special]
        wrong = np.flatnonzero(words != want)
        assert wrong.size == 0, (unit.name, kind, wrong.size, hex(words[wrong[0]]), hex(want[wrong[0]]))
    return count * len(oracle.KINDS)


@pytest.mark.parametrize(("arch", "operand", "out"), UNITS + MIXED)
def test_every_unit_equals_mmasim(arch, operand, out):
    compare(datapaths.tensor_core(arch, operand, out), 60, seed=1)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_equals_mmasim(family):
    assert compare(datapaths.tensor_core(*FAMILIES[family]), 2860, seed=2) >= 20_000


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_million_dot_products_of_every_family(family):
    unit = datapaths.tensor_core(*FAMILIES[family])
    assert sum(compare(unit, 14_300, seed=100 + batch) for batch in range(10)) >= 1_000_000


@pytest.mark.parametrize(("below_tie", "word"), [(-48, 0), (-46, 1)])
def test_the_zero_exponent_decides_what_is_cut_beside_a_zero_c(below_tie, word):
    """Hopper, fp16 out: zero has exponent -21 and F = 25: 2^-46 survives beside half a quantum, 2^-48 does not."""
    unit = datapaths.tensor_core("hopper", "fp16", "fp16")
    a, b = np.zeros((2, 1, 16), np.float16)
    a[0, :2], b[0, :2] = [2.0**-14, 2.0**-24], [2.0**-11, 2.0 ** (below_tie + 24)]
    case = oracle.Case(a.view(np.uint16), b.view(np.uint16), np.zeros(1, np.float16), None, None)
    assert unit.dot(case.a, case.b, case.c).view(np.uint16)[0] == word
    assert oracle.run(unit, oracle.instruction(unit)[0], case)[0] == word


MUTANTS = {
    "fraction + 1": ("wgmma.e4m3", {"fraction_bits": 14}),
    "fraction - 1": ("wgmma.e4m3", {"fraction_bits": 12}),
    "fraction of fp16": ("hopper.fp16", {"fraction_bits": 24}),
    "group of fp16": ("hopper.fp16", {"group": 8}),
    "nvfp4 fraction + 1": ("mxf4nvf4", {"fraction_bits": 36}),
    "nvfp4 fraction - 1": ("mxf4nvf4", {"fraction_bits": 34}),
    "to nearest instead of truncation": ("hopper.fp16", {"rounding": "rne"}),
    "13 fraction bits to nearest": ("wgmma.e4m3", {"acc": "fp32"}),
    "zero exponent of fp16": ("hopper.half", {"e_zero": 0}),
    "zero exponent of bf16": ("hopper.bf16", {"e_zero": -100}),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_fault_would_be_seen(mutant):
    """The emulator with one fact changed, past the checks of a unit."""
    import copy

    family, change = MUTANTS[mutant]
    unit = datapaths.tensor_core(*FAMILIES[family])
    compare(unit, 400, seed=3)
    faulty = copy.copy(unit)
    for name, value in change.items():
        object.__setattr__(faulty, name, value)
    with pytest.raises(AssertionError):
        compare(faulty, 400, seed=3)


@pytest.mark.parametrize(
    "fault", ["empty sub-groups keep their exponent", "cancelled sub-groups lose it", "signed scale", "to nearest"]
)
def test_a_planted_fault_of_the_grouped_unit_would_be_seen(monkeypatch, fault):
    """The faults are of the scalar reference, which is compared with mmasim on the same data as the kernel."""
    from hwsim.datapaths.dot import reference

    unit = datapaths.tensor_core("blackwell", "nvfp4")
    instruction, k = oracle.instruction(unit)
    cases = [oracle.draw(unit, np.random.default_rng([4, n]), 150, kind, k) for n, kind in enumerate(oracle.KINDS)]
    wanted = [oracle.run(unit, instruction, case) for case in cases]

    def mismatches():
        return sum(
            reference.dot(unit, case.a[n], case.b[n], case.c[n], case.scale_a[n], case.scale_b[n]) != want[n]
            for case, want in zip(cases, wanted, strict=True)
            for n in range(len(want))
        )

    assert mismatches() == 0
    monkeypatch.setattr(reference, *planted(fault, reference))
    assert mismatches() > 0


def planted(fault, reference):
    """Name and faulty version of a function of the reference."""
    number, grouped, zero = reference.number, reference.grouped, reference.Number(0, 0, 2)
    if fault == "to nearest":
        good_rounding = reference.rounded
        return "rounded", lambda total, unit, rounding: good_rounding(total, unit, "rne_fp32")
    if fault == "signed scale":

        def faulty_number(form, code):
            good = number(form, code)
            negative = form.name == "ue4m3" and code & 0x80 and good.kind == "finite"
            return reference.Number(-good.significand, good.e, good.fraction) if negative else good

        return "number", faulty_number

    def faulty_grouped(products, *rest):
        products = list(products)
        for start in range(0, len(products), 16):
            group = products[start : start + 16]
            total = sum(p.significand * 2**p.e for p in group)
            if fault.startswith("empty") and all(p.significand == 0 for p in group):
                products[start : start + 2] = reference.Number(1, 0, 2), reference.Number(-1, 0, 2)
            if fault.startswith("cancelled") and total == 0:
                products[start : start + 16] = [zero] * 16
        return grouped(products, *rest)

    return "grouped", faulty_grouped

"""What holds for every family: spec and unit say the same, names are unique, and the package loads without Numba."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hwsim import datapaths

UNITS = [
    datapaths.integer(8, 8, 20, overflow="saturate"),
    datapaths.integer(4, 8, 24, signed=False),
    datapaths.integer(8, 8, 24, group=16),
    datapaths.pann(6, 1.17),
    datapaths.shift(),
    datapaths.dot("e3m1", group=32, fraction_bits=13, block=64, scale="ue5m3"),
    datapaths.tensor_core("blackwell", "nvfp4"),
    datapaths.ternary_lut(3),
    datapaths.ternary_lut(3, "fp16", 4, "kul"),
]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_spec_makes_the_same_unit(unit):
    assert datapaths.from_spec(unit.spec()) == unit
    assert hash(datapaths.from_spec(unit.spec())) == hash(unit)
    assert unit.spec()["family"] in datapaths.FAMILIES
    assert isinstance(unit, datapaths.Datapath)


def test_names_are_unique_and_families_complete():
    assert len({unit.name for unit in UNITS}) == len(UNITS)
    assert {unit.spec()["family"] for unit in UNITS} == set(datapaths.FAMILIES)


def test_loads_without_compiling():
    code = "import sys, hwsim.datapaths; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

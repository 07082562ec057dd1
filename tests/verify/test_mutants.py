"""Planted faults: every one is seen by the checks, and hwsim itself by none."""

from __future__ import annotations

import pytest

from hwsim.errors import MissingExtra
from hwsim.verify import mmasim_oracle
from hwsim.verify.checks import tensor_cores
from hwsim.verify.mutants import MUTANTS, Faulty, Mutant, hunt
from hwsim.verify.run import run
from hwsim.verify.subject import Subject


@pytest.fixture(scope="module", autouse=True)
def oracle():
    try:
        mmasim_oracle.load()
    except MissingExtra as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_fault_is_found(mutant):
    row = hunt(mutant)
    assert row is not None
    assert row.differences > 0


def test_there_is_a_fault_of_every_kind():
    assert len(MUTANTS) >= 12
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_no_fault_is_found_in_hwsim():
    assert run(quick=True, sections=("formats", "integers", "tensor cores")).differences == 0


def test_a_mutant_that_changes_nothing_is_not_found():
    same = Mutant("nothing", (("hopper", "fp16", "fp32"),), (("fraction_bits", 25),))
    assert hunt(same) is None


def test_a_mutant_shows_in_the_row_of_its_architecture_alone():
    mutant = next(m for m in MUTANTS if m.name == "one fraction bit more")
    rows = list(tensor_cores.check(Faulty(mutant), 50))
    assert [row.operation for row in rows if row.differences] == ["hopper: 9 tensor-core units"]
    assert all(row.differences == 0 for row in tensor_cores.check(Subject(), 20))

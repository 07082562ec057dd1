"""A chain of multiply-adds: text = integers = gates, and numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import ArgumentError
from hwsim.gates.synth_report import gate_mismatches
from hwsim.gates.synthesis import synth
from hwsim.rtl import tools
from hwsim.rtl.bench import run_rtl
from hwsim.rtl.chain import mac_chain


def test_a_chain_by_hand():
    unit = mac_chain(2, 4, 4, 8)
    # 3 x 2 + (-8) x 7 + 100 = 50; -8 is 8 as a word of four bits
    values = {"a": np.array([[3, 8]]), "b": np.array([[2, 7]]), "c": np.array([100])}
    values = {name: words.astype(np.uint64) for name, words in values.items()}
    assert unit.golden(values)["y"].tolist() == [50]


@pytest.mark.skipif(not tools.available("iverilog", "vvp"), reason="needs Icarus Verilog")
def test_the_text_is_the_sum(rng):
    unit = mac_chain(4, 6, 6, 16)
    assert run_rtl(unit, unit.operands(rng, 10_000)) == 0


@pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")
def test_the_gates_are_the_sum(rng):
    unit = mac_chain(4, 6, 6, 16)
    assert gate_mismatches(unit, synth(unit).netlist, unit.operands(rng, 10_000)) == 0


def test_sizes_are_checked():
    with pytest.raises(ArgumentError, match=r"^mac_chain: count must be 2\.\.64, got 1$"):
        mac_chain(1)
    with pytest.raises(ArgumentError, match=r"^mac_chain: acc_bits must be 16\.\.63, got 12$"):
        mac_chain(acc_bits=12)

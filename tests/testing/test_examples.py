"""Units of one file each: conformance, the values that their definitions give, and what they lack by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim import formats
from hwsim.arch import Accelerator, load_accelerator
from hwsim.cost import load_coefficients
from hwsim.datapaths import from_spec, tensor_core
from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError
from hwsim.gates.synth_report import gate_mismatches
from hwsim.gates.synthesis import synth
from hwsim.search.space_file import space_from_dict
from hwsim.testing import check_datapath, missing_views

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _unit(file: str, **fields: Any) -> Datapath:
    return from_spec({"file": f"{DOCS / file}", **fields})


def _machine(unit: Datapath) -> Accelerator:
    tables: dict[str, Any] = load_accelerator("edge-int8").to_dict()
    tables["numerics"] = {"activation": "int8.channel", "weight": "int8.channel", "datapath": unit.spec()}
    return Accelerator.from_dict(tables)


FAMILIES = {
    "truncated.py:Truncated": ({"bits": 4, "dropped": 3}, {"dropped": [2, 6]}),
    "bit_serial.py:BitSerial": ({"a_bits": 4, "b_bits": 3, "group": 4}, {"b_bits": [8], "group": [4, 8]}),
    "mitchell.py:Mitchell": ({"a_bits": 4, "b_bits": 3, "acc_bits": 12}, {"acc_bits": [20, 24]}),
    "sparse.py:Sparse": ({"bits": 4, "groups": 2, "acc_bits": 14}, {"groups": [1, 2]}),
    "bitmod.py:Bitmod": ({"a_bits": 5, "bits": 3, "group": 4}, {"bits": [3, 4]}),
    "netlist.py:Netlist": ({}, {"acc_bits": [20, 28]}),
    "nvlut.py:NvLut": ({"blocks": 1, "fraction_bits": 25}, {"blocks": [1, 2]}),
}
"""File -> fields of a small unit, and knobs of a search."""


@pytest.mark.parametrize("file", FAMILIES)
def test_they_conform_and_lack_nothing(file: str) -> None:
    unit = _unit(file, **FAMILIES[file][0])
    assert check_datapath(unit, vectors=300) == []
    assert missing_views(unit) == []


@pytest.mark.slow
@pytest.mark.parametrize("file", FAMILIES)
def test_gates_are_the_bits_on_a_hundred_thousand_vectors(file: str) -> None:
    for fields in FAMILIES[file][0], {}:
        for circuit in _unit(file, **fields).gates.circuits().values():
            inputs = circuit.operands(np.random.default_rng(5), 100_000)
            assert gate_mismatches(circuit, synth(circuit).netlist, inputs) == 0


@pytest.mark.parametrize("file", FAMILIES)
def test_an_explore_uses_them(file: str, tiny_trace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
    unit = _unit(file)
    machine, scheme = ("edge-int8", "int8.channel") if unit.block is None else ("edge-nvfp4", "nvfp4.te")
    tables: dict[str, Any] = load_accelerator(machine).to_dict()
    tables.pop("name")
    tables["numerics"] = {"activation": scheme, "weight": scheme, "datapath": unit.spec()}
    tables["technology"]["clock_ghz"] = 0.1
    knobs = FAMILIES[file][1]
    tables["numerics"]["datapath"] |= {knob: values[0] for knob, values in knobs.items()}
    table = {
        "name": "mine",
        "search": {"population": 4, "accuracy": "replay"},
        "machine": tables,
        "parameters": {
            knob: {"choice": values, "sets": f"numerics.datapath.{knob}"} for knob, values in knobs.items()
        }
        | {"rows": {"choice": [4, 8], "sets": "array.rows"}},
    }
    study = hwsim.explore(space_from_dict(table, "mine"), tiny_trace, trials=4, seed=0, out=tmp_path / "run")
    assert study.front, [point.reason for point in study.points]


def test_its_products_are_mitchells() -> None:
    """By hand: 3 = 2 (1 + 1/2), so 3 * 3 reads 2^3 (1/2 + 1/2) = 8; 5 * 6 = 2^4 (1 + 1/4 + 1/2) = 28."""
    unit = _unit("mitchell.py:Mitchell")
    a, b = np.array([[3], [5], [-3], [7], [-128], [0]], np.int8), np.array([[3], [6], [3], [7], [-128], [9]], np.int8)
    assert unit.dot(a, b).tolist() == [8, 28, -8, 48, 16384, 0]  # 7 * 7: 2^5 (3/4 + 3/4)
    every = np.arange(-128, 128, dtype=np.int16).astype(np.int8)[:, None]
    made, exact = unit.matmul(every, every).astype(np.int64), every.astype(np.int64) * every.T.astype(np.int64)
    assert (np.abs(made) <= np.abs(exact)).all()
    assert (9 * np.abs(made) >= 8 * np.abs(exact)).all()  # Mitchell's bound, a ninth, is reached at 3 * 3


def test_it_multiplies_two_of_four() -> None:
    unit = _unit("sparse.py:Sparse", bits=8, groups=1, acc_bits=24)
    a, b = np.array([1, 10, 100, 7, 5], np.int8), np.array([3, -4, 1, 3, 2], np.int8)
    assert unit.dot(a, b) == 3 * 1 - 4 * 10 + 2 * 5  # of 3 and 3 the first stays; the fifth is alone in its group
    rng = np.random.default_rng(0)
    dense = rng.integers(-128, 128, (4, 64)).astype(np.int8)
    dense.reshape(4, 16, 4)[..., 1::2] = 0  # 2:4 already
    x = rng.integers(-128, 128, (3, 64)).astype(np.int8)
    assert (unit.matmul(x, dense) == x.astype(np.int64) @ dense.T.astype(np.int64)).all()
    assert unit.stored_bits("b", 64, 8) == 64 // 2 * 10


def test_a_netlist_is_what_its_gates_do() -> None:
    """Without carries in the five lowest columns: 3 x 3 has ones in columns 0, 1, 1, 2, and OR keeps 0, 1, 2: 7."""
    unit = _unit("netlist.py:Netlist")
    three = np.array([[3]], np.int8)
    assert unit.dot(three, three).tolist() == [7]
    every = np.arange(-128, 128, dtype=np.int16).astype(np.int8)
    made = unit.matmul(every[:, None], every[:, None]).astype(np.int64)
    array = np.array([[_columns(int(a), int(b)) for b in every] for a in every])
    np.testing.assert_array_equal(made, array)
    assert _area(unit) < _area(from_spec({"family": "integer", "a_bits": 8, "b_bits": 8, "acc_bits": 24}))


def _columns(a: int, b: int) -> int:
    """The array of `approximate.v`, bit by bit: Baugh-Wooley's rows, columns below 5 by OR."""
    ones = [0] * 16
    low = 0
    for j in range(8):
        for i in range(8):
            bit = (a >> i & b >> j & 1) ^ ((i == 7) != (j == 7))
            if i + j < 5:
                low |= bit << i + j
            else:
                ones[i + j] += bit
    total = low + sum(count << place for place, count in enumerate(ones)) + (1 << 8) + (1 << 15)
    return (total + (1 << 15)) % (1 << 16) - (1 << 15)


def _area(unit: Datapath) -> float:
    return sum(block.area.value for block in unit.price.blocks(load_coefficients())[0])


def test_another_text_is_another_unit(tmp_path: Path) -> None:
    mine = tmp_path / "mine.v"
    mine.write_text((DOCS / "approximate.v").read_text())
    first = _unit("netlist.py:Netlist", verilog=f"{mine}:approximate")
    mine.write_text(mine.read_text().replace("r0[1] | r1[0]", "r0[1] ^ r1[0]"))
    again = _unit("netlist.py:Netlist", verilog=f"{mine}:approximate")
    assert again.key != first.key
    three = np.array([[3]], np.int8)
    assert (first.dot(three, three), again.dot(three, three)) == (7, 5)
    with pytest.raises(ArgumentError, match=r"netlist.verilog: a netlist must be 'path/to/file.v:module' with three"):
        _unit("netlist.py:Netlist", verilog="nowhere.v:mine")


def test_groups_choose_their_special_value() -> None:
    """By hand: 120 on 12 is a scale of 120 * 16 / 12 = 160, a step of 10, of which 100 is the special value +10."""
    unit = _unit("bitmod.py:Bitmod", a_bits=8, bits=4, group=4)
    weights = np.array([[100, 120, -20, 0], [100, 120, 0, 0]], np.int64)
    words = unit.words((weights & 255).astype(np.uint8), formats.get("int8"), "b")
    values, scales = unit.decoded(words)  # type: ignore[attr-defined]
    assert scales.ravel().tolist() == [160, 160]
    assert values.reshape(2, 4).tolist() == [[10, 12, -2, 0], [10, 12, 0, 0]]  # 100 is +10, the special value
    ones = np.ones((1, 4), np.int8)
    assert unit.matmul(ones, words).tolist() == [[200, 220]]
    assert unit.stored_bits("b", 128, 8) == 128 * 4 + 32 * 10
    alone = unit.words(np.array([[7]], np.uint8), formats.get("int8"), "b")
    assert unit.matmul(np.array([[3]], np.int8), alone).tolist() == [[18]]  # a step of one: of 6 and 8 the first


def test_four_bits_of_bitmod_lie_between_three_and_eight(tiny_trace: Any) -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((16, 128)).astype(np.float32) for _ in "xw")
    errors = []
    for spec in ({"bits": 3}, {"bits": 4}):
        made = _machine(_unit("bitmod.py:Bitmod", **spec)).policy.default.gemm(x, w)
        errors.append(float(np.square(made - x @ w.T).sum()))
    plain = from_spec({"family": "integer", "a_bits": 8, "b_bits": 8, "acc_bits": 32})
    errors.append(float(np.square(_machine(plain).policy.default.gemm(x, w) - x @ w.T).sum()))
    assert errors[0] > 3 * errors[1] > 3 * errors[2]


def test_tables_change_gates_and_no_bits(rng: np.random.Generator) -> None:
    unit, core = _unit("nvlut.py:NvLut"), tensor_core("blackwell", "nvfp4")
    a, b = rng.integers(0, 16, (9, 128)).astype(np.uint8), rng.integers(0, 16, (7, 128)).astype(np.uint8)
    scale_a, scale_b = (rng.integers(0, 127, (rows, 8)).astype(np.uint8) for rows in (9, 7))
    bits = [one.matmul(a, b, None, scale_a, scale_b).view(np.uint32) for one in (unit, core)]
    np.testing.assert_array_equal(*bits)
    own, shared = unit.price.blocks(load_coefficients())
    assert 0 < shared[0].area.value < own[0].area.value / 5

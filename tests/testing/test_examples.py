"""Units of one file each: conformance, the values that their definitions give, and what they lack by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hwsim
from hwsim.arch import Accelerator, load_accelerator
from hwsim.datapaths import from_spec
from hwsim.datapaths.base import Datapath, MissingView
from hwsim.testing import check_datapath, missing_views

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _unit(file: str, **fields: int) -> Datapath:
    return from_spec({"file": f"{DOCS / file}", **fields})


def _machine(unit: Datapath) -> Accelerator:
    tables: dict[str, Any] = load_accelerator("edge-int8").to_dict()
    tables["numerics"] = {"activation": "int8.channel", "weight": "int8.channel", "datapath": unit.spec()}
    return Accelerator.from_dict(tables)


def test_a_logarithmic_unit_conforms() -> None:
    assert check_datapath(_unit("mitchell.py:Mitchell", a_bits=4, b_bits=3, acc_bits=12), vectors=500) == []
    wide = _unit("mitchell.py:Mitchell")
    assert check_datapath(wide, vectors=2000, gates=False) == []
    assert missing_views(wide) == ["price", "calibration"]


def test_its_products_are_mitchells() -> None:
    """By hand: 3 = 2 (1 + 1/2), so 3 * 3 reads 2^3 (1/2 + 1/2) = 8; 5 * 6 = 2^4 (1 + 1/4 + 1/2) = 28."""
    unit = _unit("mitchell.py:Mitchell")
    a, b = np.array([[3], [5], [-3], [7], [-128], [0]], np.int8), np.array([[3], [6], [3], [7], [-128], [9]], np.int8)
    assert unit.dot(a, b).tolist() == [8, 28, -8, 48, 16384, 0]  # 7 * 7: 2^5 (3/4 + 3/4)
    every = np.arange(-128, 128, dtype=np.int16).astype(np.int8)[:, None]
    made, exact = unit.matmul(every, every).astype(np.int64), every.astype(np.int64) * every.T.astype(np.int64)
    assert (np.abs(made) <= np.abs(exact)).all()
    assert (9 * np.abs(made) >= 8 * np.abs(exact)).all()  # Mitchell's bound, a ninth, is reached at 3 * 3


def test_a_sparse_unit_conforms() -> None:
    unit = _unit("sparse.py:Sparse", bits=8, groups=2, acc_bits=24)
    assert check_datapath(unit, gates=False) == []
    assert missing_views(unit) == ["gates", "price", "calibration"]


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


@pytest.mark.parametrize("file", ["mitchell.py:Mitchell", "sparse.py:Sparse"])
def test_a_machine_has_their_accuracy_and_says_what_it_lacks(file, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
    machine, trace = _machine(_unit(file, bits=8)), hwsim.load_trace("traces/gpt-small")
    numerics = machine.policy.default
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal((4, 32)).astype(np.float32) for _ in "xw")
    made = numerics.gemm(x, w)
    assert 0.5 < np.corrcoef(made.ravel(), (x @ w.T).ravel())[0, 1] < 1
    with pytest.raises(MissingView, match="price"):
        hwsim.evaluate(trace, machine, energy="pann")

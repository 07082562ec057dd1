"""Schemes that round by random bits: they run, depend on their seed alone, and cost what rounding theory says."""

from __future__ import annotations

from typing import Any

import pytest

import hwsim
from hwsim.arch import Accelerator, load_accelerator
from hwsim.evaluation import Evaluator, Memo
from hwsim.search.space_file import space_from_dict


def machine(scheme: str) -> Accelerator:
    tables: dict[str, Any] = load_accelerator("edge-nvfp4").to_dict()
    tables["numerics"] |= {"activation": scheme, "weight": scheme}
    return Accelerator.from_dict(tables)


def test_a_seed_decides_its_bits(tiny_trace: Any, tmp_path: Any) -> None:
    memo = Memo(tmp_path / "memo")
    first, again, other = (
        Evaluator(tiny_trace, memo=memo if seed else Memo(tmp_path / "other"), seed=seed)(machine("nvfp4.te_sr"))
        for seed in (0, 0, 1)
    )
    assert first.sqnr_db == again.sqnr_db
    assert all(one != first.sqnr_db[layer] for layer, one in other.sqnr_db.items())
    assert Evaluator(tiny_trace, memo=memo, seed=2)(machine("nvfp4.te_sr")).accuracy != other.accuracy
    nearest = Evaluator(tiny_trace, memo=memo, seed=1)(machine("nvfp4.te"))
    assert nearest.accuracy == Evaluator(tiny_trace, memo=memo)(machine("nvfp4.te")).accuracy


def test_noise_is_twice_that_of_rounding_to_nearest(tiny_trace: Any, tmp_path: Any) -> None:
    """Uniform between two neighbours d apart, the error of nearest has the variance d^2 / 12 and stochastic rounding
    d^2 / 6: 3.01 dB. Operands are not quite uniform there, and a block's largest is exact in both."""
    memo = Memo(tmp_path / "memo")
    nearest, random = (Evaluator(tiny_trace, memo=memo)(machine(f"nvfp4.te{end}")).accuracy for end in ("", "_sr"))
    assert nearest - random == pytest.approx(3.01, abs=0.5)


def test_evaluate_and_spaces_take_the_seed(tiny_trace: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    found = [hwsim.evaluate(tiny_trace, machine("nvfp4.te_sr"), "replay", "pann", seed=seed) for seed in (3, 4)]
    assert found[0].accuracy != found[1].accuracy
    tables: dict[str, Any] = machine("nvfp4.te_sr").to_dict()
    tables.pop("name")
    table = {
        "name": "random",
        "search": {"population": 2, "accuracy": "replay", "energy": "pann", "noise_seed": 4},
        "machine": tables,
        "parameters": {"rows": {"choice": [4, 8], "sets": "array.rows"}},
    }
    space = space_from_dict(table, "random")
    study = hwsim.explore(space, tiny_trace, trials=2, seed=0, out=tmp_path / "run")
    assert {point.values["sqnr_db"] for point in study.points} == {found[1].accuracy}
    plain = space_from_dict(table | {"search": table["search"] | {"noise_seed": 0}}, "random")
    assert plain.digest != space.digest

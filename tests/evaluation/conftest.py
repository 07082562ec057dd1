"""Values measured in these tests stay in them; graphs and machines are written by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def memo(tmp_path):
    from hwsim.evaluation import Memo

    return Memo(tmp_path / "memo.jsonl")


@pytest.fixture(scope="session")
def make() -> Any:
    """The builders of small graphs and machines, ``tests/timing/builders.py``."""
    path = Path(__file__).parents[1] / "timing" / "builders.py"
    spec = importlib.util.spec_from_file_location("evaluation_builders", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made_plan(make) -> Any:
    """A plan of two steps whose every number is chosen by hand, for `make.three_memories`."""
    from hwsim.arch.plan import Plan, Product, Resident, Step, Timeline, Traffic, VectorWork

    def build(key: str) -> Plan:
        product = Product("up", 0, key, macs=900, updates=600, folds=3, compute_cycles=100, used_rows=4, used_cols=2,
                          a_reads=120, b_reads=60, a_loads=900, b_loads=48)  # fmt: skip
        first = Step(
            ("up",), (0,), "by hand",
            (
                Traffic("up", "x", "dram", 1000, 0), Traffic("up", "x", "activation", 3000, 1000),
                Traffic("up", "w", "dram", 400, 0), Traffic("up", "w", "weight", 700, 400),
                Traffic("up", "up:partial", "output", 50, 90),
            ),
            (product,), (VectorWork("relu", "relu", 70, 5),),
            Timeline(150, 100, 5, (("activation", 30), ("weight", 10), ("output", 1)), 40, 20, 10),
        )  # fmt: skip
        second = Step(
            ("add",), (1,), "by hand", (Traffic("add", "y", "dram", 0, 500), Traffic("add", "y", "output", 500, 0)),
            (), (VectorWork("add", "add", 30, 2),), Timeline(25, 0, 2, (("output", 3),), 20, 0, 20),
        )  # fmt: skip
        return Plan("traffic", (first, second), (Resident("y", "output", 500, 0, 1),), "dram")

    return build

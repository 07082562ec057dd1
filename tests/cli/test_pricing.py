"""A first result plans in a second process, and is the result that every other one is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import hwsim
from hwsim import cache, cli
from hwsim.arch import load_accelerator
from hwsim.cli import pricing
from hwsim.errors import DesignError
from hwsim.evaluation import Evaluator
from hwsim.jit import is_compiled, njit
from hwsim.search import workers
from hwsim.timing.tiles import cost_of

DOCS = Path(hwsim.__file__).parent.parent / "docs"


@pytest.fixture
def opened(monkeypatch):
    """How many pools are opened; two threads, whatever this machine has."""
    counts = []
    real = workers.open_pool

    def counted(count=1, dask=None):
        counts.append(count)
        return real(count, dask)

    monkeypatch.setenv("HWSIM_NUM_THREADS", "2")
    monkeypatch.setattr(workers, "open_pool", counted)
    return counts


def test_a_first_result_is_planned_elsewhere_and_the_same(tiny_trace, opened, monkeypatch):
    machine = load_accelerator("edge-int8")
    alone = hwsim.evaluate(tiny_trace, machine)
    planned = []
    monkeypatch.setattr("hwsim.jit.is_compiled", lambda function: False)
    monkeypatch.setattr("hwsim.evaluation.pricing.planned", lambda *given: planned.append(given))
    first = pricing.price(tiny_trace, machine, "replay", "trace")
    assert opened == [2]
    assert planned == []  # not in this process
    assert first.values() == alone.values()
    assert first.plan == alone.plan


def test_no_second_process_where_it_would_not_help(tiny_trace, opened, monkeypatch, tmp_path):
    machine = load_accelerator("edge-int8")
    hwsim.evaluate(tiny_trace, machine)
    assert is_compiled(cost_of.py_func) or cache.folder("jit") is None
    assert opened == []
    monkeypatch.setattr("hwsim.jit.is_compiled", lambda function: False)
    monkeypatch.setenv("HWSIM_NUM_THREADS", "1")
    pricing.price(tiny_trace, machine, "replay", "trace")
    monkeypatch.setenv("HWSIM_NUM_THREADS", "2")
    monkeypatch.chdir(tmp_path)
    for path in DOCS.glob("truncated.*"):
        shutil.copy(path, tmp_path)
    assert cli.run(["new", "unit", "mine"]) == 0
    pricing.price(tiny_trace, load_accelerator("mine.toml"), "replay", "trace")
    assert opened == []


def test_a_design_that_cannot_run_says_so_as_ever(tiny_trace, opened, monkeypatch):
    import dataclasses

    machine = dataclasses.replace(load_accelerator("edge-int8"), clock_ghz=50.0)
    monkeypatch.setattr("hwsim.jit.is_compiled", lambda function: False)
    with pytest.raises(DesignError, match="clock must be at most"):
        pricing.price(tiny_trace, machine, "replay", "trace")
    assert opened == [2]


def test_code_is_compiled_when_it_is_in_the_cache_of_todays_sources(tmp_path, monkeypatch):
    from hwsim import jit

    source = tmp_path / "kernel.py"
    source.write_text("def twice(x):\n    return x + x\n")
    names: dict = {}
    exec(compile(source.read_text(), str(source), "exec"), names)
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    jit._cache_dir.cache_clear()
    assert not is_compiled(names["twice"])
    assert njit(names["twice"])(2) == 4
    assert is_compiled(names["twice"])
    source.write_text("def twice(x):\n    return 2 * x\n")
    jit._cache_dir.cache_clear()
    assert not is_compiled(names["twice"])


def test_a_plan_begun_elsewhere_is_waited_for(tiny_trace):
    machine, made = load_accelerator("edge-int8"), []

    class Job:
        def __init__(self, function, args):
            self.call = function, args

        def result(self):
            made.append(self.call[0].__name__)
            return self.call[0](*self.call[1])

    evaluator = Evaluator(tiny_trace)
    evaluator.begin_plan(machine, lambda function, *args: Job(function, args))
    assert made == []
    assert evaluator(machine).values() == hwsim.evaluate(tiny_trace, machine).values()
    assert made == ["plan_elsewhere"]

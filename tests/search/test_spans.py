"""A sweep in spans, however they are cut and whoever prices them, is the sweep."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from hwsim.errors import DesignError
from hwsim.evaluation import Evaluator
from hwsim.search import space_from_dict, spans
from hwsim.search.parts import PartWriter, read_parts
from hwsim.search.sweeper import REFUSED, Sweeper

from .test_sweeping import TABLE


class Threads:
    """A pool in this process, of two threads as a worker of a cluster may have."""

    size = 2

    def __init__(self):
        self.calls = []
        self._pool = ThreadPoolExecutor(self.size)

    def submit(self, function, /, *args):
        self.calls.append((function, args))
        return self._pool.submit(function, *args)


@pytest.fixture
def space(tmp_path, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    spans._made.cache_clear()
    return space_from_dict(copy.deepcopy(TABLE), "here")


def _swept(space, trace, folder, pool=None, low=0, high=1 << 60):
    sweeper = Sweeper(space, {"tiny": Evaluator(trace)}, pool, low=low, high=high)
    folder.mkdir()
    sweeper.writer = PartWriter(folder, space.parameters, keep=False)
    told = []
    spans.run(sweeper, lambda done, total, note: told.append((done, total)))
    rows = [row for part in read_parts(folder) for row in part.to_pylist()]
    return sweeper, [str(row) for row in rows], told  # NaN is not equal to itself


@pytest.mark.parametrize("size", [1, 30, 1 << 16])
def test_spans_of_any_size_give_the_table_and_the_front(space, tiny_trace, tmp_path, monkeypatch, size):
    monkeypatch.setattr(spans, "SPAN", size)
    monkeypatch.setattr(spans, "SPANS", 1 << 16)
    alone, rows, _ = _swept(space, tiny_trace, tmp_path / "alone")
    pool = Threads()
    shared, theirs, told = _swept(space, tiny_trace, tmp_path / "shared", pool)
    assert theirs == rows
    assert shared.front.numbers.tolist() == alone.front.numbers.tolist()
    assert (shared.counts, shared.planned, shared.feasible) == (alone.counts, alone.planned, alone.feasible)
    assert told[-1] == (space.size, space.size)
    sent = [args for function, args in pool.calls if function is spans.sweep_elsewhere]
    assert len(sent) >= min(space.size, 6 * -(-96 // size))  # six trials of 96 designs
    points = [alone.point(number) for number in alone.front.numbers.tolist()]
    assert spans.detailed(shared, points)() == spans.detailed(alone, points)()


def test_a_part_of_a_sweep_is_shared_too(space, tiny_trace, tmp_path):
    alone, rows, _ = _swept(space, tiny_trace, tmp_path / "alone", low=100, high=300)
    shared, theirs, _ = _swept(space, tiny_trace, tmp_path / "shared", Threads(), low=100, high=300)
    assert theirs == rows
    assert 0 < len(rows) < space.size
    assert shared.counts == alone.counts


def test_what_has_no_accuracy_here_is_not_tried_again_by_a_worker(space, tiny_trace, tmp_path, monkeypatch):
    """As a metric that ends its process: it would end every worker in turn, and then the sweep."""
    main, usual = threading.current_thread(), Evaluator.accuracy

    def accuracy(evaluator, policy):
        if policy.default.datapath.acc_bits == 12:
            assert threading.current_thread() is main, "tried again elsewhere"
            raise DesignError("must be measured", where="here")
        return usual(evaluator, policy)

    monkeypatch.setattr(Evaluator, "accuracy", accuracy)
    alone, rows, _ = _swept(space, tiny_trace, tmp_path / "alone")
    shared, theirs, told = _swept(space, tiny_trace, tmp_path / "shared", Threads())
    assert theirs == rows
    assert shared.counts == alone.counts
    assert shared.counts[REFUSED] > space.size / 2
    assert told[-1] == (space.size, space.size)

"""A search is the same whoever measures its accuracies."""

from __future__ import annotations

import itertools
import time

import pytest

import hwsim
from hwsim.errors import ArgumentError, LostWorkers, MissingExtra
from hwsim.search import space_from_dict, workers
from hwsim.search.workers import Workers, open_pool
from tests import samples

MODEL = f"""{samples.LINEAR}
def metric(model):
    with torch.no_grad():
        return float(model(next(batches())).square().mean())
"""


@pytest.fixture
def problem(small, tmp_path, monkeypatch):
    """A space of three accuracies, and the trace of a model that can be run again."""
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "model.py").write_text(MODEL)
    trace = hwsim.capture(f"{tmp_path / 'model.py'}:build", out=tmp_path / "trace")
    small["search"]["accuracy"] = "rerun"
    small["parameters"]["bits"]["choice"] = [8, 12, 16]
    return space_from_dict(small, "small.toml"), trace


def _values(problem, monkeypatch, tmp_path, name, **options):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / name))  # nothing is remembered from the run before
    study = hwsim.explore(*problem, trials=12, seed=2, **options)
    return [(point.point, point.values) for point in study.points]


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="needs Dask (pip install 'hwsim[dask]')")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as running:
        yield running.scheduler_address


def test_processes_and_a_cluster_find_what_one_process_finds(problem, monkeypatch, tmp_path, cluster):
    alone = _values(problem, monkeypatch, tmp_path, "alone")
    assert len({values["metric"] for _, values in alone}) > 1
    assert _values(problem, monkeypatch, tmp_path, "processes", workers=2) == alone
    assert _values(problem, monkeypatch, tmp_path, "cluster", dask=cluster) == alone


def test_a_cluster_of_other_sources_is_refused(monkeypatch, cluster):
    version = itertools.count()
    monkeypatch.setattr("hwsim.search.workers.sources", lambda: f"0.{next(version)}")
    with (
        pytest.raises(ArgumentError, match=r"dask tcp://.*: workers must run these sources \(0\.0\), got \['tcp://"),
        open_pool(dask=cluster),
    ):
        pass


def test_nothing_answers_at_a_wrong_address():
    pytest.importorskip("distributed", reason="needs Dask (pip install 'hwsim[dask]')")
    with (
        pytest.raises(ArgumentError, match=r"dask: a Dask scheduler must answer at the address .*, got 'tcp://127"),
        open_pool(dask="tcp://127.0.0.1:9"),
    ):
        pass


def test_without_dask_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with (
        pytest.raises(MissingExtra, match=r"dask: Dask is needed, install it with: pip install 'hwsim\[dask\]'"),
        open_pool(dask="tcp://x"),
    ):
        pass


def test_there_is_at_least_one_worker():
    with pytest.raises(ArgumentError, match="workers must be at least 1 and at most 1024, got 0"), open_pool(0):
        pass


def test_nothing_of_a_closed_pool_still_closes_pipes(monkeypatch):
    """Python writes to the pipe of a pool at its end, and prints a traceback where a thread closes it just then."""
    from concurrent.futures.process import _ThreadWakeup

    close = _ThreadWakeup.close

    def slowly(self):
        time.sleep(0.5)
        close(self)

    pool = Workers(1)
    assert pool.submit(len, "two").result() == 3
    manager = pool._executor._executor_manager_thread
    monkeypatch.setattr(_ThreadWakeup, "close", slowly)
    pool.close()
    assert not manager.is_alive()


class Gone:
    """A client of Dask whose scheduler died between two calls."""

    scheduler = None

    def run(self, function):
        return self.scheduler.broadcast(function)

    def submit(self, function, *args, **options):
        return self.scheduler.broadcast(function)

    def result(self):
        return self.scheduler.broadcast(self)


def test_a_scheduler_that_died_between_two_calls_is_lost(monkeypatch):
    pytest.importorskip("distributed", reason="needs Dask (pip install 'hwsim[dask]')")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    told = r"the cluster must answer until the end \(AttributeError\)"
    with pytest.raises(LostWorkers, match=told):
        workers._sources_of(Gone(), "tcp://gone")
    with pytest.raises(LostWorkers, match=told):
        workers._DaskPool(Gone(), "tcp://gone", 2).submit(len, [])
    with pytest.raises(LostWorkers, match=told):
        workers._DaskJob(Gone(), Gone(), "tcp://gone").result()
    alive = Gone()
    alive.scheduler = object()
    with pytest.raises(AttributeError):  # what a measurement itself raised
        workers._DaskJob(alive, alive, "tcp://there").result()

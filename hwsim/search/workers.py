"""Where accuracies and toggles are measured: in this process, in processes side by side, or on a Dask cluster.

Decides that a cluster must run these very sources: a worker with another kernel would measure another accuracy, and
nobody would see it. Workers build the model themselves from its file, which they must find under the same path.

A worker that dies costs what it had in hand: a new one does it again. What has ended `ATTEMPTS` workers, the last of
them alone, is a task that cannot be done, and is said so. Workers ignore the terminal's interruption, as this process
ends them, and end when it is gone, however it went.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import hwsim
from hwsim.errors import ArgumentError, HwsimError, LostTask, LostWorkers, MissingExtra
from hwsim.jit import source_hash

ATTEMPTS = 3
"""Workers that one task may cost."""

MOST_WORKERS = 1024


class Job(Protocol):
    """Work under way."""

    def result(self) -> Any:
        """Its outcome; raises what it raised."""


class Pool(Protocol):
    """What takes work; `size` calls run at a time."""

    size: int

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Job:
        """Start ``function(*args)`` elsewhere."""


@contextmanager
def open_pool(workers: int = 1, dask: str | None = None) -> Iterator[Pool | None]:
    """A pool for the time of a search; None where this process does the work itself.

    Args:
        workers: processes on this machine.
        dask: address of a Dask scheduler (``tcp://host:8786``) in place of local processes.

    Raises:
        ArgumentError: workers below 1, nothing answers at the address, or its workers run other sources.
        MissingExtra: Dask is not installed.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise ArgumentError(f"workers must be at least 1 and at most {MOST_WORKERS}", got=workers)
    if dask is not None:
        with _cluster(dask) as client:
            yield client
    elif workers > 1:
        pool = Workers(workers)
        try:
            yield pool
        finally:
            pool.close()
    else:
        yield None


class Task:
    """A call that a worker makes; `result` waits for it, and starts it again where the worker died."""

    def __init__(self, pool: Workers, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._pool, self._function, self._args = pool, function, args
        self.attempts = 0
        self.future: Future[Any] | None = None

    def start(self, executor: ProcessPoolExecutor) -> None:
        """Hand the call to an executor."""
        self.attempts += 1
        self.future = executor.submit(self._function, *self._args)

    @property
    def done(self) -> bool:
        """Whether it has an outcome other than the death of its worker."""
        if self.future is None or not self.future.done() or self.future.cancelled():
            return False
        return not isinstance(self.future.exception(), BrokenProcessPool)

    def result(self) -> Any:
        """Outcome of the call.

        Raises:
            LostTask: the call cannot be made, as every worker that tried died; or what the call raised.
        """
        while True:
            try:
                if self.future is None:
                    raise BrokenProcessPool
                return self.future.result()
            except (BrokenProcessPool, CancelledError):
                if self.attempts >= ATTEMPTS:
                    raise LostTask(
                        f"a measurement must not end its process, as it did {ATTEMPTS} times (out of memory?)",
                        got=self._function.__name__,
                        where="workers",
                    ) from None
                if self.attempts == ATTEMPTS - 1:
                    self._pool.alone(self)
                else:
                    self._pool.renew()


class Workers:
    """Processes side by side, replaced when they die."""

    def __init__(self, count: int) -> None:
        self.size = count
        self._tasks: list[Task] = []
        self._executor = self._open(count)

    @staticmethod
    def _open(count: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")  # a fork would inherit locks that other threads hold
        return ProcessPoolExecutor(count, context, initializer=_prepare, initargs=(os.getpid(),))

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Task:
        """Start ``function(*args)`` in a worker."""
        self._tasks = [one for one in self._tasks if not one.done]
        task = Task(self, function, args)
        self._tasks.append(task)
        self._start([task])
        return task

    def _start(self, tasks: list[Task]) -> None:
        with _held_back():
            for task in tasks:
                # a worker that has just died: the task starts again when somebody waits for it
                with contextlib.suppress(BrokenProcessPool):
                    task.start(self._executor)

    def renew(self) -> None:
        """New workers, and all unfinished tasks for them."""
        _end(self._executor)
        self._executor = self._open(self.size)
        self._start([one for one in self._tasks if not one.done and one.attempts < ATTEMPTS - 1])

    def alone(self, task: Task) -> None:
        """Make the last attempt at a task in a worker of its own, so that it costs no other task anything."""
        executor = self._open(1)
        try:
            with _held_back():
                task.start(executor)
            assert task.future is not None
            with contextlib.suppress(BaseException):
                task.future.exception()
        finally:
            _end(executor)

    def close(self) -> None:
        """End all workers."""
        _end(self._executor)


def _end(executor: ProcessPoolExecutor) -> None:
    """End the workers of an executor at once, whatever they do."""
    processes = list((executor._processes or {}).values())
    manager: Any = executor._executor_manager_thread
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join(10)
    if manager is not None:
        manager.join(10)  # it closes a pipe that Python, at its end, would write to


@contextmanager
def _held_back() -> Iterator[None]:
    """Start processes that the terminal's interruption does not reach, from their first instruction on: they inherit
    which signals are held back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(parent: int) -> None:
    """Give a worker one core, as the workers together use them all, and end it with the process `parent`. torch keeps
    its threads, as their number is in the last bits of its sums."""
    os.environ["HWSIM_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    mine = multiprocessing.parent_process()

    def follow() -> None:
        if mine is not None:
            mine.join()
        os._exit(1)

    if mine is None or os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=follow, name="hwsim-parent", daemon=True).start()


class _DaskJob:
    """A call on a cluster, whose own errors become lines that a user can act on."""

    def __init__(self, future: Any, client: Any, address: str) -> None:
        self._future, self._client, self._address = future, client, address

    def result(self) -> Any:
        """Outcome of the call; `LostWorkers` where the cluster is gone, `LostTask` where the call ends workers."""
        from distributed.scheduler import KilledWorker

        try:
            return self._future.result()
        except HwsimError:
            raise
        except KilledWorker:
            raise LostTask("a measurement must not end the workers of the cluster", where="dask") from None
        except Exception as error:
            if not _is_lost(self._client, error) or (isinstance(error, RuntimeError) and not _is_of_dask(error)):
                raise
            raise _lost(self._address, error) from None


class _DaskPool:
    """A Dask client as a `Pool`."""

    def __init__(self, client: Any, address: str, size: int) -> None:
        self._client, self._address, self.size = client, address, size

    def submit(self, function: Callable[..., Any], /, *args: Any) -> _DaskJob:
        """Start ``function(*args)`` on the cluster; every call is made, also one that equals an earlier one."""
        try:
            return _DaskJob(self._client.submit(function, *args, pure=False), self._client, self._address)
        except Exception as error:
            if not _is_lost(self._client, error):
                raise
            raise _lost(self._address, error) from None


def _is_lost(client: Any, error: BaseException) -> bool:
    """Whether an error says that the cluster is gone. A client whose scheduler died before it was asked has none, and
    whatever it then tries of it fails."""
    return client.scheduler is None or isinstance(error, CancelledError | OSError | TimeoutError | RuntimeError)


def _is_of_dask(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in ("distributed", "asyncio", "tornado")


def _lost(address: str, error: BaseException) -> LostWorkers:
    rule = f"the cluster must answer until the end ({type(error).__name__}); what is finished is kept"
    return LostWorkers(rule, got=address, where="dask")


@contextmanager
def _cluster(address: str) -> Iterator[Pool]:
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtra("Dask", install="pip install 'hwsim[dask]'", where="dask") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ArgumentError(
            f"a Dask scheduler must answer at the address ({type(error).__name__})", got=address, where="dask"
        ) from None
    for name in list(logging.root.manager.loggerDict):  # a lost connection is told once, and by us
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with client:
        own, others = sources(), _sources_of(client, address)
        if not others:
            raise ArgumentError("a Dask scheduler must have workers", got=address, where="dask")
        if wrong := [worker for worker, found in others.items() if found != own]:
            raise ArgumentError(f"workers must run these sources ({own})", got=wrong, where=f"dask {address}")
        yield _DaskPool(client, address, len(others))


def _sources_of(client: Any, address: str) -> dict[str, str]:
    """What each worker runs; one that has just died is asked for until the scheduler knows."""
    for left in reversed(range(ATTEMPTS)):
        try:
            found: dict[str, str] = client.run(sources)
            return found
        except Exception as error:
            if not _is_lost(client, error):
                raise
            if not left:
                raise _lost(address, error) from None
            time.sleep(1.0)
    raise AssertionError


def sources() -> str:
    """Version and hash of the sources that an accuracy depends on."""
    return f"{hwsim.__version__} {source_hash(Path(hwsim.__file__).parent / 'evaluation' / '__init__.py')}"

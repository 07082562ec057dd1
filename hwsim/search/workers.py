"""Where accuracies and toggles are measured: in this process, in processes side by side, or on a Dask cluster.

Decides that a cluster must run these very sources: a worker with another kernel would measure another accuracy, and
nobody would see it. Workers build the model themselves from its file, which they must find under the same path.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import hwsim
from hwsim.errors import ArgumentError, MissingExtra
from hwsim.jit import source_hash


class Job(Protocol):
    """Work under way."""

    def result(self) -> Any:
        """Its outcome; raises what it raised."""


class Pool(Protocol):
    """What takes work: an executor of the standard library, or a Dask client."""

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
    if workers < 1:
        raise ArgumentError("workers must be at least 1", got=workers)
    if dask is not None:
        with _cluster(dask) as client:
            yield client
    elif workers > 1:
        context = multiprocessing.get_context("spawn")  # a fork would inherit locks that other threads hold
        with ProcessPoolExecutor(workers, context, initializer=_one_thread) as pool:
            yield pool
    else:
        yield None


@contextmanager
def _cluster(address: str) -> Iterator[Pool]:
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtra("Dask", install="pip install 'hwsim[dask]'", where="dask") from None
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise ArgumentError(
            f"a Dask scheduler must answer at the address ({type(error).__name__})", got=address, where="dask"
        ) from None
    with client:
        own, others = sources(), client.run(sources)
        if not others:
            raise ArgumentError("a Dask scheduler must have workers", got=address, where="dask")
        if wrong := [worker for worker, found in others.items() if found != own]:
            raise ArgumentError(f"workers must run these sources ({own})", got=wrong, where=f"dask {address}")
        yield client


def sources() -> str:
    """Version and hash of the sources that an accuracy depends on."""
    return f"{hwsim.__version__} {source_hash(Path(hwsim.__file__).parent / 'evaluation' / '__init__.py')}"


def _one_thread() -> None:
    """Give a worker one core: the workers together use them all. torch keeps its threads, as their number is in the
    last bits of its sums."""
    os.environ["HWSIM_NUM_THREADS"] = "1"

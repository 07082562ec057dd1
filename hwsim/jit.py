"""Compiled kernels: the one door to Numba.

Decides three things for every kernel of the package.

*Cache.* Numba's on-disk cache looks at the file of the kernel only: after an edit of a helper in another file it
returns the old machine code. So the cache directory carries a hash of the kernel's file and of every file of the
package that it imports, directly or not: a user starts warm, an edit starts cold, and no run can be stale. Where
these files lie and when they were written is left out: another copy of the package starts as warm as the first. Numba
would also unpickle whatever lies there; its files are replaced by records of `hwsim.cache`, so that a damaged one, or
one of another user's, is compiled again. Without a folder to write to, every process compiles.

*Threads.* Kernels are compiled for one thread and release the GIL; `parallel_rows` runs them over ranges of rows.
Numba's own ``prange`` was rejected: it compiles several times slower, aborts the process when two Python threads
enter it without OpenMP, and is not safe after a fork. Every row is computed alone, so no bit depends on the number
of threads.

*Floating point.* No ``fastmath`` here. A kernel whose every operation is exact may ask for it at its own line.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import pickle
import platform
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
from llvmlite import ir as ir  # the four names below are for instructions that Numba cannot express
from numba import types as types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, UserProvidedCacheLocator
from numba.core.serialize import dumps
from numba.extending import intrinsic as intrinsic
from numba.extending import (
    register_jitable as register_jitable,  # compiled where a kernel calls it, else plain Python
)

from hwsim import cache
from hwsim.errors import ArgumentError

F = TypeVar("F", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent

MOST_THREADS = 4096


_COMMENT = re.compile(r"#.*")
_IMPORT = re.compile(
    r"(?:^|[;:])[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]*(\([^)]*\)|[^\n;]*)|import[ \t]+([^\n;]*))", re.MULTILINE
)


@functools.cache
def _imported(path: Path, package: Path, written_ns: int) -> set[Path]:
    """Files of `package` that the module at `path`, written at a time, imports, also inside functions.

    Found by an expression: to parse every source took a command longer than all else at its start. A line of a
    docstring that reads as an import is taken for one, which makes a hash depend on a file more.
    """
    dotted: set[str] = set()
    text = _COMMENT.sub("", path.read_text(encoding="utf-8", errors="replace"))
    for module, names, modules in _IMPORT.findall(text):
        words = {words[0] for one in (names or modules).strip("() \t\n").split(",") if (words := one.split())}
        dotted |= {module} | {f"{module}.{name}" for name in words} if module else words
    bases = [package.joinpath(*name.split(".")[1:]) for name in dotted if name.startswith(f"{package.name}.")]
    candidates = [base.with_suffix(".py") for base in bases] + [base / "__init__.py" for base in bases]
    return {candidate for candidate in candidates if candidate.is_file()}


def source_hash(path: Path, package: Path = PACKAGE) -> str:
    """A hash of the source at `path`, of all that it imports from `package`, of the compiler and the processor."""
    reached, pending = set[Path](), {path}
    while pending:
        found = pending.pop()
        reached.add(found)
        pending |= _imported(found, package, found.stat().st_mtime_ns) - reached
    digest = hashlib.sha256(f"{numba.__version__} {platform.machine()} {platform.python_version()}".encode())
    for source in sorted(reached):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def environment() -> str:
    """What besides the sources a computed number may depend on: versions of what multiplies, and the instructions of
    this processor that torch, NumPy and Numba choose their kernels by.

    Found without importing torch: ``torch=2.13.0 numpy=2.4.6 numba=0.66.0 python=3.11.7 cpu=avx512``.
    """
    versions = []
    for name in ("torch", "numpy", "numba"):
        try:
            versions.append(f"{name}={importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name}=none")
    chosen = [
        f"{name}={value}"
        for name in ("ATEN_CPU_CAPABILITY", "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "OPENBLAS_CORETYPE",
                     "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "NPY_DISABLE_CPU_FEATURES")
        if (value := os.environ.get(name))
    ]  # fmt: skip
    return " ".join([*versions, f"python={platform.python_version()}", f"cpu={_capability()}", *chosen])


def _capability() -> str:
    """``avx512``, ``avx2`` or ``default`` on x86, by the names of torch; the machine's name elsewhere."""
    with suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split())
        if {"avx512f", "avx512dq", "avx512vl", "avx512bw"} <= flags:
            return "avx512"
        if {"avx2", "fma"} <= flags:
            return "avx2"
    return "default" if platform.machine() == "x86_64" else platform.machine()


@functools.cache
def _cache_dir(path: Path) -> str | None:
    found = cache.folder("jit", source_hash(path)) if path.is_file() else None  # a text that was handed to exec
    return None if found is None else str(found)


def _dumped(value: Any) -> bytes:
    """As Numba writes it: types that pickle does not know."""
    return bytes(dumps(value))  # type: ignore[no-untyped-call]


class _Records(IndexDataCacheFile):
    """Numba's index and machine code as records of the cache, checked before anything is unpickled."""

    def _key(self, name: str) -> str:
        return f"{name} {self._version} {self._source_stamp}".replace("\n", " ")

    def _load_index(self) -> dict[Any, Any]:
        data = cache.load(Path(self._index_path), self._key(self._index_name))
        return {} if data is None else dict(pickle.loads(data))

    def _save_index(self, overloads: dict[Any, Any]) -> None:
        cache.store(Path(self._index_path), self._key(self._index_name), _dumped(overloads))

    def _load_data(self, name: str) -> Any:
        data = cache.load(Path(self._cache_path, name), self._key(name))
        if data is None:
            raise OSError("no such record")  # which Numba takes for absent
        return pickle.loads(data)

    def _save_data(self, name: str, data: Any) -> None:
        cache.store(Path(self._cache_path, name), self._key(name), _dumped(data))


class _Anywhere(UserProvidedCacheLocator):
    """Numba's files of a module, in a folder of its sources: Numba tells modules apart by their path and time too."""

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        return Path(py_file).resolve().parent.name

    def get_source_stamp(self) -> str:
        return ""


class _Compiled(CompileResultCacheImpl):
    _locator_classes = [_Anywhere]  # noqa: RUF012 - as Numba declares it


class _Cache(FunctionCache):
    """Numba's cache of one function, over `_Records`; a full disk costs the record, not the run."""

    _impl_class = _Compiled

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        plain = self._cache_file
        self._cache_file = _Records(self._cache_path, self._impl.filename_base, plain._source_stamp)  # type: ignore[no-untyped-call]

    @contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with suppress(OSError):
            yield


@overload
def njit(function: F, **options: Any) -> Any: ...
@overload
def njit(function: None = None, **options: Any) -> Callable[[Callable[..., Any]], Any]: ...
def njit(function: F | None = None, **options: Any) -> Any:
    """`numba.njit` with this package's settings: GIL released, machine code cached by its sources."""
    if function is None:
        return lambda decorated: njit(decorated, **options)
    if options.get("inline") == "always":  # inlined helpers have no machine code of their own
        return numba.njit(function, **options)
    made = numba.njit(function, **({"nogil": True} | options))
    where = _cache_dir(Path(function.__code__.co_filename))
    if where is not None:
        config: Any = numba.config
        outer = config.CACHE_DIR
        config.CACHE_DIR = where  # read by Numba when it makes a cache; restored, as it is the user's setting
        try:
            with suppress(RuntimeError):  # the folder cannot be written any more
                made._cache = _Cache(function)
        finally:
            config.CACHE_DIR = outer
    return made


def thread_count() -> int:
    """Threads that kernels use: ``$HWSIM_NUM_THREADS``, else the processors that this process may run on."""
    if named := os.environ.get("HWSIM_NUM_THREADS"):
        if not (named.isascii() and named.isdecimal() and 1 <= int(named[:9]) <= MOST_THREADS and len(named) < 9):
            raise ArgumentError(
                f"must be a whole number from 1 to {MOST_THREADS}", got=named, where="HWSIM_NUM_THREADS"
            )
        return int(named)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}  # by process, as a fork inherits no threads, and by size
_pools_lock = threading.Lock()


def _pool(threads: int) -> ThreadPoolExecutor:
    key = os.getpid(), threads
    with _pools_lock:
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="hwsim")
        return _pools[key]


def parallel_rows(kernel: Callable[..., None], rows: int, *args: Any, grain: int = 1) -> None:
    """Call ``kernel(start, stop, *args)`` on contiguous ranges that cover ``range(rows)``, one range a thread.

    `grain` is the least number of rows worth a thread. A kernel must write only what belongs to its rows.
    """
    threads = thread_count()
    parts = min(threads, max(1, rows // max(1, grain)))
    if parts == 1:
        kernel(0, rows, *args)
        return
    bounds = [rows * part // parts for part in range(parts + 1)]
    pool = _pool(threads)
    jobs = [pool.submit(kernel, *bounds[part : part + 2], *args) for part in range(1, parts)]
    try:
        kernel(bounds[0], bounds[1], *args)
    finally:
        for job in jobs:
            job.result()

"""Compiled kernels: the one door to Numba.

Decides three things for every kernel of the package.

*Cache.* Numba's on-disk cache looks at the file of the kernel only: after an edit of a helper in another file it
returns the old machine code. So the cache directory carries a hash of the kernel's file and of every file of the
package that it imports, directly or not: a user starts warm, an edit starts cold, and no run can be stale.

*Threads.* Kernels are compiled for one thread and release the GIL; `parallel_rows` runs them over ranges of rows.
Numba's own ``prange`` was rejected: it compiles several times slower, aborts the process when two Python threads
enter it without OpenMP, and is not safe after a fork. Every row is computed alone, so no bit depends on the number
of threads.

*Floating point.* No ``fastmath`` here. A kernel whose every operation is exact may ask for it at its own line.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import platform
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
from llvmlite import ir as ir  # the four names below are for instructions that Numba cannot express
from numba import types as types
from numba.extending import intrinsic as intrinsic
from numba.extending import (
    register_jitable as register_jitable,  # compiled where a kernel calls it, else plain Python
)

F = TypeVar("F", bound=Callable[..., Any])

PACKAGE = Path(__file__).parent


def cache_root() -> Path:
    """The user's cache directory of hwsim: ``$HWSIM_CACHE_DIR``, else below the XDG cache directory."""
    if named := os.environ.get("HWSIM_CACHE_DIR"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hwsim"


def _imported(path: Path, package: Path) -> set[Path]:
    """Files of `package` that the module at `path` imports, also inside functions."""
    dotted: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            dotted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            dotted |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    bases = [package.joinpath(*name.split(".")[1:]) for name in dotted if name.startswith(f"{package.name}.")]
    candidates = [base.with_suffix(".py") for base in bases] + [base / "__init__.py" for base in bases]
    return {candidate for candidate in candidates if candidate.is_file()}


def source_hash(path: Path, package: Path = PACKAGE) -> str:
    """A hash of the source at `path`, of all that it imports from `package`, of the compiler and the processor."""
    reached, pending = set[Path](), {path}
    while pending:
        found = pending.pop()
        reached.add(found)
        pending |= _imported(found, package) - reached
    digest = hashlib.sha256(f"{numba.__version__} {platform.machine()} {platform.python_version()}".encode())
    for source in sorted(reached):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


@functools.cache
def _cache_dir(path: Path) -> str:
    return str(cache_root() / "jit" / source_hash(path))


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
    options = {"nogil": True, "cache": True} | options
    config: Any = numba.config
    outer = config.CACHE_DIR
    config.CACHE_DIR = _cache_dir(
        Path(function.__code__.co_filename)
    )  # read by Numba at decoration; restored, as it is the user's setting
    try:
        return numba.njit(function, **options)
    finally:
        config.CACHE_DIR = outer


def thread_count() -> int:
    """Threads that kernels use: ``$HWSIM_NUM_THREADS``, else the processors that this process may run on."""
    if named := os.environ.get("HWSIM_NUM_THREADS"):
        return max(1, int(named))
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

"""`hwsim.jit.parallel_rows` on a CUDA device: one row a thread. Imported only where numba has CUDA."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numpy as np
from numba import cuda as numba_cuda

cuda: Any = numba_cuda  # it has no types; the simulator replaces this global in the kernels

THREADS = 64

settings: Any = numba.config
settings.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # the simulator's too; a check may be small


@cache
def _entry(kernel: Callable[..., None], count: int) -> Any:
    """A kernel of the device for one of hwsim; its arguments written out, as numba-cuda takes no ``*arguments``."""
    names = ", ".join(f"a{number}" for number in range(count))
    source = f"def entry(rows, {names}):\n row = cuda.grid(1)\n if row < rows:\n  kernel(row, row + 1, {names})\n"
    scope = {"cuda": cuda, "kernel": kernel}
    exec(source, scope)
    return cuda.jit(scope["entry"])


def launch_nothing() -> None:
    """Compile and launch an empty kernel; whatever numba-cuda raises where it cannot."""

    def nothing(words: Any) -> None:
        pass

    cuda.jit(nothing)[1, 1](cuda.to_device(np.zeros(1, np.uint64)))
    cuda.synchronize()


def device_rows(kernel: Callable[..., None], rows: int, *arguments: Any, grain: int = 1) -> None:
    """Call ``kernel(row, row + 1, *arguments)`` for every row on the device; arrays go there and come back."""
    arrays = {id(argument): argument for argument in arguments if isinstance(argument, np.ndarray)}
    there = {place: cuda.to_device(array) for place, array in arrays.items()}
    given = [there.get(id(argument), argument) for argument in arguments]
    _entry(kernel, len(given))[-(-rows // THREADS), THREADS](rows, *given)
    cuda.synchronize()
    for place, array in arrays.items():
        if array.flags.writeable:
            there[place].copy_to_host(array)

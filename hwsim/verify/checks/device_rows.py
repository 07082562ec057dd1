"""`hwsim.jit.parallel_rows` on a CUDA device: one row a thread. Imported only where numba has CUDA."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import cuda as numba_cuda

cuda: Any = numba_cuda  # it has no types; the simulator replaces this global in the kernels

THREADS = 64


@cache
def _entry(kernel: Callable[..., None]) -> Any:
    def entry(rows: Any, *arguments: Any) -> None:
        row = cuda.grid(1)
        if row < rows:
            kernel(row, row + 1, *arguments)

    return cuda.jit(entry)


def device_rows(kernel: Callable[..., None], rows: int, *arguments: Any, grain: int = 1) -> None:
    """Call ``kernel(row, row + 1, *arguments)`` for every row on the device; arrays go there and come back."""
    arrays = {id(argument): argument for argument in arguments if isinstance(argument, np.ndarray)}
    there = {place: cuda.to_device(array) for place, array in arrays.items()}
    given = [there.get(id(argument), argument) for argument in arguments]
    _entry(kernel)[-(-rows // THREADS), THREADS](rows, *given)
    cuda.synchronize()
    for place, array in arrays.items():
        if array.flags.writeable:
            there[place].copy_to_host(array)

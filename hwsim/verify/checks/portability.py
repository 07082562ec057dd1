"""The integer kernels of the emulators, compiled for a GPU by numba-cuda and run on it.

The same source on another machine proves that compiler, launch and memory are in order; it is no evidence that the
arithmetic is a tensor core's, and the row says so. A kernel of hwsim works on a range of rows; here every thread of
the device takes one row, through a stand-in for `hwsim.jit.parallel_rows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from hwsim.datapaths.dot.kernels import runner
from hwsim.errors import MissingExtra
from hwsim.verify.operands import Batch, batches
from hwsim.verify.search import search
from hwsim.verify.subject import DotUnit, Subject
from hwsim.verify.table import Row, skipped, today

OPERATION = "portability, no evidence: the emulators' own kernels"
UNITS = (
    ("hopper", "e4m3", "fp32"), ("ampere", "fp16", "fp16"), ("blackwell", "mxfp8.e4m3", "fp32"),
)  # fmt: skip
"""Units of every rounding, with scales and without. Those that add in groups are left out: their kernel allocates,
which numba-cuda cannot."""


def device_name() -> str:
    """The GPU on which numba's CUDA compiles and runs a kernel, or its simulator.

    Raises:
        MissingExtra: there is neither, or numba-cuda does not go with the numpy or the driver that are installed.
    """
    try:
        import numba

        from hwsim.verify.checks.device_rows import cuda, launch_nothing

        settings: Any = numba.config
        usable = cuda.is_available()
        if usable:
            launch_nothing()
    except Exception as missing:  # a broken driver has many exceptions
        raise MissingExtra(f"numba-cuda ({missing})", install="pip install numba-cuda[cu13]") from missing
    if not usable:
        raise MissingExtra("a CUDA device that numba-cuda finds", install="pip install numba-cuda[cu13]")
    return "its simulator" if settings.ENABLE_CUDASIM else str(cuda.get_current_device().name)


@contextmanager
def on_device() -> Iterator[None]:
    """Dot products of the emulators run on the device in here; the others of this process too."""
    from hwsim.verify.checks.device_rows import device_rows

    host = vars(runner)["parallel_rows"]
    vars(runner)["parallel_rows"] = device_rows
    try:
        yield
    finally:
        vars(runner)["parallel_rows"] = host


def _on_device(unit: DotUnit, batch: Batch) -> Any:
    with on_device():
        return batch.run(unit)


def check(subject: Subject, count: int, seed: int = 0) -> Iterator[Row]:
    """One row a unit; `count` dot products of every kind on the device and on the host."""
    try:
        oracle = f"numba-cuda on {device_name()}"
    except MissingExtra as missing:
        yield skipped(OPERATION, "the GPU through numba-cuda", missing)
        return
    for arch, operand, out in UNITS:
        unit = subject.unit(arch, operand, out)
        drawn = batches(unit, seed, count, 64)
        found = search(unit, partial(Batch.run, unit=unit), partial(_on_device, unit), drawn)
        name = f"{OPERATION}: {unit.name}"
        yield Row(name, oracle, found.cases, found.count, today(), found.smallest)

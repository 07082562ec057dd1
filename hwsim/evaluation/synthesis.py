"""Circuits made beside other work: Yosys runs on idle cores while a search measures accuracies.

Decides that a unit is synthesised when its first design comes up, not when somebody asks for its gates: at the end of
a search most circuits of its front are there. Everything lands in the cache of `hwsim.gates.synthesis`; what Yosys
refuses is said when a design asks for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING

from hwsim.errors import HwsimError
from hwsim.jit import thread_count

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.cost.gates import Logic
    from hwsim.datapaths.base import Datapath


class Synthesis:
    """One Yosys a core, at work on the units of the designs that were added; a context manager."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(thread_count())
        self._jobs: dict[Datapath, Future[object]] = {}

    def __enter__(self) -> Synthesis:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from hwsim.rtl.tools import end_all

        if kind is not None:
            end_all(self._jobs.values())  # an interrupted user does not wait for circuits
        self._pool.shutdown(cancel_futures=True)

    def add(self, design: Accelerator) -> None:
        """Synthesise the units of a design that are new."""
        from hwsim.datapaths.pricing import unit_logic

        for numerics in design.policy.numerics:
            if numerics.datapath not in self._jobs:
                self._jobs[numerics.datapath] = self._pool.submit(unit_logic, numerics.datapath)

    def finish(self, designs: Iterable[Accelerator]) -> None:
        """Wait for the units of `designs`; those of others that are not under way are dropped."""
        kept = list(designs)
        wanted = {numerics.datapath for design in kept for numerics in design.policy.numerics}
        for unit in [unit for unit, job in self._jobs.items() if unit not in wanted and job.cancel()]:
            del self._jobs[unit]
        for design in kept:
            self.add(design)
        for unit in wanted:
            with contextlib.suppress(HwsimError):
                self._jobs[unit].result()


def areas(accelerator: Accelerator) -> dict[Datapath, Logic]:
    """Synthesised area of every unit of a machine."""
    from hwsim.datapaths.pricing import unit_logic

    units = dict.fromkeys(numerics.datapath for numerics in accelerator.policy.numerics)
    return {datapath: unit_logic(datapath) for datapath in units}

"""Plans and their decisions as calls that any process can make: a trace travels as its path.

Decides that whatever takes longer than its answer is worth another process. What is remembered between runs are
steps (`hwsim.evaluation.steps`), which travel by themselves; a plan is made anew for each machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.evaluation.steps import Operands

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.plan import Plan
    from hwsim.timing.planning import Decision


def plan_elsewhere(operands: Operands, machine: Accelerator, additions: dict[int, float]) -> Plan:
    """`hwsim.evaluation.pricing.planned` for the forward pass of a trace; a clock that is too fast is refused
    first."""
    from hwsim.evaluation.prices import machine_prices
    from hwsim.evaluation.pricing import check_clock, forward_work, planned

    check_clock(machine, machine_prices(machine))
    return planned(forward_work(operands.open().workload, operands.path), machine, additions)


def decide_elsewhere(path: str, digest: str, machine: Accelerator, additions: dict[int, float]) -> Decision:
    """`hwsim.evaluation.pricing.decided` for the forward pass of the trace at `path`."""
    from hwsim.evaluation.pricing import decided, forward_work

    return decided(forward_work(Operands(digest, path).open().workload, path), machine, additions)

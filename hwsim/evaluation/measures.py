"""What a search measures once for each arithmetic, as calls that any process can make: a trace travels as its path.

Decides that whatever takes longer than its answer is worth another process: accuracies, and toggles of the recorded
operands. Both are plain values, which the caller keeps in its `Memo`.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hwsim.errors import DesignError
from hwsim.evaluation.accuracy import replay, rerun
from hwsim.trace import Trace, load_trace

if TYPE_CHECKING:
    from hwsim.arch import Accelerator, Policy
    from hwsim.arch.plan import Plan
    from hwsim.timing.planning import Decision


def count(trace: Trace, policy: Policy) -> list[dict[str, Any]]:
    """Flips of every forward GEMM of `trace`, by dataflow, as fields of `hwsim.cost.Toggles`.

    Raises:
        DesignError: the policy leaves a layer in float32, which has no unit.
    """
    from hwsim.evaluation.counting import count_by_dataflow

    counted = []
    for gemm in trace.gemms("forward"):
        numerics = policy.for_gemm(gemm.layer, "weight" if gemm.b.role == "weight" else "activation")
        if numerics is None:
            raise DesignError("a layer in float32 has no unit whose bits toggle", where=gemm.layer)
        by_dataflow = count_by_dataflow(gemm, numerics)
        counted.append({flow: dataclasses.asdict(toggles) for flow, toggles in by_dataflow.items()})
    return counted


def count_elsewhere(path: str, digest: str, policy: Policy) -> list[dict[str, Any]]:
    """`count` on the trace at `path`, whose digest tells a long-lived process that it is not the one it knows."""
    return count(_opened(path, digest), policy)


def replay_elsewhere(path: str, digest: str, policy: Policy, seed: int) -> dict[str, float]:
    """`hwsim.evaluation.replay` on the trace at `path`."""
    return replay(_opened(path, digest), policy, seed)


def rerun_elsewhere(spec: str, weights: str, policy: Policy, options: dict[str, Any]) -> float:
    """The value of `hwsim.evaluation.rerun`."""
    return rerun(spec, weights, policy, options).value


def plan_elsewhere(path: str, digest: str, machine: Accelerator, additions: dict[int, float]) -> Plan:
    """`hwsim.evaluation.pricing.planned` for the forward pass of the trace at `path`; a clock that is too fast is
    refused first."""
    from hwsim.evaluation.prices import machine_prices
    from hwsim.evaluation.pricing import check_clock, forward_work, planned

    check_clock(machine, machine_prices(machine))
    return planned(forward_work(_opened(path, digest).workload, path), machine, additions)


def decide_elsewhere(path: str, digest: str, machine: Accelerator, additions: dict[int, float]) -> Decision:
    """`hwsim.evaluation.pricing.decided` for the forward pass of the trace at `path`."""
    from hwsim.evaluation.pricing import decided, forward_work

    return decided(forward_work(_opened(path, digest).workload, path), machine, additions)


@lru_cache(maxsize=4)
def _opened(path: str, digest: str) -> Trace:
    return load_trace(path)

"""One design, priced: on a trace, which has operands, or on a workload, which has shapes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.evaluation.borrowing import evaluate_workload
from hwsim.evaluation.evaluator import AccuracyKind, EnergyKind, Evaluator
from hwsim.trace import Workload

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.evaluation.records import Evaluation
    from hwsim.trace import Trace


def evaluate(
    trace: Trace | Workload,
    accelerator: Accelerator,
    accuracy: AccuracyKind = "replay",
    energy: EnergyKind = "trace",
    seed: int = 0,
) -> Evaluation:
    """Price one design on one trace (see `Evaluator`), or on a workload, which has shapes but no operands.

    Args:
        trace: of the model, or its workload: energies of units then follow from the widths of their operands, as
            nothing is known of the bits, and the accuracy is NaN; the result says so.
        accelerator: the design.
        accuracy: ``"replay"`` or ``"rerun"``.
        energy: ``"pann"``, ``"trace"`` or ``"gates"``.
        seed: of schemes that round stochastically.

    Returns:
        Accuracy, energy, area and latency with their breakdowns, each number with its source and error.
    """
    if not isinstance(trace, Workload):
        return Evaluator(trace, accuracy, energy, seed=seed)(accelerator)
    return evaluate_workload(trace, accelerator)

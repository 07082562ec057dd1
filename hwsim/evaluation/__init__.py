"""One design point on one trace: accuracy, energy, area and latency.

Names are loaded when they are first used: the name of a measure loads no evaluator.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.evaluation.accuracy import Metric, mean_sqnr_db, replay, rerun
    from hwsim.evaluation.borrowing import evaluate_workload
    from hwsim.evaluation.evaluator import Evaluator
    from hwsim.evaluation.in_gates import Confirmation, confirm
    from hwsim.evaluation.memo import Memo
    from hwsim.evaluation.phased import Phase, Phased
    from hwsim.evaluation.phases import evaluate_phase
    from hwsim.evaluation.records import Evaluation
    from hwsim.evaluation.single import evaluate
    from hwsim.evaluation.synthesis import Synthesis

_HOME = {
    "Confirmation": "in_gates",
    "Evaluation": "records",
    "Evaluator": "evaluator",
    "Memo": "memo",
    "Metric": "accuracy",
    "Phase": "phased",
    "Phased": "phased",
    "Synthesis": "synthesis",
    "confirm": "in_gates",
    "evaluate": "single",
    "evaluate_phase": "phases",
    "evaluate_workload": "borrowing",
    "mean_sqnr_db": "accuracy",
    "replay": "accuracy",
    "rerun": "accuracy",
}

__all__ = [
    "Confirmation",
    "Evaluation",
    "Evaluator",
    "Memo",
    "Metric",
    "Phase",
    "Phased",
    "Synthesis",
    "confirm",
    "evaluate",
    "evaluate_phase",
    "evaluate_workload",
    "mean_sqnr_db",
    "replay",
    "rerun",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

"""One design point on one trace: accuracy, energy, area and latency."""

from hwsim.evaluation.accuracy import Metric, mean_sqnr_db, replay, rerun
from hwsim.evaluation.borrowing import evaluate_workload
from hwsim.evaluation.evaluator import Evaluator, evaluate
from hwsim.evaluation.in_gates import Confirmation, confirm
from hwsim.evaluation.memo import Memo
from hwsim.evaluation.phases import Phase, Phased, evaluate_phase
from hwsim.evaluation.records import Evaluation
from hwsim.evaluation.synthesis import Synthesis

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

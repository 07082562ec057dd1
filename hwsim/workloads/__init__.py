"""Whole models as operator graphs, written from small config files: no torch, no weights."""

from hwsim.workloads.config import ModelConfig, load_model, names
from hwsim.workloads.decoder import Step, decode, distinct_experts, folded, prefill, sharded, step_workload
from hwsim.workloads.network import Network
from hwsim.workloads.training import TrainingStep, training_step

__all__ = [
    "ModelConfig",
    "Network",
    "Step",
    "TrainingStep",
    "decode",
    "distinct_experts",
    "folded",
    "load_model",
    "names",
    "prefill",
    "sharded",
    "step_workload",
    "training_step",
]

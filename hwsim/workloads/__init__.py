"""Whole models as operator graphs, written from small config files: no torch, no weights."""

from hwsim.workloads.config import ModelConfig, load_model, names
from hwsim.workloads.decoder import Step, decode, distinct_experts, folded, prefill, stages, step_workload
from hwsim.workloads.network import Network
from hwsim.workloads.sharing import Parallel, sharded
from hwsim.workloads.training import TrainingStep, training_step

__all__ = [
    "ModelConfig",
    "Network",
    "Parallel",
    "Step",
    "TrainingStep",
    "decode",
    "distinct_experts",
    "folded",
    "load_model",
    "names",
    "prefill",
    "sharded",
    "stages",
    "step_workload",
    "training_step",
]

"""The torch bridge: models, capture, emulation, training, metrics. The only room that torch enters."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwsim.errors import MissingExtra

if TYPE_CHECKING:
    from hwsim.nn.capturing import capture
    from hwsim.nn.comparing import Comparison, compare
    from hwsim.nn.coverage import Coverage
    from hwsim.nn.emulation import Emulation, emulate
    from hwsim.nn.metric import Measurement, measure
    from hwsim.nn.models import Inputs, ModelFile, load_file, load_model
    from hwsim.nn.muon import Muon, newton_schulz
    from hwsim.nn.recipes import policy_of
    from hwsim.nn.training import Trained, Training, train
    from hwsim.nn.workload import meta_workload

_HOME = {
    "capture": "hwsim.nn.capturing",
    "compare": "hwsim.nn.comparing",
    "Comparison": "hwsim.nn.comparing",
    "Coverage": "hwsim.nn.coverage",
    "Emulation": "hwsim.nn.emulation",
    "emulate": "hwsim.nn.emulation",
    "Measurement": "hwsim.nn.metric",
    "measure": "hwsim.nn.metric",
    "policy_of": "hwsim.nn.recipes",
    "meta_workload": "hwsim.nn.workload",
    "Muon": "hwsim.nn.muon",
    "newton_schulz": "hwsim.nn.muon",
    "Inputs": "hwsim.nn.models",
    "ModelFile": "hwsim.nn.models",
    "load_file": "hwsim.nn.models",
    "load_model": "hwsim.nn.models",
    "Training": "hwsim.nn.training",
    "Trained": "hwsim.nn.training",
    "train": "hwsim.nn.training",
}

__all__ = [
    "Comparison",
    "Coverage",
    "Emulation",
    "Inputs",
    "Measurement",
    "ModelFile",
    "Muon",
    "Trained",
    "Training",
    "capture",
    "compare",
    "emulate",
    "load_file",
    "load_model",
    "measure",
    "meta_workload",
    "newton_schulz",
    "policy_of",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hwsim.nn' has no attribute {name!r}")
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise MissingExtra("torch", install="pip install 'hwsim[torch]'", where=f"hwsim.nn.{name}") from error
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value

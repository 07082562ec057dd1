"""The torch bridge: models, capture, emulation, training, metrics. The only room that torch enters."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwsim.errors import MissingExtra

if TYPE_CHECKING:
    from hwsim.nn.capture import capture
    from hwsim.nn.models import ModelFile, load_file, load_model
    from hwsim.nn.train import Recipe, Trained, train

_HOME = {
    "capture": "hwsim.nn.capture",
    "ModelFile": "hwsim.nn.models",
    "load_file": "hwsim.nn.models",
    "load_model": "hwsim.nn.models",
    "Recipe": "hwsim.nn.train",
    "Trained": "hwsim.nn.train",
    "train": "hwsim.nn.train",
}

__all__ = ["ModelFile", "Recipe", "Trained", "capture", "load_file", "load_model", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hwsim.nn' has no attribute {name!r}")
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise MissingExtra("torch", install="pip install 'hwsim[torch]'", where=f"hwsim.nn.{name}") from error
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # a submodule of the same name must not hide it
    return value

"""Models of the workbench: a Python file with ``build()``, ours or the user's, found by name or path.

A model file defines ``build() -> nn.Module``, and may define

- ``batches() -> iterable``: what the model is fed in a capture. A tensor is the model's input; of a tuple the
  first item is, and the rest (labels) is for ``loss``; a mapping holds keyword arguments; `Inputs` holds all that
  the model is called with, where a tuple's second member is an input too.
- ``loss(model, batch) -> scalar tensor``: needed for a capture of the backward pass.
- ``metric(model) -> float | dict``: a float counts as better when higher. In a dict the first entry is the metric,
  and ``"lower_is_better": True`` turns it round.
- ``training(model) -> Training``: how ``hwsim train`` trains it.

``hf:CONFIG.json`` stands for such a file too: `hwsim.nn.hugging_face`.

A model file is the user's own program and runs as such; checkpoints that it loads should be safetensors.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from hwsim import workbench
from hwsim.errors import ArgumentError, HwsimError, MissingExtra, ModelError
from hwsim.nn.hugging_face import as_model_file
from hwsim.own_code import line_of, note

_loaded: dict[tuple[Path, int], ModuleType] = {}


def load_file(path: Path) -> ModuleType:
    """The module that the file at `path` defines; run once for each state of the file.

    Raises:
        ModelError: the file does not run; `where` is the line of it that failed.
    """
    path = path.resolve()
    key = path, path.stat().st_mtime_ns
    if key not in _loaded and path.suffix == ".json":
        _loaded[key] = as_model_file(path)
    if key not in _loaded:
        mark = hashlib.sha1(str(path).encode(), usedforsecurity=False).hexdigest()[:8]
        name = f"hwsim_workbench_{path.stem}_{mark}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ModelError("model file must be Python source", where=str(path))
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up there
        note(path)
        try:
            _guarded(path, "file must run", spec.loader.exec_module, module)
        except BaseException:
            del sys.modules[name]
            raise
        _loaded[key] = module
    return _loaded[key]


def _guarded(path: Path, rule: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of the user's file; what it raises becomes a `ModelError` that names the user's line."""
    try:
        return function(*args, **kwargs)
    except (HwsimError, MissingExtra, KeyboardInterrupt):
        raise
    except SyntaxError as error:
        raise ModelError(f"{rule}, {error.msg}", where=f"{path}:{error.lineno}") from error
    except Exception as error:
        told = f"{rule}, it raised {type(error).__name__}: {error}"
        raise ModelError(told, where=line_of(error) or str(path)) from error


@dataclass(frozen=True)
class ModelFile:
    """A model file, the name of its building function, and the name that it was found by, None for a path."""

    path: Path
    function: str
    known_as: str | None = None

    @classmethod
    def find(cls, spec: str | Path) -> ModelFile:
        """The file that `spec` means: ``"gpt"``, ``"path/to/file.py"``, ``"path/to/file.py:function"`` or
        ``"hf:CONFIG.json"``."""
        text = str(spec)
        if text.startswith("hf:"):
            path = Path(text.removeprefix("hf:"))
            if not path.is_file():
                raise ArgumentError("configuration must exist", got=str(path), where="hf")
            return cls(path, "build")
        head, colon, tail = text.rpartition(":")
        if not (colon and tail.isidentifier() and len(head) > 1):
            head, tail = text, "build"
        path = workbench.find("models", head, ".py")
        return cls(path, tail, head if path.name == f"{head}.py" and not Path(head).suffix else None)

    @property
    def spec(self) -> str:
        """What a trace records to find the model again: ``"name:function"``, ``"/path/to/file.py:function"`` or
        ``"hf:/path/to/CONFIG.json"``."""
        if self.path.suffix == ".json":
            return f"hf:{self.path.resolve()}"
        return f"{self.known_as or self.path.resolve()}:{self.function}"

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    def get(self, name: str) -> Callable[..., Any] | None:
        """The function `name` of the file, None if there is none; its errors name the user's line."""
        function = getattr(load_file(self.path), name, None)
        if function is None:
            return None
        if not callable(function):
            raise ModelError(f"{name} must be a function", got=type(function).__name__, where=str(self.path))

        def guarded(*args: Any, **kwargs: Any) -> Any:
            return _guarded(self.path.resolve(), f"{name}() must return", function, *args, **kwargs)

        return guarded

    def accepts(self, name: str, parameter: str) -> bool:
        """Whether the function `name` of the file takes the keyword `parameter`."""
        function = getattr(load_file(self.path), name)
        return parameter in inspect.signature(function).parameters

    def build(self, **options: Any) -> nn.Module:
        """The model, its weights checked to be finite.

        Raises:
            ModelError: no such function, it fails, it returns no module, or a weight is NaN or infinite.
        """
        function = self.get(self.function)
        if function is None:
            raise ModelError(f"model file must define {self.function}() -> torch.nn.Module", where=str(self.path))
        known = {name: value for name, value in options.items() if self.accepts(self.function, name)}
        model = function(**known)
        if not isinstance(model, nn.Module):
            raise ModelError(
                f"{self.function}() must return a torch.nn.Module", got=type(model).__name__, where=str(self.path)
            )
        check_finite(model, where=str(self.path))
        return model

    def batches(self) -> Iterable[Any]:
        """What the file's ``batches()`` yields."""
        function = self.get("batches")
        if function is None:
            raise ModelError("model file must define batches(), or batches must be given", where=str(self.path))
        produced: Iterable[Any] = function()
        return produced


def check_finite(model: nn.Module, where: str) -> None:
    """Raise `ModelError` if a parameter or buffer of `model` holds NaN, or a parameter an infinity: buffers of
    infinities are masks."""
    parameters = dict(model.named_parameters())
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor) and value.is_floating_point() and not value.is_meta:
            wrong = int((~torch.isfinite(value) if name in parameters else torch.isnan(value)).sum())
            if wrong:
                raise ModelError(f"weights must be finite, {name} holds {wrong} NaN or infinite values", where=where)


def load_model(spec: str | Path | nn.Module) -> nn.Module:
    """The model that `spec` means, in evaluation mode; a module is returned as it is."""
    return spec if isinstance(spec, nn.Module) else ModelFile.find(spec).build().eval()


@dataclass(frozen=True)
class Inputs:
    """A batch whose members are all the model's: ``Inputs((images, masks))`` calls ``model(images, masks)``."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def arguments(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a model is called with for a batch of the form that the module docstring describes."""
    if isinstance(batch, Inputs):
        return batch.args, dict(batch.kwargs)
    if isinstance(batch, Tensor):
        return (batch,), {}
    if isinstance(batch, Mapping):
        return (), dict(batch)
    if isinstance(batch, (tuple, list)) and batch and isinstance(batch[0], Tensor):
        return (batch[0],), {}
    raise ArgumentError(
        "batch must be a tensor, a tuple that begins with one, a mapping, or hwsim.nn.Inputs",
        got=type(batch).__name__,
    )


def run(model: nn.Module, batch: Any) -> Any:
    """One forward of `model` on a batch."""
    args, kwargs = arguments(batch)
    return model(*args, **kwargs)

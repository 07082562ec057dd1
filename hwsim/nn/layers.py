"""Which modules of a model are running, in every thread, and whether a backward is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from hwsim.nn.places import plain_name


def current_node() -> int | None:
    """Number of the autograd node whose backward is under way, None in a forward."""
    node = torch._C._current_autograd_node()
    return None if node is None else node._sequence_nr()


class _Stack(threading.local):
    def __init__(self) -> None:
        self.names: list[str] = []
        self.nodes: list[int | None] = []


class Layers:
    """The stacks of modules that are running, one a thread, by name.

    Hooks are torch's global ones: the model itself stays as it is, so that it can be copied and stored meanwhile.
    A module of the model's own class that `is_copy` takes for a copy goes by the model's names.

    Args:
        model: whose modules are named.
        on_enter, on_leave: called around the outermost module of a thread, `on_enter` with the module.
        is_copy: whether a module that is not the model's was made of it.
    """

    def __init__(
        self,
        model: nn.Module,
        on_enter: Callable[[nn.Module], None] | None = None,
        on_leave: Callable[[], None] | None = None,
        is_copy: Callable[[nn.Module], bool] | None = None,
    ) -> None:
        self._local = _Stack()
        self.thread = threading.current_thread()
        self._root, self._is_copy = type(model), is_copy
        self._names = {module: plain_name(name) for name, module in model.named_modules()}
        self._on_enter, self._on_leave = on_enter, on_leave
        self._handles: list[Any] = []
        self.hook()

    def hook(self) -> None:
        """Put the hooks on."""
        self._handles += [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]

    def _enter(self, module: nn.Module, args: Any) -> None:
        if module not in self._names and not self._adopted(module):
            if isinstance(module, torch.jit.ScriptModule) and self._is_copy is not None and self._is_copy(module):
                assert self._on_enter is not None
                self._on_enter(module)  # nobody sees what runs inside
            return
        if not self._local.names and self._on_enter is not None:
            self._on_enter(module)
        self._local.names.append(self._names[module])
        self._local.nodes.append(current_node())

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if module in self._names and self._local.names:
            self._local.names.pop()
            self._local.nodes.pop()
            if not self._local.names and self._on_leave is not None:
                self._on_leave()

    def _adopted(self, module: nn.Module) -> bool:
        if type(module) is not self._root or self._is_copy is None or not self._is_copy(module):
            return False
        copied = {inner: plain_name(name) for name, inner in module.named_modules()}
        if any(inner in self._names for inner in copied):
            return False  # the model's own modules in another container
        self._names |= copied
        return True

    def name_of(self, module: object) -> str | None:
        """The name of a module of the model, None for anything else."""
        return self._names.get(module) if isinstance(module, nn.Module) else None

    @property
    def running(self) -> bool:
        """Whether a forward of the model is under way in this thread."""
        return bool(self._local.names)

    @property
    def forward(self) -> bool:
        """Whether a forward of the model is under way and no backward inside of it: recomputation runs a forward
        inside of a backward node, which is then the one that the module was entered in."""
        return bool(self._local.names) and self._local.nodes[-1] == current_node()

    @property
    def current(self) -> str:
        """Dotted name of the innermost module, "" for the model itself."""
        return self._local.names[-1] if self._local.names else ""

    def remove(self) -> None:
        """Take the hooks off."""
        while self._handles:
            self._handles.pop().remove()

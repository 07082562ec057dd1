"""Activation checkpointing: what runs again in a backward runs as it ran in the forward, in the block or after it.

While the block lasts, a recomputation finds the mode in force. For one after its end, the function that
``torch.utils.checkpoint`` keeps is wrapped in one that enters the mode: it is found on the stack of calls for the
reentrant kind, in the hooks for saved tensors for the other. Patching torch was rejected: it would outlast the block.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

import torch
from torch.utils import checkpoint

_FILE = checkpoint.__file__


def keep_entering(entered: Callable[[], AbstractContextManager[None]]) -> None:
    """Let the recomputation of the checkpointed region under way, if there is one, run in the context `entered`."""
    if torch.is_grad_enabled():
        hooks = torch._C._autograd._top_saved_tensors_default_hooks(False)
        for cell in getattr(hooks[0], "__closure__", None) or () if hooks else ():
            kept = cell.cell_contents
            if hasattr(kept, "recompute_fn"):
                _wrap(kept, "recompute_fn", entered)
    else:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == _FILE and frame.f_code.co_name == "forward" and "ctx" in frame.f_locals:
                _wrap(frame.f_locals["ctx"], "run_function", entered)
            frame = frame.f_back


def _wrap(holder: Any, name: str, entered: Callable[[], AbstractContextManager[None]]) -> None:
    function = getattr(holder, name, None)
    if function is None or getattr(function, "enters_emulation", False):
        return

    @functools.wraps(function)
    def again(*args: Any, **kwargs: Any) -> Any:
        with entered():
            return function(*args, **kwargs)

    again.enters_emulation = True  # type: ignore[attr-defined]
    setattr(holder, name, again)

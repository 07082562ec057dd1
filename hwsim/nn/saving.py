"""What nonlinearities, norms and softmaxes keep for their backward, packed by a recipe's `Saver`.

Torch tells whoever packs a saved tensor the tensor and not the operator that saves it. So each function that a saver
may want runs under hooks of its own. Parameters are kept as they are: they stay in memory anyway.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hwsim.recipes import Draw, Saver

OPERATORS = {
    "gelu": "GeluBackward0",
    "silu": "SiluBackward0",
    "relu": "ReluBackward0",
    "layer_norm": "NativeLayerNormBackward0",
    "rms_norm": "FusedRmsNormBackward0",
    "softmax": "SoftmaxBackward0",
}
"""Functions of torch by name, without a trailing underscore, and the autograd node that saves."""


@dataclass(slots=True)
class SavedBytes:
    """Bytes of what was packed: before, in the type that the model has, and after; sums over all calls so far."""

    before: int = 0
    after: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, before: int, after: int) -> None:
        """Count one tensor."""
        with self._lock:
            self.before += before
            self.after += after


@dataclass(frozen=True, slots=True)
class _Packed:
    data: Any
    dtype: torch.dtype
    device: torch.device


def operator_of(name: str) -> str | None:
    """The autograd node of the function `name`, None for functions that no saver knows."""
    return OPERATORS.get(name.removesuffix("_"))


def saving(saver: Saver, op: str, draw: Draw, count: SavedBytes) -> Any:
    """A context in which what `op` saves goes through `saver`."""

    def pack(tensor: Tensor) -> Any:
        if isinstance(tensor, torch.nn.Parameter) or not tensor.is_floating_point():
            return tensor
        packed, size = saver.pack(op, tensor.detach().float().contiguous().cpu().numpy(), draw)
        count.add(tensor.numel() * tensor.element_size(), size)
        return _Packed(packed, tensor.dtype, tensor.device)

    def unpack(kept: Any) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        made = torch.from_numpy(saver.unpack(kept.data))
        return made.to(device=kept.device, dtype=kept.dtype)

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)

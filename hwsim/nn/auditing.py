"""How much of a network emulation reaches: the multiplications that it says it saw, beside torch's own count.

The parent is `torch.utils.flop_counter`. Where it is blind or miscounts on a CPU it is given sight: attention runs by
its mathematical kernel and recurrent layers without oneDNN, a grouped product counts a row times its own matrix, and
the gradient of a grouped convolution's weight counts the channels that a group reads, not all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hwsim.nn.coverage import PHASES
from hwsim.nn.emulation import emulate
from hwsim.nn.hugging_face import first_output
from hwsim.nn.models import ModelFile, run
from hwsim.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Audit:
    """Multiply-accumulates of one forward and one backward.

    Attributes:
        name: of the network.
        counted: by torch, forward and backward.
        seen: by emulation.
        emulated: those of them that ran on emulated arithmetic.
        left: the others by layer and reason.
    """

    name: str
    counted: tuple[int, int]
    seen: tuple[int, int]
    emulated: tuple[int, int]
    left: Mapping[tuple[str, str], int]

    @property
    def complete(self) -> bool:
        """Whether everything that torch counted was seen, and all of it emulated."""
        return self.counted == self.seen == self.emulated


def audit(name: str, model: nn.Module, batch: Any, recipe: str | Recipe = "nvfp4") -> Audit:
    """Run `model` in training mode on `batch` (`hwsim.nn.models`), plain and emulated, the sums in float32.

    The loss is the mean square of the first output.
    """
    model.train()
    counted = _counted(model, batch)
    with emulate(model, recipe, exact="float32") as handle:
        loss: Any = first_output(run(model, batch)).float().square().mean()
        loss.backward()
        coverage = handle.coverage()
    model.zero_grad()
    forward, dgrad, wgrad = (coverage.phases[phase] for phase in PHASES)
    seen = forward.asked, dgrad.asked + wgrad.asked
    emulated = forward.emulated, dgrad.emulated + wgrad.emulated
    return Audit(name, counted, seen, emulated, coverage.left)


def _counted(model: nn.Module, batch: Any) -> tuple[int, int]:
    counts = []
    with sdpa_kernel(SDPBackend.MATH), _without_onednn():
        out: Any = None
        steps: tuple[Callable[[], Any], ...] = (
            lambda: first_output(run(model, batch)).float().square().mean(),
            lambda: out.backward(),
        )
        for step in steps:
            with FlopCounterMode(display=False, custom_mapping=_SIGHT) as counter:
                out = step()
            counts.append(counter.get_total_flops() // 2)
    model.zero_grad()
    return counts[0], counts[1]


@contextmanager
def _without_onednn() -> Iterator[None]:
    enabled = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)


def _grouped(a: Any, b: Any, *_: Any, **__: Any) -> int:
    """``[T, K] x [G, K, N]``, rows by their group, or ``[K, T] x [T, N]``, one product for the columns of a group."""
    return int(2 * a[0] * a[1] * b[-1])


def _convolution_gradients(
    grad: Any, x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool,
    output_padding: Any, groups: int, output_mask: Any, **_: Any,
) -> int:  # fmt: skip
    """Each number of the small side meets each weight of one channel, once a gradient."""
    small = x if transposed else grad
    return int(2 * math.prod(small) * math.prod(w[1:]) * sum(map(bool, output_mask[:2])))


_SIGHT: dict[Any, Any] = {
    torch.ops.aten._grouped_mm: _grouped,
    torch.ops.aten.convolution_backward: _convolution_gradients,
}


def own(name: str) -> tuple[nn.Module, Any]:
    """A model of the workbench and its first batch."""
    file = ModelFile.find(name)
    return file.build(), next(iter(file.batches()))


def transformer_encoder() -> tuple[nn.Module, Tensor]:
    """Two layers of torch's own encoder, and a batch for it."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), torch.randn(2, 32, 64)

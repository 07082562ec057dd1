"""What quantization does to a training while it runs: signal to noise of every operand, and the gradient beside
float32's.

Now and then a step is looked at. Each GEMM then measures what quantizing its operands lost, and once the backward is
done the same batch runs a second time in float32, on a twin with the same weights and the same random numbers.
Nothing of it enters the training: with and without looks a training has the same bits.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Key = tuple[str, str, str]
"""Layer, GEMM (``"fprop"``, ``"dgrad"``, ``"wgrad"``), operand (``"a"``, ``"b"``)."""


class Noise:
    """Energy of operands and of what their quantization lost, summed over uses, micro-batches and matrices."""

    def __init__(self) -> None:
        self.sums: dict[Key, list[float]] = {}

    def add(self, key: Key, exact: NDArray[np.float32], made: NDArray[np.float32]) -> None:
        """An operand before and after."""
        lost = np.subtract(made, exact, dtype=np.float64)
        held = self.sums.setdefault(key, [0.0, 0.0])
        held[0] += float(np.square(exact, dtype=np.float64).sum())
        held[1] += float(np.square(lost).sum())

    def sqnr_db(self) -> dict[Key, float | None]:
        """10 log10(energy / energy lost); None where nothing was lost, or nothing was there."""
        return {
            key: 10 * math.log10(signal / lost) if lost and signal else None
            for key, (signal, lost) in sorted(self.sums.items())
        }


def gradient_beside(model: nn.Module, twin: nn.Module, backward: Callable[[], Any]) -> tuple[float | None, float]:
    """The gradient q that `model` holds beside g, which `backward` gives its `twin` at the same weights.

    Args:
        model: after its backward.
        twin: a copy made outside of the emulation; it takes the model's weights and buffers.
        backward: leaves gradients in `twin`.

    Returns:
        ‖g‖ / ‖q - g‖, None without a difference, and the cosine of q and g, 0 where one is zero: of all parameters
        together, sums in float64.
    """
    with torch._C.DisableTorchFunction():  # an emulation would take a twin filled from the model for a part of it
        twin.load_state_dict(model.state_dict())
        twin.zero_grad(set_to_none=True)
        backward()
    pairs = [
        (one.grad.double(), other.grad.double())
        for one, other in zip(model.parameters(), twin.parameters(), strict=True)
        if one.grad is not None and other.grad is not None
    ]
    signal = math.fsum(float(g.square().sum()) for _, g in pairs)
    noise = math.fsum(float((q - g).square().sum()) for q, g in pairs)
    size = math.fsum(float(q.square().sum()) for q, _ in pairs)
    dot = math.fsum(float((q * g).sum()) for q, g in pairs)
    cosine = dot / math.sqrt(signal * size) if signal and size else 0.0
    return math.sqrt(signal / noise) if noise else None, cosine


class Looks:
    """The steps of one training that are looked at.

    Attributes:
        gradients: (step, ratio, cosine), see `gradient_beside`; steps count from 1.
        sqnr: (step, layer, GEMM, operand, dB), see `Noise`.
    """

    def __init__(self, network: nn.Module, loss: Callable[[nn.Module, Any], Tensor], steps: int, looks: int) -> None:
        """`looks` steps of `steps`, evenly spaced from the first on, and the last; 0 for none. Made outside of the
        emulation."""
        self._network, self._loss, self._steps = network, loss, steps
        self._every = max(1, steps // looks) if looks else 0
        self._twin = copy.deepcopy(network) if looks else None
        self._random: Tensor | None = None
        self.gradients: list[tuple[int, float | None, float]] = []
        self.sqnr: list[tuple[int, str, str, str, float | None]] = []

    def wants(self, step: int) -> bool:
        """Whether step `step`, counted from 0, is looked at."""
        return bool(self._every) and (step % self._every == 0 or step == self._steps - 1)

    @contextmanager
    def step(self, step: int, handle: Any) -> Iterator[Callable[[Any], None]]:
        """Around the forward and the backward of a step; yields what to call with its batch after the backward.

        Args:
            step: counted from 0.
            handle: the `Emulation`, None in float32.
        """
        if handle is None or not self.wants(step):
            yield lambda batch: None
            return
        random = torch.get_rng_state()
        with handle.looking() as noise:
            yield lambda batch: self._look(step, batch, random, noise)

    def _look(self, step: int, batch: Any, random: Tensor, noise: Noise) -> None:
        assert self._twin is not None
        twin = self._twin.train(self._network.training)

        def backward() -> None:
            with torch.random.fork_rng(devices=[]):
                torch.set_rng_state(random)
                self._loss(twin, batch).backward()  # type: ignore[no-untyped-call]

        self.gradients.append((step + 1, *gradient_beside(self._network, twin, backward)))
        self.sqnr += [(step + 1, *key, value) for key, value in noise.sqnr_db().items()]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"gradients": list(self.gradients), "sqnr": list(self.sqnr)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.gradients = [tuple(row) for row in state["gradients"]]
        self.sqnr = [tuple(row) for row in state["sqnr"]]

"""Random numbers by counter: which seed an operand of a product gets, the same in whatever order things run.

A use of a layer has a `Ticket`: the step, the micro-batch, and the how-many-eth use of the layer in it. Seeds are
digests of the emulation's seed, the ticket, the GEMM and the operand; elements count from there
(`hwsim.quant.random_bits`). A forward that runs again inside of a backward is known by the numbers that enter it and
gets the ticket of the first time. Torch's generator was rejected: its state depends on all that ran before.

Micro-batches are counted over ranks: number i of rank r is ``i · ranks + r``, so that two ranks draw what one process
with two micro-batches draws.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

SAMPLED = 64
"""Numbers of each operand that tell one use of a layer from another."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One use of a layer."""

    layer: str
    step: int
    micro_batch: int
    use: int


def seed_of(*parts: object) -> int:
    """64 bits that follow from the parts."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


class Clock:
    """Steps, micro-batches and uses so far.

    Attributes:
        step: optimizer steps done; counts by itself once an optimizer has stepped and the model runs again.
        on_step: called with the steps done once one is whole.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rank, self.ranks = _rank()
        self._step = 0
        self._stepped = False
        self._local = 0
        self._micro = 0
        self._uses: dict[str, int] = {}
        self._tickets: dict[tuple[Any, ...], Ticket] = {}
        self._lock = threading.RLock()
        self.on_step: Callable[[int], None] | None = None

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self._step

    @step.setter
    def step(self, step: int) -> None:
        self._step, self._stepped, self._local = step, False, 0
        self._uses, self._tickets = {}, {}

    def optimizer_stepped(self) -> None:
        """Note that the next forward belongs to another step."""
        self._stepped = True

    def forward_begins(self, training: bool) -> None:
        """Note a forward of the whole model, no recomputation. Out of training it is no micro-batch."""
        with self._lock:
            self._advance()
            self._uses = {}
            if training:
                self._micro = self._local * self.ranks + self.rank
                self._local += 1
            else:
                self._micro = -1

    def ticket(self, layer: str, operands: Sequence[NDArray[np.float32]]) -> Ticket:
        """The ticket of a use of `layer` on these numbers."""
        mark = layer, *(sampled(one) for one in operands)
        again = torch._C._current_autograd_node() is not None
        with self._lock:
            if again and mark in self._tickets:
                return self._tickets[mark]
            if not again:
                self._advance()
            use = self._uses.get(layer, 0)
            self._uses[layer] = use + 1
            ticket = Ticket(layer, self._step, self._micro, use)
            self._tickets[mark] = ticket
            return ticket

    def settle(self) -> None:
        """Count a step that an optimizer has done and no forward followed."""
        with self._lock:
            self._advance()

    def _advance(self) -> None:
        if self._stepped:
            self.step = self._step + 1
            if self.on_step is not None:
                self.on_step(self._step)


def sampled(operand: NDArray[np.float32]) -> tuple[tuple[int, ...], bytes]:
    """Shape and some of the numbers of an operand, evenly spread."""
    flat = operand.reshape(-1)
    return operand.shape, flat[:: max(1, flat.size // SAMPLED)].tobytes()


def _rank() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1

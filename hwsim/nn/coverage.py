"""How many multiply-accumulates a model asked for, and how many of them were emulated, by phase."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from hwsim.trace.gemm import Phase

PHASES: tuple[Phase, ...] = ("forward", "dgrad", "wgrad")


@dataclass(slots=True)
class Part:
    """Multiply-accumulates of one phase.

    Attributes:
        asked: of all products, recomputed ones included.
        emulated: those that ran on emulated arithmetic.
        left: the others, by layer and reason: (``"head"``, ``"policy"``), (``"rotary"``, ``"positions"``).
    """

    asked: int = 0
    emulated: int = 0
    left: dict[tuple[str, str], int] = field(default_factory=dict)


class Coverage:
    """Multiply-accumulates so far; `asked`, `emulated` and `left` are the sums of the `phases`."""

    def __init__(self) -> None:
        self.phases: dict[Phase, Part] = {phase: Part() for phase in PHASES}
        self._lock = threading.Lock()

    def add(self, phase: Phase, layer: str, macs: int, left: str = "") -> None:
        """Count a product; `left` is the reason why it was not emulated."""
        with self._lock:
            part = self.phases[phase]
            part.asked += macs
            if not left:
                part.emulated += macs
            else:
                part.left[layer, left] = part.left.get((layer, left), 0) + macs

    @property
    def asked(self) -> int:
        """Of all phases."""
        return sum(part.asked for part in self.phases.values())

    @property
    def emulated(self) -> int:
        """Of all phases."""
        return sum(part.emulated for part in self.phases.values())

    @property
    def left(self) -> dict[tuple[str, str], int]:
        """Of all phases."""
        found: dict[tuple[str, str], int] = {}
        for part in self.phases.values():
            for key, macs in part.left.items():
                found[key] = found.get(key, 0) + macs
        return found

"""A recorded product in the words of a unit, and what one unit sees of it step after step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.arch.numerics import Numerics, Prepared
from hwsim.gates.steps import BATCHES, Stream, budget, check_dataflow, joined
from hwsim.trace import Gemm

SEED = 0
"""Of schemes that round stochastically."""


class Operands:
    """A recorded product in the words of a unit; each batch is quantised once, however often it is asked for."""

    def __init__(self, gemm: Gemm, numerics: Numerics) -> None:
        self.gemm, self.numerics = gemm, numerics
        self._a: dict[int, tuple[NDArray[Any], NDArray[np.uint8] | None]] = {}
        self._b: dict[int, Prepared] = {}

    def batches(self, most: int = BATCHES) -> list[int]:
        """At most so many batches, evenly spread."""
        return [int(one) for one in np.unique(np.linspace(0, len(self.gemm.a.values) - 1, most).astype(np.intp))]

    def a(self, batch: int) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        """Words ``[M, K]`` and scale bytes of operand a."""
        if batch not in self._a:
            a = self.numerics.quantize(self.gemm.a.values[batch], "activation", seed=SEED)
            self._a[batch] = self.numerics.words(a, "a"), self.numerics.scale_bytes(a)
        return self._a[batch]

    def b(self, batch: int) -> Prepared:
        """Operand b, which all batches share where the trace has one of it."""
        at = batch if len(self.gemm.b.values) > 1 else 0
        if at not in self._b:
            self._b[at] = self.numerics.prepare_b(self.gemm.b.values[at], self.gemm.b.role, seed=SEED + 1)
        return self._b[at]


def unit_stream(operands: Operands, dataflow: str = "ws", steps: int | None = None) -> Stream:
    """What one unit sees of a product.

    Args:
        operands: the product and the arithmetic.
        dataflow: order of the operands.
        steps: most steps; what `hwsim.gates.steps.budget` asks for by default.

    Raises:
        ArgumentError: an unknown dataflow, or fewer than 2 steps.
    """
    check_dataflow(dataflow, "gates.steps")
    unit, k = operands.numerics.datapath, operands.gemm.k
    most = budget(unit.lanes, steps)
    batches = operands.batches(min(BATCHES, max(most // -(-k // unit.lanes), 1)))
    parts = []
    for batch in batches:
        (a, scale_a), b = operands.a(batch), operands.b(batch)
        parts.append(unit.stream(dataflow, most // len(batches), a, b.words, scale_a, b.scales))
    return joined(parts)

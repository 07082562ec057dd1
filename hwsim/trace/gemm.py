"""What a trace holds: matrix products, with their operands (`Gemm`) or as shapes only (`GemmShape`).

Every product is written ``out[m, n] = sum over k of a[m, k] * b[n, k]``: both operands have their rows along K, the
axis of the dot products, of the blocks of a block scale, and of the stream into a processing element. The usual
``a @ b`` with b of shape [K, N] was rejected, as each user would transpose weights that are stored [N, K] anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hwsim.trace.graph import Graph

Role = Literal["activation", "weight", "gradient"]
Phase = Literal["forward", "dgrad", "wgrad"]

ROLES: tuple[Role, ...] = ("activation", "weight", "gradient")
PHASES: tuple[Phase, ...] = ("forward", "dgrad", "wgrad")


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of a product.

    Attributes:
        values: float32 ``[batch', rows', K]``, read-only; some batches and rows of those that the product had.
        role: what the numbers are.
        rows_total: batches times rows before sampling.
    """

    values: NDArray[np.float32]
    role: Role
    rows_total: int

    @property
    def rows(self) -> int:
        """Rows that are held, of all batches."""
        return int(self.values.shape[0] * self.values.shape[1])

    @property
    def is_sampled(self) -> bool:
        """Whether rows are missing."""
        return self.rows < self.rows_total


@dataclass(frozen=True, slots=True)
class GemmShape:
    """A product without its numbers: `batch` products of a ``[m, k]`` by a ``[n, k]`` operand.

    Attributes:
        layer: dotted name of the module that asked for it, "" for the model itself.
        op: ``"linear"``, ``"matmul"``, ``"attention"`` or ``"convolution"``.
        phase: ``"forward"``, ``"dgrad"`` (gradient of the input) or ``"wgrad"`` (gradient of the weight).
        b_role: what operand b is.
        groups: how many different operands b the batch has: 1 where all share one weight, `batch` where each product
            has its own (experts, groups of a convolution, heads); neighbouring ``batch / groups`` products share one.
        causal: the upper triangle of ``[m, n]`` (of ``[m, k]`` where scores are operand a) is masked, so that about
            half of the multiplications need not be done.
    """

    layer: str
    op: str
    phase: Phase
    batch: int
    m: int
    n: int
    k: int
    b_role: Role
    groups: int = 1
    causal: bool = False

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all batches, masked ones included."""
        return self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Gemm:
    """A product that a model really computed, with the operands it consumed.

    `layer`, `op`, `phase`, `batch`, `m`, `n`, `k`, `groups` and `causal` as in `GemmShape`, before sampling; `step`
    counts the batches of the capture. `a.values` is ``[batch', m', k]`` and `b.values` ``[batch' or 1, n', k]``, with
    1 where one operand b serves all batches. Sampled batches are the same in both.
    """

    layer: str
    op: str
    phase: Phase
    step: int
    batch: int
    m: int
    n: int
    k: int
    a: Operand
    b: Operand
    groups: int = 1
    causal: bool = False

    @property
    def shape(self) -> GemmShape:
        """The product without its numbers."""
        return GemmShape(
            self.layer, self.op, self.phase, self.batch, self.m, self.n, self.k, self.b.role, self.groups, self.causal
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates before sampling."""
        return self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Workload:
    """The products of a run of a model in the order of the run, and the graph of all operators where it is known."""

    name: str
    gemms: tuple[GemmShape, ...]
    graph: Graph | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all products."""
        return sum(gemm.macs for gemm in self.gemms)

"""How long one step of an engine takes: what it computes and what it reads, and what is added to both.

The same compiled function times the steps of the event loop and of its reference, so that both agree to the
nanosecond.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit


@dataclass(frozen=True, slots=True)
class StepCost:
    """Seconds of a step from its counts.

    A step takes ``fixed + token * tokens + sequence * sequences + linear + attention``. Linear layers and attention
    are kernels that run one after the other; each takes ``(compute^sharpness + memory^sharpness)^(1/sharpness)``, the
    larger of the two where the sharpness is infinite.

    Attributes:
        fixed_s: of every step: launches, the latency of collectives.
        token_s: of a new token: what collectives carry.
        sequence_s: of a sequence in the step.
        compute_token_s: arithmetic of a new token in all linear layers.
        compute_logit_s: arithmetic of a token that gets logits.
        compute_pair_s: arithmetic of a pair of a query and a key in all layers.
        memory_s: reading the weights that every step reads.
        memory_row_s: reading the keys and values of a token of the context.
        memory_token_s: activations of a new token.
        memory_experts_s: reading all experts; a step reads the part that its tokens touch.
        visited: part of the experts that one token visits.
        sharpness: how compute and memory join: infinite, or at least 1.
    """

    fixed_s: float = 0.0
    token_s: float = 0.0
    sequence_s: float = 0.0
    compute_token_s: float = 0.0
    compute_logit_s: float = 0.0
    compute_pair_s: float = 0.0
    memory_s: float = 0.0
    memory_row_s: float = 0.0
    memory_token_s: float = 0.0
    memory_experts_s: float = 0.0
    visited: float = 0.0
    sharpness: float = float("inf")

    def __post_init__(self) -> None:
        if min(astuple(self)) < 0 or self.sharpness < 1 or self.visited > 1:
            raise ArgumentError(
                "times must not be negative, sharpness >= 1, visited <= 1", got=self, where="StepCost"
            )

    @property
    def table(self) -> NDArray[np.float64]:
        """The numbers in the order of the attributes, for `step_ns`."""
        return np.array(astuple(self), dtype=np.float64)

    def step_ns(self, tokens: int, sequences: int, logits: int, pairs: int, rows: int) -> int:
        """Nanoseconds of a step, at least 1.

        Args:
            tokens: new ones of all sequences.
            sequences: in the step.
            logits: tokens that get logits.
            pairs: of a query and a key that it may see, all sequences together.
            rows: of keys and values that are read, all sequences together.
        """
        return int(step_ns(self.table, tokens, sequences, logits, pairs, rows))


@njit(inline="always")
def _joined(compute: float, memory: float, sharpness: float) -> float:
    if np.isinf(sharpness):
        return max(compute, memory)
    if compute == 0.0 or memory == 0.0:
        return compute + memory
    if sharpness == 2.0:
        return float(np.sqrt(compute * compute + memory * memory))  # a power takes longer than all else in a step
    return float((compute**sharpness + memory**sharpness) ** (1.0 / sharpness))


@njit
def step_ns(table: NDArray[np.float64], tokens: int, sequences: int, logits: int, pairs: int, rows: int) -> int:
    """`StepCost.step_ns` on its table."""
    memory = table[6] + table[8] * tokens
    if table[9] > 0.0:
        memory += table[9] * (1.0 - (1.0 - table[10]) ** tokens)
    linear = _joined(table[3] * tokens + table[4] * logits, memory, table[11])
    attention = _joined(table[5] * pairs, table[7] * rows, table[11])
    seconds = table[0] + table[1] * tokens + table[2] * sequences + linear + attention
    ns = int(np.rint(seconds * 1e9))
    return ns if ns > 1 else 1

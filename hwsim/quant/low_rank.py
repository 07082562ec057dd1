"""A matrix as a few directions and a residual: what Metis quantizes apart (arXiv 2509.00404).

A few singular values tower over the rest, and one scale for both loses the rest. X is split into U diag(s) Vᵀ of rank
r and what is left; U, V and the residual are quantized each with scales of its own, s stays. The directions come from
power iteration started at the last step's V, as they change slowly.

Bits depend on the LAPACK that numpy was built with, as a float32 matrix product does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.quant.random_bits import random_words

Floats = NDArray[np.float32]


def leading(
    x: Floats, rank: int, *, start: Floats | None = None, iterations: int = 2, seed: int = 0
) -> tuple[Floats, Floats, Floats]:
    """The leading `rank` singular triples of x ``[M, K]``, approximately.

    Args:
        x: float32, finite.
        rank: 1 to the smaller side.
        start: float32 ``[K, rank]``, columns to begin with, as the last call's V; None draws signs.
        iterations: products with x and its transpose.
        seed: of the signs.

    Returns:
        U ``[M, rank]`` and V ``[K, rank]`` with orthonormal columns, s ``[rank]`` falling: x ≈ U diag(s) Vᵀ.

    Raises:
        ArgumentError: a rank beyond the smaller side, a start of another shape, values that are not finite.
    """
    if x.ndim != 2 or not 1 <= rank <= min(x.shape):
        raise ArgumentError(f"rank must lie in 1..{min(x.shape)}", got=rank)
    if not np.isfinite(x).all():
        raise ArgumentError("x must be finite", got=float(x[~np.isfinite(x)][0]))
    if start is None:
        words = random_words(seed, x.shape[1] * rank)
        start = (1.0 - 2.0 * (words & 1)).astype(np.float32).reshape(x.shape[1], rank)
    if start.shape != (x.shape[1], rank):
        raise ArgumentError(f"start must be of shape {(x.shape[1], rank)}", got=start.shape)
    right = start
    for _ in range(max(1, iterations)):
        left = np.linalg.qr(x @ right)[0]
        right, upper = np.linalg.qr(x.T @ left)
    inner_left, values, inner_right = np.linalg.svd(upper.T)
    return left @ inner_left, values.astype(np.float32), right @ inner_right.T


def joined(left: Floats, values: Floats, right: Floats) -> Floats:
    """U diag(s) Vᵀ, float32 ``[M, K]``."""
    return np.asarray((left * values) @ right.T, dtype=np.float32)

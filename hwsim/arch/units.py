"""What a machine must know about an arithmetic beside its bits: storage of operands, and additions of their elements.

Products a cycle and cycles a step are the unit's own (`Datapath.lanes`, `Datapath.cycles_per_step`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hwsim.arch.numerics import Numerics, Role

TENSOR_SCALE_BITS = 32

COUNTED_BATCHES = 4
"""Batches of a product of activations whose additions are counted."""


def count_additions(numerics: Numerics, b: NDArray[np.float32], role: Role) -> float | None:
    """Additions an element that operand b ``[batches, N, K]`` costs a unit whose time depends on its weights; None
    for every other unit."""
    unit = numerics.datapath
    if not unit.timed_by_weights:
        return None
    batches = b[np.unique(np.linspace(0, len(b) - 1, COUNTED_BATCHES).astype(np.intp))]
    words = [numerics.prepare_b(np.asarray(one), role, seed=0).words for one in batches]
    return float(np.mean([unit.mean_additions(one) for one in words]))


def storage_bits(numerics: Numerics, role: Role, rows: int, k: int) -> int:
    """Bits that an operand ``[rows, k]`` of `role` takes in memory: elements (those that fill the tiles of a rotation
    too), scales and the tensor's own scale."""
    scheme, k = numerics.scheme(role), numerics.padded(k)
    elements = numerics.datapath.stored_bits("b" if role == "weight" else "a", k, scheme.element_format.bits)
    scales = 0
    if scheme.granularity == "channel":
        scales = rows
    elif scheme.granularity == "block":
        scales = rows * -(-k // (scheme.block or 1))
    elif scheme.granularity == "block2d":
        scales = -(-rows // (scheme.block or 1)) * -(-k // (scheme.block or 1))
    elif scheme.scale_format is not None:
        scales = 1
    return rows * elements + scales * scheme.scale_bits + (TENSOR_SCALE_BITS if scheme.tensor_scale else 0)

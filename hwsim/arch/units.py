"""What a machine must know about a datapath beside its bits: products a cycle, and the storage of its operands.

Both are derived. A unit takes in one cycle all products that it adds without rounding in between, since it must see
them together to align them: the fused group of a tensor core, the activations of a lookup unit's tables, one product
of an integer unit. A lane count as a free parameter was rejected: fewer lanes would be another arithmetic.

An add-only unit takes one addition a cycle, so that a weight w keeps it busy for |w| cycles. What a machine spends on
an element is the mean of |w| over the weights, as if a short queue of inputs stood before every unit; units in lock
step would wait for the largest weight among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError

if TYPE_CHECKING:
    from hwsim.arch.numerics import Numerics, Role
    from hwsim.datapaths.base import Datapath

TENSOR_SCALE_BITS = 32

COUNTED_BATCHES = 4
"""Batches of a product of activations whose additions are counted."""


def lanes(datapath: Datapath) -> int:
    """Elements along K that one unit takes a cycle: 64 for NVFP4, 32 for Hopper's FP8, µ·L for ternary tables, 1 for
    integer, shift and add-only units.

    Raises:
        ArgumentError: a family that multiplies no matrices.
    """
    if datapath.family == "tensor_core":
        return int(datapath.row.group)  # type: ignore[attr-defined]
    if datapath.family == "ternary_lut":
        spec = datapath.spec()
        return int(spec["group"] * spec["luts"])
    if datapath.family in ("integer", "shift", "pann"):
        return 1
    raise ArgumentError(
        "a unit of this family must multiply matrices", got=datapath.family, where="numerics.datapath"
    )


def cycles_per_step(datapath: Datapath, additions: float | None = None) -> float:
    """Cycles that a unit takes for its `lanes` elements: 1, or for an add-only unit the additions of an element.

    Args:
        datapath: the unit.
        additions: mean of the weights' magnitudes where they are known (`count_additions`), else the budget that the
            unit states.
    """
    if datapath.family != "pann":
        return 1.0
    return float(datapath.additions) if additions is None else additions  # type: ignore[attr-defined]


def count_additions(numerics: Numerics, b: NDArray[np.float32], role: Role) -> float | None:
    """Additions an element that operand b ``[batches, N, K]`` costs an add-only unit; None for every other unit."""
    unit: Any = numerics.datapath
    if unit.family != "pann":
        return None
    batches = b[np.unique(np.linspace(0, len(b) - 1, COUNTED_BATCHES).astype(np.intp))]
    words = [numerics.prepare_b(np.asarray(one), role, seed=0).words for one in batches]
    return float(np.mean([unit.count_additions(one).mean() / one.shape[1] for one in words]))


def storage_bits(numerics: Numerics, role: Role, rows: int, k: int) -> int:
    """Bits that an operand ``[rows, k]`` of `role` takes in memory: elements, scales and the tensor's own scale.

    Ternary weights of a lookup unit are stored as its keys.
    """
    scheme = numerics.scheme(role)
    if numerics.datapath.family == "ternary_lut" and role == "weight":
        unit = numerics.datapath
        elements = -(-k // int(unit.group)) * int(unit.key_bits)  # type: ignore[attr-defined]
    else:
        elements = k * scheme.element_format.bits
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

"""What a machine must know about a datapath beside its bits: products a cycle, and the storage of its operands.

Both are derived. A unit takes in one cycle all products that it adds without rounding in between, since it must see
them together to align them: the fused group of a tensor core, the activations of a lookup unit's tables, one product
of an integer unit. A lane count as a free parameter was rejected: fewer lanes would be another arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError

if TYPE_CHECKING:
    from hwsim.arch.numerics import Numerics, Role
    from hwsim.datapaths.base import Datapath

TENSOR_SCALE_BITS = 32


def lanes(datapath: Datapath) -> int:
    """Elements along K that one unit takes a cycle: 64 for NVFP4, 32 for Hopper's FP8, µ·L for ternary tables, 1 for
    integer and shift units.

    Raises:
        ArgumentError: a family with no such number, such as add-only units, whose cycles depend on the weights.
    """
    if datapath.family == "tensor_core":
        return int(datapath.row.group)  # type: ignore[attr-defined]
    if datapath.family == "ternary_lut":
        spec = datapath.spec()
        return int(spec["group"] * spec["luts"])
    if datapath.family in ("integer", "shift"):
        return 1
    raise ArgumentError(
        "a unit of this family must multiply matrices", got=datapath.family, where="numerics.datapath"
    )


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

"""Dot units by their parameters: the one place of this room that builds a unit which no catalogue names.

Discovery ends in such parameters, and a planted fault is one that differs from its neighbour in one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from hwsim.datapaths.tensor_cores import ROWS, TensorCore
from hwsim.datapaths.tensor_cores.catalogue import SUB_GROUP
from hwsim.datapaths.tensor_cores.catalogue import Row as Facts


@dataclass(frozen=True)
class Parameters:
    """What a dot unit does.

    Args:
        a, b: element formats.
        out: format of c and the result.
        align: how a group is added, as in `hwsim.datapaths.tensor_cores.catalogue.Model`.
        group: products in one fused group.
        fraction_bits: bits kept below the largest exponent; 0 where nothing is cut.
        rounding: of the sum of a group.
        e_zero: exponent of a zero term; None where it cannot show in any result.
        block, scale: elements that share a scale byte, and its format.
        split: whether the instruction is two FP16 steps with c added outside.
    """

    a: str
    b: str
    out: str
    align: str
    group: int
    fraction_bits: int
    rounding: str
    e_zero: int | None = None
    block: int | None = None
    scale: str | None = None
    split: bool = False

    def literal(self) -> str:
        """The call that makes the unit: ``hwsim.datapaths.dot(a="e4m3", ...)``."""
        values = {
            "a": self.a, "b": self.b, "group": self.group, "fraction_bits": self.fraction_bits, "align": self.align,
            "block": self.block, "scale": self.scale, "acc": self.out,
        }  # fmt: skip
        arguments = ", ".join(f"{name}={value!r}" for name, value in values.items() if value is not None)
        rest = f"rounding {self.rounding}" + ("" if self.e_zero is None else f", zero exponent {self.e_zero}")
        rest += ", two FP16 steps from zero and c added outside" if self.split else ""
        return f"hwsim.datapaths.dot({arguments})  # {rest}"


NEVER = -999
"""An exponent of zero terms that is below every number's."""


@dataclass(frozen=True)
class FreeUnit(TensorCore):
    """A unit of `Parameters`."""

    parameters: Parameters = field(kw_only=True)

    def __post_init__(self) -> None:
        """No catalogue is asked."""

    @property
    def row(self) -> Facts:
        """The parameters as the facts of an instruction."""
        p = self.parameters
        e_zero = NEVER if p.e_zero is None else p.e_zero
        outer: Any = "rz_fp32" if p.out == "fp16" else p.rounding
        model: Any = p.align
        return Facts(
            ("free",), {p.a: p.a, p.b: p.b}, "free", model, p.group, p.fraction_bits, outer, e_zero, e_zero,
            p.block, p.scale, p.split, "measured",
        )  # fmt: skip


def build(parameters: Parameters) -> TensorCore:
    """The emulator of these parameters."""
    out: Any = parameters.out
    return FreeUnit("free", (parameters.a, parameters.b), out, parameters=parameters)


def of(unit: Any) -> Parameters:
    """The parameters of a catalogue's unit."""
    row = unit.row
    return Parameters(
        unit.a_format, unit.b_format, unit.out, row.model, row.group, row.fraction_bits, unit.rounding, unit.e_zero,
        row.block, row.scale, row.rewrite,
    )  # fmt: skip


def changed(unit: Any, **changes: Any) -> TensorCore:
    """A catalogue's unit with other parameters."""
    return build(replace(of(unit), **changes))


def vendor_units() -> list[tuple[str, str, str]]:
    """Architecture, operand and result format of every unit of the catalogue."""
    return [
        (arch, operand, out)
        for row in ROWS
        for arch in row.archs
        for operand in row.operands
        for out in ("fp32", "fp16")
        if out == "fp32" or row.e_zero_fp16 is not None
    ]


def instruction_k(unit: Any, groups: int) -> int:
    """K of `groups` fused groups; the unit of two FP16 steps has 32, which are its two."""
    return 32 if unit.row.rewrite else groups * int(unit.row.group)


__all__ = ["SUB_GROUP", "FreeUnit", "Parameters", "build", "changed", "instruction_k", "of", "vendor_units"]

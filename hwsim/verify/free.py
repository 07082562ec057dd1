"""Dot units by what was measured of them, and the catalogue's units by the same words.

Discovery ends in `Parameters`, and a planted fault is a unit that differs from its neighbour in one of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from hwsim import datapaths
from hwsim.datapaths.dot import ARCHS, ROWS, Dot, legal
from hwsim.errors import ArgumentError


@dataclass(frozen=True)
class Parameters:
    """What a dot unit does, in the words of `hwsim.datapaths.dot`.

    Args:
        a, b: element formats.
        acc: accumulator: ``fp32``, ``e8m13``, ``fp16``.
        align: how a group is added.
        group: products in one fused group.
        fraction_bits: bits kept below the largest exponent; 0 where nothing is cut.
        rounding: of the sum of a group: ``rz``, ``rne``.
        e_zero: exponent of a zero term; None where it cannot show in any result.
        block, scale: elements that share a scale byte, and its format.
        rewrite: whether the instruction is two FP16 steps with c added outside.
    """

    a: str
    b: str
    acc: str
    align: str
    group: int
    fraction_bits: int
    rounding: str
    e_zero: int | None = None
    block: int | None = None
    scale: str | None = None
    rewrite: bool = False

    def literal(self) -> str:
        """The call that makes the unit: ``hwsim.datapaths.dot(a='e4m3', ...)``, or a tensor core of AMD's kind."""
        unit = build(self)
        if unit is not None and unit.named is not None:
            operand, out = unit.operand, "" if unit.out == "fp32" else ", 'fp16'"
            return f"hwsim.datapaths.tensor_core({unit.arch!r}, {operand!r}{out})"
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._given().items())
        return f"hwsim.datapaths.dot({arguments})"

    def _given(self) -> dict[str, Any]:
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        left_out = ("rewrite", "fraction_bits") if self.align == "exact" else ("rewrite",)
        return {name: value for name, value in held.items() if value is not None and name not in left_out}


def build(parameters: Parameters) -> Dot | None:
    """The emulator of these parameters: a free unit, else the vendor's that has them, else None."""
    if not parameters.rewrite:
        try:
            return datapaths.dot(**parameters._given())
        except ArgumentError:
            pass  # only a vendor adds in this way
    for key in vendor_units():
        unit = core(*key)
        if replace(of(unit), e_zero=parameters.e_zero) == parameters:
            return unit
    return None


def of(unit: Dot) -> Parameters:
    """The parameters of a unit; the exponent of zeros is None where no public text gives the unit one."""
    p = {field.name: getattr(unit, field.name) for field in fields(Parameters)}
    return Parameters(**p)


def changed(unit: Dot, **changes: Any) -> Dot:
    """A catalogue's unit with other parameters, as a free one."""
    return replace(unit, named=None, **changes)


def core(arch: str, operand: str | tuple[str, str], out: str = "fp32") -> Dot:
    """`hwsim.datapaths.tensor_core`."""
    return datapaths.tensor_core(arch, operand, out)  # type: ignore[arg-type]


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


def instruction_k(unit: Dot, groups: int) -> int:
    """K of `groups` fused groups; the unit of two FP16 steps has 32, which are its two."""
    return unit.step if unit.rewrite else groups * unit.group


__all__ = ["ARCHS", "Parameters", "build", "changed", "core", "instruction_k", "legal", "of", "vendor_units"]

"""The circuit of one fused group of a unit, with the emulator's values beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Driven, Gates, MissingView
from hwsim.datapaths.dot.bits import Dot, tensor_core
from hwsim.datapaths.dot.catalogue import find
from hwsim.datapaths.dot.verilog.fused import fused_text
from hwsim.datapaths.dot.verilog.grouped import grouped_text
from hwsim.datapaths.dot.verilog.operands import operands
from hwsim.errors import ArgumentError
from hwsim.gates.steps import Stream
from hwsim.rtl.unit import Port, Unit, Values


def tensor_dot(arch: str = "blackwell", operand: str = "nvfp4") -> Unit:
    """`dot_unit` of ``tensor_core(arch, operand)``.

    Raises:
        UnknownName, ArgumentError: no such unit, or one without a circuit.
    """
    unit = dot_unit(tensor_core(arch, operand))
    return replace(unit, family="tensor_dot", parameters={"arch": arch, "operand": operand})


def free_dot(**fields: Any) -> Unit:
    """`dot_unit` of a unit by its fields; see `hwsim.datapaths.dot.Dot`."""
    unit = Dot(**{"a": "e2m1"} | fields)
    return replace(
        dot_unit(unit), family="free_dot", parameters={k: v for k, v in unit.spec().items() if k != "family"}
    )


def dot_unit(unit: Dot, name: str = "") -> Unit:
    """One fused group with a float32 c and d; combinational. What is added outside of a unit is not part of it.

    Ports ``a``, ``b`` (element codes), ``c``, block scales ``scale_a``, ``scale_b`` where the unit has them, ``d``.

    Args:
        unit: the dot unit.
        name: of the module, where it is not the unit's.

    Raises:
        ArgumentError: a unit whose order of addition or rounding has no circuit here, or whose codes have bits that
            it does not read (tf32).
    """
    unread = any(form.unread_bits for form in unit.forms)
    if not unit.derived or unread or unit.rounding != "rz":
        raise ArgumentError("only fused and grouped units have a circuit", got=unit.name, where="dot_unit")
    unit = replace(unit, promote_every=None)
    top, title = (name, name) if name else _names(unit)
    scales = max(unit.group // unit.block, 1) if unit.block else 0
    form_a, form_b = unit.forms
    a, b, c = Port("a", form_a.word_bits, unit.group), Port("b", form_b.word_bits, unit.group), Port("c", 32)
    ports: tuple[Port, ...] = (a, b, c)
    if unit.scale_form is not None:
        ports += tuple(Port(f"scale_{side}", unit.scale_form.word_bits, scales) for side in "ab")

    def golden(values: Values) -> Values:
        codes = [
            values[port.name].reshape(-1, unit.group).astype(form.code_dtype)
            for port, form in zip((a, b), unit.forms, strict=True)
        ]
        start = values["c"].astype(np.uint32).view(np.float32)
        scale_bytes: list[NDArray[np.uint8] | None] = [None, None]
        if scales:
            scale_bytes = [values[name].astype(np.uint8).reshape(-1, scales) for name in ("scale_a", "scale_b")]
        dots = unit.dot(codes[0], codes[1], start, scale_bytes[0], scale_bytes[1])
        return {"d": dots.view(np.uint32).astype(np.uint64)}

    text = grouped_text if unit.align == "grouped" else fused_text
    return Unit(
        name=top,
        verilog=text(top, title, unit),
        inputs=ports,
        outputs=(Port("d", 32),),
        golden=golden,
        operands=lambda rng, n: operands(rng, n, ports, unit),
        family="dot",
        parameters={key: value for key, value in unit.spec().items() if key != "family"},
    )


def _names(unit: Dot) -> tuple[str, str]:
    """Name of the top module, and what its comment calls the unit."""
    if unit.named is None:
        return unit.name.replace(".", "_").replace("*", "_"), unit.name
    arch, operand = unit.named
    label = operand if isinstance(operand, str) else "_".join(operand)
    row = find(arch, operand, unit.out)
    return f"dot_{arch}_{label.replace('.', '_')}", f"{arch} {label} ({row.instruction})"


@dataclass(frozen=True, slots=True)
class DotGates(Gates):
    """The circuit of a fused or grouped unit; its accumulator's register lies outside."""

    unit: Dot

    def circuits(self) -> Mapping[str, Unit]:
        """One."""
        try:
            return {"unit": dot_unit(self.unit)}
        except ArgumentError:
            raise MissingView(self.unit.name, "gates") from None

    def drive(self, role: str, stream: Stream) -> Driven:
        """A group a cycle, the running sum as c."""
        ports = {"a": stream.a, "b": stream.b, "c": stream.before}
        if self.unit.block:
            ports |= {"scale_a": stream.scale_a, "scale_b": stream.scale_b}
        return Driven(ports, {})


FAMILIES: Mapping[str, Callable[..., Unit]] = {"tensor_dot": tensor_dot, "free_dot": free_dot}

NAMED: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("tensor_dot", {"operand": name}) for name in ("nvfp4", "mxfp4", "mxfp8.e4m3", "mxfp8.e5m2")),
    ("tensor_dot", {"arch": "hopper", "operand": "e4m3"}),
    ("tensor_dot", {"arch": "ampere", "operand": "fp16"}),
)

"""The circuit of one fused group of an instruction, with the emulator's values beside it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths import tensor_core
from hwsim.datapaths.tensor_cores.elements import element
from hwsim.errors import ArgumentError
from hwsim.rtl.tensor_core.fused import fused_text
from hwsim.rtl.tensor_core.grouped import grouped_text
from hwsim.rtl.tensor_core.operands import operands
from hwsim.rtl.unit import Port, Unit, Values


def tensor_dot(arch: str = "blackwell", operand: str = "nvfp4") -> Unit:
    """One fused group of ``tensor_core(arch, operand)`` with a float32 c and d; combinational.

    Ports ``a``, ``b`` (element codes), ``c``, block scales ``scale_a``, ``scale_b`` where the unit has them, ``d``.

    Raises:
        UnknownName, ArgumentError: no such unit, or one that is not NVIDIA's (other orders of addition), or whose
        codes have bits that it does not read (tf32).
    """
    datapath = tensor_core(arch, operand)
    row = datapath.row
    form = element(datapath.a_format)
    if row.model not in ("fused", "grouped") or row.rewrite or form.unread_bits:
        raise ArgumentError("only fused and grouped units have a circuit", got=datapath.name, where="tensor_dot")
    top = f"dot_{arch}_{operand.replace('.', '_')}"
    title = f"{arch} {operand} ({row.instruction})"
    scales = row.group // row.block if row.block else 0
    a, b, c = Port("a", form.word_bits, row.group), Port("b", form.word_bits, row.group), Port("c", 32)
    ports = (a, b, c, *((Port("scale_a", 8, scales), Port("scale_b", 8, scales)) if scales else ()))
    grouped = row.model == "grouped"

    def golden(values: Values) -> Values:
        codes = [values[name].astype(form.code_dtype) for name in ("a", "b")]
        words = values["c"].astype(np.uint32).view(np.float32)
        scale_bytes: list[NDArray[np.uint8] | None] = [None, None]
        if scales:
            scale_bytes = [values[name].astype(np.uint8).reshape(-1, scales) for name in ("scale_a", "scale_b")]
        dots = datapath.dot(codes[0], codes[1], words, scale_bytes[0], scale_bytes[1])
        return {"d": dots.view(np.uint32).astype(np.uint64)}

    return Unit(
        name=top,
        verilog=grouped_text(top, title, row) if grouped else fused_text(top, title, row, form),
        inputs=ports,
        outputs=(Port("d", 32),),
        golden=golden,
        operands=lambda rng, n: operands(rng, n, ports, form, row),
        family="tensor_dot",
        parameters={"arch": arch, "operand": operand},
    )

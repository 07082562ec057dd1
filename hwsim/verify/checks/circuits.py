"""Verilog of the tensor-core units, run by Icarus Verilog: another reading of the same arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwsim import datapaths
from hwsim.errors import MissingExtra
from hwsim.verify.table import Row, skipped, today

ORACLE = "Verilog in Icarus"

UNITS = (
    ("blackwell", "nvfp4"), ("blackwell", "mxfp4"), ("blackwell", "mxfp8.e4m3"), ("blackwell", "mxfp8.e5m2"),
    ("hopper", "e4m3"), ("ampere", "fp16"),
)  # fmt: skip
"""Tensor cores that stand for all, by architecture and operand."""


def check(count: int, seed: int = 0) -> Iterator[Row]:
    """One row a unit; `count` vectors each, the hard ones of its circuit."""
    from hwsim.rtl.bench import run_rtl

    units = [datapaths.tensor_core(arch, operand).gates.whole() for arch, operand in UNITS]
    for unit in units:
        inputs = unit.operands(np.random.default_rng(seed), count)
        try:
            wrong = run_rtl(unit, inputs)
        except MissingExtra as missing:
            yield skipped(f"{len(units)} tensor-core circuits", ORACLE, missing)
            return
        yield Row(f"circuit {unit.name}", ORACLE, count, wrong, today())

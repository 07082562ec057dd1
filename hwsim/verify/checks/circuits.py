"""Verilog of the tensor-core units, run by Icarus Verilog: another reading of the same arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hwsim.errors import MissingExtra
from hwsim.verify.table import Row, skipped, today

ORACLE = "Verilog in Icarus"


def check(count: int, seed: int = 0) -> Iterator[Row]:
    """One row a unit of the catalogue that is a tensor core; `count` vectors each, the hard ones of its family."""
    from hwsim.datapaths.circuits import build, named_units
    from hwsim.rtl.bench import run_rtl

    names = [name for name, (family, _) in named_units().items() if family == "tensor_dot"]
    for name in names:
        unit: Any = build(name)
        inputs = unit.operands(np.random.default_rng(seed), count)
        try:
            wrong = run_rtl(unit, inputs)
        except MissingExtra as missing:
            yield skipped(f"{len(names)} tensor-core circuits", ORACLE, missing)
            return
        yield Row(f"circuit {name}", ORACLE, count, wrong, today())

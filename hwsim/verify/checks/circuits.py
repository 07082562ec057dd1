"""Verilog of the tensor-core units, run by Icarus Verilog: another reading of the same arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hwsim.errors import MissingExtra
from hwsim.verify.table import Row, skipped, today

ORACLE = "Verilog in Icarus"


def check(count: int, seed: int = 0) -> Iterator[Row]:
    """One row a circuit that the catalogue has of a dot unit; `count` vectors each, the hard ones of its family."""
    from hwsim.datapaths.dot.verilog import FAMILIES, NAMED
    from hwsim.rtl.bench import run_rtl

    units: list[Any] = [FAMILIES[made](**parameters) for made, parameters in NAMED]
    for unit in units:
        inputs = unit.operands(np.random.default_rng(seed), count)
        try:
            wrong = run_rtl(unit, inputs)
        except MissingExtra as missing:
            yield skipped(f"{len(units)} tensor-core circuits", ORACLE, missing)
            return
        yield Row(f"circuit {unit.name}", ORACLE, count, wrong, today())

"""Ternary lookup-table cores: sums of µ activations built once, fetched by key, negated, accumulated.

Keys and table order are those of `hwsim.datapaths.ternary.bits`; the baseline that adds without tables is beside
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hwsim.datapaths.ternary.verilog.core import ternary_core
from hwsim.datapaths.ternary.verilog.dot import ternary_dot
from hwsim.datapaths.ternary.verilog.shape import ACC_BITS
from hwsim.datapaths.ternary.verilog.table import adders, table_entries, ternary_table
from hwsim.datapaths.ternary.verilog.tree import ternary_tree
from hwsim.rtl.unit import Unit

FAMILIES: Mapping[str, Callable[..., Unit]] = {
    "ternary_table": ternary_table,
    "ternary_dot": ternary_dot,
    "ternary_core": ternary_core,
    "ternary_tree": ternary_tree,
}

NAMED: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("ternary_table", {"group": group}) for group in range(2, 7)),
    *(("ternary_table", {"group": 3, "activation": name}) for name in ("fp16", "bf16")),
    ("ternary_dot", {"group": 2, "luts": 2, "readers": 8}),
    ("ternary_dot", {"group": 3, "readers": 4}),
    ("ternary_dot", {"group": 4, "readers": 4}),
    ("ternary_dot", {"group": 5, "readers": 2}),
    ("ternary_dot", {"group": 6, "readers": 1}),
    *(("ternary_dot", {"group": 2, "activation": name, "luts": 2, "readers": 2}) for name in ("fp16", "bf16")),
    ("ternary_core", {"group": 3, "luts": 2, "readers": 4}),
    *(("ternary_core", {"group": 3, "activation": name, "readers": 2}) for name in ("fp16", "bf16")),
    ("ternary_tree", {"terms": 4, "readers": 8}),
)

__all__ = [
    "ACC_BITS",
    "FAMILIES",
    "NAMED",
    "adders",
    "table_entries",
    "ternary_core",
    "ternary_dot",
    "ternary_table",
    "ternary_tree",
]

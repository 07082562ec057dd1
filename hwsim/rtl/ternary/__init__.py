"""Ternary lookup-table cores: sums of µ activations built once, fetched by key, negated, accumulated.

Keys and table order are those of `hwsim.datapaths.ternary_lut`; the baseline that adds without tables is beside them.
"""

from hwsim.rtl.ternary.core import ternary_core
from hwsim.rtl.ternary.dot import ternary_dot
from hwsim.rtl.ternary.shape import ACC_BITS
from hwsim.rtl.ternary.table import adders, table_entries, ternary_table
from hwsim.rtl.ternary.tree import ternary_tree

__all__ = ["ACC_BITS", "adders", "table_entries", "ternary_core", "ternary_dot", "ternary_table", "ternary_tree"]

"""Recorded matrix products of a model: what they are, and how they are stored.

`load_trace` opens a stored trace, `TraceWriter` makes one, `Workload` is its shapes.
"""

from hwsim.trace.export import export
from hwsim.trace.gemm import PHASES, ROLES, Gemm, GemmShape, Operand, Phase, Role, Workload
from hwsim.trace.graph import Access, Graph, Operator, Tensor, Window
from hwsim.trace.reader import Trace, load_trace
from hwsim.trace.writer import TraceWriter

__all__ = [
    "PHASES",
    "ROLES",
    "Access",
    "Gemm",
    "GemmShape",
    "Graph",
    "Operand",
    "Operator",
    "Phase",
    "Role",
    "Tensor",
    "Trace",
    "TraceWriter",
    "Window",
    "Workload",
    "export",
    "load_trace",
]

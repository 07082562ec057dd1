"""Dot units: any formats, groups, alignments and scales, and the tensor cores among them, bit for bit."""

from hwsim.datapaths.dot.bits import Dot, tensor_core
from hwsim.datapaths.dot.catalogue import ARCHS, ROWS, Row, legal

__all__ = ["ARCHS", "ROWS", "Dot", "Row", "legal", "tensor_core"]

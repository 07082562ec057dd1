"""Tensor cores of every generation, bit for bit: `tensor_core`, and the catalogue behind it."""

from hwsim.datapaths.tensor_cores.catalogue import ARCHS, ROWS, Row, legal
from hwsim.datapaths.tensor_cores.unit import TensorCore, tensor_core

__all__ = ["ARCHS", "ROWS", "Row", "TensorCore", "legal", "tensor_core"]

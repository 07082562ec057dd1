"""EXAQ's softmax unit, an operator of vectors: it multiplies no matrices."""

from hwsim.datapaths.softmax.bits import Softmax, reference_softmax

__all__ = ["Softmax", "reference_softmax"]

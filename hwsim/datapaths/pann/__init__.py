"""The add-only unit of PANN."""

from hwsim.datapaths.pann.bits import Pann, reference_dot

__all__ = ["Pann", "reference_dot"]

"""Ternary lookup-table units, and the memory layouts of ternary weights."""

from hwsim.datapaths.ternary.bits import TernaryLut

__all__ = ["TernaryLut"]

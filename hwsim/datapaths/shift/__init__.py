"""LUQ's multiplier-free unit."""

from hwsim.datapaths.shift.bits import Shift

__all__ = ["Shift"]

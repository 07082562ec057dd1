"""Integer multiply-accumulate units."""

from hwsim.datapaths.integer.bits import Integer, reference_dot

__all__ = ["Integer", "reference_dot"]

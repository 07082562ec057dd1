"""Dot units: one fused group, c included, as one combinational circuit.

Two shapes. *Fused* (FP16, BF16, FP8, FP6, FP4 and the MX formats of tensor cores): every product and c are aligned
below the largest exponent among the non-zero ones, cut, added exactly and truncated once. *Grouped* (NVFP4, MXFP4):
products of a sub-group are added exactly first, multiplied by the product of the two scales' significands, and only
these sums are aligned, by the exponents of their scales.

The vendors' circuits are not public; these produce the same bits. No pipeline registers: where they would lie is a
matter of clock and library, and they change no bit. Chaining over K is the caller's: the result is the next c.
"""

from hwsim.datapaths.dot.verilog.unit import FAMILIES, NAMED, DotGates, dot_unit, free_dot, tensor_dot

__all__ = ["FAMILIES", "NAMED", "DotGates", "dot_unit", "free_dot", "tensor_dot"]

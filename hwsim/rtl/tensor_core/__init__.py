"""Tensor-core dot products: one fused group of the instruction, c included, as one combinational circuit.

Two shapes, both with the numbers of `hwsim.datapaths.tensor_core`'s catalogue. *Fused* (FP16, BF16, FP8, FP6, FP4
and the MX formats): every product and c are aligned below the largest exponent among the non-zero ones, cut, added
exactly and truncated once. *Grouped* (NVFP4, MXFP4): products of 16 elements are added exactly first, multiplied by
the product of the two scales' significands, and only these sums are aligned, by the exponents of their scales.

The vendors' circuits are not public; these produce the same bits. No pipeline registers: where they would lie is a
matter of clock and library, and they change no bit. Chaining over K is the caller's: the result is the next c.
"""

from hwsim.rtl.tensor_core.fused import fused_text
from hwsim.rtl.tensor_core.grouped import grouped_text
from hwsim.rtl.tensor_core.unit import tensor_dot

__all__ = ["fused_text", "grouped_text", "tensor_dot"]

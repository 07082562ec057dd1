"""A quantized tensor: what memory would hold, and how to read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.quant.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Quantized:
    """Codes and scales of one tensor.

    Args:
        codes: one element an item, the tensor's shape: uint8; uint16 or uint32 for a cast to 16 or 32 bits.
        scales: block scales as bytes, the tensor's shape with `axis` replaced by the number of blocks (a short last
            block counts as one; for 16 x 16 blocks both last axes are counts). float32 for ``fp32`` scales: `axis`
            of length 1 for a channel, shape () for a tensor. Empty for a cast.
        tensor_scale: float32: value = code * scale * tensor_scale up to the scheme's decode order; 1 where there is
            none.
        scheme: what made it.
        axis: the axis along which blocks lie, not negative; 0 for a tensor without axes.
        amax: the largest magnitude of the tensor that the scales are made from, which some decode orders take.
    """

    codes: NDArray[np.unsignedinteger]
    scales: NDArray
    tensor_scale: np.float32
    scheme: Scheme
    axis: int
    amax: np.float32

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self.codes.shape

    @property
    def bits(self) -> int:
        """Storage in bits: elements, scales, and 32 for a tensor scale."""
        elements = self.codes.size * self.scheme.element_format.bits
        return elements + self.scales.size * self.scheme.scale_bits + (32 if self.scheme.tensor_scale else 0)

    def dequantize(self) -> NDArray[np.float32]:
        """The values, float32, in the scheme's decode order."""
        from hwsim.quant.decoding import dequantize  # compiled kernels

        return dequantize(self.codes, self.scales, self.amax, self.scheme, self.axis)

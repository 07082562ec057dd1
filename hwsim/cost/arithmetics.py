"""Arithmetics whose units are simulated for a calibration: every kind of unit that a machine can hold.

Decides what stands in where no scheme of a machine brings operands. Unsigned units see rectified inputs and positive
weights, as after the conversion W = W+ - W- (arXiv 2202.02783), of which either half is such a product; the
logarithmic operand of a shift unit is scaled to its format's range, as LUQ scales gradients. Both are streams for a
fit, not numerics of a machine, and are therefore not in the catalogue of schemes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hwsim import datapaths, quant
from hwsim.arch import Numerics
from hwsim.arch.numerics import Role, Side
from hwsim.quant import Quantized, Scheme

LARGEST_POWER = 16.0
"""Of e3m0."""


class Rectified(Numerics):
    """Codes of signed schemes on the ports of an unsigned unit: what is below zero becomes zero."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """No scheme has unsigned elements, so none would fit."""

    def words(self, quantized: Quantized, side: Side) -> NDArray[np.uint8]:
        """Codes that are not negative; weights of an add-only unit keep their sign."""
        if side == "b" and self.datapath.family == "pann":
            return quantized.codes
        values = quantized.scheme.element_format.decode(quantized.codes)
        return np.maximum(values, 0).astype(np.uint8)


class LogWeights(Numerics):
    """Weights scaled to the range of e3m0 before they are cast."""

    __slots__ = ()

    def quantize(self, x: NDArray[np.float32], role: Role, seed: int | None = None) -> Quantized:
        """As of any numerics, weights scaled."""
        if role == "weight":
            largest = float(np.abs(x).max())
            x = (x * (LARGEST_POWER / largest if largest else 1.0)).astype(np.float32)
        return super().quantize(x, role, seed)


def additions_scheme(additions: float) -> Scheme:
    """Weights as numbers of additions, one step a tensor: PANN's quantiser for a budget that is a power of two."""
    name = f"pann.r{additions:g}"
    return Scheme(name, "int8", "tensor", None, "fp32", "absmean", element_unit=1 / additions)


def integers(bits: int) -> Scheme:
    """Integers with a scale a row."""
    return quant.get(f"int{bits}.channel")


def arithmetics() -> Iterator[Numerics]:
    """Units and operands that energies are fitted to."""
    for a, b, acc, overflow in (
        (8, 8, 32, "wrap"), (8, 8, 24, "wrap"), (8, 8, 20, "saturate"), (8, 8, 16, "saturate"), (8, 4, 32, "wrap"),
        (8, 4, 20, "wrap"), (4, 4, 32, "wrap"), (4, 4, 18, "wrap"), (4, 4, 14, "saturate"), (6, 6, 24, "wrap"),
    ):  # fmt: skip
        yield Numerics(integers(a), integers(b), datapaths.integer(a, b, acc, overflow=overflow))  # type: ignore[arg-type]
    yield Numerics(integers(4), integers(4), datapaths.integer(8, 8, 32))  # narrow numbers in a wide unit
    for a, b, acc, overflow in (
        (7, 7, 32, "wrap"), (7, 7, 20, "saturate"), (7, 3, 24, "wrap"), (3, 3, 32, "wrap"), (3, 3, 14, "saturate"),
        (8, 8, 24, "wrap"),
    ):  # fmt: skip
        unit = datapaths.integer(a, b, acc, signed=False, overflow=overflow)  # type: ignore[arg-type]
        yield Rectified(integers(min(a + 1, 8)), integers(min(b + 1, 8)), unit)
    for arch, operand, scheme in (
        ("hopper", "e4m3", "fp8.e4m3.channel"), ("hopper", "bf16", "bf16"), ("ampere", "fp16", "fp16"),
        ("blackwell", "mxfp8.e4m3", "mxfp8.e4m3.rceil"), ("blackwell", "mxfp8.e5m2", "mxfp8.e5m2.rceil"),
        ("blackwell", "mxfp6.e2m3", "mxfp6.e2m3.rceil"), ("blackwell", "mxfp6.e3m2", "mxfp6.e3m2.rceil"),
        ("blackwell", "mxfp4", "mxfp4.floor"), ("blackwell", "nvfp4", "nvfp4.te"),
    ):  # fmt: skip
        held = quant.get(scheme)
        yield Numerics(held, held, datapaths.tensor_core(arch, operand))
    ternary = quant.get("ternary.absmean")
    for group, luts in ((1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (1, 4)):
        yield Numerics(integers(8), ternary, datapaths.ternary_lut(group, luts=luts))
    for activation in ("fp16", "bf16"):
        for group, luts in ((1, 1), (2, 1), (3, 1), (2, 2)):
            yield Numerics(quant.get(activation), ternary, datapaths.ternary_lut(group, activation, luts))
    for bits, additions, acc in ((4, 1.0, 20), (6, 2.0, 24), (6, 1.0, 32), (8, 4.0, 32)):
        yield Numerics(integers(bits), additions_scheme(additions), datapaths.pann(bits, additions, acc))
    for bits, additions, acc in ((3, 1.0, 20), (7, 2.0, 24), (5, 1.0, 32), (7, 4.0, 32)):
        add_only = datapaths.pann(bits, additions, acc, signed=False)
        yield Rectified(integers(bits + 1), additions_scheme(additions), add_only)
    logarithmic = Scheme("e3m0", "e3m0", "tensor")
    for acc in (16, 20, 24):
        yield LogWeights(integers(4), logarithmic, datapaths.shift("fixed", acc))
    yield LogWeights(integers(4), logarithmic, datapaths.shift())

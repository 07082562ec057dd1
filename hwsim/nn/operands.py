"""One operand of one GEMM of a recipe: padded, rotated, masked, quantized (`hwsim.recipes.operands` has the order).

Matrices of a batch are quantized each on its own, as separate products are; where no scale spans rows and nothing is
random they go through one call, with the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.nn.noise import seed_of
from hwsim.quant import Quantized, Scheme
from hwsim.recipes import Draw, Gemm, Operand, Quantizer, Rotation, Taken

Floats = NDArray[np.float32]
DrawFor = Callable[[str, int], Draw]
"""(operand, number in the batch) -> its random numbers."""


@dataclass(frozen=True, slots=True)
class Made:
    """A batch of operands as they are multiplied: values ``[batch, rows, K padded]``, where nothing clipped (None:
    everywhere), and for each matrix what a unit multiplies (None where there are no codes)."""

    values: Floats
    passed: NDArray[np.bool_] | None = None
    quantized: tuple[Quantized | None, ...] = ()


def padding(gemm: Gemm, k: int) -> int:
    """Zeros behind a contraction of `k`."""
    unit = math.lcm(gemm.pad, gemm.rotation.size if gemm.rotation else 1)
    for operand in (gemm.a, gemm.b):
        unit = math.lcm(unit, operand.mask.m if operand.mask else 1)
    return -k % unit


def fixed(rotation: Rotation, draw: Draw) -> Rotation:
    """A rotation whose signs are drawn."""
    if rotation.signs != "drawn":
        return rotation
    seed = draw.shared if rotation.redrawn else seed_of("signs", draw.layer, draw.gemm)
    return Rotation(rotation.size, seed)


def rotate(x: Floats, rotation: Rotation, draw: Draw, inverse: bool = False) -> Floats:
    """Turn x along its last axis."""
    return fixed(rotation, draw).apply(x, inverse=inverse)


def make(
    x: Floats, operand: Operand, gemm: Gemm, draw_for: DrawFor, *, side: str, codes: bool, fresh: bool = False
) -> Made:
    """The operand `side` (``"a"``, ``"b"``) of `gemm` from x ``[batch, rows, K]``.

    Args:
        codes: also what a unit multiplies.
        fresh: x may be overwritten.
    """
    fill = padding(gemm, x.shape[2])
    entered = x
    if fill:
        x = np.concatenate([x, np.zeros((*x.shape[:2], fill), np.float32)], axis=2)
    if gemm.rotation is not None:
        x = rotate(x, gemm.rotation, draw_for(side, 0))
    if operand.mask is not None:
        x = np.stack([_masked(one, operand, draw_for(f"{side} mask", index)) for index, one in enumerate(x)])
    scheme = operand.scheme
    if scheme is None:
        return Made(x)
    if isinstance(scheme, Quantizer):
        return _joined([scheme.take(np.ascontiguousarray(one), draw_for(side, i)) for i, one in enumerate(x)])
    scheme = quant.get(scheme)
    axis = -1 if operand.axis == "contraction" else -2
    if codes:
        made = [quant.quantize(one, scheme, axis, draw_for(side, i).seed) for i, one in enumerate(x)]
        return Made(np.stack([one.dequantize() for one in made]), None, tuple(made))
    if len(x) == 1 or not _apart(scheme, axis):
        out = x if fresh or x is not entered else np.empty(x.shape, np.float32)
        for index, one in enumerate(x):
            seed = draw_for(side, index).seed if scheme.rounding == "sr" else None
            quant.fake_quantize(one, scheme, axis, seed, out[index])
        return Made(out)
    return Made(quant.fake_quantize(x.reshape(-1, x.shape[2]), scheme, -1).reshape(x.shape))


def unpassed(values: Floats, passed: NDArray[np.bool_] | None) -> Floats:
    """Values, zero where the quantizer clipped."""
    return values if passed is None else np.where(passed, values, np.float32(0))


def _apart(scheme: Scheme, axis: int) -> bool:
    """Whether rows are quantized independently of one another."""
    if scheme.rounding == "sr" or scheme.tensor_scale or axis != -1:
        return False
    return scheme.scale_format is None or scheme.granularity in ("channel", "block")


def _masked(x: Floats, operand: Operand, draw: Draw) -> Floats:
    assert operand.mask is not None
    n, m = operand.mask.n, operand.mask.m
    if operand.mask.rule == "largest":
        return quant.keep_largest(x, n, m)
    if operand.mask.rule == "approximate":
        return quant.sparsify_2_4_approximate(x, seed=draw.seed)
    return quant.sparsify_unbiased(x, n, m, seed=draw.seed)


def _joined(taken: list[Taken]) -> Made:
    passed = None
    if any(one.passed is not None for one in taken):
        passed = np.stack([np.ones(o.values.shape, bool) if o.passed is None else o.passed for o in taken])
    return Made(np.stack([one.values for one in taken]), passed, tuple(one.quantized for one in taken))

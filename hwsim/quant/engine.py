"""quantize and fake_quantize of whole tensors: layout, maxima, scales, elements.

Every bit is that of `hwsim.quant.reference`, whatever the number of threads. `fake_quantize` is fused where an
element's value is its rounding times one factor; elsewhere it is, literally, quantize and dequantize.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import parallel_rows
from hwsim.quant import choice_kernels, element_kernels, fake_kernels, reference, scale_kernels
from hwsim.quant.bits import INF
from hwsim.quant.catalog import get
from hwsim.quant.element_kernels import ElementConstants
from hwsim.quant.layout import Layout, float32_array, grain, layout, scale_array, split_evenly
from hwsim.quant.quantized import Quantized
from hwsim.quant.random_bits import random_words, stream_key
from hwsim.quant.reference_scales import (
    NAN_IGNORING_RULES,
    absolute_mean,
    addition_steps,
    tensor_scale,
)
from hwsim.quant.scale_kernels import ScaleConstants
from hwsim.quant.scheme import Scheme

F = np.float32
Floats = NDArray[np.float32]
Noise = NDArray[np.uint8] | NDArray[np.uint32]

_UNFUSED = ("fp4atw", "vllm_ref", "flashinfer_fast", "none")
_NO_NOISE = np.empty((0, 0), np.uint8)
_NO_MAXIMA = np.empty((0, 0), np.uint32)


def quantize(
    x: ArrayLike, scheme: str | Scheme, axis: int = -1, seed: int | None = None, *, amax: float | None = None
) -> Quantized:
    """Codes and scales of `x`.

    NaN and infinity follow the scheme's source. ``te``, ``te_fast``, ``te_4over6``, ``flashinfer_exact``, ``exact``:
    NaN is ignored by the maxima and becomes +6, as NVIDIA's conversion has it; an infinite tensor maximum makes the
    tensor scale 1. Other rules with small scales: NaN makes the scale of its block, or of the tensor, NaN. E8M0: NaN
    makes scale 255, whose values are NaN; infinity is the largest power. ``absmax``: NaN or infinity makes every
    value that shares its scale NaN.

    Args:
        x: real numbers, any shape; rounded to float32 first.
        scheme: a name of `hwsim.quant.names`, or a Scheme.
        axis: along which blocks lie, or which shares a channel's scale. Square blocks need the last.
        seed: of the random words, 0 to 2^64 - 1; needed for stochastic rounding, of no effect otherwise. The element
            at place i along the axis of row r takes word, or for up to 8 bits byte, ``r * length + i``.
        amax: the tensor's largest magnitude where it is known beforehand, as by calibration; for schemes with a
            tensor scale.

    Raises:
        UnknownName: no such scheme.
        ArgumentError: `x` is not real, no such axis, no seed for stochastic rounding, or `amax` is negative, not
            finite or unused.
    """
    scheme = get(scheme)
    array = float32_array(x)
    where = layout(array.shape, scheme, axis)
    given = _given(amax, scheme)
    noise = random_noise(scheme, seed, where)
    if array.size == 0 or scheme.scale_rule in ("none", "flashinfer_fast"):
        return reference.quantize(
            array, scheme, axis, given, None if noise is None else noise_integers(noise, scheme)
        )
    split = split_evenly(where)
    rows = where.to_rows(array).reshape(split.rows, split.length)
    maxima = _maxima(rows, scheme, split)
    largest = _largest(maxima) if given is None else given
    codes, scales = _codes(rows, scheme, split, maxima, largest, noise)
    return Quantized(
        where.from_rows(codes.reshape(where.rows, where.length), array.shape),
        scale_array(scales, where, scheme),
        tensor_scale(largest, scheme),
        scheme,
        where.axis,
        largest,
    )


def _codes(
    rows: Floats, scheme: Scheme, where: Layout, maxima: NDArray[np.uint32], largest: np.float32, noise: Noise | None
) -> tuple[NDArray[np.uint8], NDArray]:
    scale, elements = ScaleConstants(scheme, largest), _element_constants(scheme)
    scale_codes, codes = np.empty(maxima.shape, np.uint8), np.empty(rows.shape, np.uint8)
    scales, multiplier, factors = (np.empty(maxima.shape, F) for _ in range(3))
    if scale.rule == scale_kernels.FOUR_OVER_SIX:
        parallel_rows(
            choice_kernels.choose_rows, where.rows, rows, where.block, scale.floats, scale.words, elements.words,
            elements.floats, maxima, scale_codes, scales, multiplier, grain=grain(where.length),
        )  # fmt: skip
    else:
        parallel_rows(
            scale_kernels.scale_rows, maxima.shape[0], scale.rule, scale.factor, scale.floats, scale.words, maxima,
            scale_codes, scales, multiplier, factors, grain=grain(maxima.shape[1]),
        )  # fmt: skip
    prescale = scale.floats[1] if scheme.scale_rule == "fp4atw" else scale.floats[0]
    random = _NO_NOISE if noise is None else noise.reshape(rows.shape)
    shift = random.dtype.type(8 * random.dtype.itemsize - scheme.sr_bits if noise is not None else 0)
    parallel_rows(
        element_kernels.code_rows, where.rows, rows, where.block, where.height, where.plane, multiplier,
        elements.mode, prescale, elements.words, random, shift, F(2.0**-scheme.sr_bits), codes,
        grain=grain(where.length),
    )  # fmt: skip
    return codes, scales if scheme.scale_format == "fp32" else scale_codes


def fake_quantize(
    x: ArrayLike,
    scheme: str | Scheme,
    axis: int = -1,
    seed: int | None = None,
    out: NDArray[np.float32] | None = None,
    *,
    amax: float | None = None,
    maxima: NDArray[np.uint32] | None = None,
) -> NDArray[np.float32]:
    """``quantize(x, scheme, axis, seed).dequantize()``, bit for bit.

    Args:
        x, scheme, axis, seed, amax: see `quantize`.
        out: float32 of the shape of `x`, written and returned; may be `x` itself.
        maxima: the maxima of the blocks, bits of float32 [rows, blocks], where somebody has them already; only for
            schemes that are fused, of granularity ``block``, along the last axis.

    Raises:
        ArgumentError: as `quantize`; `out` of another shape or dtype.
    """
    scheme = get(scheme)
    array = float32_array(x)
    if out is not None and (out.dtype != F or out.shape != array.shape):
        raise ArgumentError(
            f"out must be float32 of shape {array.shape}", got=(out.dtype.name, out.shape), where="out"
        )
    if not is_fused(scheme) or array.size == 0:
        values = quantize(array, scheme, axis, seed, amax=amax).dequantize()
    else:
        where = layout(array.shape, scheme, axis)
        rows = where.to_rows(array)
        direct = out is not None and out.flags.c_contiguous and where.axis == len(where.shape) - 1
        target = out.reshape(rows.shape) if direct and out is not None else np.empty(rows.shape, F)
        _fake(rows, scheme, where, _given(amax, scheme), seed, target, maxima)
        if direct and out is not None:
            return out
        values = where.from_rows(target, array.shape)
    if out is None:
        return values
    out[...] = values
    return out


def is_fused(scheme: Scheme) -> bool:
    """Whether `fake_quantize` makes no codes between."""
    return scheme.scale_rule not in _UNFUSED and scheme.decode in ("te", "torchao", "vllm", "scale")


def _fake(
    rows: Floats,
    scheme: Scheme,
    where: Layout,
    given: np.float32 | None,
    seed: int | None,
    out: Floats,
    found: NDArray[np.uint32] | None,
) -> None:
    split = split_evenly(where)
    rows, out = rows.reshape(split.rows, split.length), out.reshape(split.rows, split.length)
    maxima, largest = _NO_MAXIMA, F(1) if given is None else given
    key = _noise_key(scheme, seed)
    apart = split.height > 1 or scheme.scale_rule in ("absmean", "additions", "te_4over6")
    if found is not None or apart or (scheme.tensor_scale and given is None):
        maxima = _maxima(rows, scheme, split) if found is None else found.reshape(split.rows, split.blocks)
        largest = _largest(maxima) if given is None else given
    scale, elements = ScaleConstants(scheme, largest), _element_constants(scheme)
    blocks = fake_kernels.Blocks(
        split.block, split.height, split.plane, ceiling(scheme), maxima, scale.rule, scale.factor, scale.floats,
        scale.words,
    )  # fmt: skip
    divide: tuple[bool, ...] = (elements.mode == element_kernels.DIVIDE,)
    noise: tuple[Any, ...] = ()
    if key is not None:
        kernel, kind = fake_kernels.fake_noisy_rows, np.empty(0, np.uint8 if scheme.sr_bits <= 8 else np.uint32)
        noise = key, kind, kind.dtype.type(8 * kind.itemsize - scheme.sr_bits), F(2.0**-scheme.sr_bits)
    elif elements.mode == element_kernels.QUOTIENT:
        kernel, divide = fake_kernels.fake_quotient_rows, ()
    else:
        kernel = fake_kernels.fake_rows
    parallel_rows(
        kernel, split.rows, rows, rows.view(np.uint32), blocks, *divide, elements.words, elements.floats, *noise, out,
        grain=grain(split.length),
    )  # fmt: skip


def _maxima(rows: NDArray[np.float32], scheme: Scheme, where: Layout) -> NDArray[np.uint32]:
    """Bits of the maxima of all blocks [scale rows, blocks]; of the mean for ``absmean``, steps for ``additions``."""
    if scheme.scale_rule == "absmean":
        return np.array([[absolute_mean(rows)]], dtype=F).view(np.uint32)
    if scheme.additions is not None:
        return addition_steps(rows, scheme.additions).view(np.uint32)[:, None]
    found = np.empty((where.rows, where.blocks), np.uint32)
    parallel_rows(
        scale_kernels.maxima_rows, where.rows, rows.view(np.uint32), where.block, ceiling(scheme), found,
        grain=grain(where.length),
    )  # fmt: skip
    if where.height == 1:
        return found
    planes = found.reshape(-1, where.plane, where.blocks)
    merged = np.maximum.reduceat(planes, np.arange(0, where.plane, where.height), axis=1)
    return np.ascontiguousarray(merged).reshape(-1, where.blocks)


def _largest(maxima: NDArray[np.uint32]) -> np.float32:
    word = maxima.max()
    return F(np.nan) if word > INF else F(word.view(F))


def ceiling(scheme: Scheme) -> np.uint32:
    """Of magnitudes as bits. Words above it are not counted by the maxima: NaN where the source ignores it."""
    return INF if scheme.scale_rule in NAN_IGNORING_RULES else np.uint32(0x7FFFFFFF)


def _element_constants(scheme: Scheme) -> ElementConstants:
    if scheme.scale_rule == "torchao":
        return ElementConstants(scheme, reference.torchao_nan_code(scheme))
    return ElementConstants(scheme, int(scheme.element_format.encode(F(np.nan))))


def _given(amax: float | None, scheme: Scheme) -> np.float32 | None:
    if amax is None:
        return None
    if not scheme.tensor_scale:
        raise ArgumentError("amax must be left out where there is no tensor scale", got=amax, where=scheme.name)
    if not (amax >= 0 and np.isfinite(F(amax))):
        raise ArgumentError("amax must be a finite magnitude", got=amax, where=scheme.name)
    return F(amax)


def random_noise(scheme: Scheme, seed: int | None, where: Layout) -> Noise | None:
    """Random bytes for up to 8 bits an element, else words, [rows, length]; None where nothing is random."""
    if _noise_key(scheme, seed) is None or seed is None:
        return None
    count = where.rows * where.length
    if scheme.sr_bits > 8:
        return random_words(seed, count).reshape(where.rows, where.length)
    words = random_words(seed, -(-count // 4)).astype("<u4", copy=False)
    return words.view(np.uint8)[:count].reshape(where.rows, where.length)


def _noise_key(scheme: Scheme, seed: int | None) -> NDArray[np.uint64] | None:
    if scheme.rounding != "sr":
        return None
    if seed is None:
        raise ArgumentError("seed must be given for stochastic rounding", where=scheme.name)
    return stream_key(seed)


def noise_integers(noise: Noise, scheme: Scheme) -> Floats:
    """The top bits of random words or bytes as integers below 2^sr_bits, float32."""
    return (noise >> noise.dtype.type(8 * noise.dtype.itemsize - scheme.sr_bits)).astype(F)

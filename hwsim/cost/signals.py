"""Words inside a unit on its way from operands to a sum, for counting how many of their bits flip.

Decides which inner signals the energy of a circuit is a function of. Operand flips alone miss what makes the same
circuit cost twice as much on one layer as on another: operands of which one is zero, terms that the alignment cuts,
a common exponent that moves every term. So the words at the seams of the circuit are computed here, as
`hwsim.rtl.tensor_core` has them: products, sums of groups, aligned terms, and their total. Counting gates instead is
the fidelity ``gates``, a thousand times slower and only there where a circuit exists.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.cost.features import window
from hwsim.datapaths.tensor_cores.catalogue import SUB_GROUP
from hwsim.datapaths.tensor_cores.elements import INF, element, parts

Words = NDArray[np.int64]
_FAR = -(1 << 14)  # below every exponent: the exponent of nothing


class Signals(NamedTuple):
    """Two's complement words by update, uint64 ``[m, n, updates, count]``, in the circuit's widths: products, exact
    sums of groups (no column where a unit has none), aligned terms with the running sum's last, and their total."""

    products: NDArray[np.uint64]
    groups: NDArray[np.uint64]
    terms: NDArray[np.uint64]
    total: NDArray[np.uint64]


def tensor_core_signals(
    unit: Any,
    a: NDArray[Any],
    b: NDArray[Any],
    scale_a: NDArray[np.uint8] | None,
    scale_b: NDArray[np.uint8] | None,
    register: NDArray[np.uint32],
) -> Signals:
    """Inner words of a fused or grouped unit.

    Args:
        unit: the tensor core.
        a, b: codes ``[m, k]`` and ``[n, k]``.
        scale_a, scale_b: scale bytes ``[m, blocks]`` and ``[n, blocks]`` where the unit has them.
        register: float32 words of the running sum after each update, ``[m, n, updates]``.
    """
    row, wide = unit.row, unit.row.group
    updates = register.shape[2]
    lanes_a, lanes_b = (_split(unit, side, codes, updates) for side, codes in (("a", a), ("b", b)))
    if row.model == "grouped":  # whole halves: products within a group have one point
        lanes_a, lanes_b = ((one[0] << np.maximum(one[1], 0), one[1]) for one in (lanes_a, lanes_b))
    products = lanes_a[0][:, None] * lanes_b[0][None]
    before = np.concatenate([np.zeros_like(register[..., :1]), register[..., :-1]], axis=2)
    c, c_exponent = _float32(before)
    if row.model == "grouped":
        groups = products.reshape(*products.shape[:3], wide // SUB_GROUP, SUB_GROUP).sum(-1)
        factor, exponent = _block_scales(unit, scale_a, scale_b, updates)
        values, present = groups * factor, (products != 0).reshape(*groups.shape, SUB_GROUP).any(-1) & (factor != 0)
        point = 2 + (6 if row.scale == "ue4m3" else 0)
    else:
        groups = products[..., :0]
        exponent = lanes_a[1][:, None] + lanes_b[1][None]
        if row.scale is not None:
            exponent = exponent + _block_scales(unit, scale_a, scale_b, updates)[1]
        values, present = products, products != 0
        point = 2 * element(unit.a_format).mantissa_bits
    top = np.maximum(np.where(present, exponent, _FAR).max(-1), np.where(c != 0, c_exponent, row.e_zero))
    top = np.maximum(top, row.e_zero)[..., None]
    terms = np.concatenate(
        [
            _cut(values, top - exponent, row.fraction_bits - point),
            _cut(c[..., None], top - c_exponent[..., None], row.fraction_bits - 23),
        ],
        axis=-1,
    )
    wide_as = window(row, unit.a_format)
    product_bits = 2 * element(unit.a_format).mantissa_bits + 3 if row.model == "fused" else 9
    return Signals(
        _masked(products, product_bits),
        _masked(groups, 13),
        _masked(terms, wide_as.term + 1),
        _masked(terms.sum(-1, keepdims=True), wide_as.magnitude + 1),
    )


def _masked(words: Words, bits: int) -> NDArray[np.uint64]:
    return words.view(np.uint64) & np.uint64((1 << bits) - 1)


def _split(unit: Any, side: str, codes: NDArray[Any], updates: int) -> tuple[Words, Words]:
    """Significands and exponents ``[rows, updates, lanes]``, a ragged end filled with zeros; no special values."""
    form, wide = element(str(getattr(unit, f"{side}_format"))), unit.row.group
    codes = np.pad(codes, ((0, 0), (0, updates * wide - codes.shape[1])))
    significands, exponents = (
        part.astype(np.int64).reshape(len(codes), updates, wide) for part in parts(form, codes)
    )
    finite = exponents < INF
    return np.where(finite, significands, 0), np.where(finite, exponents, _FAR)


def _float32(words: NDArray[np.uint32]) -> tuple[Words, Words]:
    """Signed significands of 24 bits and exponents; specials count as zero."""
    field, mantissa = (words >> 23 & 0xFF).astype(np.int64), (words & 0x7FFFFF).astype(np.int64)
    significand = np.where(field > 0, mantissa | 1 << 23, mantissa)
    significand = np.where(field == 255, 0, significand)
    return np.where(words >> 31 == 1, -significand, significand), np.maximum(field, 1) - 127


def _block_scales(
    unit: Any, scale_a: NDArray[np.uint8] | None, scale_b: NDArray[np.uint8] | None, updates: int
) -> tuple[Words, Words]:
    """Product of the scales' significands, and the sum of their exponents, for each aligned value of an update."""
    row = unit.row
    assert scale_a is not None
    assert scale_b is not None
    blocks = row.group // row.block
    found = []
    for scales in (scale_a, scale_b):
        padded = np.pad(scales, ((0, 0), (0, updates * blocks - scales.shape[1]))).astype(np.int64)
        found.append(padded.reshape(len(scales), updates, blocks))
    if row.scale == "ue4m3":
        significands = [np.where(one >> 3 & 15, one & 7 | 8, one & 7) for one in found]
        exponents = [np.maximum(one >> 3 & 15, 1) - 7 for one in found]
    else:
        significands = [np.ones_like(one) for one in found]
        exponents = [one - 127 for one in found]
    factor = significands[0][:, None] * significands[1][None]
    exponent = exponents[0][:, None] + exponents[1][None]
    repeated = row.group // SUB_GROUP // blocks if row.model == "grouped" else 1
    return np.repeat(factor, repeated, axis=-1), np.repeat(exponent, repeated, axis=-1)


def _cut(values: Words, distance: Words, above: int) -> Words:
    """``values * 2^(above - distance)``, the magnitude cut toward zero."""
    shifted = np.abs(values) << max(above, 0) >> max(-above, 0)
    cut: Words = np.sign(values) * (shifted >> np.clip(distance, 0, 62))
    return cut

"""Flips inside a tensor core on its way from operands to a sum.

Decides which inner signals the energy of such a circuit is a function of. Operand flips alone miss what makes the
same circuit cost twice as much on one layer as on another: operands of which one is zero, terms that the alignment
cuts, a common exponent that moves every term. So the words at the seams of the circuit are computed here, as
`hwsim.rtl.tensor_core` has them: products, sums of groups, exponents, distances, aligned terms, their total and what
normalises it. Counting gates instead is the fidelity ``gates``, dearer by far and only there where a circuit exists.
"""

from __future__ import annotations

from math import log2
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.cost.features import window
from hwsim.cost.words import Words, changes, flips, magnitudes, masked
from hwsim.datapaths.tensor_cores.catalogue import SUB_GROUP
from hwsim.datapaths.tensor_cores.elements import INF, element, parts
from hwsim.gates.steps import Stream

Integers = NDArray[np.int64]
_FAR = -(1 << 14)  # below every exponent: the exponent of nothing
_OFFSET = 1 << 10  # makes every exponent positive, so that a sign does not flip all bits


class Signals(NamedTuple):
    """Integers by step, int64 ``[steps, count]``: products, exact sums of groups and these times their scales (no
    column where a unit has none), exponents of what is aligned, the largest one, the distance of each below it,
    aligned terms with the running sum's last, and their total."""

    products: Integers
    groups: Integers
    values: Integers
    exponents: Integers
    top: Integers
    distances: Integers
    terms: Integers
    total: Integers


def tensor_core_signals(unit: Any, stream: Stream) -> Signals:
    """Inner numbers of a fused or grouped unit."""
    row = unit.row
    (a, a_exponent), (b, b_exponent) = (
        _split(str(form), codes) for form, codes in ((unit.a_format, stream.a), (unit.b_format, stream.b))
    )
    if row.model == "grouped":  # whole halves: products within a group have one point
        a, b = a << np.maximum(a_exponent, 0), b << np.maximum(b_exponent, 0)
    products = a * b
    if row.model == "grouped":
        groups = products.reshape(len(products), -1, SUB_GROUP).sum(-1)
        factor, exponents = _block_scales(unit, stream)
        values = groups * factor
        present = (products != 0).reshape(*groups.shape, SUB_GROUP).any(-1) & (factor != 0)
        point = 2 + (6 if row.scale == "ue4m3" else 0)
    else:
        groups = products[:, :0]
        exponents = a_exponent + b_exponent
        if row.scale is not None:
            exponents = exponents + _block_scales(unit, stream)[1]
        values, present = products, products != 0
        point = 2 * element(unit.a_format).mantissa_bits
    c, c_exponent = _float32(stream.before)
    top = np.maximum(np.where(present, exponents, _FAR).max(-1), np.where(c != 0, c_exponent, row.e_zero)[:, 0])
    top = np.maximum(top, row.e_zero)[:, None]
    terms = np.concatenate(
        [
            _cut(values, top - exponents, row.fraction_bits - point),
            _cut(c, top - c_exponent, row.fraction_bits - 23),
        ],
        axis=1,
    )
    own = values if row.model == "grouped" else groups
    return Signals(products, groups, own, exponents, top, top - exponents, terms, terms.sum(1, keepdims=True))


def tensor_core_flips(unit: Any, stream: Stream) -> dict[str, float]:
    """What the energy of an update is linear in: flips by kind, weighted by the width of what they move."""
    found, wide = tensor_core_signals(unit, stream), window(unit.row, unit.a_format)
    bits = element(unit.a_format).mantissa_bits + 1
    terms = found.terms.shape[1]
    turned = float(((stream.a[1:] != stream.a[:-1]) | (stream.b[1:] != stream.b[:-1])).sum(1).mean())
    negative = (found.terms < 0).astype(np.int64)
    magnitude = np.abs(found.total[:, 0])
    places = wide.magnitude - np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)
    normal = masked(magnitude << np.maximum(places, 0), wide.magnitude)
    distances = np.clip(found.distances, 0, 63)
    total = flips(masked(found.total, wide.magnitude + 1))
    return {
        "a": flips(stream.a),
        "b": flips(stream.b),
        "scales": flips(stream.scale_a) + flips(stream.scale_b),
        "turned_by_product": turned * bits * bits,
        "turned_by_term": turned * wide.term,
        "turned_by_exponent": turned * wide.exponent,
        "partials": _partials(stream, unit),
        "products": flips(masked(found.products, 2 * bits + 1)),
        "groups": flips(magnitudes(found.groups)),
        "quads": _quads(found.products, 11) if found.groups.shape[1] else 0.0,
        "scaled": flips(magnitudes(found.values)),
        "exponents": flips((found.exponents + _OFFSET).view(np.uint64)) * wide.exponent,
        "distances_by_term": flips((found.distances & 63).view(np.uint64)) * wide.term,
        "shifts_by_term": flips(distances.view(np.uint64)) * wide.term,
        "shifts_by_tree": flips(distances.view(np.uint64)) * wide.term * log2(terms),
        "tops_by_terms": changes(found.top) * terms * wide.term,
        "running": flips(masked(found.terms[:, -1:], wide.term + 1)),
        "signs_by_term": flips(negative.view(np.uint64)) * wide.term,
        "fours": _quads(found.terms, wide.term + 3),
        "terms_by_tree": flips(masked(found.terms, wide.term + 1)) * log2(terms),
        "inverted_by_tree": flips(masked(found.terms - negative, wide.term + 1)) * log2(terms),
        "total": total,
        "total_by_tree": total * log2(terms),
        "normal": flips(normal),
        "places_by_width": flips(places.view(np.uint64)) * wide.magnitude,
        "moves_by_width": changes(places) * wide.magnitude,
    }


def _partials(stream: Stream, unit: Any) -> float:
    """Flips of all bits of the significands' partial products."""
    a, b = (
        magnitudes(_split(str(form), codes)[0])
        for form, codes in ((unit.a_format, stream.a), (unit.b_format, stream.b))
    )
    rows = element(unit.b_format).mantissa_bits + 1
    return sum(flips(a * (b >> np.uint64(row) & np.uint64(1))) for row in range(rows))


def _quads(values: Integers, bits: int) -> float:
    """Flips of sums of four neighbours."""
    padded = np.pad(values, ((0, 0), (0, -values.shape[1] % 4)))
    return flips(masked(padded.reshape(len(padded), -1, 4).sum(-1), bits))


def _split(form: str, codes: Words) -> tuple[Integers, Integers]:
    """Significands and exponents ``[steps, lanes]``; no special values."""
    known = element(form)
    significands, exponents = (part.astype(np.int64) for part in parts(known, codes.astype(known.code_dtype)))
    finite = exponents < INF
    return np.where(finite, significands, 0), np.where(finite, exponents, known.min_exponent)


def _float32(words: Words) -> tuple[Integers, Integers]:
    """Signed significands of 24 bits and exponents; specials count as zero."""
    field, mantissa = (words >> 23 & 0xFF).astype(np.int64), (words & 0x7FFFFF).astype(np.int64)
    significand = np.where(field > 0, mantissa | 1 << 23, mantissa)
    significand = np.where(field == 255, 0, significand)
    return np.where(words >> 31 == 1, -significand, significand), np.maximum(field, 1) - 127


def _block_scales(unit: Any, stream: Stream) -> tuple[Integers, Integers]:
    """Product of the scales' significands, and the sum of their exponents, for each aligned value of a step."""
    row = unit.row
    sides = [scales.astype(np.int64) for scales in (stream.scale_a, stream.scale_b)]
    if row.scale == "ue4m3":
        significands = [np.where(one >> 3 & 15, one & 7 | 8, one & 7) for one in sides]
        exponents = [np.maximum(one >> 3 & 15, 1) - 7 for one in sides]
    else:
        significands = [np.ones_like(one) for one in sides]
        exponents = [one - 127 for one in sides]
    factor, exponent = significands[0] * significands[1], exponents[0] + exponents[1]
    repeated = row.group // SUB_GROUP // factor.shape[1] if row.model == "grouped" else 1
    return np.repeat(factor, repeated, axis=1), np.repeat(exponent, repeated, axis=1)


def _cut(values: Integers, distance: Integers, above: int) -> Integers:
    """``values * 2^(above - distance)``, the magnitude cut toward zero."""
    shifted = np.abs(values) << max(above, 0) >> max(-above, 0)
    cut: Integers = np.sign(values) * (shifted >> np.clip(distance, 0, 62))
    return cut

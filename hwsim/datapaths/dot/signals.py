"""Flips inside a dot unit on its way from operands to a sum.

Decides which inner signals the energy of such a circuit is a function of. Operand flips alone miss what makes the
same circuit cost twice as much on one layer as on another: operands of which one is zero, terms that the alignment
cuts, a common exponent that moves every term. So the words at the seams of the circuit are computed here, as
`hwsim.datapaths.dot.verilog` has them: products, sums of groups, exponents, distances, aligned terms, their total and
what normalises it. Counting gates instead is the fidelity ``gates``, dearer by far and only there where a circuit
exists.
"""

from __future__ import annotations

from math import log2
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.cost.words import Words, changes, flips, magnitudes, masked
from hwsim.datapaths.dot.elements import INF, Element, parts
from hwsim.datapaths.dot.rule import Rule
from hwsim.datapaths.dot.verilog.parts import widths
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


def signals(unit: Rule, stream: Stream) -> Signals:
    """Inner numbers of a fused or grouped unit."""
    (a, a_exponent), (b, b_exponent) = (
        _split(form, codes) for form, codes in zip(unit.forms, (stream.a, stream.b), strict=True)
    )
    grouped = unit.align == "grouped"
    if grouped:  # whole steps: products within a sub-group have one point
        a, b = (
            side << (exponent - form.min_exponent)
            for side, exponent, form in zip((a, b), (a_exponent, b_exponent), unit.forms, strict=True)
        )
    products = a * b
    if grouped:
        groups = products.reshape(len(products), -1, unit.sub_group).sum(-1)
        factor, exponents = _block_scales(unit, stream)
        values = groups * factor
        present = (products != 0).reshape(*groups.shape, unit.sub_group).any(-1) & (factor != 0)
        point = 2 * unit.scale_point - unit.fixed_unit
    else:
        groups = products[:, :0]
        exponents, values = a_exponent + b_exponent, products
        if unit.scale is not None:
            factor, scales = _block_scales(unit, stream)
            exponents, values = exponents + scales, products * factor
        present = values != 0
        point = unit.point
    e_zero = unit.e_zero
    assert e_zero is not None
    c, c_exponent = _float32(stream.before)
    top = np.maximum(np.where(present, exponents, _FAR).max(-1), np.where(c != 0, c_exponent, e_zero)[:, 0])
    top = np.maximum(top, e_zero)[:, None]
    terms = np.concatenate(
        [
            _cut(values, top - exponents, unit.fraction_bits - point),
            _cut(c, top - c_exponent, unit.fraction_bits - 23),
        ],
        axis=1,
    )
    own = values if grouped else groups
    return Signals(products, groups, own, exponents, top, top - exponents, terms, terms.sum(1, keepdims=True))


def update_flips(unit: Rule, stream: Stream) -> dict[str, float]:
    """What the energy of an update is linear in: flips by kind, weighted by the width of what they move."""
    found, wide = signals(unit, stream), widths(unit)
    a_bits, b_bits = (form.mantissa_bits + 1 for form in unit.forms)
    terms = found.terms.shape[1]
    turned = float(((stream.a[1:] != stream.a[:-1]) | (stream.b[1:] != stream.b[:-1])).sum(1).mean())
    negative = (found.terms < 0).astype(np.int64)
    magnitude = np.abs(found.total[:, 0])
    places = wide.magnitude_bits - np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)
    normal = masked(magnitude << np.maximum(places, 0), wide.magnitude_bits)
    distances = np.clip(found.distances, 0, 63)
    total = flips(masked(found.total, wide.magnitude_bits + 1))
    return {
        "a": flips(stream.a),
        "b": flips(stream.b),
        "scales": flips(stream.scale_a) + flips(stream.scale_b),
        "turned_by_product": turned * a_bits * b_bits,
        "turned_by_term": turned * wide.term_bits,
        "turned_by_exponent": turned * wide.exponent_bits,
        "partials": _partials(stream, unit),
        "products": flips(masked(found.products, a_bits + b_bits + 1)),
        "groups": flips(magnitudes(found.groups)),
        "quads": _quads(found.products, 11) if found.groups.shape[1] else 0.0,
        "scaled": flips(magnitudes(found.values)),
        "exponents": flips((found.exponents + _OFFSET).view(np.uint64)) * wide.exponent_bits,
        "distances_by_term": flips((found.distances & 63).view(np.uint64)) * wide.term_bits,
        "shifts_by_term": flips(distances.view(np.uint64)) * wide.term_bits,
        "shifts_by_tree": flips(distances.view(np.uint64)) * wide.term_bits * log2(terms),
        "tops_by_terms": changes(found.top) * terms * wide.term_bits,
        "running": flips(masked(found.terms[:, -1:], wide.term_bits + 1)),
        "signs_by_term": flips(negative.view(np.uint64)) * wide.term_bits,
        "fours": _quads(found.terms, wide.term_bits + 3),
        "terms_by_tree": flips(masked(found.terms, wide.term_bits + 1)) * log2(terms),
        "inverted_by_tree": flips(masked(found.terms - negative, wide.term_bits + 1)) * log2(terms),
        "total": total,
        "total_by_tree": total * log2(terms),
        "normal": flips(normal),
        "places_by_width": flips(places.view(np.uint64)) * wide.magnitude_bits,
        "moves_by_width": changes(places) * wide.magnitude_bits,
    }


def _partials(stream: Stream, unit: Rule) -> float:
    """Flips of all bits of the significands' partial products."""
    a, b = (magnitudes(_split(form, codes)[0]) for form, codes in zip(unit.forms, (stream.a, stream.b), strict=True))
    rows = unit.forms[1].mantissa_bits + 1
    return sum(flips(a * (b >> np.uint64(row) & np.uint64(1))) for row in range(rows))


def _quads(values: Integers, bits: int) -> float:
    """Flips of sums of four neighbours."""
    padded = np.pad(values, ((0, 0), (0, -values.shape[1] % 4)))
    return flips(masked(padded.reshape(len(padded), -1, 4).sum(-1), bits))


def _split(form: Element, codes: Words) -> tuple[Integers, Integers]:
    """Significands and exponents ``[steps, lanes]``; no special values."""
    significands, exponents = (part.astype(np.int64) for part in parts(form, codes.astype(form.code_dtype)))
    finite = exponents < INF
    return np.where(finite, significands, 0), np.where(finite, exponents, form.min_exponent)


def _float32(words: Words) -> tuple[Integers, Integers]:
    """Signed significands of 24 bits and exponents; specials count as zero."""
    field, mantissa = (words >> 23 & 0xFF).astype(np.int64), (words & 0x7FFFFF).astype(np.int64)
    significand = np.where(field > 0, mantissa | 1 << 23, mantissa)
    significand = np.where(field == 255, 0, significand)
    return np.where(words >> 31 == 1, -significand, significand), np.maximum(field, 1) - 127


def _block_scales(unit: Rule, stream: Stream) -> tuple[Integers, Integers]:
    """Product of the scales' significands, and the sum of their exponents, for each aligned value of a step."""
    form = unit.scale_form
    assert form is not None
    (a, a_exponent), (b, b_exponent) = (_split(form, scales) for scales in (stream.scale_a, stream.scale_b))
    repeated = unit.terms // a.shape[1]
    return np.repeat(a * b, repeated, axis=1), np.repeat(a_exponent + b_exponent, repeated, axis=1)


def _cut(values: Integers, distance: Integers, above: int) -> Integers:
    """``values * 2^(above - distance)``, the magnitude cut toward zero."""
    shifted = np.abs(values) << max(above, 0) >> max(-above, 0)
    cut: Integers = np.sign(values) * (shifted >> np.clip(distance, 0, 62))
    return cut

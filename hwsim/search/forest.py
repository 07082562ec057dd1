"""A forest that tells the accuracy of arithmetics that were not measured from that of some that were.

It reads fields of formats, blocks, scales and accumulators, and what a replay says of single layers; so it serves
arithmetics that share no knob. Its intervals are conformal: half as wide as the errors that out-of-bag trees make on
what was measured, at the asked coverage, whatever the distribution (Johansson and others, 2014). It is for choosing
what is measured next, and no value of it is a result. How close it is, beside the Gaussian process of knobs that the
search asks (`hwsim.search.surrogate`): reports/study-refinement.

The door of scikit-learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.errors import ArgumentError, MissingExtra

if TYPE_CHECKING:
    from hwsim.arch import Numerics
    from hwsim.quant import Scheme

Floats = NDArray[np.float64]

TREES = 300
FEWEST = 8
"""Arithmetics that a forest is grown from at least."""


def features(numerics: Numerics, by_layer: Mapping[str, float] | None = None) -> Floats:
    """What a forest reads of an arithmetic, float64.

    Args:
        numerics: of products with a weight.
        by_layer: SQNR in dB of each layer in a replay, the same layers for all arithmetics of a forest.
    """
    unit = numerics.datapath
    spec = unit.spec()
    own = [
        *_scheme(numerics.activation), *_scheme(numerics.weight), math.log2(unit.lanes), float(unit.accumulator_bits),
        _number(spec.get("fraction_bits")), _mantissa(spec.get("acc")),
    ]  # fmt: skip
    return np.array([*own, *((by_layer or {}).values())], np.float64)


def _scheme(scheme: Scheme) -> tuple[float, ...]:
    """Bits, exponent and mantissa of the element; size of its block; exponent and mantissa of its scale."""
    element = scheme.element_format
    scale = None if scheme.scale_format is None else formats.get(scheme.scale_format)
    block = math.log2(scheme.block) if scheme.block else 16.0
    return (
        float(element.bits), float(element.exponent_bits), float(element.mantissa_bits), block,
        -1.0 if scale is None else float(scale.exponent_bits), -1.0 if scale is None else float(scale.mantissa_bits),
    )  # fmt: skip


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else -1.0


def _mantissa(name: object) -> float:
    """Mantissa bits of an accumulator's format, as ``e8m13`` or ``fp32`` names it."""
    if not isinstance(name, str):
        return -1.0
    return {"fp32": 23.0, "fp16": 10.0, "bf16": 7.0}.get(name) or _number(int(name.rpartition("m")[2]))


class Forest:
    """Grown from measured arithmetics.

    Args:
        known: features, float64 ``[arithmetics, features]``.
        values: what was measured, float64 ``[arithmetics]``, finite.
        seed: of the trees; the same seed and inputs give the same forest.

    Raises:
        ArgumentError: fewer than `FEWEST` arithmetics.
        MissingExtra: scikit-learn is not installed.
    """

    def __init__(self, known: Floats, values: Floats, seed: int = 0) -> None:
        try:
            from sklearn.ensemble import RandomForestRegressor
        except ImportError:
            raise MissingExtra("scikit-learn", install="pip install 'hwsim[forest]'", where="forest") from None
        if len(values) < FEWEST:
            raise ArgumentError(f"a forest needs {FEWEST} measured arithmetics", got=len(values), where="forest")
        self._trees = RandomForestRegressor(
            n_estimators=TREES, oob_score=True, random_state=seed, max_features=0.5, n_jobs=1
        )
        self._trees.fit(known, values)
        self._errors = np.sort(np.abs(values - self._trees.oob_prediction_))

    def told(self, asked: Floats) -> Floats:
        """Means of arithmetics that were not measured, float64 ``[asked]``."""
        found: Floats = np.asarray(self._trees.predict(asked), np.float64)
        return found

    def half_width(self, coverage: float = 0.9) -> float:
        """Of the interval around a mean that holds a new arithmetic's value with this chance; infinite where too few
        were measured to say so.

        Raises:
            ArgumentError: a coverage that is no chance.
        """
        if not 0 < coverage < 1:
            raise ArgumentError("coverage must lie between 0 and 1", got=coverage, where="forest")
        place = math.ceil((len(self._errors) + 1) * coverage)
        return float(self._errors[place - 1]) if place <= len(self._errors) else math.inf

"""Where to clip before a uniform quantizer.

Three ways that do not agree: SAWB, a line through two moments, for weights and activations in INT4 (Choi et al.;
constants as LUQ uses them, arXiv 2112.10769); the clip of least squared error, found by trying; and EXAQ's rules for
the input of a softmax (arXiv 2410.03185), a line through a deviation or a published table. EXAQ's table and line
differ by up to 2.6, so both are offered and neither is a default.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.jit import njit, parallel_rows
from hwsim.quant.exaq_table import table_rows
from hwsim.quant.layout import float32_array

ExaqRule = Literal["gauss", "laplace", "table"]

SAWB_RMS, SAWB_MEAN = 12.1, 12.2
"""``clip = 12.1 rms(x) - 12.2 mean|x|``, four bits."""

EXAQ_LINES = {
    "gauss": {2: (-1.66, -1.85), 3: (-1.75, -2.06), 4: (-1.83, -2.27)},
    "laplace": {2: (-4.01, -1.77), 4: (-6.82, -0.15)},
}
"""Slope and offset of the clip over the standard (gauss) or the mean absolute (laplace) deviation, by bits."""


def sawb_clip(x: ArrayLike) -> float:
    """SAWB's clip for four bits, from float64 moments; the step is ``2 clip / (largest - smallest integer)``.

    LUQ's published code spans -8..8, which is 17 levels and no four-bit code; -7..7 is what fits.
    """
    array = _measured(x)
    return float(SAWB_RMS * np.sqrt(np.mean(array * array)) - SAWB_MEAN * np.mean(np.abs(array)))


def least_error_clip(x: ArrayLike, largest: int, candidates: int = 200) -> float:
    """The clip c, among ``max|x| i / candidates``, that gives ``step = c / largest`` the least squared error.

    The quantizer is symmetric: ``step * min(max(rint(x / step), -largest), largest)``. Errors are summed in float64
    in the order of the elements; of equals the larger clip wins.

    Args:
        x: float32, finite, not empty.
        largest: the largest integer, 7 for symmetric INT4.
        candidates: how many clips are tried.
    """
    array = _measured(x).reshape(-1)
    if largest < 1 or candidates < 1:
        raise ArgumentError("largest and candidates must be at least 1", got=(largest, candidates))
    top = float(np.abs(array).max())
    if top == 0:
        return 0.0
    clips = top * np.arange(1, candidates + 1) / candidates
    errors = np.empty(candidates)
    parallel_rows(_squared_errors, candidates, array, clips / largest, float(largest), errors)
    return float(clips[candidates - 1 - int(np.argmin(errors[::-1]))])


def exaq_clip(deviation: float, bits: int, rule: ExaqRule) -> float:
    """EXAQ's clip C < 0 of ``x - max(x)`` before softmax.

    Args:
        deviation: for ``gauss`` and ``table`` the standard deviation over the tensor, for ``laplace`` the mean
            absolute deviation; see `exaq_deviation`.
        bits: of the quantized input: 2, 3 or 4; 2 or 4 for ``laplace``, which is published for no other.
        rule: ``gauss`` or ``laplace``: a line. ``table``: linear between the published rows, constant beyond the
            last.

    Raises:
        ArgumentError: an unknown rule, bits that it does not define, or a deviation that is not a natural one.
    """
    if rule not in get_args(ExaqRule):
        raise ArgumentError(f"rule must be one of {', '.join(get_args(ExaqRule))}", got=rule)
    known = (2, 3, 4) if rule == "table" else tuple(EXAQ_LINES[rule])
    if bits not in known:
        raise ArgumentError(f'bits of rule "{rule}" must be one of {", ".join(map(str, known))}', got=bits)
    if not (np.isfinite(deviation) and deviation >= 0):
        raise ArgumentError("deviation must be finite and not negative", got=deviation)
    if rule == "table":
        return float(np.interp(deviation, *table_rows(bits)))
    slope, offset = EXAQ_LINES[rule][bits]
    return slope * deviation + offset


def exaq_deviation(y: ArrayLike, rule: ExaqRule) -> float:
    """The deviation that `exaq_clip` takes: standard (with n - 1, as the published code), or mean absolute (laplace).

    Args:
        y: unmasked ``x - max(x)`` of a tensor, two values or more.
        rule: as in `exaq_clip`.
    """
    array = _measured(y)
    if array.size < 2:
        raise ArgumentError("a deviation needs two values or more", got=array.size)
    if rule == "laplace":
        return float(np.mean(np.abs(array - array.mean())))
    return float(array.std(ddof=1))


def _measured(x: ArrayLike) -> NDArray[np.float64]:
    array = float32_array(x)
    if not array.size:
        raise ArgumentError("x must have elements", got=array.shape)
    if not np.isfinite(array).all():
        raise ArgumentError("x must be finite", got=float(array[~np.isfinite(array)][0]))
    return array.astype(np.float64)


@njit
def _squared_errors(begin: int, end: int, values: Any, steps: Any, largest: float, errors: Any) -> None:
    for row in range(begin, end):
        step = steps[row]
        total = 0.0
        for value in values:
            level = min(max(np.rint(value / step), -largest), largest)
            total += (value - level * step) ** 2
        errors[row] = total

"""EXAQ's softmax unit (arXiv 2410.03185): the exponential as a table of 2^b values, sums by groups of codes.

Steps, all in float32 and in this order, for scores x along the last axis:

1. ``y = x - max(x)``, <= 0;
2. ``t = (clip(y, C, 0) - C) * s`` with ``s = (2^b - 1) / -C``, and the code ``rint(t)``, ties to even;
3. level ``code / s + C``, and its exponential, rounded to float32 from float64: the table of 2^b entries;
4. the codes that the mask keeps are packed in order, four 2-bit (or two 3- or 4-bit) codes to an index into a table
   of partial sums, each summed left to right; these are added in order, then what is left over one by one;
5. each kept entry's exponential is divided by the sum, the others are 0.

The clip C is the larger of the least y and EXAQ's rule on the deviation of all kept y. Steps 2 and C follow the
published code; it contains neither table, so packing order and the order of addition in 4 are this module's choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import check_choice, fields_of
from hwsim.errors import ArgumentError

Clip = Literal["gauss", "laplace", "table"]


@dataclass(frozen=True, slots=True)
class Softmax:
    """A softmax unit of `bits`-bit exponents. It multiplies no matrices, so it is no `Datapath`.

    Args:
        bits: 2, 3 or 4; 2 or 4 with ``"laplace"``.
        clip: rule of `hwsim.quant.exaq_clip`.

    Raises:
        ArgumentError: bits or a rule that EXAQ does not define.
    """

    bits: int
    clip: Clip = "gauss"

    family: ClassVar[str] = "softmax"

    def __post_init__(self) -> None:
        check_choice(self, "clip", "gauss", "laplace", "table")
        known = (2, 4) if self.clip == "laplace" else (2, 3, 4)
        if self.bits not in known:
            raise ArgumentError(f"bits must be one of {known} with clip {self.clip}", got=self.bits, where="softmax")

    @property
    def name(self) -> str:
        """``softmax2.gauss``."""
        return f"softmax{self.bits}.{self.clip}"

    @property
    def group(self) -> int:
        """Codes that index the table of partial sums together."""
        return 4 if self.bits == 2 else 2

    def spec(self) -> dict[str, Any]:
        """The table of this unit's fields."""
        return fields_of(self)

    def clip_value(self, x: NDArray[np.float32], mask: NDArray[np.bool_] | None = None) -> np.float32:
        """C <= 0 for scores ``[..., N]``: EXAQ's rule on the deviation of all kept ``x - max(x)``, or their least."""
        from hwsim.quant.clipping import exaq_clip, exaq_deviation

        y, kept = _shifted(x, mask)
        values = y[kept]
        if values.size < 2:
            return np.float32(0)
        return np.float32(
            max(values.min(), np.float32(exaq_clip(exaq_deviation(values, self.clip), self.bits, self.clip)))
        )

    def tables(self, clip_value: np.float32) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Exponentials ``[2^bits]`` of the codes, and partial sums ``[2^(bits group)]``, the first code on top."""
        codes = np.arange(1 << self.bits).astype(np.float32)
        levels = codes / self._scale(clip_value) + clip_value if clip_value < 0 else np.zeros_like(codes)
        exponentials = np.exp(levels.astype(np.float64)).astype(np.float32)
        sums = exponentials
        for _ in range(self.group - 1):
            sums = (sums[:, None] + exponentials[None]).reshape(-1)
        return exponentials, sums

    def codes(
        self, x: NDArray[np.float32], clip_value: np.float32, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[np.uint8]:
        """Codes uint8 of scores ``[..., N]``; what the mask drops has code 0. The largest score has the top code."""
        y, kept = _shifted(x, mask)
        top = np.float32((1 << self.bits) - 1)
        if clip_value < 0:
            steps = np.rint((np.clip(y, clip_value, np.float32(0)) - clip_value) * self._scale(clip_value))
        else:
            steps = np.full(y.shape, top)
        return np.where(kept, steps, np.float32(0)).astype(np.uint8)

    def apply(
        self, x: NDArray[np.float32], mask: NDArray[np.bool_] | None = None, clip_value: np.float32 | None = None
    ) -> NDArray[np.float32]:
        """Softmax of scores along the last axis.

        Args:
            x: float32 ``[..., N]``; -Inf counts as masked, NaN is refused.
            mask: True where a score is kept, broadcast against x.
            clip_value: C <= 0, for instance the mean over a calibration; by default that of x.

        Returns:
            float32 of x's shape; rows without a kept score are 0.
        """
        from hwsim.datapaths.softmax.kernels import grouped_rows
        from hwsim.jit import parallel_rows

        limit = self.clip_value(x, mask) if clip_value is None else np.float32(clip_value)
        if not (np.isfinite(limit) and limit <= 0):
            raise ArgumentError("clip_value must be finite and not positive", got=float(limit), where="softmax")
        _, kept = _shifted(x, mask)
        codes = self.codes(x, limit, mask)
        exponentials, sums = self.tables(limit)
        n = x.shape[-1]
        out = np.zeros(x.shape, np.float32)
        rows = codes.reshape(-1, n), np.ascontiguousarray(kept).reshape(-1, n), out.reshape(-1, n)
        parallel_rows(grouped_rows, len(rows[0]), *rows, exponentials, sums, self.bits, self.group, grain=64)
        return out

    def _scale(self, clip_value: np.float32) -> np.float32:
        return np.float32((1 << self.bits) - 1) / -np.float32(clip_value)


def reference_softmax(x: list[float], kept: list[bool], clip_value: float, bits: int) -> list[float]:
    """One row by the definition in the module's words, scalar by scalar in float32."""
    f32, group = np.float32, 4 if bits == 2 else 2
    limit = f32(clip_value)
    scale = f32((1 << bits) - 1) / -limit
    top = max((f32(v) for v, keep in zip(x, kept, strict=True) if keep), default=f32(0))
    exponentials = []
    for value, keep in zip(x, kept, strict=True):
        if keep:
            y = min(max(f32(value) - top, limit), f32(0))
            code = f32(np.rint((y - limit) * scale))
            exponentials.append(f32(np.exp(np.float64(code / scale + limit))))
    total, whole = f32(0), len(exponentials) // group * group
    for first in range(0, whole, group):
        partial = exponentials[first]
        for other in exponentials[first + 1 : first + group]:
            partial = partial + other
        total = total + partial
    for other in exponentials[whole:]:
        total = total + other
    queue = iter(exponentials)
    return [float(next(queue) / total) if keep else 0.0 for keep in kept]


def _shifted(x: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """``x - max(x)`` along the last axis, 0 where dropped, and what is kept."""
    if x.dtype != np.float32 or x.ndim == 0:
        raise ArgumentError("scores must be float32 [..., N]", got=x.dtype.name, where="softmax")
    if np.isnan(x).any() or (x == np.inf).any():
        raise ArgumentError("scores must be finite or -Inf", where="softmax")
    kept = x > -np.inf
    if mask is not None:
        kept = kept & mask
    top = np.where(kept, x, -np.inf).max(axis=-1, keepdims=True, initial=-np.inf).astype(np.float32)
    with np.errstate(over="ignore"):  # -Inf is clipped like any other low score
        return np.where(kept, x, np.float32(0)) - np.where(kept, top, np.float32(0)), kept

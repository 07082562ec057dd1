"""Weights that oscillate between two codes: how TetraJet-v2 finds and resets them (arXiv 2510.27527).

Over a window of steps each weight adds up how far it moved, D = sum |w_t - w_{t-1}|, and how far its quantized value
did, D_q = sum |Q(w_t) - Q(w_{t-1})|. A weight that crosses a border between two codes again and again has a D_q many
times its D. Where D_q / D reaches a threshold the master weight is put onto Q(w). The variant BinEdge needs no
window: it resets weights that lie within half a per cent of a border.

Source: thu-ml/TetraJet-v2-NVFP4Training, ``oscillation_reset.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

BIN_WIDTHS = {0.0: 0.5, 0.5: 0.5, 1.0: 0.5, 1.5: 0.5, 2.0: 0.75, 3.0: 1.0, 4.0: 1.5, 6.0: 2.0}
"""Width of what rounds to each magnitude of E2M1."""


@dataclass(frozen=True, slots=True)
class Movement:
    """What one weight matrix did in a window so far: float32 arrays of its shape.

    Attributes:
        last: the weights at the last step.
        quantized: Q of them.
        distance: D.
        distance_quantized: D_q.
    """

    last: Floats
    quantized: Floats
    distance: Floats
    distance_quantized: Floats

    @classmethod
    def start(cls, weight: Floats, quantized: Floats) -> Movement:
        """At the beginning of a window."""
        return cls(weight.copy(), quantized, np.zeros_like(weight), np.zeros_like(weight))

    def moved(self, weight: Floats, quantized: Floats) -> Movement:
        """After one more step."""
        return Movement(
            weight.copy(),
            quantized,
            self.distance + np.abs(weight - self.last),
            self.distance_quantized + np.abs(quantized - self.quantized),
        )

    def oscillates(self, threshold: float) -> NDArray[np.bool_]:
        """Where D_q / D is at least `threshold`; never where D is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(self.distance == 0, np.float32(0), self.distance_quantized / self.distance)
        return np.asarray(ratio >= np.float32(threshold))


def at_bin_edge(weight: Floats, quantized: Floats, scale: Floats, threshold: float = 0.495) -> NDArray[np.bool_]:
    """Where ``|w / s - Q(w) / s|`` exceeds `threshold` times the width of the bin of Q(w).

    Args:
        weight, quantized: float32, one shape.
        scale: of each element, float32, broadcast against them; not 0.
        threshold: of the width.
    """
    levels = np.array(list(BIN_WIDTHS))
    widths = np.array(list(BIN_WIDTHS.values()), np.float32)
    at = quantized / scale
    index = np.abs(np.abs(at)[..., None] - levels).argmin(axis=-1)
    return np.asarray(np.abs(weight / scale - at) > widths[index] * np.float32(threshold))

"""A dot unit for 2:4 sparse weights: of four neighbours along K it multiplies two, so two multipliers serve four.

A machine takes it by `datapath = { file = "docs/sparse.py:Sparse", bits = 8, groups = 4, acc_bits = 32 }`.

The port prunes: of each four weights the two of largest magnitude stay, of equals the first. Weights that are 2:4
already pass unchanged, and the unit is then an exact integer unit. In memory a weight that stays takes two bits more,
its place among the four. Bits and toggles are here; gates and a price are not, and `MissingView` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Side, check_range
from hwsim.datapaths.exact import wrapping_matmul
from hwsim.datapaths.operands import integer_start, integer_values, wrapped
from hwsim.datapaths.streams import products_of
from hwsim.datapaths.unscaled import Unscaled
from hwsim.quant.sparsity import keep_largest


@dataclass(frozen=True)
class Sparse(Unscaled):
    """Integers of `bits` bits (2 to 8), `groups` of four elements a cycle (1 to 16), an accumulator that wraps."""

    bits: int = 8
    groups: int = 4
    acc_bits: int = 32

    family: ClassVar[str] = "sparse"

    def __post_init__(self) -> None:
        check_range(self, "bits", 2, 8)
        check_range(self, "groups", 1, 16)
        check_range(self, "acc_bits", 2, 32)

    @property
    def name(self) -> str:
        """``sparse8.g4.acc32``."""
        return f"sparse{self.bits}.g{self.groups}.acc{self.acc_bits}"

    @property
    def a_format(self) -> str:
        """``int<bits>``."""
        return f"int{self.bits}"

    @property
    def b_format(self) -> str:
        """``int<bits>``."""
        return f"int{self.bits}"

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    @property
    def lanes(self) -> int:
        """Four a group."""
        return 4 * self.groups

    def stored_bits(self, side: Side, k: int, element_bits: int) -> int:
        """Of each four weights two, with two bits for the place of each."""
        return k * element_bits if side == "a" else -(-k // 4) * 2 * (element_bits + 2)

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.bits, True, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        values = integer_values(b, self.bits, True, where)
        short = -values.shape[-1] % 4
        padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, short)])
        return keep_largest(padded)[..., : values.shape[-1]].astype(np.int16)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        return integer_start(c, where)

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        total = (x.astype(np.int64) * w).sum(-1) + (0 if start is None else start)
        return wrapped(total, self.acc_bits).astype(np.int32)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        return wrapping_matmul(x, w, start, self.acc_bits, True)

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """Sums of all groups, as they join the accumulator."""
        return products_of(self._activations(a, "a"), self._weights(b, "b"), self.lanes)

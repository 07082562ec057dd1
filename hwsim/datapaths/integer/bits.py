"""Integer multiply-accumulate units: operands of 2 to 16 bits, an accumulator of any width.

Decides what an accumulator does when a sum leaves it. ``wrap`` drops the bits above the width after every addition;
since reduction modulo 2^B commutes with addition, only the last reduction shows, and any order gives the same bits.
``saturate`` clamps after every addition, k ascending from c, so the order is part of the result.

A unit of several products a cycle adds them exactly in a tree, and its one accumulator adds, wraps or clamps once for
all of them, as in NVDLA, Simba, VS-Quant and integer tensor cores. A unit of one product is the MAC of a systolic
array such as TPUv1's. Trees as a family of their own were rejected: under ``wrap`` not a bit tells the two apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Calibration, Gates, Price, check_choice, check_range, fields_of
from hwsim.datapaths.exact import saturating_matmul, wrapping_matmul
from hwsim.datapaths.operands import integer_name, integer_range, integer_start, integer_values
from hwsim.datapaths.streams import exact_sums, products_of
from hwsim.datapaths.unscaled import Unscaled
from hwsim.errors import ArgumentError

Overflow = Literal["wrap", "saturate"]


@dataclass(frozen=True, slots=True)
class Integer(Unscaled):
    """`group` multipliers of ``a_bits`` × ``b_bits`` and an accumulator of ``acc_bits``.

    Operands are codes or values (see `integer_values`), starts are integers within the accumulator's range, results
    `result_dtype`, wrapped or clamped after each addition: of `group` products at once, k ascending, and of what is
    left where K is no multiple of it.

    Args:
        a_bits, b_bits: operand widths, 2 to 16. Products are exact.
        acc_bits: accumulator width, 2 to 64 (63 if unsigned).
        signed: two's complement operands and accumulator; else all three are unsigned.
        overflow: ``"wrap"`` modulo 2^acc_bits, or ``"saturate"`` after each addition.
        group: products a cycle, 1 to 64, that a tree adds exactly before the accumulator does.

    Raises:
        ArgumentError: a width or group outside its range, or another `overflow`.
    """

    a_bits: int
    b_bits: int
    acc_bits: int
    signed: bool = True
    overflow: Overflow = "wrap"
    group: int = 1

    family: ClassVar[str] = "integer"

    def __post_init__(self) -> None:
        check_range(self, "a_bits", 2, 16)
        check_range(self, "b_bits", 2, 16)
        check_range(self, "acc_bits", 2, 64 if self.signed else 63)  # results are int64
        check_choice(self, "overflow", "wrap", "saturate")
        check_range(self, "group", 1, 64)

    @property
    def name(self) -> str:
        """``int8x4.acc20.saturate``, ``uint4x4.acc16.wrap``, ``int8x8.g16.acc24.wrap``."""
        tree = f".g{self.group}" if self.group > 1 else ""
        return f"{self.a_format}x{self.b_bits}{tree}.acc{self.acc_bits}.{self.overflow}"

    @property
    def label(self) -> str:
        """``acc20 saturating``, ``16 products, acc24``: the widths of operands are those of their schemes."""
        tree = f"{self.group} products, " if self.group > 1 else ""
        return f"{tree}acc{self.acc_bits}{' saturating' if self.overflow == 'saturate' else ''}"

    def spec(self) -> dict[str, Any]:
        """As of every unit; `group` is left out where it is 1."""
        held = fields_of(self)
        if self.group == 1:
            del held["group"]
        return held

    @property
    def a_format(self) -> str:
        """``int<a_bits>`` or ``uint<a_bits>``."""
        return integer_name(self.a_bits, self.signed)

    @property
    def b_format(self) -> str:
        """``int<b_bits>`` or ``uint<b_bits>``."""
        return integer_name(self.b_bits, self.signed)

    @property
    def accumulator_bits(self) -> int:
        """`acc_bits`."""
        return self.acc_bits

    @property
    def lanes(self) -> int:
        """`group`."""
        return self.group

    @property
    def sum_bits(self) -> int:
        """Of what joins the accumulator: the sum of a group's products, or the product."""
        return self.a_bits + self.b_bits + (self.group - 1).bit_length()

    @property
    def result_dtype(self) -> type[np.signedinteger[Any]]:
        """int32 where every accumulator value fits it, else int64."""
        return np.int32 if integer_range(self.acc_bits, self.signed)[1] < 1 << 31 else np.int64

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64]:
        """Sums of each group's products, int64 ``[m, n, steps]``."""
        return products_of(self._activations(a, "addends.a"), self._weights(b, "addends.b"), self.group)

    def running_sums(
        self, a: NDArray[Any], b: NDArray[Any], scale_a: NDArray[Any] | None, scale_b: NDArray[Any] | None
    ) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """All at once, as every product is exact."""
        bounds = integer_range(self.acc_bits, self.signed) if self.overflow == "saturate" else None
        return exact_sums(self.addends(a, b), self.acc_bits, bounds)

    @property
    def gates(self) -> Gates:
        """A multiplier and an accumulator, or multipliers, a tree and an accumulator."""
        if self.group > 1:
            from hwsim.datapaths.integer.tree import TreeGates

            return TreeGates(self)
        from hwsim.datapaths.integer.verilog import MacGates

        return MacGates(self)

    @property
    def price(self) -> Price:
        """Of row arrays, a tree where there are several, and an accumulator."""
        if self.group > 1:
            from hwsim.datapaths.integer.tree_cost import TreePrice

            return TreePrice(self)
        from hwsim.datapaths.integer.cost import MacPrice

        return MacPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Multipliers, trees, accumulators, and units of several widths and groups."""
        from hwsim.datapaths.integer.tree_cost import CALIBRATION

        return CALIBRATION

    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(a, self.a_bits, self.signed, where)

    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        return integer_values(b, self.b_bits, self.signed, where)

    def _start(self, c: NDArray[Any], where: str) -> NDArray[np.int64]:
        least, greatest = integer_range(self.acc_bits, self.signed)
        start = np.asarray(c)
        words = integer_start(start, where)
        if start.size and (int(start.min()) < least or int(start.max()) > greatest):  # uint64 may leave int64
            worst = int(start.min()) if int(start.min()) < least else int(start.max())
            raise ArgumentError(
                f"c must fit the {self.acc_bits}-bit accumulator, [{least}, {greatest}]", got=worst, where=where
            )
        return words

    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[np.int64] | None) -> NDArray[Any]:
        from hwsim.datapaths.integer.kernels import dot_rows

        x, w = np.broadcast_arrays(x, w)
        shape, k = x.shape[:-1], x.shape[-1]
        out = np.zeros(math.prod(shape), np.int64) if start is None else start.flatten()
        flat = (np.ascontiguousarray(side.reshape(out.size, k), np.int64) for side in (x, w))
        least, greatest = integer_range(self.acc_bits, self.signed)
        clamps = self.overflow == "saturate"
        dot_rows(0, out.size, *flat, out, self.group, clamps, self.acc_bits, self.signed, least, greatest)
        return out.reshape(shape).astype(self.result_dtype)

    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[np.int64] | None) -> NDArray[Any]:
        if self.overflow == "saturate":
            return saturating_matmul(x, w, start, self.acc_bits, self.signed, self.group)
        return wrapping_matmul(x, w, start, self.acc_bits, self.signed)


def reference_dot(
    a: list[int],
    b: list[int],
    c: int,
    acc_bits: int,
    signed: bool = True,
    overflow: Overflow = "wrap",
    group: int = 1,
) -> int:
    """One dot product in plain integers, the definition that `Integer` is tested against."""
    least, greatest = integer_range(acc_bits, signed)
    acc = c
    for first in range(0, len(a), group):
        acc += sum(x * w for x, w in zip(a[first : first + group], b[first : first + group], strict=True))
        if overflow == "saturate":
            acc = max(least, min(greatest, acc))
        else:
            acc = (acc - least) % (1 << acc_bits) + least
    return acc

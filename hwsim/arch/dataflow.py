"""Dataflows: which operand stays in the units of an array, and what follows from it.

A dataflow is one record: what lies along the rows and the columns, what one fill and drain takes, and whether units
that a small side leaves free do further sets of work. What streams, what stays, folds and active units are derived
from it; a new systolic dataflow is one literal.

=========  ===========  ==============  =========  ===================
dataflow   along rows   along columns   streams    fill and drain
=========  ===========  ==============  =========  ===================
``ws``     K            N               M          2R + C - 2
``is``     K            M               N          2R + C - 2
``os``     M            N               K          R + C - 2
``rs``     filter rows  output rows     N          R + C - 2
=========  ===========  ==============  =========  ===================

Filter rows are a part of K and output rows a part of M: what is left of both a unit does one after the other, a row
of the filter along a row of the input (Chen, Emer, Sze, ISCA 2016). ``rs`` packs: where a plane of filter rows times
output rows needs fewer units, several planes run side by side, and a plane wider than the array is cut into strips of
nearly equal width. Of Eyeriss's 12 x 14 units, 154, 135 and 156 then work in AlexNet's layers, as was published.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple

from hwsim.errors import UnknownName

Dimension = Literal["m", "n", "k", "filter_rows", "output_rows"]
Operand = Literal["input", "weight", "output"]

OPERANDS: tuple[Operand, ...] = ("input", "weight", "output")
"""Operand a, operand b and the results of a product: what a memory level may hold."""

SIDES: dict[Operand, tuple[Dimension, Dimension]] = {"input": ("m", "k"), "weight": ("n", "k"), "output": ("m", "n")}
"""The dimensions of a product that index each operand."""

WHOLE: dict[Dimension, Dimension] = {"filter_rows": "k", "output_rows": "m"}
"""The dimension of a product that a dimension of a convolution is a part of."""


class Fold(NamedTuple):
    """How a product fills an array: number of folds, steps of each, and cycles of one fill and drain."""

    folds: int
    steps: int
    edge: int


class Packing(NamedTuple):
    """How a plane of work lies on an array.

    Attributes:
        strips: parts that the plane is cut into, along rows times along columns.
        abreast: strips of one plane that run at the same time.
        planes: planes that run at the same time.
        active: units that work in a round of whole strips.
    """

    strips: int
    abreast: int
    planes: int
    active: int

    @property
    def rounds(self) -> int:
        """Rounds of the array for one plane, or for `planes` of them."""
        return -(-self.strips // self.abreast)


@dataclass(frozen=True, slots=True)
class Dataflow:
    """One way to run products on an array of R × C units.

    Attributes:
        name: ``"ws"``.
        title: for reports.
        rows: dimension along the rows.
        cols: dimension along the columns.
        row_fills: times R in the cycles of one fill and drain, ``row_fills * R + C - 2``.
        packs: whether units that a plane leaves free run strips of it, or further planes, at the same time.
    """

    name: str
    title: str
    rows: Dimension
    cols: Dimension
    row_fills: int
    packs: bool = False

    @property
    def streams(self) -> Dimension:
        """The dimension that passes through the array step by step."""
        whole: tuple[Dimension, ...] = ("m", "n", "k")
        (left,) = (dimension for dimension in whole if dimension not in self._sides)
        return left

    @property
    def stationary(self) -> Operand:
        """The operand that both sides of the array index: it stays in the units."""
        return next(operand for operand in OPERANDS if set(SIDES[operand]) == self._sides)

    @property
    def order(self) -> Literal["ws", "os", "is"]:
        """The order in which operands pass a unit, by what stays in it: what toggles are counted in."""
        orders: dict[Operand, Literal["ws", "os", "is"]] = {"weight": "ws", "output": "os", "input": "is"}
        return orders[self.stationary]

    @property
    def _sides(self) -> set[Dimension]:
        return {WHOLE.get(self.rows, self.rows), WHOLE.get(self.cols, self.cols)}

    def fold(self, sizes: dict[str, int], rows: int, cols: int) -> Fold:
        """Folds, steps and edge of a product.

        Args:
            sizes: m, n and k (k in steps of the unit); of a convolution also ``filter_rows`` and ``output_rows``,
                without which a product is one filter row high and its m output rows are of one element each.
            rows, cols: of the array.
        """
        packing = self.pack(sizes, rows, cols)
        inner = sizes["m"] * sizes["n"] * sizes["k"] // prod(self.plane(sizes))
        return Fold(packing.rounds, -(-inner // packing.planes), self.row_fills * rows + cols - 2)

    def plane(self, sizes: dict[str, int]) -> tuple[int, int]:
        """Sizes of what lies along the rows and the columns."""
        known = {"filter_rows": 1, "output_rows": sizes["m"]} | sizes
        return known[self.rows], known[self.cols]

    def pack(self, sizes: dict[str, int], rows: int, cols: int) -> Packing:
        """How a plane of a product lies on the array."""
        height, width = self.plane(sizes)
        deep, wide = -(-height // rows), -(-width // cols)
        sets = rows // height if self.packs and deep == 1 else 1
        abreast = min(sets, wide)
        planes = sets // abreast
        tall = min(height, rows)
        # strips are of nearly equal width: all of them together are the plane's width, fewer are at most the array's
        across = width if abreast == wide else min(width, cols) * abreast
        return Packing(deep * wide, abreast, planes, tall * across * planes)


DATAFLOWS: tuple[Dataflow, ...] = (
    Dataflow("ws", "weights stay", "k", "n", 2),
    Dataflow("os", "outputs stay", "m", "n", 1),
    Dataflow("is", "inputs stay", "k", "m", 2),
    Dataflow("rs", "rows stay", "filter_rows", "output_rows", 1, packs=True),
)


def dataflow(name: str, where: str = "array.dataflow") -> Dataflow:
    """The dataflow called `name`; `UnknownName` lists the known ones."""
    for known in DATAFLOWS:
        if known.name == name:
            return known
    raise UnknownName("dataflow", name, [known.name for known in DATAFLOWS], where=where)

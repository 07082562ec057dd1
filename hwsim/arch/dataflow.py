"""Dataflows: which operand stays in the units of an array, and what follows from it.

A dataflow is one record: what lies along the rows and the columns, and what one fill and drain takes. What streams,
folds, reads of each operand, what one fold takes, and which registers are clocked are derived from it; a new systolic
dataflow is one literal.

=========  ==========  ==============  =========  ===================
dataflow   along rows  along columns   streams    fill and drain
=========  ==========  ==============  =========  ===================
``ws``     K           N               M          2R + C - 2
``is``     K           M               N          2R + C - 2
``os``     M           N               K          R + C - 2
=========  ==========  ==============  =========  ===================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from hwsim.errors import UnknownName

Dimension = Literal["m", "n", "k"]
Operand = Literal["input", "weight", "output"]

OPERANDS: tuple[Operand, ...] = ("input", "weight", "output")
"""Operand a, operand b and the results of a product: what a memory level may hold."""

SIDES: dict[Operand, tuple[Dimension, Dimension]] = {"input": ("m", "k"), "weight": ("n", "k"), "output": ("m", "n")}
"""The dimensions of a product that index each operand."""


class Fold(NamedTuple):
    """How a product fills an array: number of folds, steps of each, and cycles of one fill and drain."""

    folds: int
    steps: int
    edge: int


@dataclass(frozen=True, slots=True)
class Dataflow:
    """One way to run products on an array of R × C units.

    Attributes:
        name: ``"ws"``.
        title: for reports.
        rows: dimension along the rows.
        cols: dimension along the columns.
        row_fills: times R in the cycles of one fill and drain, ``row_fills * R + C - 2``.
    """

    name: str
    title: str
    rows: Dimension
    cols: Dimension
    row_fills: int

    @property
    def streams(self) -> Dimension:
        """The dimension that passes through the array step by step."""
        (left,) = {"m", "n", "k"} - {self.rows, self.cols}
        return left  # type: ignore[return-value]

    @property
    def stationary(self) -> Operand:
        """The operand that both sides of the array index: it stays in the units."""
        return next(operand for operand in OPERANDS if set(SIDES[operand]) == {self.rows, self.cols})

    def fold(self, sizes: dict[str, int], rows: int, cols: int) -> Fold:
        """Folds, steps and edge of a product whose `sizes` have m, n and k (k in steps of the unit)."""
        folds = -(-sizes[self.rows] // rows) * -(-sizes[self.cols] // cols)
        return Fold(folds, sizes[self.streams], self.row_fills * rows + cols - 2)


DATAFLOWS: tuple[Dataflow, ...] = (
    Dataflow("ws", "weights stay", "k", "n", 2),
    Dataflow("os", "outputs stay", "m", "n", 1),
    Dataflow("is", "inputs stay", "k", "m", 2),
)


def dataflow(name: str, where: str = "array.dataflow") -> Dataflow:
    """The dataflow called `name`; `UnknownName` lists the known ones."""
    for known in DATAFLOWS:
        if known.name == name:
            return known
    raise UnknownName("dataflow", name, [known.name for known in DATAFLOWS], where=where)

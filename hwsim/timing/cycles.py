"""Cycles of a systolic array in closed form.

For one stationary tile (a fold) the array of R × C units streams T steps:

=========  ==================  ==================  =========  ==============
dataflow   along the rows      along the columns   streams    cycles of one
=========  ==================  ==================  =========  ==============
``ws``     K                   N                   T = M      2R + C + T - 2
``is``     K                   M                   T = N      2R + C + T - 2
``os``     M                   N                   T = K      R + C + T - 2
=========  ==================  ==================  =========  ==============

``ws`` and ``is``: R cycles load the stationary tile, T + C - 1 stream and drain it, R - 1 are skew. ``os``: results
leave during the last R cycles. These are the demand rows of SCALE-Sim 3.0.0, read from its code and equal to its
output on 90 of 90 combinations; the formula with 2R for every dataflow, quoted from its paper, is R too large for
``os``. SCALE-Sim's "total cycles" is the index of the last row, one less.

A unit that takes several products a cycle sees a shorter K: ``ceil(K / lanes)``.
"""

from __future__ import annotations

from typing import Literal

from hwsim.errors import ArgumentError

Dataflow = Literal["ws", "os", "is"]
Overlap = Literal["none", "fill", "ideal"]


def gemm_cycles(m: int, n: int, k: int, rows: int, cols: int, dataflow: str = "ws", overlap: str = "none") -> int:
    """Cycles that an array of `rows` × `cols` units takes for ``[m, k] @ [k, n]``, memories never waiting.

    Args:
        m, n, k: the product; for a unit with several lanes, k in steps of the unit.
        rows, cols: the array.
        dataflow: what stays in the units: ``"ws"`` weights, ``"os"`` results, ``"is"`` inputs.
        overlap: ``"none"``: every fold is loaded, streamed and drained alone (SCALE-Sim). ``"ideal"``: folds follow
            each other without a gap and nothing is filled or drained. ``"fill"``: ideal, plus one fill and one drain.

    Returns:
        ``ideal <= fill <= none``.

    Raises:
        ArgumentError: a size below 1, or an unknown dataflow or overlap.
    """
    for name, value in (("m", m), ("n", n), ("k", k), ("rows", rows), ("cols", cols)):
        if value < 1:
            raise ArgumentError("must be at least 1", got=value, where=f"gemm_cycles.{name}")
    folds, steps, edge = fold(m, n, k, rows, cols, dataflow)
    if overlap == "none":
        return folds * (steps + edge)
    if overlap == "fill":
        return folds * steps + edge
    if overlap == "ideal":
        return folds * steps
    raise ArgumentError("must be one of none, fill, ideal", got=overlap, where="gemm_cycles.overlap")


def fold(m: int, n: int, k: int, rows: int, cols: int, dataflow: str) -> tuple[int, int, int]:
    """How a product fills an array: number of folds, steps of each, and cycles of one fill and drain."""
    if dataflow == "ws":
        return -(-k // rows) * -(-n // cols), m, 2 * rows + cols - 2
    if dataflow == "is":
        return -(-k // rows) * -(-m // cols), n, 2 * rows + cols - 2
    if dataflow == "os":
        return -(-m // rows) * -(-n // cols), k, rows + cols - 2
    raise ArgumentError("must be one of ws, os, is", got=dataflow, where="gemm_cycles.dataflow")

"""Cycles of a systolic array in closed form.

For one stationary tile (a fold) the array of R × C units streams T steps; a fold takes T steps and one edge, the
cycles of a fill and a drain. What lies where and how long the edge is stands in `hwsim.arch.dataflow.DATAFLOWS`.

``ws`` and ``is``: R cycles load the stationary tile, T + C - 1 stream and drain it, R - 1 are skew. ``os``: results
leave during the last R cycles. These are the demand rows of SCALE-Sim 3.0.0, read from its code and equal to its
output on 90 of 90 combinations; the formula with 2R for every dataflow, quoted from its paper, is R too large for
``os``. SCALE-Sim's "total cycles" is the index of the last row, one less.

A unit that takes several products a cycle sees a shorter K: ``ceil(K / lanes)``.
"""

from __future__ import annotations

from hwsim.arch import dataflow as records
from hwsim.errors import ArgumentError


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
        ArgumentError: a size below 1, or an unknown overlap.
        UnknownName: an unknown dataflow.
    """
    for name, value in (("m", m), ("n", n), ("k", k), ("rows", rows), ("cols", cols)):
        if value < 1:
            raise ArgumentError("must be at least 1", got=value, where=f"gemm_cycles.{name}")
    record = records.dataflow(dataflow, "gemm_cycles.dataflow")
    folds, steps, edge = record.fold({"m": m, "n": n, "k": k}, rows, cols)
    if overlap == "none":
        return folds * (steps + edge)
    if overlap == "fill":
        return folds * steps + edge
    if overlap == "ideal":
        return folds * steps
    raise ArgumentError("must be one of none, fill, ideal", got=overlap, where="gemm_cycles.overlap")

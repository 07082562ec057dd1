"""Softmax as attention runs it: online, block by block; and with EXAQ's codes. Bits and counted circuits.

Online: a row's scores come in blocks. A block's maximum joins the running one; where that grows, the running sum is
rescaled by ``2^-((new - old) log2 e)``, and so is whatever else was accumulated (the output tile). The probabilities
that leave are relative to the running maximum of their block; the row's last factor is the reciprocal of its sum.

EXAQ (arXiv 2410.03185): scores below the maximum become codes of 2 to 4 bits, whose exponentials are a table; the
sum takes a group of codes an addition; a row has as many probabilities as codes, computed once and selected by each
element, here as 8 bits. Codes and sums are those of `hwsim.datapaths.softmax`, bit for bit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.vector import blocks, fixed
from hwsim.datapaths.vector.operators import Real
from hwsim.errors import ArgumentError


@dataclass(frozen=True, slots=True, eq=False)
class Online:
    """Rows of an online softmax.

    Attributes:
        p: ``[rows, N]``, exponentials relative to the running maximum after their block.
        factors: ``[rows, blocks]``, what a block's arrival multiplies everything accumulated before by.
        inverse: ``[rows]``, reciprocal of the sums; in ``pwl8`` r and place of `hwsim.datapaths.vector.fixed`.
        uses: how often each circuit was used.
    """

    p: NDArray[Any]
    factors: NDArray[Any]
    inverse: Any
    uses: Mapping[str, int]


def online_softmax(precision: str, x: NDArray[Any], block: int) -> Online:
    """Online softmax of scores ``[rows, N]``: words of a format, or codes in 16ths for ``pwl8``.

    Raises:
        ArgumentError: the block does not divide N.
    """
    if block < 1 or x.shape[1] % block:
        raise ArgumentError(f"block must divide {x.shape[1]}", got=block, where="online_softmax")
    return _codes(np.asarray(x, np.int64), block) if precision == "pwl8" else _words(Real(precision), x, block)


def _words(real: Real, x: NDArray[Any], block: int) -> Online:
    rows, n = x.shape
    log2e = real.word(np.log2(math.e))
    top = np.full(rows, real.word(-np.inf), np.uint64)
    total = np.zeros(rows, np.uint64)
    p, factors = np.empty_like(x), np.empty((rows, n // block), np.uint64)
    for start in range(0, n, block):
        before = top
        for i in range(start, start + block):
            top = real.max(top, x[:, i])
        # the first block's old maximum is -Inf: its factor is 2^-Inf = 0, and nothing stands before it
        factor = real.unary("exp2", real.mul(real.sub(before, top), log2e))
        total = real.mul(total, factor)
        part = slice(start, start + block)
        p[:, part] = real.unary("exp2", real.mul(real.sub(x[:, part], top[:, None]), log2e))
        for i in range(start, start + block):
            total = real.add(total, p[:, i])
        factors[:, start // block] = factor
    return Online(p, factors, real.unary("reciprocal", total), dict(real.uses))


def _codes(x: NDArray[Any], block: int) -> Online:
    rows, n = x.shape
    uses = Counter[str]()
    m = np.array(round(256 * np.log2(math.e) / 16))
    top, total = np.full(rows, -128), np.zeros(rows, np.int64)
    p, factors = np.empty_like(x), np.empty((rows, n // block), np.int64)
    for start in range(0, n, block):
        part = slice(start, start + block)
        before, top = top, np.maximum(top, x[:, part].max(axis=1))
        factor = fixed.exp2_scores(before, top, m)
        p[:, part] = fixed.exp2_scores(x[:, part], top[:, None], m)
        total = fixed.rescaled(total, factor) + p[:, part].sum(axis=1)
        factors[:, start // block] = factor
        uses.update({"max_s8": rows * block, "exp2_pwl8": rows * (block + 1), "rescale_u24": rows})
        uses["sum_u13"] += rows * block
    uses["reciprocal_pwl8"] += rows
    return Online(p, factors, fixed.reciprocal(total), dict(uses))


def exaq_softmax(bits: int, x: NDArray[np.float32], clip: float) -> tuple[NDArray[Any], Mapping[str, int]]:
    """EXAQ's softmax of float32 scores ``[rows, N]``, N a multiple of the group, in 256ths (0..255).

    Args:
        bits: 2, 3 or 4.
        x: finite scores.
        clip: C < 0 of the calibration, as float32.

    Raises:
        ArgumentError: N is no multiple of the group.
    """
    from hwsim.datapaths import softmax

    unit = softmax(bits)
    rows, n = x.shape
    if n % unit.group:
        raise ArgumentError(f"a row must be a multiple of {unit.group} long", got=n, where="exaq_softmax")
    real = Real("fp32")
    words = x.view(np.uint32).astype(np.uint64)
    top = np.full(rows, real.word(-np.inf), np.uint64)
    for i in range(n):
        top = real.max(top, words[:, i])
    limit = np.float32(clip)
    scale = np.float32((1 << bits) - 1) / -limit
    shifted = real.sub(real.sub(words, top[:, None]), real.word(float(limit)))
    # what lies below the clip value is negative here, and becomes code 0
    code = blocks.round_code(real.mul(shifted, real.word(float(scale))).reshape(-1), bits).reshape(rows, n)
    real.uses[f"exaq_code{bits}"] += code.size
    exponentials, sums = (table.view(np.uint32).astype(np.uint64) for table in unit.tables(limit))
    index = np.zeros((rows, n // unit.group), np.int64)
    for place in range(unit.group):
        index = index << bits | code[:, place :: unit.group].astype(np.int64)
    real.uses[f"exaq_table{bits}"] += index.size
    inverse = real.unary("reciprocal", real.total(sums[index]))
    chances = real.mul(exponentials[None], inverse[:, None])
    eighths = np.minimum(np.rint(chances.astype(np.uint32).view(np.float32) * np.float32(256)), 255).astype(np.int64)
    real.uses[f"exaq_select{bits}"] += code.size
    return np.take_along_axis(eighths, code.astype(np.int64), axis=1), dict(real.uses)

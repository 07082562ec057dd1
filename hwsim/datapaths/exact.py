"""Exact integer products, wrapped or saturated, that several families compute with.

Fast paths. Wrapping: partial sums up to 2^24 (2^53) are exact in float32 (float64) whatever the order or fusion, so
a BLAS product over chunks of K is bit-exact and about as fast as the float product itself. Saturating: where no
prefix of a sum can reach a bound (Cauchy and Schwarz on the two rows), clamping never acts and the wrapping path is
exact; other rows keep the order, vectorised over columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.operands import integer_range


def wrapping_matmul(
    x: NDArray[Any], w: NDArray[Any], c: NDArray[np.int64] | None, acc_bits: int, signed: bool
) -> NDArray[Any]:
    """x ``[M, K]`` times w ``[N, K]`` transposed, plus c, modulo 2^acc_bits: int32, int64 where that is too small.

    x and w are integer arrays whose products stay below 2^53.
    """
    from hwsim.datapaths.exact_kernels import fold
    from hwsim.jit import parallel_rows

    (m, k), n = x.shape, w.shape[0]
    narrow = integer_range(acc_bits, signed)[1] < 1 << 31
    product = max(1, _magnitude(x) * _magnitude(w))
    # every partial sum of a chunk is an integer of at most 2^24 (2^53): exact in any order, fused or not
    single = narrow and product * min(k, 256) <= 1 << 24
    real, whole, exact = (np.float32, np.int32, 1 << 24) if single else (np.float64, np.int64, 1 << 53)
    total: NDArray[Any] = np.zeros((m, n), whole) if c is None else c.astype(whole)
    xf: NDArray[Any] = x.astype(real)
    wf: NDArray[Any] = w.astype(real)
    chunk = exact // product
    for first in range(0, k, chunk):
        part = np.matmul(xf[:, first : first + chunk], wf[:, first : first + chunk].T)
        parallel_rows(fold, m, part, total, acc_bits, signed, grain=64)
    return total.astype(np.int32 if narrow else np.int64, copy=False)


def saturating_matmul(
    x: NDArray[Any], w: NDArray[Any], c: NDArray[np.int64] | None, acc_bits: int, signed: bool, group: int = 1
) -> NDArray[Any]:
    """As `wrapping_matmul`, but clamped to the accumulator's range after each addition of `group` products at once, k
    ascending."""
    from hwsim.datapaths.exact_kernels import saturate, saturate_groups
    from hwsim.jit import parallel_rows

    least, greatest = integer_range(acc_bits, signed)
    risky = _rows_that_may_clamp(x, w, c, greatest)
    if not risky.size:
        return wrapping_matmul(x, w, c, acc_bits, signed)
    out = wrapping_matmul(x, w, c, acc_bits, signed) if 2 * risky.size < len(x) else None
    if out is None:
        risky = np.arange(len(x))
        out = np.zeros((len(x), len(w)), np.int32 if greatest < 1 << 31 else np.int64)
        if c is not None:
            out[:] = c
    else:
        out[risky] = 0 if c is None else c[risky]
    # in 32-bit lanes an accumulator and an addend must add up without overflow; bytes halve the traffic of w
    narrow = greatest + 1 + group * _magnitude(x) * _magnitude(w) < 1 << 31
    bounds = np.array([least, greatest], np.int32 if narrow else np.int64)
    wt = np.ascontiguousarray(w.T, np.int8 if narrow and w.dtype == np.int8 else np.int32)
    xs = np.ascontiguousarray(x, np.int32)
    if group == 1:
        parallel_rows(saturate, risky.size, risky, xs, wt, bounds, out)
    else:
        parallel_rows(saturate_groups, risky.size, risky, xs, wt, group, bounds, out)
    return out


def _rows_that_may_clamp(
    x: NDArray[Any], w: NDArray[Any], c: NDArray[np.int64] | None, greatest: int
) -> NDArray[np.int64]:
    """Rows of x for which some prefix of some sum could leave [-greatest, greatest].

    A prefix is a dot product of shortened rows, so Cauchy and Schwarz bound it by the product of the full norms.
    """
    squares_x = np.einsum("ij,ij->i", x, x, dtype=np.float64)
    squares_w = np.einsum("ij,ij->i", w, w, dtype=np.float64)
    start = 0.0 if c is None or not c.size else float(max(int(c.max()), -int(c.min())))
    reach = np.sqrt(squares_x * squares_w.max(initial=0.0)) * (1 + 1e-9) + start  # 1e-9 covers all float64 rounding
    return np.nonzero(reach > float(greatest) * (1 - 1e-9))[0]


def _magnitude(values: NDArray[Any]) -> int:
    return max(int(values.max()), -int(values.min())) if values.size else 0

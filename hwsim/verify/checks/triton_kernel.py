# mypy: ignore-errors
# (Triton reads the source of a kernel and takes no annotation but its own.)
"""One block-scaled product in Triton: MXFP4 by ``dot_scaled``. Imported only where Triton is installed."""

from __future__ import annotations

import triton
import triton.language as tl


def _scaled(a, b, scale_a, scale_b, out, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    m, n, k, s = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K // 2), tl.arange(0, K // 32)
    x = tl.load(a + m[:, None] * (K // 2) + k[None, :])
    y = tl.load(b + n[None, :] * (K // 2) + k[:, None])
    p = tl.load(scale_a + m[:, None] * (K // 32) + s[None, :])
    q = tl.load(scale_b + n[:, None] * (K // 32) + s[None, :])
    tl.store(out + m[:, None] * N + n[None, :], tl.dot_scaled(x, p, "e2m1", y, q, "e2m1"))


scaled = triton.jit(_scaled)
"""Packed E2M1 a ``[M, K / 2]`` and b ``[N, K / 2]``, E8M0 bytes ``[M or N, K / 32]``: float32 out ``[M, N]``."""

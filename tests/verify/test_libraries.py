"""Triton's block-scaled product, interpreted and compiled, where Triton is installed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="triton is not installed")

INTERPRETED = """
import numpy as np
from hwsim import datapaths
from hwsim.verify.checks.libraries import triton_product
rng = np.random.default_rng(0)
codes = [rng.integers(0, 16, (128, 128)).astype(np.uint8) for _ in range(2)]
scales = [rng.integers(120, 134, (128, 4)).astype(np.uint8) for _ in range(2)]
got = triton_product(codes, scales, "cpu")
want = datapaths.tensor_core("blackwell", "mxfp4").matmul(*codes, None, *scales)
total = 36 * 128 * 2.0**12  # no sum of products is larger; float32 in any order and two truncations
print(bool((np.abs(got - want) <= total * (128 * 2.0**-24 + 2 * 2.0**-23)).all()), bool((got == want).mean() > 0.8))
"""

COMPILED = """
import re, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from hwsim.verify.checks.triton_kernel import scaled
types = {name: "*u8" for name in ("a", "b", "scale_a", "scale_b")} | {"out": "*fp32"}
sizes = {"M": 128, "N": 128, "K": 128}
for capability in (90, 100, 120):
    source = ASTSource(scaled, types | dict.fromkeys(sizes, "constexpr"), sizes)
    ptx = triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["ptx"]
    print(*sorted(set(re.findall(r"kind::mxf4[a-z0-9]*|bf16[.]bf16", ptx))))
"""


def run(script, **switches):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True,
        env=os.environ | switches,
    )  # fmt: skip
    return done.stdout.split("\n")[:-1]


def test_operands_reach_triton_as_they_are():
    """Its interpreter multiplies in float32, so a bound is compared, and most results are the same."""
    assert run(INTERPRETED, TRITON_INTERPRET="1") == ["True True"]


def test_only_from_sm_100_on_does_it_use_the_fp4_units():
    assert run(COMPILED) == ["bf16.bf16", "kind::mxf4", "kind::mxf4nvf4"]

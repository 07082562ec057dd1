"""The emulators' kernels through a CUDA launcher, in numba's simulator: rows, copies, results; not a GPU's bits."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hwsim.verify.checks import portability
from hwsim.verify.subject import Subject

SCRIPT = """
from hwsim.verify.checks import portability
from hwsim.verify.subject import Subject
for row in portability.check(Subject(), 2):
    print(row.operation.split(": ")[-1], row.oracle, row.cases, row.differences, sep="|")
"""


def test_a_row_a_thread_gives_the_hosts_words():
    """2 of each of 12 kinds; the simulator runs plain Python, so compilation is off on both sides."""
    switches = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=os.environ | switches
    )
    assert done.stdout.splitlines() == [
        "hopper.e4m3|numba-cuda on its simulator|24|0",
        "ampere.fp16.fp16|numba-cuda on its simulator|24|0",
        "blackwell.mxfp8.e4m3|numba-cuda on its simulator|24|0",
    ]


def test_without_a_device_the_row_says_so():
    rows = list(portability.check(Subject(), 1))
    if rows[0].differences is not None:
        pytest.skip("there is a CUDA device here")
    assert len(rows) == 1
    assert rows[0].note == (
        "a CUDA device that numba-cuda finds is needed, install it with: pip install numba-cuda[cu13]"
    )

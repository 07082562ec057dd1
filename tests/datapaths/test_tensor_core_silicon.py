"""Every output recorded on V100, A100, L40S and H100 (Khattak and Mikaitis, BSD-2), bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths, formats

ARCH = {"v100": "volta", "a100": "ampere", "l40s": "ada", "h100": "hopper"}
FILES = [
    "a100_bf16_fp32", "a100_fp16_fp16", "a100_fp16_fp32", "a100_tf32_fp32", "h100_bf16_fp32",
    "h100_e4m3_fp16", "h100_e4m3_fp32", "h100_e5m2_fp16", "h100_e5m2_fp32", "h100_fp16_fp16",
    "h100_fp16_fp32", "h100_tf32_fp32", "l40s_bf16_fp32", "l40s_e4m3_fp32", "l40s_e5m2_fp32",
    "l40s_fp16_fp16", "l40s_fp16_fp32", "l40s_tf32_fp32", "v100_fp16_fp16", "v100_fp16_fp32",
]  # fmt: skip


def recorded(silicon, name):
    """Unit, codes a and b, c and the GPU's words of one recording."""
    gpu, operand, out = name.split("_")
    data = np.load(silicon / f"{name}.npz")
    form = formats.get(operand)
    a, b = (form.encode(data[key].view(np.float32)) for key in "ab")
    for codes, key in ((a, "a"), (b, "b")):
        np.testing.assert_array_equal(
            form.decode(codes).view(np.uint32), data[key], "operands are exact in the format"
        )
    c = data["c"].view(np.float32)
    if gpu == "h100" and operand in ("e4m3", "e5m2"):
        # With an fp16 result the recording is of mma.sync; with an fp32 result c was zero whatever the file says.
        operand, c = (f"{operand}.mma_sync", c) if out == "fp16" else (operand, np.zeros_like(c))
    unit = datapaths.tensor_core(ARCH[gpu], operand, out)
    return unit, a, b, c.astype(np.float16) if out == "fp16" else c, data["d"]


@pytest.mark.parametrize("name", FILES)
def test_all_5000_outputs_are_bit_equal(silicon, name):
    unit, a, b, c, d = recorded(silicon, name)
    assert len(d) == 5000
    np.testing.assert_array_equal(unit.dot(a, b, c).view(d.dtype), d)


@pytest.mark.parametrize("name", FILES)
def test_matmul_gives_the_recorded_words_on_its_diagonal(silicon, name):
    unit, a, b, c, d = recorded(silicon, name)
    got = unit.matmul(a[:200], b[:200], np.broadcast_to(c[:200, None], (200, 200)))
    np.testing.assert_array_equal(np.diagonal(got).view(d.dtype), d[:200])


def test_all_recordings_are_listed(silicon):
    assert sorted(path.stem for path in silicon.glob("*.npz")) == FILES

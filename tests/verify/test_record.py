"""Recordings: written, read back, replayed; those of others read in place; what is none is told."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim import datapaths
from hwsim.errors import ArgumentError
from hwsim.verify.operands import draw
from hwsim.verify.record import Origin, Recording, load, replay
from hwsim.verify.subject import Subject


def recording(operand="nvfp4", out="fp32", arch="blackwell", date="2026-11-01"):
    unit = datapaths.tensor_core(arch, operand, out)
    batch = draw(unit, np.random.default_rng(0), 40, 64, "random")
    target = "sm_100a"
    origin = Origin(
        "tcgen05.nvfp4", arch, operand, out, "NVIDIA B200", target, "driver 13.1", "NVRTC 13.5", ("UTCOMMA.4X",), date
    )
    return Recording(origin, batch, batch.run(unit))


@pytest.mark.parametrize(
    ("operand", "out", "arch"),
    [("nvfp4", "fp32", "blackwell"), ("fp16", "fp16", "hopper"), (("e2m1", "e4m3"), "fp32", "blackwell")],
)
def test_a_recording_comes_back_as_it_was(tmp_path, operand, out, arch):
    made = recording(operand, out, arch)
    made.save(tmp_path / "one.npz")
    back = load(tmp_path / "one.npz")
    assert back.origin == made.origin
    for name in ("a", "b", "scale_a", "scale_b"):
        np.testing.assert_array_equal(getattr(back.batch, name), getattr(made.batch, name))
    assert back.batch.c.tobytes() == made.batch.c.tobytes()
    np.testing.assert_array_equal(back.d, made.d)


def test_a_replay_is_a_row_with_the_date_of_the_recording(tmp_path):
    recording().save(tmp_path / "one.npz")
    (row,) = replay(tmp_path, Subject())
    assert row.cells() == (
        "blackwell nvfp4, fp32 result", "recorded on NVIDIA B200", "40", "yes", "2026-11-01",
        "driver 13.1, UTCOMMA.4X",
    )  # fmt: skip


def test_a_recording_that_differs_names_its_first_case(tmp_path):
    made = recording()
    made.d[7] ^= 1
    made.save(tmp_path / "one.npz")
    (row,) = replay(tmp_path, Subject())
    assert (row.verdict, row.note.split(":")[0]) == ("NO, 1 differ", "case 7")
    assert f"not {int(made.d[7]):#x}" in row.note


def test_every_recorded_dot_product_of_others_is_replayed(silicon):
    rows = list(replay(silicon, Subject()))
    assert len(rows) == 20
    assert {(row.cases, row.differences) for row in rows} == {(5000, 0)}
    assert {row.oracle.split(" ")[2] for row in rows} == {"A100", "H100", "L40S", "V100"}


def test_what_is_no_recording_is_told(tmp_path):
    with pytest.raises(ArgumentError) as caught:
        list(replay(tmp_path / "none", Subject()))
    assert str(caught.value) == f"verify --replay: recordings must lie in a folder, got '{tmp_path / 'none'}'"
    (row,) = replay(tmp_path, Subject())
    assert row.verdict == "not checked"
    text = tmp_path / "text.npz"
    text.write_text("no")
    with pytest.raises(ArgumentError, match=r"text\.npz: a recording must be an npz file"):
        load(text)
    np.savez(tmp_path / "few.npz", a=np.zeros(1))
    with pytest.raises(ArgumentError) as caught:
        load(tmp_path / "few.npz")
    assert str(caught.value) == f"{tmp_path / 'few.npz'}: a recording must hold a, b, c, d or x, y, z, d, got ['a']"
    np.savez(tmp_path / "b300_fp16_fp32.npz", **{name: np.zeros(1, np.uint32) for name in "abcd"})
    with pytest.raises(ArgumentError) as caught:
        load(tmp_path / "b300_fp16_fp32.npz")
    assert "GPU one of v100, a100, l40s, h100, got 'b300_fp16_fp32.npz'" in str(caught.value)

"""What is remembered is current or absent."""

from __future__ import annotations

import pytest

from hwsim.evaluation.memo import Memo


def test_a_value_is_computed_once_and_survives_the_process(tmp_path):
    calls = []
    path = tmp_path / "memo.jsonl"
    for _ in range(2):
        memo = Memo(path)
        assert memo.get("a", lambda: calls.append(1) or {"layer": 1.5}) == {"layer": 1.5}
        assert memo.get("a", lambda: pytest.fail("must be known")) == {"layer": 1.5}
    assert calls == [1]


def test_a_torn_or_spoilt_line_costs_only_itself(tmp_path):
    path = tmp_path / "memo.jsonl"
    memo = Memo(path)
    memo.put("a", 1.0)
    memo.put("b", 2.0)
    path.write_bytes(path.read_bytes()[:-4] + b"\nnot json\n")
    again = Memo(path)
    assert "a" in again
    assert "b" not in again
    again.put("c", 3.0)
    assert Memo(path).get("c", lambda: 0.0) == 3.0


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    memo = Memo(tmp_path / "file" / "memo.jsonl")
    assert memo.get("a", lambda: 1.0) == 1.0
    assert "a" in memo

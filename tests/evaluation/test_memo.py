"""What is remembered is current or absent."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import Any

import pytest

from hwsim import jit
from hwsim.evaluation.memo import Memo
from hwsim.evaluation.steps import BY_LAYER, Codec, Step

CALLS: list[str] = []


@dataclass(frozen=True)
class Named(Step[dict[str, float]]):
    """A step whose only input is a word."""

    word: str
    value: float = 1.5

    @property
    def codec(self) -> Codec[dict[str, float]]:
        return BY_LAYER

    def result(self) -> dict[str, float]:
        CALLS.append(self.word)
        return {"layer": self.value}


@pytest.fixture(autouse=True)
def _counted() -> None:
    CALLS.clear()


def test_a_value_is_computed_once_and_survives_the_process(tmp_path):
    path = tmp_path / "memo.jsonl"
    for _ in range(2):
        memo = Memo(path)
        assert memo.get(Named("a")) == {"layer": 1.5}
        assert memo.get(Named("a")) == {"layer": 1.5}
    assert CALLS == ["a"]
    assert Memo(path).get(Named("a", 2.5)) == {"layer": 2.5}


def test_a_torn_or_spoilt_line_costs_only_itself(tmp_path):
    path = tmp_path / "memo.jsonl"
    memo = Memo(path)
    memo.put(Named("a"), {"layer": 1.0})
    memo.put(Named("b"), {"layer": 2.0})
    path.write_bytes(path.read_bytes()[:-4] + b"\nnot json\n")
    again = Memo(path)
    assert Named("a") in again
    assert Named("b") not in again
    again.put(Named("c"), {"layer": 3.0})
    assert Memo(path).get(Named("c")) == {"layer": 3.0}


def test_a_spoilt_line_hides_nothing_that_another_process_appends(tmp_path):
    path = tmp_path / "memo.jsonl"
    Memo(path).put(Named("a"), {"layer": 1.0})
    path.write_bytes(path.read_bytes().replace(b"1.0", b"9.0"))
    reading = Memo(path)
    assert Named("a") not in reading
    assert reading.get(Named("a")) == {"layer": 1.5}  # measured, and appended behind the spoilt one
    late = Memo(path)
    assert late.get(Named("a")) == {"layer": 1.5}
    path.write_bytes(path.read_bytes().replace(b"1.5", b"9.5"))
    waiting = Memo(path)
    assert Named("a") not in waiting
    Memo(path).put(Named("a"), {"layer": 1.5})
    CALLS.clear()
    assert Named("a") in waiting
    assert waiting.get(Named("a")) == {"layer": 1.5}
    assert CALLS == []


def test_a_value_of_another_shape_is_measured_again(tmp_path):
    path = tmp_path / "memo.jsonl"
    odd: Any = ["no", "table"]
    Memo(path).put(Named("a"), odd)
    assert Memo(path).get(Named("a")) == {"layer": 1.5}
    assert CALLS == ["a"]


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    memo = Memo(tmp_path / "file" / "memo.jsonl")
    assert memo.get(Named("a")) == {"layer": 1.5}
    assert Named("a") in memo


@pytest.mark.parametrize(
    "changed", ["torch", "numpy", "numba", "cpu", "ATEN_CPU_CAPABILITY", "MKL_CBWR", "NUMBA_CPU_NAME", "sources"]
)
def test_what_another_version_or_processor_measured_is_not_remembered(changed, tmp_path, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
    version = importlib.metadata.version
    Memo().get(Named("a"))
    Memo().get(Named("a"))
    assert CALLS == ["a"]
    if changed == "cpu":
        monkeypatch.setattr(jit, "_capability", lambda: "another")
    elif changed == "sources":
        monkeypatch.setattr("hwsim.evaluation.memo.source_hash", lambda path: "another")
    elif changed.isupper():
        monkeypatch.setenv(changed, "another")
    else:
        monkeypatch.setattr("importlib.metadata.version", lambda name: "0" if name == changed else version(name))
    jit.environment.cache_clear()
    try:
        Memo().get(Named("a"))
    finally:
        monkeypatch.undo()
        jit.environment.cache_clear()
    assert CALLS == ["a", "a"]

"""The page on units of one's own: its snippets run, and say what they print."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hwsim.arch import Accelerator, load_accelerator
from hwsim.datapaths import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()


def test_the_machines_of_the_page_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (snippet,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    tables: dict[str, Any] = load_accelerator("edge-int8").to_dict()
    tables["numerics"] = tomllib.loads(snippet)["numerics"]
    assert Accelerator.from_dict(tables).policy.default.datapath.name == "truncated8.d6.acc24"


def test_the_check_of_the_page_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    assert names["missing_views"](names["unit"]) == []


def test_what_the_page_names_is_there() -> None:
    for path in ("docs/truncated.py", "hwsim/datapaths/circuits.py", "tests/testing/test_datapaths.py"):
        assert (ROOT / path).is_file()
    assert "dot" in FAMILIES

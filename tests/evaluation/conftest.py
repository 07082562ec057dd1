"""Values measured in these tests stay in them."""

from __future__ import annotations

import pytest


@pytest.fixture
def memo(tmp_path):
    from hwsim.evaluation import Memo

    return Memo(tmp_path / "memo.jsonl")

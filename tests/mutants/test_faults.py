"""The faults can be planted: each text stands once in the file it is of."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("faults", Path(__file__).with_name("faults.py"))
assert spec is not None
assert spec.loader is not None
faults = importlib.util.module_from_spec(spec)
spec.loader.exec_module(faults)


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: f"{fault.file}: {fault.meaning}")
def test_a_fault_stands_once(fault):
    text = (ROOT / fault.file).read_text()
    assert text.count(fault.old) == 1
    assert fault.new not in (fault.old, text)

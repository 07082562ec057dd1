"""The faults can be planted: each text stands once in the file it is of."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))
try:
    NAMES = ("faults", "faults_numerics", "faults_asking")
    FAULTS = [fault for name in NAMES for fault in importlib.import_module(name).FAULTS]
finally:
    sys.path.pop(0)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.file}: {fault.meaning}")
def test_a_fault_stands_once(fault):
    text = (ROOT / fault.file).read_text()
    assert text.count(fault.old) == 1
    assert fault.new not in (fault.old, text)

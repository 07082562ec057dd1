"""What a release states: one version, types that a user's own checker sees, a citation, a notice of what is in it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hwsim

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = """\
import hwsim
from hwsim.evaluation import Evaluation
from hwsim.search import Study

trace = hwsim.load_trace("gpt-small")
result = hwsim.evaluate(trace, hwsim.load_accelerator("edge-int8"))
reveal_type(result)
reveal_type(result.energy_pj)
study: Study = hwsim.load_study("reports/edge-lm")
reveal_type(hwsim.quantize)
found: Evaluation = result
hwsim.evaluate(trace, 3)
"""


def test_one_version():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert hwsim.__version__ == settings["project"]["version"]
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [hwsim.__version__]
    assert re.findall(r"^license: (.*)$", citation, re.MULTILINE) == [settings["project"]["license"]]
    assert settings["project"]["license-files"] == ["LICENSE", "NOTICE"]


def test_the_notice_names_every_folder_of_data():
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    for package, patterns in settings["package-data"].items():
        if any(pattern.endswith((".csv", ".toml", ".lib")) for pattern in patterns if "data" in pattern):
            assert f"{package.replace('.', '/')}/data" in notice or "vector" in package, package
    for named in re.findall(r"^- ((?:[\w/.*-]+(?:, )?)+):", notice, re.MULTILINE):
        for path in named.split(", "):
            assert list(ROOT.glob(path)), path


@pytest.mark.slow  # mypy reads the whole package: a minute
def test_a_users_type_checker_sees_the_types(tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    options = ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "mine.py"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert "untyped" not in done.stdout
    assert 'mine.py:7: note: Revealed type is "hwsim.evaluation.records.Evaluation"' in lines
    assert any(line.startswith('mine.py:8: note: Revealed type is "') and "float" in line for line in lines)
    assert any(line.startswith("mine.py:10: note: Revealed type is") and "Quantized" in line for line in lines)
    (error,) = [line for line in lines if ": error:" in line]
    assert error.startswith('mine.py:12: error: Argument 2 to "evaluate" has incompatible type "int"')

"""The locator of workbench files."""

import re
from pathlib import Path

import pytest

from hwsim import workbench
from hwsim.errors import ArgumentError, UnknownName


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _machine(root: Path, name: str) -> Path:
    path = root / "dse" / "machines" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def test_the_current_folder_comes_before_the_package(here, monkeypatch):
    monkeypatch.setattr(workbench, "PACKAGE", here / "site" / "hwsim")
    shared = _machine(here / "site" / "hwsim" / "share", "edge")
    assert workbench.find("dse/machines", "edge", ".toml") == shared
    mine = _machine(here, "edge")
    assert workbench.find("dse/machines", "edge", ".toml") == mine


def test_the_checkout_comes_last(here, monkeypatch):
    monkeypatch.setattr(workbench, "PACKAGE", here / "checkout" / "hwsim")
    path = _machine(here / "checkout", "edge")
    assert workbench.find("dse/machines", "edge", ".toml") == path
    assert workbench.names("dse/machines", ".toml") == ["edge"]


def test_a_path_is_taken_as_it_is(here):
    path = here / "mine.toml"
    path.write_text("")
    assert workbench.find("dse", path, ".toml") == path
    assert workbench.find("dse", "mine.toml", ".toml") == Path("mine.toml")


def test_an_absent_path_is_named(here):
    with pytest.raises(ArgumentError, match=re.escape("model: file must exist, got 'no/such.py'")):
        workbench.find("models", "no/such.py", ".py")


def test_an_unknown_name_shows_the_near_ones(here, monkeypatch):
    monkeypatch.setattr(workbench, "PACKAGE", here / "none" / "hwsim")
    _machine(here, "edge-nvfp4")
    with pytest.raises(UnknownName, match=re.escape("machine must be one of edge-nvfp4, got 'edge-nvfp'")):
        workbench.find("dse/machines", "edge-nvfp", ".toml")


def test_a_trace_is_a_folder(here):
    (here / "traces" / "small").mkdir(parents=True)
    assert workbench.find("traces", "small") == here / "traces" / "small"


def test_own_modules_that_a_file_imports(tmp_path: Path) -> None:
    """Through others and as packages; none of Python's, of installed packages or of hwsim."""
    (tmp_path / "pack").mkdir()
    texts = {
        "mine.py": "import os, numpy as np\nimport hwsim.cost\nfrom helper import one\n",
        "helper.py": "def f():\n    import pack.deep\none = 1\n",
        "pack/__init__.py": "",
        "pack/deep.py": "import mine\n",
        "other.py": "two = 2\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    found = workbench.imported(tmp_path / "mine.py")
    assert {str(Path(path).relative_to(tmp_path)): text for path, text in found.items()} == {
        name: texts[name] for name in ("helper.py", "pack/__init__.py", "pack/deep.py")
    }

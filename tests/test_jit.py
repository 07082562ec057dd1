"""The cache of compiled code: warm for users, never stale. And rows over threads."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hwsim import jit

KERNEL = """
import sys
sys.path.insert(0, {folder!r})
from hwsim import jit
jit.PACKAGE = __import__("pathlib").Path({folder!r}) / "pack"
jit.source_hash.__defaults__ = (jit.PACKAGE,)
from pack.kernel import total
print(total(10.0), sum(total.stats.cache_hits.values()))
"""


def _write_package(folder: Path, factor: float) -> None:
    pack = folder / "pack"
    pack.mkdir(exist_ok=True)
    (pack / "__init__.py").write_text("")
    (pack / "helper.py").write_text(f"from hwsim.jit import njit\n@njit\ndef scaled(x):\n    return x * {factor}\n")
    (pack / "kernel.py").write_text(
        "from hwsim.jit import njit\nfrom pack.helper import scaled\n\n"
        "@njit\ndef total(x):\n    return scaled(x) + 1.0\n"
    )


def _run(folder: Path, cache: Path | None = None) -> list[str]:
    environment = os.environ | {"HWSIM_CACHE_DIR": str(cache or folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", KERNEL.format(folder=str(folder))],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return done.stdout.split()


def test_an_edited_helper_in_another_file_gives_the_new_result_and_an_unedited_one_starts_warm(tmp_path):
    _write_package(tmp_path, factor=2.0)
    assert _run(tmp_path) == ["21.0", "0"]
    assert _run(tmp_path) == ["21.0", "1"]  # warm: machine code came from disk
    _write_package(tmp_path, factor=4.0)
    assert _run(tmp_path) == ["41.0", "0"]


def test_a_copy_of_the_package_elsewhere_starts_warm_and_one_that_differs_cold(tmp_path):
    for name, factor in (("here", 2.0), ("there", 2.0), ("other", 3.0)):
        (tmp_path / name).mkdir()
        _write_package(tmp_path / name, factor)
    found = [_run(tmp_path / name, tmp_path / "cache") for name in ("here", "there", "other", "here")]
    assert found == [["21.0", "0"], ["21.0", "1"], ["31.0", "0"], ["21.0", "1"]]


def test_hash_follows_imports_inside_functions_and_ignores_strangers(tmp_path):
    _write_package(tmp_path, factor=2.0)
    pack = tmp_path / "pack"
    (pack / "stranger.py").write_text("x = 1\n")
    (pack / "lazy.py").write_text("def f():\n    from pack import kernel\n    return kernel\n")
    before = jit.source_hash(pack / "lazy.py", pack)
    (pack / "stranger.py").write_text("x = 2\n")
    assert jit.source_hash(pack / "lazy.py", pack) == before
    _write_package(tmp_path, factor=3.0)
    assert jit.source_hash(pack / "lazy.py", pack) != before


def _parsed(path: Path) -> set[Path]:
    """What `jit._imported` must find, by Python's own parser."""
    dotted: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            dotted |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            dotted |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    bases = [jit.PACKAGE.joinpath(*name.split(".")[1:]) for name in dotted if name.startswith("hwsim.")]
    both = [base.with_suffix(".py") for base in bases] + [base / "__init__.py" for base in bases]
    return {one for one in both if one.is_file()}


def test_imports_read_as_lines_are_those_of_the_parser_in_every_source_of_the_package():
    for path in sorted(jit.PACKAGE.rglob("*.py")):
        if "share" not in path.parts:
            assert jit._imported(path, jit.PACKAGE, 0) >= _parsed(path), path


@pytest.mark.parametrize(
    "text",
    [
        "import pack.kernel as k, pack.helper\n",
        "def f():\n\tfrom pack import (  # both (of them)\n\t\tkernel,  # one\n\t\thelper as h,\n\t)\n",
        "from pack.kernel import total  # noqa\nif 1:\n    import pack.helper  # the other\n",
        "from pack import kernel; import pack.helper\n",
    ],
)
def test_every_way_to_write_an_import_is_followed(text, tmp_path):
    _write_package(tmp_path, factor=2.0)
    pack = tmp_path / "pack"
    (pack / "asks.py").write_text(text)
    assert jit._imported(pack / "asks.py", pack, 0) == {pack / "kernel.py", pack / "helper.py"}


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("rows", [0, 1, 2, 7])
def test_every_row_is_visited_once_whatever_the_number_of_threads(threads, rows, monkeypatch):
    monkeypatch.setenv("HWSIM_NUM_THREADS", threads)
    seen = np.zeros(rows, np.int64)

    def kernel(start, stop, out):
        out[start:stop] += np.arange(start, stop) + 1

    jit.parallel_rows(kernel, rows, seen)
    assert seen.tolist() == list(range(1, rows + 1))


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setenv("HWSIM_NUM_THREADS", "2")

    def kernel(start, stop):
        if start > 0:
            raise ZeroDivisionError("row 1")

    with pytest.raises(ZeroDivisionError, match="row 1"):
        jit.parallel_rows(kernel, 2)

"""Bars in a notebook: what they show, when they are there, and a kernel that really runs one."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hwsim
from hwsim import cli, notebook
from tests import samples

MODEL = samples.TRAINED.replace("STEPS", "30")
CELLS = (
    "import hwsim\nfrom hwsim.nn import train",
    "trained = train('model.py:build', 'out.safetensors')",
    "trained = train('model.py:build', 'quiet.safetensors', progress=lambda step, total, loss: None)",
    "study = hwsim.explore('space.toml', 'gpt-small', trials=3, budget=0)",
)
RUN = """
import json, sys, nbformat, nbclient
book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in json.loads(sys.argv[1])])
nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": sys.argv[2]}}).execute()
print(json.dumps([[out.get("data", {}).get("text/html") for out in cell.outputs] for cell in book.cells]))
"""


def test_a_bar_says_how_far_how_fast_and_how_long():
    shown = notebook.bar("exploring", 30, 120, "30 designs", 6.0)
    assert "width:25.0%" in shown
    assert shown.endswith("30 of 120, 30 designs, 5/s, 18 s left</div>")  # 90 more at 5 a second
    assert "role='progressbar' aria-label='exploring' aria-valuenow='30' aria-valuemax='120'" in shown
    assert notebook.bar("a <b>", 1, 4, "x & y", 120.0).endswith("1 of 4, x &amp; y, 0.5/min, 360 s left</div>")
    assert "<b>" not in notebook.bar("a <b>", 1, 4, "", 1.0)
    assert notebook.bar("t", 4, 4, "", 8.0).endswith("4 of 4, 30/min, 8.0 s</div>")
    assert "width:0.0%" in notebook.bar("t", 0, 0, "", 0.0)


def test_a_bar_is_drawn_now_and_then_and_at_its_end(monkeypatch):
    drawn, now = [], [0.0]

    class Handle:
        def update(self, shown):
            drawn.append(shown._repr_html_())

    def displayed(text):
        drawn.append(text)
        return Handle()

    monkeypatch.setattr(notebook, "_displayed", displayed)
    with notebook.progress("training", clock=lambda: now[0]) as advance:
        for step in range(1, 6):
            now[0] = 0.15 * step
            advance(step, 5, 1.0 / step)
    assert [re.search(r"(\d) of 5, loss ([\d.]+)", one).groups() for one in drawn] == [
        ("1", "1.000"), ("3", "0.333"), ("5", "0.200"), ("5", "0.200"),
    ]  # fmt: skip  # at 0.15, 0.45 and 0.75 s: 0.2 s apart or more; and the last one


def test_outside_of_a_notebook_nothing_is_shown():
    seen = []

    @notebook.with_bar("working")
    def work(count, progress=None):
        seen.append(progress)
        return count

    assert not notebook.in_notebook()
    assert work(3) == 3
    assert work(4, progress=print) == 4
    assert seen == [None, print]


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("nbclient", "ipykernel"))),
    reason="needs nbclient and ipykernel (pip install nbclient ipykernel)",
)
def test_a_kernel_shows_one_bar_for_each_call_that_works(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    assert cli.run(["new", "space", "space", "--out", str(tmp_path)]) == 0
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(CELLS), str(tmp_path)],
        capture_output=True, text=True, check=False, env=_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    nothing, trained, quiet, explored = json.loads(done.stdout.splitlines()[-1])
    assert (nothing, quiet) == ([], [])
    assert len(trained) == len(explored) == 1
    assert re.search(r"training .*width:100\.0%.* 30 of 30, loss \d+\.\d{3}, ", trained[0])
    assert re.search(r"exploring .*width:100\.0%.* 3 of 3, 3 designs, ", explored[0])


def _environment():
    import os

    return os.environ | {"PYTHONPATH": str(Path(hwsim.__file__).parent.parent)}

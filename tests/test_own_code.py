"""What a user's own Python file raises is one line with its place, whenever it is called and wherever."""

from __future__ import annotations

import multiprocessing
import runpy
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from hwsim import cli, workbench
from hwsim.own_code import line_of, note
from tests import samples
from tests.test_hostile_more import machine_of

ROOT = Path(__file__).resolve().parent.parent


def _told(capsys, *arguments):
    capsys.readouterr()
    assert cli.run([str(argument) for argument in arguments]) == 2
    told = capsys.readouterr().err.splitlines()
    return [line for line in told if line.startswith("hwsim: ")]


@pytest.mark.parametrize(
    ("whole", "spoilt", "said"),
    [
        ("return TruncatedPrice(self)", "return Absent(self)", "NameError: name 'Absent' is not defined"),
        ("return total.astype(np.int32)", "raise OSError('two\\nlines')", "OSError: two\\nlines"),
    ],
)
def test_a_units_member_that_raises_is_one_line(tiny_trace, tmp_path, capsys, whole, spoilt, said):
    text = (ROOT / "docs" / "truncated.py").read_text()
    assert text.count(whole) == 1
    unit = tmp_path / "truncated.py"
    unit.write_text(text.replace(whole, spoilt))
    (tmp_path / "truncated.csv").write_bytes((ROOT / "docs" / "truncated.csv").read_bytes())
    (tmp_path / "unit.toml").write_bytes(machine_of(unit))
    line = 1 + text[: text.index(whole)].count("\n")
    told = _told(capsys, "evaluate", tiny_trace.path, tmp_path / "unit.toml", "--energy", "pann")
    assert told == [f"hwsim: {unit}:{line}: code of your own must run, it raised {said}"]


def test_a_recipe_and_a_loss_that_raise_are_one_line(tmp_path, capsys):
    model, recipe = tmp_path / "model.py", tmp_path / "recipe.py"
    model.write_text(samples.TRAINED.replace("STEPS", "2").replace("return (model(x)", "return (absent(x)"))
    recipe.write_text("from hwsim.recipes import Recipe\nRECIPE = Recipe(absent)\n")
    assert _told(capsys, "train", model, "--out", tmp_path / "trained.safetensors") == [
        f"hwsim: {model}:10: code of your own must run, it raised NameError: name 'absent' is not defined"
    ]
    assert _told(capsys, "train", model, "--recipe", recipe, "--out", tmp_path / "compared") == [
        f"hwsim: {recipe}:2: recipe file must run, it raised NameError: name 'absent' is not defined"
    ]


def test_what_a_worker_met_has_its_place(tmp_path):
    own = tmp_path / "own.py"
    own.write_text("\nraise KeyError('here')\n")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        error = pool.submit(runpy.run_path, str(own)).exception()
    assert line_of(error) is None  # nobody has said that it is a user's own
    note(own)
    assert line_of(error) == f"{own}:2"


def test_what_no_file_of_a_user_raises_is_a_defect(tiny_trace, monkeypatch):
    monkeypatch.setattr("hwsim.evaluate", lambda *_, **__: {}["absent"])
    with pytest.raises(KeyError, match="absent"):
        cli.run(["evaluate", str(tiny_trace.path), "edge-int8"])


@pytest.mark.parametrize("spoilt", [b"x = '\xb1'\n", b"def (\n", b"x = 1\0\n"], ids=["no UTF-8", "no Python", "NUL"])
def test_a_file_that_is_no_python_is_one_line_or_a_name(tiny_trace, tmp_path, capsys, monkeypatch, spoilt):
    unit = tmp_path / "truncated.py"
    unit.write_bytes(spoilt + (ROOT / "docs" / "truncated.py").read_bytes())
    (tmp_path / "unit.toml").write_bytes(machine_of(unit))
    (told,) = _told(capsys, "evaluate", tiny_trace.path, tmp_path / "unit.toml", "--energy", "pann")
    assert "a unit's file must run (" in told
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.py").write_bytes(spoilt)
    assert cli.run(["list", "models"]) == 0
    assert "mine" in capsys.readouterr().out
    (tmp_path / "other.py").write_bytes(spoilt)
    (tmp_path / "main.py").write_text("import other\n")
    found = workbench.imported(tmp_path / "main.py")
    assert [*found] == [str(tmp_path / "other.py")]
    assert found[str(tmp_path / "other.py")].encode()

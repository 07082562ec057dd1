"""Every command: its examples run as its help shows them, its answer as JSON is one value, colour stays at home."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hwsim import cli
from hwsim.cli import doctor
from hwsim.cli.app import app
from hwsim.cli.examples import EXAMPLES
from hwsim.cli.output import plain
from hwsim.report.catalogues import entries, kinds
from tests.terminals import on_a_terminal

LONG = ("study", "calibrate", "verify")
"""Commands whose examples take a minute: in the slow tests."""
NEEDS = {"synth": "yosys", "power": "yosys", "calibrate": "yosys", "study": "yosys"}
ARRIVALS = "arrival_s,input_toks,output_toks\n0,200,20\n0.5,300,30\n"


def _names():
    return [command.name or command.callback.__name__ for command in app.registered_commands]


def _here(command):
    from hwsim.rtl.tools import available

    return available("yosys") or command not in NEEDS


def _json(capsys, line):
    assert cli.run(line if isinstance(line, list) else shlex.split(line)[1:]) == 0, line
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which every short example has been run, in order."""
    found = tmp_path_factory.mktemp("examples")
    here = Path.cwd()
    os.chdir(found)
    try:
        Path("arrivals.csv").write_text(ARRIVALS)
        done = [
            (line, cli.run(shlex.split(line)[1:]))
            for command, rows in EXAMPLES.items() if command not in LONG and _here(command)
            for _, line in rows
        ]  # fmt: skip
    finally:
        os.chdir(here)
    return found, done


def test_every_command_has_examples_and_nothing_else_has():
    assert set(EXAMPLES) == set(_names())
    for command, rows in EXAMPLES.items():
        assert rows, command
        assert all(shlex.split(line)[:2] == ["hwsim", command] for _, line in rows), command


def test_the_examples_of_every_help_run(folder):
    _, done = folder
    assert [line for line, status in done if status] == []
    short = [rows for command, rows in EXAMPLES.items() if command not in LONG and _here(command)]
    assert len(done) == sum(map(len, short)) > 20


@pytest.mark.slow  # 4 minutes
@pytest.mark.parametrize("command", LONG)
def test_the_long_examples_run(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _, line in EXAMPLES[command]:
        assert cli.run(shlex.split(line)[1:]) == 0
        assert capsys.readouterr().out


def test_help_ends_in_the_examples(capsys):
    for command, rows in EXAMPLES.items():
        assert cli.run([command, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "--json" in shown, command
        tail = shown.partition("\nExamples:\n")[2].splitlines()
        assert tail == [text for purpose, line in rows for text in (f"  # {purpose}", f"  {line}")]


JSON = {
    "doctor": "hwsim doctor",
    "list": "hwsim list formats",
    "new": "hwsim new machine other",
    "capture": "hwsim capture mine_model.py:build --out traces/other",
    "train": "hwsim train mine_model.py:build --steps 3 --out other.safetensors",
    "evaluate": "hwsim evaluate gpt-small mine.toml",
    "explain": "hwsim explain gpt-small mine.toml",
    "explore": "hwsim explore mine_space.toml --trace traces/mine --trials 3 --no-gates --out reports/other",
    "report": "hwsim report reports/mine",
    "query": "hwsim query reports/mine --minimize energy",
    "diff": "hwsim diff edge-nvfp4 edge-int8",
    "sweep": "hwsim sweep mine_space.toml --trace traces/mine --points 40 --out reports/few",
    "worker": "hwsim worker mine_space.toml --shard 1/1 --trace traces/mine --points 40 --out reports/one",
    "merge": "hwsim merge reports/one",
    "export": "hwsim export edge-int8 --to zigzag --gemm 64x64x64 --out other-peer",
    "serve": "hwsim serve llama3-8b h100 --arrivals arrivals.csv",
    "schema": "hwsim schema space",
    "rtl": "hwsim rtl mul_u2x2_array --out other-rtl",
    "synth": "hwsim synth mul_u2x2_array",
    "power": "hwsim power gpt-small edge-int4",
    "cache": "hwsim cache show",
}
KEYS = {
    "doctor": {"machine", "parts", "measured"},
    "new": {"files", "next"},
    "capture": {"trace", "gemms", "macs"},
    "train": {"checkpoint", "steps", "metric"},
    "evaluate": {"values", "detail"},
    "explore": {"designs", "front", "certificate", "written"},
    "report": {"designs", "front", "certificate", "written"},
    "sweep": {"designs", "front", "certificate", "written"},
    "serve": {"values", "percentiles", "note"},
    "rtl": {"files"},
    "synth": {"circuits", "liberty", "tool"},
    "power": {"layers"},
    "cache": {"folder", "kinds"},
}
"""What a command's answer holds at its top."""


def test_every_command_answers_in_json(folder, monkeypatch, capsys):
    found, _ = folder
    monkeypatch.chdir(found)
    assert set(JSON) | set(LONG) == set(_names())
    for command, line in JSON.items():
        if _here(command):
            value = _json(capsys, f"{line} --json")
            assert value, command
            if command in KEYS:
                assert set(value) == KEYS[command], command


def test_a_command_that_hands_over_nothing_answers_with_its_lines(capsys):
    import typer

    from hwsim.cli.app import App

    other = App()

    @other.command()
    def say(often: int = 1) -> None:
        """Say it."""
        typer.echo("it\n" * often, nl=False)
        if often == 3:
            raise typer.Exit(1)

    other(["--often", "2", "--json"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == {"lines": ["it", "it"]}
    assert other(["--often", "3", "--json"], standalone_mode=False) == 1  # its status stays
    assert json.loads(capsys.readouterr().out) == {"lines": ["it"] * 3}


def test_values_become_those_of_json():
    import numpy as np

    found = plain({"a": math.nan, 1: (Path("x"), np.float32(0.5)), "c": doctor.Found("p", "", "g", "i"), "d": {True}})
    assert found == {
        "a": None, "1": ["x", 0.5], "c": {"part": "p", "here": "", "gives": "g", "install": "i"}, "d": [True],
    }  # fmt: skip


def test_lists_are_whole_and_every_entry_says_what_it_is(capsys):
    from hwsim import quant, recipes, studies, workbench, workloads
    from hwsim.datapaths.dot.catalogue import ARCHS, legal
    from hwsim.formats.catalog import CATALOG

    held = {kind: [one.name for one in entries(kind)] for kind in kinds()}
    assert held["formats"] == list(CATALOG)
    assert held["schemes"] == [*quant.names(), "mxfp8"]
    assert held["recipes"] == recipes.names()
    assert held["models"] == workbench.names("models", ".py")
    assert set(held["machines"]) == {
        path.stem for path in Path(workbench.PACKAGE.parent / "dse" / "machines").rglob("*.toml")
    }
    assert held["spaces"] == workbench.names("dse", ".toml")
    assert held["studies"] == list(studies.NAMES)
    assert held["workloads"] == workloads.names()
    cores = [f"tensor_core.{arch}.{operand}" for arch in ARCHS for operand in legal(arch)]
    assert Counter(held["units"]) == Counter(
        ["integer", "dot", "tensor_core", "ternary_lut", "pann", "shift", *cores]
    )
    for kind in kinds():
        assert all(one.title for one in entries(kind)), kind
        if kind not in ("models", "spaces", "studies", "machines"):
            assert all(one.source for one in entries(kind)), kind
        assert cli.run(["list", kind]) == 0
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == held[kind]
    named = {one.name: one for one in entries("formats")}
    assert named["e2m1"].equation == "x = (-1)^s 2^(E - 1) (1 + M/2); at E = 0 x = (-1)^s 2^0 M/2"  # OCP MX 5.3.3
    assert named["e8m0"].equation == "x = 2^(E - 127)"
    assert "largest 448" in named["e4m3"].title


def test_equations_of_formats_give_their_values():
    """Each line, computed for every word of at most 8 bits, is what the format decodes."""
    import re

    import numpy as np

    from hwsim import formats

    for one in entries("formats"):
        form = formats.get(one.name)
        if form.bits > 8 or form.is_integer:
            continue
        text = one.equation.removeprefix("x = ")
        normal, _, low = text.partition("; at E = 0 x = ")
        words = np.arange(1 << form.bits)
        values = form.decode(words.astype(form.code_dtype))
        M = words & ((1 << form.mantissa_bits) - 1)
        E = (words >> form.mantissa_bits) & ((1 << form.exponent_bits) - 1)
        s = words >> (form.exponent_bits + form.mantissa_bits)

        def value(formula, **fields):
            python = re.sub(r"\) \(", ") * (", formula.replace("^", "**"))
            python = re.sub(r"(\(-1\)\*\*s) (?=2)", r"\1 * ", python)
            python = re.sub(r"(2\*\*-?\d+) (?=M)", r"\1 * ", python)
            return eval(python.replace("2**", "2.0**"), {}, fields)

        for word in np.flatnonzero(np.isfinite(values)):
            fields = {"M": int(M[word]), "E": int(E[word]), "s": int(s[word])}
            formula = low if low and not E[word] else normal
            assert value(formula, **fields) == values[word], (one.name, word)


def test_mistakes_suggest_the_fix(capsys):
    cases = {
        ("evaluat",): "evaluate",
        ("explore", "edge-lm", "--trial", "3"): "--trials",
        ("list", "machine"): "machines",
        ("list", "machines", "--detail", "eyeris"): "eyeriss",
        ("evaluate", "gpt-small", "edge-nvfp5"): "edge-nvfp4",
        ("new", "machine", "no-name"): "letters, digits and _",
    }
    for arguments, told in cases.items():
        assert cli.run(list(arguments)) == 2, arguments
        assert told in capsys.readouterr().err, arguments


def test_doctor_finds_what_is_here_and_says_how_to_get_the_rest(capsys, monkeypatch):
    found = {one.part: one for one in doctor.survey()}
    assert found["torch"].here == __import__("importlib.metadata").metadata.version("torch")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    empty = list(doctor.survey())
    assert {one.here for one in empty} == {""}
    monkeypatch.setattr(doctor, "_machine", dict)
    assert cli.run(["doctor"]) == 0
    shown = capsys.readouterr().out
    for one in empty:
        assert f"to get {one.part}: {one.install}" in shown


def _complete(words, tmp_path):
    settings = {**os.environ, "_HWSIM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(
        len(words.split()) - 1
    )}  # fmt: skip
    line = "import sys; sys.argv[0] = 'hwsim'; from hwsim.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", line], env=settings, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


def test_a_shell_completes_commands_names_and_files(tmp_path):
    (tmp_path / "edge-mine.toml").write_text("")
    settings = os.environ.get("PYTHONPATH", "")
    assert settings or Path.cwd().joinpath("hwsim").is_dir()
    assert _complete("hwsim eval", tmp_path) == ["evaluate"]
    assert _complete("hwsim evaluate gpt-small edge-mx", tmp_path) == ["edge-mxfp4", "edge-mxfp8"]
    assert "edge-mine.toml" in _complete("hwsim evaluate gpt-small edge-m", tmp_path)
    assert _complete("hwsim study ternary", tmp_path) == ["ternary_lut"]


def test_colour_is_for_a_terminal_alone():
    line = [sys.executable, "-c", "from hwsim.cli.terminal import show_table; show_table(('a', 'b'), [('1', '2')])"]
    plain_env = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")}
    plain_env["TERM"] = "xterm-256color"
    piped = subprocess.run(line, capture_output=True, check=True, env=plain_env).stdout
    assert b"\x1b" not in piped
    assert "\x1b[1m" in on_a_terminal(line, plain_env)[0]


def test_help_imports_nothing_heavy():
    """What makes a start slow; its seconds are measured by hand, as no test asserts a time."""
    program = (
        "import sys; from hwsim import cli; status = cli.run(['--help']); "
        "print(status, sorted({'numba', 'torch', 'pandas', 'optuna', 'matplotlib', 'scipy', 'jinja2', 'llvmlite', "
        "'simpy', 'pyarrow', 'transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert "explore" in done.stdout
    assert done.stderr.splitlines()[-1] == "0 []"

"""The command line as a user meets it: the whole line on a user's own model, and one clear line for each mistake."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwsim import cli, load_trace, recipes
from hwsim.cli.designs import _traces_of
from hwsim.datapaths.circuits import build
from hwsim.gates.synthesis import synth
from hwsim.rtl.tools import available
from hwsim.search import space_from_dict
from hwsim.search.points import PointLog
from tests import samples

MODEL = Path(__file__).parent / "models" / "digits_cnn.py"


def _run(capsys, *arguments):
    status = cli.run([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "digits"
    assert cli.run(["capture", f"{MODEL}:build", "--out", str(folder), "--max-rows", "64"]) == 0
    return folder


def test_a_users_model_goes_through_capture_evaluate_explore_unchanged(digits, tmp_path, capsys):
    status, out, _ = _run(capsys, "evaluate", digits, "edge-int8", "--accuracy", "rerun", "--json")
    assert status == 0
    values = json.loads(out)["values"]
    assert values["metric"] > 0.9
    status, out, _ = _run(
        capsys, "explore", "edge-lm", "--trace", digits, "--trials", 20, "--no-gates", "--out", tmp_path / "run"
    )
    assert status == 0
    assert (tmp_path / "run" / "report.html").stat().st_size > 50_000
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["objectives"] == ["metric", "energy_uj", "area_mm2", "latency_ms"]
    assert manifest["left_out"] == ["unit=ternary (model bitnet)"]
    status, out, _ = _run(capsys, "report", tmp_path / "run")
    assert (status, "report.html" in out) == (0, True)


@pytest.mark.parametrize("function", ["", ":build"])
def test_a_space_names_its_model_by_a_path(function, tmp_path, capsys):
    """The trace lies in the study's folder under the file's name; the file stays as it is."""
    model = shutil.copy(Path(__file__).parent / "ordered" / "narrow.py", tmp_path)
    tables = samples.SPACE | {"models": [f"{model}{function}"], "search": {"accuracy": "replay"}}
    space = space_from_dict(tables, "small.toml")
    found = _traces_of(space.models, tmp_path / "run", space.name, fresh=False)
    assert found == [tmp_path / "run" / "traces" / "narrow"]
    assert load_trace(found[0]).name == "narrow"
    assert _traces_of(space.models, tmp_path / "run", space.name, fresh=False) == found
    assert capsys.readouterr().err.count("capturing") == 1  # what is there is taken
    assert sorted(path.name for path in tmp_path.iterdir()) == ["narrow.py", "run"]


def test_evaluate_shows_every_number_with_its_error_and_source(digits, capsys):
    status, out, _ = _run(capsys, "evaluate", digits, "edge-nvfp4")
    assert status == 0
    for name in ("sqnr_db", "energy_uj", "area_mm2", "latency_ms", "power_mw", "dram", "×/÷"):
        assert name in out


def _write(path, text):
    path.write_text(text)
    return path


def test_mistakes_are_one_line_and_status_2(digits, tmp_path, capsys):
    machine = Path(__file__).parent.parent / "dse" / "machines" / "edge-int8.toml"
    space = Path(__file__).parent.parent / "dse" / "edge-lm.toml"
    out = tmp_path / "out"
    wrong_scheme = _write(tmp_path / "m.toml", machine.read_text().replace('"int8.channel"', '"int8.chanel"'))
    wrong_key = _write(tmp_path / "s.toml", space.read_text().replace("[constraints]", "[constriants]"))
    no_build = _write(tmp_path / "empty.py", "x = 1\n")
    nan = _write(
        tmp_path / "nan.py",
        "import torch\n\ndef build():\n    m = torch.nn.Linear(4, 4)\n"
        "    m.weight.data[0, 0] = float('nan')\n    return m\n",
    )
    cases = {
        ("evaluate", digits, wrong_scheme): "int8.channel",
        ("evaluate", digits, "edge-nvfp5"): "edge-nvfp4",
        ("evaluate", tmp_path / "nowhere", "edge-int8"): "trace",
        ("explore", wrong_key, "--trace", digits, "--out", out): "did you mean 'constraints'",
        (
            "explore",
            "edge-lm",
            "--trace",
            digits,
            "--trials",
            0,
            "--out",
            out,
        ): "trials must be at least 1 and at most 10000000, got 0",
        ("capture", f"{no_build}:build", "--out", out): "build",
        ("capture", nan, "--out", out): "NaN",
        ("capture", tmp_path / "absent.py", "--out", out): "absent.py",
        ("report", tmp_path): "manifest.json",
        ("train", no_build): "training(model)",
    }
    for arguments, told in cases.items():
        status, _, err = _run(capsys, *arguments)
        assert status == 2, arguments
        assert told in err
        assert len(err.strip().splitlines()) == 1
        assert err.startswith("hwsim: ")
        assert "Traceback" not in err


def test_a_corrupt_trace_is_named_with_its_record(digits, tmp_path, capsys):
    import shutil

    spoilt = tmp_path / "spoilt"
    shutil.copytree(digits, spoilt)
    segment = spoilt / "seg-00000.bin"
    content = bytearray(segment.read_bytes())
    content[100] ^= 1
    segment.write_bytes(content)
    status, _, err = _run(capsys, "evaluate", spoilt, "edge-int8")
    assert status == 2
    assert "CRC-32 of record" in err
    assert str(segment) in err


def test_a_full_disk_is_one_line_and_loses_nothing(digits, tmp_path, capsys, monkeypatch):
    arguments = ("explore", "edge-lm", "--trace", digits, "--trials", 10, "--no-gates", "--out", tmp_path / "run")
    assert _run(capsys, *arguments)[0] == 0
    whole = (tmp_path / "run" / "points.jsonl").read_bytes()

    class Full:
        def __init__(self, path):
            self.path = path

        def open(self, *_, **__):
            raise OSError(28, "No space left on device", str(self.path))

        def __getattr__(self, name):
            return getattr(self.path, name)

        def __fspath__(self):
            return str(self.path)

    original = PointLog.__init__

    def init(self, folder):
        original(self, folder)
        self.path = Full(self.path)

    monkeypatch.setattr(PointLog, "__init__", init)
    status, _, err = _run(capsys, *arguments[:-5], "--trials", 40, "--out", tmp_path / "run", "--resume")
    assert (status, "No space left on device" in err, len(err.strip().splitlines()) >= 1) == (2, True, True)
    assert (tmp_path / "run" / "points.jsonl").read_bytes() == whole


def test_help_lists_every_command():
    done = subprocess.run([sys.executable, "-m", "hwsim", "--help"], capture_output=True, text=True, check=True)
    for command in ("capture", "evaluate", "explore", "report", "train"):
        assert command in done.stdout


@pytest.mark.skipif(not available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")
def test_synth_counts_what_the_library_adds_up_to(capsys):
    status, out, _ = _run(capsys, "synth", "mul_u2x2_array")
    report = synth(build("mul_u2x2_array"))
    cells = report.netlist.library.cells
    area = sum(cells[kind].area_um2 * count for kind, count in report.result.cells.items())
    assert status == 0
    assert [*out.splitlines()[1].split()] == [
        "mul_u2x2_array", f"{area:.1f}", f"{report.area_ge:.0f}", str(sum(report.result.cells.values())), "0",
        str(report.result.levels),
    ]  # fmt: skip
    assert "hwsim45.lib, Yosys" in out


def test_what_is_known_by_name_is_listed(capsys):
    status, out, _ = _run(capsys, "list", "recipes")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == recipes.names()
    assert f"{'nvidia-nvfp4':26} {recipes.get('nvidia-nvfp4').title}" in out.splitlines()
    assert "gpt" in [line.split()[0] for line in _run(capsys, "list", "models")[1].splitlines()]
    status, out, _ = _run(capsys, "list", "recipes", "--detail", "fp4-all-the-way-qaf")
    assert "layers wgrad: nvfp4.fp4atw_sr.zeros × nvfp4.fp4atw_sr.zeros" in out.splitlines()
    assert "from 0.96 of the steps on: dgrad, wgrad in high precision" in out.splitlines()
    assert recipes.get("fp4-all-the-way-qaf").claims[0] in out
    status, _, err = _run(capsys, "list", "zzz")
    assert status == 2
    kinds = "formats, machines, models, recipes, schemes, spaces, studies, units, workloads"
    assert err.startswith(f"hwsim: list must be one of {kinds}, got 'zzz'")

"""What a user, another process or the system may do: one line, or no loss, never a traceback or a wrong number."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hwsim
from hwsim import cache, cli
from hwsim.errors import ArgumentError, DesignError, StorageError, TraceError
from hwsim.evaluation.memo import Memo
from hwsim.evaluation.model_sources import identity
from hwsim.rtl.tools import available
from hwsim.search import load_study, space_from_dict
from hwsim.storage import is_held, owned, read_table, table_text, write_whole
from tests.samples import SPACE, Halves

ROOT = Path(__file__).resolve().parent.parent
EDGE = ROOT / "dse" / "edge-lm.toml"
MACHINE = ROOT / "dse" / "machines" / "edge-int8.toml"


@pytest.fixture
def space():
    return space_from_dict(SPACE, "small.toml")


def _told(capsys, *arguments):
    """The one line of a command that a user got wrong."""
    capsys.readouterr()
    status = cli.run([str(argument) for argument in arguments])
    lines = capsys.readouterr().err.splitlines()
    assert (status, len(lines), lines[0][:7]) == (2, 1, "hwsim: "), (arguments, status, lines)
    return lines[0]


def _text(path, text):
    path.write_text(text)
    return path


# Folders


def test_a_folder_of_another_kind_is_not_written(tiny_trace, space, tmp_path, capsys):
    model = _text(tmp_path / "m.py", "import torch\ndef build():\n    return torch.nn.Linear(4, 4)\n"
                                     "def batches():\n    yield torch.ones(2, 4)\n")  # fmt: skip
    trace = hwsim.capture(f"{model}:build", out=tmp_path / "trace").path
    study = tmp_path / "study"
    hwsim.explore(space, tiny_trace, trials=4, out=study)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text('{"name": "an app"}')
    (mine / "seg-00000.bin").write_text("mine")
    before = {path: path.read_bytes() for folder in (trace, study, mine) for path in folder.iterdir()}
    run = ("explore", EDGE, "--trace", tiny_trace.path, "--trials", 4, "--no-gates")
    cases = {
        (*run, "--out", trace): "with a trace",
        ("capture", f"{model}:build", "--out", study): "with a study",
        ("capture", f"{model}:build", "--out", mine): "with files of something else",
        ("rtl", "mul_u2x2_array", "--out", mine): "with files of something else",
        ("rtl", "mul_u2x2_array", "--out", trace): "with a trace",
        ("study", "pann", "--quick", "--out", study): "with a study",
    }
    for arguments, told in cases.items():
        assert told in _told(capsys, *arguments)
    assert {path: path.read_bytes() for folder in (trace, study, mine) for path in folder.iterdir()} == before
    assert cli.run(["rtl", "mul_u2x2_array", "--out", str(mine), "--rows", "2", "--force"]) == 0
    assert (mine / "seg-00000.bin").read_text() == "mine"


def test_one_at_a_time_works_in_a_folder(tiny_trace, space, tmp_path, capsys):
    run = tmp_path / "run"
    hwsim.explore(space, tiny_trace, trials=4, out=run)
    whole = (run / "points.jsonl").read_bytes()
    hold = f"""
import sys
from hwsim.storage import owned
with owned({str(run)!r}, "study"):
    print("held", flush=True)
    sys.stdin.read()
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ArgumentError, match="nobody else may work in the folder"):
            hwsim.explore(space, tiny_trace, trials=4, out=run, resume=True)
        assert "nobody else may work" in _told(capsys, "report", run)
        other.kill()
    assert (run / "points.jsonl").read_bytes() == whole
    hwsim.explore(space, tiny_trace, trials=4, out=run, resume=True)  # the kernel took the lock from the dead
    assert (run / "points.jsonl").read_bytes() == whole
    with owned(run, "study"), pytest.raises(ArgumentError, match="nobody else"), owned(run, "study"):
        pass


def test_who_looks_whether_a_folder_is_free_keeps_nobody_out(tmp_path):
    with owned(tmp_path, "study"):
        pass
    looking = os.open(tmp_path / ".hwsim", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)  # what `is_held` holds while it looks
    threading.Timer(0.05, os.close, (looking,)).start()
    with owned(tmp_path, "study"):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_study_goes_on_as_it_began_or_not_at_all(tiny_trace, space, tmp_path, monkeypatch):
    run = tmp_path / "run"
    hwsim.explore(space, tiny_trace, trials=8, out=run, seed=3)
    for wrong, rule in (
        ({"trials": 7, "seed": 3}, "at least the trials it began with"),
        ({"trials": 8, "seed": 4}, "with the seed it began with"),
    ):
        with pytest.raises(ArgumentError, match=rule):
            hwsim.explore(space, tiny_trace, out=run, resume=True, **wrong)
    monkeypatch.setattr("hwsim.search.explorer.sources", lambda: "another version")
    with pytest.raises(ArgumentError, match="with the sources it began with"):
        hwsim.explore(space, tiny_trace, trials=8, seed=3, out=run, resume=True)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"dask": "tcp://127.0.0.1:9"}, "a Dask scheduler must answer"),
        ({"dask": "no address"}, "a Dask scheduler must answer"),
        ({"workers": 0}, "workers must be at least 1"),
        ({"trials": 0}, "trials must be at least 1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"budget": -1}, "polish must be from 0"),
    ],
)
def test_a_search_that_did_not_start_leaves_nothing_in_the_way(tiny_trace, space, tmp_path, wrong, rule):
    if "dask" in wrong:
        pytest.importorskip("distributed", reason="needs Dask (pip install 'hwsim[dask]')")
    with pytest.raises(ArgumentError, match=rule):
        hwsim.explore(space, tiny_trace, out=tmp_path / "run", **{"trials": 4} | wrong)
    assert len(hwsim.explore(space, tiny_trace, trials=4, out=tmp_path / "run").points) == 4


def test_two_traces_of_one_name_are_refused(tiny_trace, space):
    with pytest.raises(ArgumentError, match=r"trace: traces must be of models of different names, got \['tiny'\]"):
        hwsim.explore(space, [tiny_trace, tiny_trace], trials=4)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"parameters": {"rows": {"choice": [4, 8], "sets": "array.rows"}, "array.rows": {"choice": [2, 4]}}},
            r"parameters.array.rows: only one parameter at a time may set array.rows, got \['rows', 'array.rows'\]",
        ),
        ({"objectives": ["energy", "area", "energy"]}, "objectives: objectives must be different, got"),
        ({"models": ["gpt", "gpt"]}, "models: models must be different, got"),
        (
            {"parameters": {"rows": {"choice": [4, 8, 4], "sets": "array.rows"}}},
            "parameters.rows: choice must list different values, got",
        ),
    ],
)
def test_nothing_of_a_space_is_dropped_unseen(change, told):
    with pytest.raises(DesignError, match=told):
        space_from_dict(SPACE | change, "small.toml")


def test_knobs_that_are_never_there_together_may_set_one_path():
    kinds = {"kind": {"choice": [4, 8], "sets": "array.rows"}}
    ports = {
        name: {"choice": [width], "sets": "memory.port_bits", "when": {"kind": rows}}
        for name, width, rows in (("few", 128, 4), ("many", 512, 8))
    }
    found = space_from_dict(SPACE | {"parameters": kinds | ports}, "small.toml")
    points = {"kind": 4, "few": 128}, {"kind": 8, "many": 512}
    assert [found.machine(point)["memory"]["port_bits"] for point in points] == [128, 512]


# Changed values


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        ("points.jsonl", b'"number":0', b'"number":7', "must match its CRC-32"),
        ("manifest.json", b'"seed": 0', b'"seed": 1', "must match its CRC-32"),
    ],
)
def test_a_changed_value_of_a_study_is_noticed(tiny_trace, space, tmp_path, name, old, new, rule):
    hwsim.explore(space, tiny_trace, trials=4, out=tmp_path)
    data = (tmp_path / name).read_bytes()
    assert data.count(old) == 1
    (tmp_path / name).write_bytes(data.replace(old, new))
    with pytest.raises(TraceError, match=rule):
        load_study(tmp_path)


@pytest.mark.parametrize("swept", [False, True])
def test_a_finished_study_that_lost_designs_is_none(tiny_trace, space, tmp_path, swept):
    made = hwsim.sweep(space, tiny_trace, out=tmp_path) if swept else hwsim.explore(
        space, tiny_trace, trials=4, out=tmp_path
    )  # fmt: skip
    log = tmp_path / "points.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(load_study(tmp_path).points) == len(lines) == len(made.points)
    for left in (lines[:-1], lines[1:], [*lines[:-1], lines[-1][:-9]], []):
        log.write_bytes(b"".join(left))
        rule = rf"must hold all its designs \({len(lines)}\), got {len(lines) - 1 if left else 0}"
        with pytest.raises(TraceError, match=rule):
            load_study(tmp_path)


def test_points_that_no_search_makes_are_refused(tiny_trace, space, tmp_path):
    from hwsim.storage import format_line

    hwsim.explore(space, tiny_trace, trials=4, out=tmp_path)
    log = tmp_path / "points.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        del line["crc32"]
    energy = lines[0]["values"]["energy_uj"]

    def written(*points):
        log.write_bytes(b"".join(map(format_line, points)))
        with pytest.raises(TraceError) as raised:
            load_study(tmp_path)
        return str(raised.value)

    first = lines[0]
    assert "a design must stand once" in written(first, first)
    assert "energy_uj of a point must not be below zero" in written(
        first | {"values": first["values"] | {"energy_uj": -energy}}
    )
    assert "values.energy_uj must be a finite number, got 'low'" in written(
        first | {"values": first["values"] | {"energy_uj": "low"}}
    )
    assert "must have the objectives of its study, got ['sqnr_db']" in written(
        first | {"values": {name: value for name, value in first["values"].items() if name != "sqnr_db"}}
    )
    log.write_text(json.dumps(first).replace(str(energy), "NaN") + "\n")  # of an earlier version, without a checksum
    with pytest.raises(TraceError, match="NaN is no number of JSON"):
        load_study(tmp_path)


# Caches


def test_a_memo_without_a_right_checksum_is_no_memo(tmp_path):
    path = tmp_path / "memo.jsonl"
    step = Halves("a")
    Memo(path).put(step, {"layer": 1.5})
    assert step in Memo(path)
    path.write_bytes(path.read_bytes().replace(b"1.5", b"9.5"))
    assert step not in Memo(path)
    path.write_text(f'{{"key": "{step.key}", "value": {{"layer": 9.5}}}}\n')
    assert step not in Memo(path)


def test_what_a_model_imports_is_part_of_its_identity(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = _text(tmp_path / "model.py", "import torch\nfrom helper import scale\n")
    helper = _text(tmp_path / "helper.py", "def f():\n    import deeper\n")
    _text(tmp_path / "deeper.py", "x = 1\n")
    first = identity(model)
    assert identity(model) == first
    _text(tmp_path / "deeper.py", "x = 2\n")
    second = identity(model)
    _text(tmp_path / "stranger.py", "x = 2\n")
    assert identity(model) == second != first
    _text(tmp_path / "model.safetensors", "weights")
    third = identity(model)
    assert third != second
    helper.write_text("import importlib\nimportlib.import_module('deep' + 'er')\n")
    assert identity(model) is None
    helper.write_text("import nobody_has_this\n")
    assert identity(model) is None


@pytest.mark.parametrize("name", ["cnn", "vit", "bitnet", "lstm"])
def test_python_that_a_model_loads_by_its_name_is_part_of_its_identity_too(name, tmp_path):
    for one in (ROOT / "models").iterdir():
        (tmp_path / one.name).write_bytes(one.read_bytes())
    loaded = {"bitnet": "gpt.py", "lstm": "gpt.py"}.get(name, "_digits.py")
    first = identity(tmp_path / f"{name}.py")
    assert first is not None
    with (tmp_path / loaded).open("a") as file:
        file.write("\nONE = 1\n")
    assert identity(tmp_path / f"{name}.py") not in (None, first)


RUN = """
import sys
from hwsim import cli
sys.argv = ["hwsim", *sys.argv[1:]]
cli.main()
"""


def _hwsim(*arguments, **environment):
    base = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    return subprocess.run(
        [sys.executable, "-c", RUN, *map(str, arguments)], capture_output=True, check=False,
        env=base | {"PYTHONPATH": str(ROOT)} | environment,
    )  # fmt: skip


def test_without_a_cache_folder_everything_works(tmp_path):
    (tmp_path / "file").write_text("")
    done = _hwsim("schema", HWSIM_CACHE_DIR=str(tmp_path / "file"))
    assert (done.returncode, done.stderr) == (0, b"")
    code = (
        "from hwsim.jit import njit\nimport hwsim.quant.catalog\n@njit\ndef f(x):\n    return x + 1\nassert f(1) == 2"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HWSIM_CACHE_DIR": str(tmp_path / "file")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def nobody() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize("why", ["no home", "a file in the way", "too long a name", "everybody writes it"])
def test_a_cache_that_cannot_be_is_none(why, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for name in ("HWSIM_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if why == "no home":  # a container's user whom the system does not know
        monkeypatch.setattr(Path, "home", nobody)
    elif why == "everybody writes it":
        monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
        (tmp_path / "memo").mkdir()
        (tmp_path / "memo").chmod(0o777)
    else:
        place = tmp_path / ("file" if why == "a file in the way" else "x" * 300)
        monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    assert cache.folder("memo") is None
    memo = Memo()
    assert memo.path is None
    assert memo.get(Halves("3")) == {"layer": 1.5}
    assert {held.files for held in cache.survey(verify=True)} == {0}
    assert cache.clear() == 0


def test_damaged_machine_code_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "kernel.py").write_text("from hwsim.jit import njit\n@njit\ndef f(x):\n    return x + 1\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from kernel import f; "
        "print(f(1), sum(f.stats.cache_hits.values()))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HWSIM_CACHE_DIR": str(tmp_path / "cache")}

    def run():
        return subprocess.run(
            [sys.executable, "-c", code], check=True, env=environment, capture_output=True, text=True
        ).stdout.split()

    assert run() == ["2", "0"]
    assert run() == ["2", "1"]
    records = sorted((tmp_path / "cache").rglob("*.nb?"))
    assert [path.suffix for path in records] == [".nbc", ".nbi"]
    for path in records:
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        assert [one.damaged for one in cache.survey(verify=True) if one.kind == "jit"] == [(path,)]
        assert run() == ["2", "0"]
        assert run() == ["2", "1"]
    assert cache.clear() == 2
    assert [one.files for one in cache.survey()] == [0, 0, 0]


def test_the_cache_of_another_user_is_absent(tmp_path, monkeypatch):
    path = tmp_path / "record"
    cache.store(path, "key", b"payload")
    assert cache.load(path, "key") == b"payload"
    assert cache.load(path, "other") is None
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if path.stat().st_uid:
        assert cache.load(path, "key") is None
    path.chmod(0o666)
    assert cache.load(path, "key") is None


def test_the_cache_is_shown_verified_and_cleared(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path))
    Memo().put(Halves("a"), {"layer": 1.0})
    assert cli.run(["cache"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    assert cli.run(["cache", "verify"]) == 0
    path = next((tmp_path / "memo").iterdir())
    path.write_bytes(path.read_bytes().replace(b"1.0", b"2.0"))
    assert cli.run(["cache", "verify"]) == 1
    assert f"{path}: damaged" in capsys.readouterr().out.replace("\n", "")
    assert cli.run(["cache", "clear"]) == 0
    assert not path.exists()


# Inputs


def test_mistakes_are_one_line(tiny_trace, tmp_path, capsys, monkeypatch):
    fifo = tmp_path / "fifo.toml"
    os.mkfifo(fifo)
    (tmp_path / "folder.toml").mkdir()
    deep = _text(tmp_path / "deep.toml", "a = " + "[" * 100_000 + "]" * 100_000)
    keys = _text(tmp_path / "keys.toml", ".".join("a" * 50_000) + " = 1")
    text = EDGE.read_text()
    wide = _text(
        tmp_path / "wide.toml", text.replace("rows = { int = [8, 32], log = true", "rows = { int = [2, 2000000000]")
    )
    negative = _text(tmp_path / "negative.toml", text + "\n")
    negative.write_text(
        "\n".join("population = -1" if line.startswith("population") else line for line in text.split("\n"))
    )
    long = "x" * 300
    trace = tiny_trace.path
    run = ("explore", "edge-lm", "--trace", trace, "--no-gates", "--out", tmp_path / "run")
    cases = {
        (*run, "--seed", -1): "seed must be a whole number from 0",
        (*run, "--seed", 10**20): "seed must be a whole number from 0",
        (*run, "--trials", -1): "trials must be at least 1",
        (*run, "--polish", -1): "polish must be from 0",
        ("train", "gpt", "--steps", 0): "steps must be from 1",
        ("train", "gpt", "--seed", -1): "seed must be a whole number",
        ("capture", "gpt", "--seed", 10**20, "--out", tmp_path / "t"): "seed must be a whole number",
        ("evaluate", trace, fifo): "must be a regular file, got 'a pipe'",
        ("evaluate", trace, tmp_path / "folder.toml"): "must be a regular file, got 'a folder'",
        ("evaluate", trace, "/dev/zero"): "must be a regular file, got 'a device'",
        ("evaluate", trace, deep): "must nest at most 32 deep",
        ("evaluate", trace, keys): "must nest at most 32 deep",
        ("evaluate", trace, long): "machine",
        ("evaluate", long, "edge-int8"): "trace",
        ("capture", long, "--out", tmp_path / "t"): "model",
        ("capture", "gpt", "--out", tmp_path / long): "File name too long",
        ("explore", long): "design space",
        ("explore", fifo): "got 'a pipe'",
        ("explore", deep): "must nest at most 32 deep",
        ("explore", wide): "a range must have at most 4096 values",
        ("explore", negative): "search.population must be a whole number from 2",
        ("report", fifo): "manifest.json",
        ("report", tmp_path / long): "",
        ("schema", "--out", fifo): "regular",
        ("explain", trace, "edge-int8", "--energy", "pann", "--page", tmp_path / "folder.toml"): "regular",
    }
    for arguments, told in cases.items():
        assert told in _told(capsys, *arguments), arguments
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))  # else the answer is known without a thread
    monkeypatch.setenv("HWSIM_NUM_THREADS", "abc")
    assert "HWSIM_NUM_THREADS: must be a whole number from 1 to 4096, got 'abc'" in _told(
        capsys, "evaluate", trace, "edge-int8"
    )


def test_a_table_holds_no_formula(tmp_path):
    names = ["=HYPERLINK(1)", "+1", "-x", "@x", "\tx", "'x", "plain", "a,b", 'say "x"']
    text = table_text(("name", "value"), [(name, -1.5) for name in names])
    assert text.splitlines()[1] == "'=HYPERLINK(1),-1.5"
    path = write_whole(tmp_path / "table.csv", text)
    assert [row["name"] for _, row in read_table(path, "table")] == names
    assert not any(line.startswith(("=", "+", "@", "\t")) for line in text.splitlines())


def test_names_are_text_in_tables_and_figures(space, tmp_path):
    import numpy as np

    from hwsim.search import Study
    from hwsim.trace import Gemm, Operand, TraceWriter, load_trace

    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((1, rows, 64)).astype(np.float32) for rows in (32, 16))
    with TraceWriter(tmp_path / "trace", {"model": "=HYPERLINK(1)", "weights": "0"}) as writer:
        operands = Operand(a, "activation", 32), Operand(b, "weight", 16)
        writer.append(Gemm("$\\frac{$", "linear", "forward", 0, 1, 32, 16, 64, *operands))
    study = hwsim.explore(space, load_trace(tmp_path / "trace"), trials=6, out=tmp_path / "run")
    page = hwsim.write_report(study, tmp_path / "run").read_text()
    assert "$\\frac{$" in page
    named = Study(tuple(
        type(point)(point.number, (("unit", "=1+1"), *point.point), *(getattr(point, name) for name in (
            "model", "values", "violations", "detail", "reason"))) for point in study.points
    ), study.manifest)  # fmt: skip
    named.write(tmp_path / "run")
    assert "'=1+1" in (tmp_path / "run" / "pareto.csv").read_text()
    assert ",=1" not in (tmp_path / "run" / "pareto.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (("synth", "mul_u2x2_array"), b"area um^2"),
        (("evaluate", "TRACE", "edge-int8", "--energy", "pann"), b"energy"),
        (("explain", "TRACE", "edge-int8", "--energy", "pann"), b"energy"),
        (("list", "machines"), b"edge-int8"),
        (("explore", "--help"), b"--trials"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_terminal_of_another_alphabet_gets_ascii(tiny_trace, tmp_path, arguments, printed):
    if arguments[0] == "synth" and not available("yosys", "yosys-abc"):
        pytest.skip("needs Yosys (apt install yosys)")
    done = _hwsim(
        *(tiny_trace.path if one == "TRACE" else one for one in arguments), LC_ALL="C", PYTHONCOERCECLOCALE="0",
        PYTHONUTF8="0", PYTHONIOENCODING="ascii", HWSIM_CACHE_DIR=str(tmp_path), COLUMNS="200",
    )  # fmt: skip
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert printed in done.stdout
    assert (done.stdout + done.stderr).isascii()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_whole(path, "one")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="file: file must be writable, No space left on device"):
        write_whole(path, "two")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "one"
    monkeypatch.undo()
    (tmp_path / "link").symlink_to(path)
    write_whole(tmp_path / "link", "three")
    assert ((tmp_path / "link").is_symlink(), path.read_text()) == (True, "three")
    with pytest.raises(StorageError, match="must be a regular one, got 'a device'"):
        write_whole("/dev/null", "four")
    assert not Path("/dev/null").is_file()

"""Killed at random moments, every command ends where an undisturbed one ends, and leaves nothing behind.

The fast tests kill a few times, the slow ones twenty times a kind (``pytest -m slow tests/test_kills.py``).
"""

from __future__ import annotations

import random
import re
import shutil
import time
from pathlib import Path

import pytest

import hwsim
from hwsim.rtl.tools import available

from . import samples
from .killing import SIGNALS, Scene, kill_rounds, tree
from .test_processes import MODEL, SPACE

ROOT = Path(hwsim.__file__).parent.parent

TRAINED = (  # far from its goal at the end, so that a step that is lost or done twice shows in the weights
    samples.TRAINED.replace("STEPS", "3000").replace("lr=0.05", "lr=0.0005")
    .replace("model(x) - x", "torch.nn.functional.dropout(model(x), 0.1) - x")
)  # fmt: skip
SWEPT = (
    SPACE.replace("[parameters]", '[parameters]\nclock = { choice = [0.3, 0.4, 0.5], sets = "technology.clock_ghz" }')
    .replace('technology = { clock_ghz = 0.5, node_nm = 16 }', 'technology = { clock_ghz = 0.5, node_nm = 16 }\n'
             'objective = "time"')
)  # fmt: skip
EXPLORE = ("explore", "space.toml", "--trace", "trace", "--trials", "12", "--no-gates", "--out", "run")
COMMANDS = {
    "capture": ("capture", "model.py:build", "--out", "run"),
    "explore": EXPLORE,
    "explore, two workers": (*EXPLORE, "--workers", "2"),
    "sweep": ("sweep", "swept.toml", "--trace", "trace", "--out", "run"),
    "train": ("train", "trained.py", "--out", "run/trained.safetensors"),
    "synth": ("synth", "mul_u2x2_array"),
    "calibrate": ("calibrate", "trace", "--unit", "truncated.py:Truncated", "--out", "run"),
}
GOES_ON = {"explore": ("--resume",), "explore, two workers": ("--resume",), "sweep": ("--resume",)}
LEFT_OUT = ("manifest.json", "report.html")  # seconds, and the time of day


@pytest.fixture
def scene(tmp_path):
    """The folder with a model, its trace and two spaces."""
    made = Scene(tmp_path)
    (tmp_path / "model.py").write_text(MODEL.format(folder=str(tmp_path), act="pass"))
    (tmp_path / "trained.py").write_text(TRAINED)
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "swept.toml").write_text(SWEPT)
    for path in (ROOT / "docs").glob("truncated.*"):
        shutil.copy(path, tmp_path)
    made.run("capture", "model.py:build", "--out", "trace")
    return made


def _made(scene, kind):
    """What a kind of command leaves, as bytes by name; a half-written file would be one more."""
    if kind == "synth":
        names = {Path(name).name for name in tree(scene.folder / "cache" / "synth")}
        return {"cached": sorted(names), "printed": scene.run(*COMMANDS["synth"])}
    found = tree(scene.folder / "run")
    kept = {re.sub(r"/[ab]-", "/", name): data for name, data in found.items() if Path(name).name not in LEFT_OUT}
    assert len(kept) == len(found) - sum(Path(name).name in LEFT_OUT for name in found), [*found]
    return kept  # a trace that took the place of another has a prefix


def _clear(scene):
    shutil.rmtree(scene.folder / "run", ignore_errors=True)
    (scene.folder / "run").mkdir()


def _kinds(fast):
    slow = [pytest.param(kind, 20, marks=pytest.mark.slow, id=f"{kind}, 20 rounds") for kind in COMMANDS]
    return [*(pytest.param(kind, rounds, id=kind) for kind, rounds in fast.items()), *slow]


@pytest.mark.parametrize(("kind", "rounds"), _kinds({"capture": 2, "sweep": 2}))
def test_a_killed_command_ends_where_an_undisturbed_one_does(scene, kind, rounds):
    if kind in ("synth", "calibrate") and not available("yosys", "yosys-abc"):
        pytest.skip("needs Yosys (apt install yosys)")
    _clear(scene)
    counts = kill_rounds(
        scene, COMMANDS[kind], lambda: _made(scene, kind), lambda: _clear(scene), rounds, GOES_ON.get(kind, ())
    )
    print(f"{kind}: {counts}")
    assert sum(counts.values()) == rounds


@pytest.mark.slow
def test_two_shard_workers_killed_at_random_moments_give_the_undivided_sweep(scene):
    rounds = 20
    given = ("swept.toml", "--trace", "trace", "--out")
    scene.run("sweep", *given, "whole")
    expected = {Path(name).name: data for name, data in tree(scene.folder / "whole").items()}
    commands = [("worker", *given, "run", "--shard", shard) for shard in ("1/2", "2/2")]
    scene.forget()
    began = time.monotonic()
    scene.run(*commands[0])
    takes, chosen = time.monotonic() - began, random.Random(1)
    shutil.rmtree(scene.folder / "run")
    ends = killed = 0
    for turn in range(rounds + 1):
        both = [scene.start(*command) for command in commands]
        if turn < rounds:
            time.sleep(1.5 * takes * chosen.uniform(0.1, 1.0))
            for one in chosen.sample(both, chosen.choice((1, 1, 2))):
                one.send_signal(chosen.choice(SIGNALS))
        told = [one.communicate(timeout=300)[1] for one in both]
        assert "Traceback" not in "".join(told)
        assert scene.left() == []
        killed += sum(one.returncode != 0 for one in both)
        if all(one.returncode == 0 for one in both):
            scene.run("merge", "run")
            found = {
                Path(name).name: data for name, data in tree(scene.folder / "run").items() if "shards" not in name
            }
            assert {name for name in expected if expected[name] != found[name]} <= set(LEFT_OUT)
            assert set(found) == set(expected)
            ends += 1
            shutil.rmtree(scene.folder / "run")
            scene.forget()
    print(f"shards: {killed} workers killed in {rounds} rounds, {ends} whole sweeps")
    assert ends >= 1


@pytest.mark.parametrize(("kind", "rounds"), _kinds({}))
def test_two_at_once_end_as_one(scene, kind, rounds):
    """The second is refused or waits; afterwards the folder holds what one leaves."""
    command, again = COMMANDS[kind], GOES_ON.get(kind, ())
    if kind == "calibrate" and not available("yosys", "yosys-abc"):
        pytest.skip("needs Yosys (apt install yosys)")
    _clear(scene)
    began = time.monotonic()
    scene.run(*command)
    takes, expected, chosen = time.monotonic() - began, _made(scene, kind), random.Random(2)
    refused = 0
    for _ in range(rounds):
        _clear(scene)
        scene.forget()
        first = scene.start(*command, *again)
        time.sleep(chosen.uniform(0.0, takes))
        second = scene.start(*command, *again)
        told = [one.communicate(timeout=600)[1] for one in (first, second)]
        for one, text in zip((first, second), told, strict=True):
            assert one.returncode in (0, 2), text
            assert one.returncode == 0 or "nobody else may" in text, text
            refused += one.returncode == 2
        assert 0 in (first.returncode, second.returncode)
        assert _made(scene, kind) == expected
        assert scene.left() == []
    print(f"{kind}: {refused} of {rounds} second ones refused")

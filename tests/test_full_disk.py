"""A disk that is full is one line and costs nothing: with room again the command goes on to what it always makes.

Twice: as a limit on the size of each file, which anybody can set, and as a file system of its own with so many bytes,
which only root may mount.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.rtl.tools import ToolError, available, synthesize

from .test_kills import COMMANDS, GOES_ON, _clear, _kinds, _made, scene

__all__ = ["scene"]

COMMANDS = COMMANDS | {"report": ("report", "run")}
PAGE = 4096


def _told(process: subprocess.Popen[str]) -> str:
    """What a command says that ends well, or in one line."""
    _, told = process.communicate(timeout=600)
    assert process.returncode in (0, 2), told
    assert "Traceback" not in told, told
    assert process.returncode == 0 or told.count("hwsim: ") == 1, told
    return told


def _begun(folder: Path) -> bool:
    """Whether a study is there that only ``--resume`` goes on with."""
    return any((folder / name).exists() for name in ("points.jsonl", "parts.json"))


@pytest.mark.parametrize(("kind", "rounds"), _kinds({"capture": 2}))
def test_a_full_disk_is_one_line_and_costs_nothing(scene, kind, rounds):
    """No file may grow beyond a random size."""
    _clear(scene)
    scene.run(*COMMANDS[kind])
    expected, chosen, refused = _made(scene, kind), random.Random(3), 0
    largest = max(len(data) for data in expected.values()) + 4096
    _clear(scene)
    scene.forget()
    fresh = True
    for _ in range(rounds):
        with scene.start(*COMMANDS[kind], *(() if fresh else GOES_ON.get(kind, ())),
                         most_bytes=int(largest ** chosen.uniform(0.0, 1.05))) as process:  # fmt: skip
            _told(process)
        assert scene.left() == []
        refused += process.returncode == 2
        fresh = not _begun(scene.folder / "run")
        if process.returncode == 0:
            assert _made(scene, kind).keys() == expected.keys()
            _clear(scene)
            scene.forget()
            fresh = True
    scene.run(*COMMANDS[kind], *(() if fresh else GOES_ON.get(kind, ())))
    assert _made(scene, kind) == expected
    print(f"{kind}: {refused} of {rounds} runs found the disk full")
    assert refused


@pytest.mark.parametrize("most_bytes", [8, 2000])  # the text for Yosys is larger; then what Yosys writes
def test_a_temporary_folder_without_room_is_one_line(scene, most_bytes):
    if not available("yosys", "yosys-abc"):
        pytest.skip("needs Yosys (apt install yosys)")
    with scene.start(*COMMANDS["synth"], most_bytes=most_bytes) as process:
        told = _told(process)
    assert process.returncode == 2
    assert ("temporary folder must have room, File too large" if most_bytes == 8 else "Yosys: must ") in told
    assert scene.left() == []


@pytest.mark.parametrize("text", ["", '{"modules": {"half', '{"modules": {}}', None])
def test_a_netlist_that_is_not_whole_is_one_line(tmp_path, monkeypatch, text):
    """A file system that is full tells Yosys, which does not tell us."""
    if not available("yosys", "yosys-abc"):
        pytest.skip("needs Yosys (apt install yosys)")

    def run(command, *, cwd, **_):
        if text is not None:
            (cwd / "netlist.json").write_text(text)

    monkeypatch.setattr("hwsim.rtl.tools.yosys.run", run)
    with pytest.raises(ToolError, match="Yosys: must write the whole netlist"):
        synthesize("module a; endmodule", "a", DEFAULT_LIBERTY)


@contextlib.contextmanager
def _disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of `size` bytes at `folder`."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _can_mount(folder: Path) -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with contextlib.suppress(subprocess.CalledProcessError), _disk(folder, PAGE):
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        pytest.param("capture", 2, id="capture"),
        *(
            pytest.param(kind, 20, marks=pytest.mark.slow, id=f"{kind}, 20 rounds")
            for kind in ("capture", "explore", "explore, two workers", "sweep", "train", "report")
        ),
    ],
)
def test_a_file_system_without_room_is_one_line_and_costs_nothing(scene, kind, rounds):
    """Everything that the command writes but its cache lies on the file system that fills."""
    run = scene.folder / "run"
    if not _can_mount(run):
        pytest.skip("only root may mount a file system")
    _clear(scene)
    if kind == "report":
        scene.run(*COMMANDS["explore"])
    before = {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}
    scene.run(*COMMANDS[kind])
    expected, chosen, refused = _made(scene, kind), random.Random(5), 0
    needed = sum(-(-path.stat().st_size // PAGE) * PAGE for path in run.rglob("*") if path.is_file())
    least = 1 + sum(-(-len(data) // PAGE) for data in before.values())
    shutil.rmtree(run)
    for _ in range(rounds):
        pages = max(least, int((needed / PAGE) ** chosen.uniform(0.0, 1.05)))
        with _disk(run, pages * PAGE):
            for path, data in before.items():
                (run / path).parent.mkdir(exist_ok=True)
                (run / path).write_bytes(data)
            with scene.start(*COMMANDS[kind]) as process:
                told = _told(process)
            assert scene.left() == []
            assert process.returncode == 0 or "No space left on device" in told, told
            refused += process.returncode == 2
            subprocess.run(["mount", "-o", f"remount,size={4 * needed + (1 << 24)}", str(run)], check=True)
            if process.returncode == 2:
                scene.run(*COMMANDS[kind], *(GOES_ON.get(kind, ()) if _begun(run) else ()))
            assert _made(scene, kind) == expected
            if kind in ("explore", "report"):
                assert (run / "report.html").read_text().rstrip().endswith("</html>")
        scene.forget()
    print(f"{kind}: {refused} of {rounds} runs found the file system full")
    assert refused

"""Circuits made beside other work: all of a front at the end, none left behind by an interruption."""

from __future__ import annotations

import os
import subprocess
import threading
import time

import pytest

from hwsim import load_accelerator
from hwsim.evaluation import Synthesis
from hwsim.gates import synthesis
from hwsim.rtl import tools
from hwsim.rtl.multipliers import multiplier

SLEEPER = """#!/bin/sh
if [ "$1" = "-V" ]; then echo "Yosys that sleeps"; exit 0; fi
echo $$ > {pid}.draft && mv {pid}.draft {pid}
sleep 600
"""


@pytest.fixture
def asleep(tmp_path, monkeypatch):
    """A Yosys that never ends; the path where it leaves its process' number."""
    monkeypatch.setenv("HWSIM_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("yosys", "yosys-abc"):
        (tmp_path / name).write_text(SLEEPER.format(pid=tmp_path / "pid"))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for known in (tools.yosys_version, synthesis._report):  # what this process made before
        known.cache_clear()
    yield tmp_path / "pid"
    tools.yosys_version.cache_clear()


def test_an_interruption_ends_the_tools(asleep):
    with pytest.raises(KeyboardInterrupt), Synthesis() as running:  # noqa: PT012 - the body is what is interrupted
        running.add(load_accelerator("edge-int4"))
        for _ in range(3000):
            if asleep.exists():
                break
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert_gone(int(asleep.read_text()))


@pytest.mark.parametrize("when", ["while it runs", "while it is started"])
def test_an_interrupted_catalogue_ends_the_tools(asleep, monkeypatch, when):
    started, begin = threading.Event(), subprocess.Popen

    def late(*args, **options):
        started.set()
        time.sleep(0.3)
        return begin(*args, **options)

    def interrupted(self, *_):
        assert started.wait(30)
        while when == "while it runs" and not asleep.exists():
            time.sleep(0.01)
        raise KeyboardInterrupt

    tools.yosys_version()
    monkeypatch.setattr("subprocess.Popen", late)

    monkeypatch.setattr("concurrent.futures.Future.result", interrupted)
    unit = multiplier(3, 3)
    with pytest.raises(KeyboardInterrupt):
        synthesis.synth_all([(unit.verilog, unit.top)])
    if when == "while it runs" or asleep.exists():  # else it had no time to say who it was
        assert_gone(int(asleep.read_text()))


def assert_gone(pid):
    for _ in range(3000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail("the tool lives on")


def test_units_of_other_designs_are_dropped(monkeypatch):
    made = []
    monkeypatch.setenv("HWSIM_NUM_THREADS", "1")
    monkeypatch.setattr("hwsim.datapaths.pricing.unit_logic", lambda unit: (time.sleep(0.05), made.append(unit.name)))
    wanted, other = load_accelerator("edge-int4"), load_accelerator("edge-int8")
    with Synthesis() as running:
        running.add(load_accelerator("edge-nvfp4"))
        running.add(other)
        running.finish([wanted])
        assert made[-1] == wanted.policy.default.datapath.name
    assert other.policy.default.datapath.name not in made

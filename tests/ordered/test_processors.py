"""The same bits on every processor: by the settings that make torch, Intel's library, OpenBLAS, NumPy and Numba take
the paths of a lesser one, each in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

import hwsim
from hwsim import cache

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    "ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES",
    "NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "HWSIM_NUM_THREADS", "OMP_NUM_THREADS",
)  # fmt: skip

TORCH = {
    "default": {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Nehalem"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512"},
}
NUMBA = {name: {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": ""} for name in ("x86-64", "haswell", "skylake-avx512")}


def threads(count: int) -> dict[str, str]:
    return {"HWSIM_NUM_THREADS": str(count), "OMP_NUM_THREADS": str(count)}


def runs_here(corner: dict[str, str]) -> bool:
    """Whether this processor has the instructions of a corner."""
    flags = set(Path("/proc/cpuinfo").read_text().split()) if Path("/proc/cpuinfo").exists() else set()
    needed = {"haswell": {"avx2", "fma", "bmi2"}, "skylake-avx512": {"avx512f", "avx512dq", "avx512bw", "avx512vl"}}
    return needed.get(corner.get("NUMBA_CPU_NAME", ""), set()) <= flags


def bits(corner: dict[str, str], *models: str) -> dict[str, str]:
    """What `corner.py` prints under these settings."""
    outer = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    program = Path(__file__).with_name("corner.py")
    command = [sys.executable, "-W", "error", str(program), *models]
    done = subprocess.run(
        command, env=outer | {"PYTHONPATH": str(ROOT)} | corner, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def differing(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    return [name for name in expected if found.get(name) != expected[name]]


@pytest.fixture(scope="module")
def native() -> dict[str, str]:
    return bits({}, "vit")


def test_nothing_is_left_to_torch(native):
    assert native["left to torch"] == ""
    assert len(native) > 130


@pytest.mark.parametrize("name", ["default", "avx2"])
def test_operators_operands_and_metrics_do_not_depend_on_what_torch_finds(native, name):
    assert differing(bits(TORCH[name] | threads(1), "vit"), native) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("torch_has", "numba_has", "count"),
    list(product(TORCH, NUMBA, (1, 2, 4))),
    ids=lambda value: str(value),
)
def test_no_bit_depends_on_the_processor(native, torch_has, numba_has, count):
    corner = TORCH[torch_has] | NUMBA[numba_has] | threads(count)
    if not runs_here(corner):
        pytest.skip(f"this processor cannot run the code of {numba_has}")
    assert differing(bits(corner, "vit"), native) == []


def front(space: Path, folder: Path, corner: dict[str, str], *options: str) -> tuple[bytes, bytes]:
    """``pareto.csv`` and ``points.jsonl`` of a search with nothing remembered but machine code, which Numba keeps
    apart by processor."""
    own, common = folder / "cache", cache.folder("jit")
    own.mkdir(parents=True)
    if common is not None:
        (own / "jit").symlink_to(common.resolve())
    outer = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    command = [sys.executable, "-m", "hwsim", "explore", str(space), "--trials", "24", "--seed", "1", "--no-gates"]
    done = subprocess.run(
        [*command, "--out", str(folder / "study"), *options],
        env=outer | {"PYTHONPATH": str(ROOT), "HWSIM_CACHE_DIR": str(own)} | corner,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return (folder / "study" / "pareto.csv").read_bytes(), (folder / "study" / "points.jsonl").read_bytes()


def narrowed(text: str, models: str) -> str:
    """The example's space over another model, with few neighbours tried."""
    text = text.replace('models = ["gpt", "bitnet"]', f"models = {models}").replace('\nmodel = "bitnet"', "")
    return text.replace("\nmetric = { bytes = 8192 }", "").replace("polish = 100", "polish = 4")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every knob and arithmetic of the example, for a transformer that one of 54 searches takes seconds for."""
    folder = tmp_path_factory.mktemp("space")
    model = shutil.copy(Path(__file__).with_name("narrow.py"), folder)
    text = narrowed((ROOT / "dse" / "edge-lm.toml").read_text(), json.dumps([str(model)]))
    assert "bitnet" not in text.partition("[parameters]")[2]
    assert "bytes = " not in text
    (folder / "narrow.toml").write_text(text)
    return folder / "narrow.toml"


@pytest.fixture(scope="module")
def native_front(space: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    return front(space, tmp_path_factory.mktemp("native") / "run", {})


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("numba_has", NUMBA)
@pytest.mark.parametrize("torch_has", TORCH)
def test_one_front_on_every_processor(native_front, space, tmp_path, torch_has, numba_has, count, workers):
    corner = TORCH[torch_has] | NUMBA[numba_has] | threads(count)
    if not runs_here(corner):
        pytest.skip(f"this processor cannot run the code of {numba_has}")
    found = front(space, tmp_path / "run", corner, "--workers", str(workers))
    assert len(native_front[0].splitlines()) > 5
    assert len(native_front[1].splitlines()) >= 24
    assert found == native_front


@pytest.mark.slow
def test_one_front_with_dask(native_front, space, tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask is not installed (pip install hwsim[dask])")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        corner = TORCH["avx2"] | NUMBA["haswell"] | threads(1)
        assert front(space, tmp_path / "run", corner, "--dask", cluster.scheduler_address) == native_front


AGAIN = """
import json, sys
from hwsim import load_study
study = load_study("reports/edge-lm")
print(json.dumps([study.evaluate(study.point(int(number))).values for number in sys.argv[1:]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("corner", [TORCH["avx2"] | NUMBA["haswell"], TORCH["default"] | NUMBA["x86-64"]])
def test_designs_of_the_committed_front_are_the_same_elsewhere(tmp_path, corner):
    """One design of each of five arithmetics, with the whole of the metric's text."""
    if not (ROOT / "reports" / "run" / "traces").is_dir():
        pytest.skip("the traces of the committed front are not here (make explore)")
    committed = hwsim.load_study(ROOT / "reports" / "edge-lm")
    first = {dict(point.point)["unit"]: point for point in reversed(committed.front)}
    chosen = [first[unit] for unit in sorted(first)][::2]
    assert len(chosen) >= 3
    outer = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", AGAIN, *(str(point.number) for point in chosen)],
        env=outer | {"PYTHONPATH": str(ROOT), "HWSIM_CACHE_DIR": str(tmp_path)} | corner,
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == [dict(point.values) for point in chosen]

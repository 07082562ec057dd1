"""Plants the faults of `faults.py` one by one and tells which of them the fast tests see.

    python tests/mutants/run.py [--out reports/mutants.md] [--only TEXT] [--jobs 2] [--resume]

Every fault is planted in a copy of the tree in a temporary folder. Kernels run uncompiled there, so that a fault in
one of them is not compiled anew, but for the rooms of numbers, whose tests would take too long. A fault is seen when
a test fails, or when none can be collected.

Each row is kept in ``build/mutants`` as soon as it is known, so that an interrupted run goes on with ``--resume``: a
row stands while its fault, the file that it is planted in and its tests have the texts that they had. ``--known``
reports without trying any, and says how many rows are of earlier texts. The copies' cache lies there too: no faulty
line writes to the user's.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import faults
import faults_asking
import faults_numerics
from faults import Fault
from kept import Log

FAULTS = (*faults.FAULTS, *faults_numerics.FAULTS, *faults_asking.FAULTS)
ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "hwsim",
    "tests",
    "dse",
    "models",
    "traces",
    "reports/edge-lm",
    "reports/free_units.md",
    "pyproject.toml",
    "README.md",
)
BY_HAND = ("tests/evaluation/test_plans_by_hand.py",)
PRICED = ("tests/evaluation/test_prices_by_hand.py", "tests/evaluation/test_energy_by_hand.py")
RESULT = ("tests/evaluation/test_result_by_hand.py", "tests/evaluation/test_ledger.py")
TESTS: dict[str, tuple[str, ...]] = {
    "hwsim/arch/row": ("tests/arch/test_row_stationary.py", *BY_HAND),
    "hwsim/arch/dataflow": ("tests/arch/test_dataflow.py", "tests/timing/test_cycles.py", *BY_HAND),
    "hwsim/arch/units": BY_HAND,
    "hwsim/arch/plan": (*RESULT, *PRICED),
    "hwsim/arch": ("tests/arch/test_clock.py", "tests/arch/test_memories.py", "tests/arch/test_machines.py", *RESULT),
    "hwsim/timing/schedule": ("tests/timing/test_schedule.py",),
    "hwsim/timing": ("tests/timing/test_cycles.py", *BY_HAND),
    "hwsim/cost/memory": ("tests/cost/test_memory.py",),
    "hwsim/cost/sram": ("tests/cost/test_memory.py", *PRICED),
    "hwsim/cost": (
        "tests/cost/test_technology.py", "tests/cost/test_clock_tree.py", "tests/cost/test_clocking.py",
        "tests/cost/test_wires.py", "tests/cost/test_dram.py", "tests/cost/test_words.py",
    ),
    "hwsim/evaluation": (*PRICED, *RESULT, "tests/evaluation/test_objectives.py"),
    "hwsim/formats": (
        "tests/formats/test_reference.py", "tests/formats/test_format.py", "tests/formats/test_gfloat.py",
    ),
    "hwsim/quant": ("tests/quant/test_kernels.py", "tests/quant/test_sources.py", "tests/quant/test_variants.py"),
    "hwsim/quant/engine": (
        "tests/quant/test_scheme.py", "tests/quant/test_kernels.py", "tests/quant/test_sources.py",
        "tests/quant/test_variants.py",
    ),
    "hwsim/quant/rotation": ("tests/quant/test_rotation.py",),
    "hwsim/datapaths/integer/bits": ("tests/datapaths/test_integer.py",),
    "hwsim/datapaths/integer": (
        "tests/cost/test_words.py", "tests/datapaths/test_integer_price.py", *PRICED, *RESULT,
    ),
    "hwsim/datapaths/dot": (
        "tests/datapaths/test_tensor_core_definition.py", "tests/datapaths/test_tensor_core.py",
        "tests/datapaths/test_free_dot.py",
    ),
    "hwsim/recipes": ("tests/recipes/test_contract.py", "tests/recipes/test_quantizers.py"),
    "hwsim/search/pareto": ("tests/search/test_pareto.py",),
    "hwsim/search/running": ("tests/search/test_sweeping.py",),
    "hwsim/search/volume": ("tests/search/test_volume.py",),
    "hwsim/search/thinning": ("tests/search/test_thinning.py",),
    "hwsim/search": ("tests/search/test_query.py", "tests/search/test_difference.py"),
    "hwsim/trace": ("tests/trace/test_store.py",),
    "hwsim/storage": ("tests/test_robust.py",),
    "hwsim/report": ("tests/report/test_page.py",),
    "hwsim/cli": ("tests/search/test_query.py",),
    "hwsim/workloads": ("tests/workloads/test_catalogue.py",),
    "hwsim/timing/serving": ("tests/timing/serving/test_engine.py",),
    "hwsim/timing/clusters": ("tests/timing/clusters/test_clusters.py",),
    "hwsim/gates": ("tests/gates/test_energy.py",),
}  # fmt: skip
"""Test files by the beginning of a fault's file; the longest beginning counts."""

COMPILED = (
    "hwsim/formats",
    "hwsim/quant",
    "hwsim/datapaths",
    "hwsim/gates",
    "hwsim/recipes",
    "hwsim/search",
    "hwsim/report",
    "hwsim/storage",
    "hwsim/timing/serving",
    "hwsim/cli",
)
"""Rooms whose tests take too long uncompiled; a kernel with a fault is compiled anew."""
EQUIVALENT = {
    ("hwsim/quant/reference.py", "padding counts as error"): (
        "padding is +0, and both maps take +0 to +0, whose error is 0"
    ),
    ("hwsim/datapaths/dot/kernels/general.py", "no least exponent"): (
        "the largest exponent starts from that of c, which a zero of c takes from the least one, and no other c lies "
        "below it (`hwsim/datapaths/dot/rule.py`)"
    ),
}
"""Faults that no test can see, and why."""
LIMIT_S = 400
KEPT = ROOT / "build" / "mutants"


def tests_of(file: str) -> tuple[str, ...]:
    """The test files that should see a fault in `file`."""
    return TESTS[max((key for key in TESTS if file.startswith(key)), key=len)]


def copied(folder: Path) -> Path:
    """A copy of the tree below `folder`."""
    skip = shutil.ignore_patterns("__pycache__", "*.pyc", ".pytest_cache")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=skip)
        elif (ROOT / name).is_file():
            shutil.copy(ROOT / name, folder / name)
    return folder


def tried(folder: Path, fault: Fault) -> tuple[bool, str]:
    """Whether the fault is seen in the tree at `folder`, and the first test that does."""
    path = folder / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise SystemExit(f"{fault.file} must hold once: {fault.old!r}")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    try:
        return failed(folder, tests_of(fault.file), fault.file.startswith(COMPILED))
    finally:
        path.write_text(text, encoding="utf-8")


def failed(folder: Path, tests: Iterable[str], compiled: bool) -> tuple[bool, str]:
    """Whether a test fails in the tree at `folder`, and which; with compiled kernels or without."""
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *tests]
    above = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {
        "PYTHONPATH": above, "NUMBA_DISABLE_JIT": str(int(not compiled)), "HWSIM_CACHE_DIR": str(KEPT / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    try:
        run = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
            preexec_fn=_limited, timeout=10 * LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True, f"no end in {10 * LIMIT_S} s"
    if run.returncode == -signal.SIGXCPU:
        return True, f"no end in {LIMIT_S} s"
    seen = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    first = seen[0].partition(" ")[2].partition(" - ")[0].rpartition("/")[2] if seen else ""
    return run.returncode != 0, first or " ".join(run.stdout[-200:].split())


def texts_of(fault: Fault, folder: Path = ROOT) -> tuple[str, ...]:
    """What a row depends on: the fault, the file that it is planted in, its tests."""
    files = (fault.file, *tests_of(fault.file))
    return (*fault, *((folder / file).read_text(encoding="utf-8") for file in files))


def texts_of_all(folder: Path) -> tuple[str, ...]:
    """What a test without a fault depends on: every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)


def _limited() -> None:
    """Seconds of the processor, so that a machine that is busy ends no test."""
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 5))


def report(rows: list[tuple[Fault, bool, str]], planted: int, earlier: int, seconds: float) -> str:
    """The table of the faults that were tried, of those `planted`, and how many of them on `earlier` texts."""
    killed = sum(seen for _, seen, _ in rows)
    left = "" if len(rows) == planted else f" {planted - len(rows)} of {planted} were not tried."
    left += f" {earlier} were tried before the last change of their file or tests." if earlier else ""
    share = 100 * killed / max(1, len(rows))
    lines = [
        "# Faults that the fast tests see",
        "",
        f"{killed} of {len(rows)} faults are seen ({share:.0f} %), in {seconds:.0f} s.{left}",
        "",
        "Made by `make mutants` (`python tests/mutants/run.py --out reports/mutants.md`). Each is one small change",
        "of meaning, chosen by reading the code before looking for a test that would see it.",
        "",
        "| file | fault | seen by |",
        "|---|---|---|",
    ]
    for fault, seen, test in sorted(rows, key=lambda row: row[1]):
        reason = EQUIVALENT.get((fault.file, fault.meaning), "")
        by = test if seen else f"**nothing**{reason and ', as it changes nothing: '}{reason}"
        lines.append(f"| {fault.file.removeprefix('hwsim/')} | {fault.meaning} | {by} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Plant all faults, print what is not seen, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--resume", action="store_true", help="go on with the rows of a run that was interrupted")
    parser.add_argument("--known", action="store_true", help="report the rows that are known, try nothing")
    chosen = parser.parse_args()
    planted = [fault for fault in FAULTS if chosen.only in f"{fault.file} {fault.meaning}"]
    log = Log(KEPT / "rows.jsonl", chosen.resume or chosen.known)
    if not chosen.known:
        _try_all(planted, log, chosen.jobs)
    known = [(fault, row) for fault in planted if (row := log.get(*texts_of(fault)) or log.get(*fault)) is not None]
    rows = [(fault, seen, test) for fault, (seen, test, _) in known]
    earlier = sum(log.get(*texts_of(fault)) is None for fault, _ in known)
    if chosen.out:
        seconds = sum(row[2] for _, row in known)
        chosen.out.write_text(report(rows, len(planted), earlier, seconds), encoding="utf-8")
    sys.stdout.write(f"{sum(row[1] for row in rows)} of {len(rows)} seen\n")


def _try_all(planted: list[Fault], log: Log, jobs: int) -> None:
    """Try what `log` does not know."""
    with tempfile.TemporaryDirectory(prefix="hwsim-mutants-") as top:
        trees: SimpleQueue[Path] = SimpleQueue()
        for job in range(jobs):
            trees.put(copied(Path(top) / str(job)))
        everything = texts_of_all(Path(top) / "0")
        left = [fault for fault in planted if log.get(*texts_of(fault, Path(top) / "0")) is None]
        needed = sorted({(test, fault.file.startswith(COMPILED)) for fault in left for test in tests_of(fault.file)})

        def unharmed(asked: tuple[str, bool]) -> str:
            named = (asked[0], str(asked[1]), *everything)
            if log.get(*named) is not None:
                return ""
            tree, began = trees.get(), time.monotonic()
            try:
                broken, test = failed(tree, asked[:1], asked[1])
            finally:
                trees.put(tree)
            sys.stdout.write(f"{'FAILS' if broken else 'passes'} without a fault: {asked[0]}\n")
            sys.stdout.flush()
            if not broken:
                log.put((False, "", time.monotonic() - began), *named)
            return f"{asked[0]}: {test}" if broken else ""

        with ThreadPoolExecutor(jobs) as pool:
            if broken := [test for test in pool.map(unharmed, needed) if test]:
                raise SystemExit(f"tests fail without a fault: {', '.join(broken)}")

        def one(fault: Fault) -> None:
            tree, began = trees.get(), time.monotonic()
            try:
                texts = texts_of(fault, tree)
                seen, test = tried(tree, fault)
            finally:
                trees.put(tree)
            row = seen, test, time.monotonic() - began
            log.put(row, *texts)
            log.put(row, *fault)
            sys.stdout.write(f"{'seen' if seen else 'NOT SEEN'}: {fault.file}: {fault.meaning}: {test}\n")
            sys.stdout.flush()

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(one, left))


if __name__ == "__main__":
    main()

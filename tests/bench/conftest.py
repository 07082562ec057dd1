"""Benchmarks: ratios within one run, and a few rates; never a timed assertion.

``bench.compare`` calls its candidates round-robin, so that a busy machine slows all of them alike, each one twice in
a row of which the second call counts (steady state), and writes medians, minima and the ratio to
``reports/bench.json`` and ``reports/bench.md``, unless some were left out by name; of a processor held to less than
it has, to files of another name (``make bench-avx2``).
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llvmlite.binding import get_host_cpu_name
from numba.core import config

from hwsim.jit import thread_count

REPORTS = Path(__file__).resolve().parents[2] / "reports"


@dataclass
class Bench:
    """Collects comparisons; the session writes them at its end."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def compare(
        self,
        name: str,
        candidates: dict[str, Callable[[], object]],
        *,
        baseline: str,
        bound: float | None = None,
        at_least: bool = False,
        repeats: int = 9,
        warmup: int = 2,
    ) -> float:
        """Time the first candidate against `baseline` and return the ratio of their medians.

        `bound` is the promised ratio: at most, or with `at_least` the least speed-up of the first candidate.
        """
        for _ in range(warmup):
            for run in candidates.values():
                run()
        times: dict[str, list[float]] = {label: [] for label in candidates}
        for _ in range(repeats):
            for label, run in candidates.items():
                run()  # not measured: the worker threads of the last candidate's library still spin on a core
                start = time.perf_counter()
                run()
                times[label].append(time.perf_counter() - start)
        first = next(iter(candidates))
        medians = {label: statistics.median(values) for label, values in times.items()}
        ratio = medians[first] / medians[baseline]
        shown = 1 / ratio if at_least else ratio
        row = {
            "work": name,
            "median_ms": {label: round(value * 1e3, 3) for label, value in medians.items()},
            "min_ms": {label: round(min(values) * 1e3, 3) for label, values in times.items()},
            "ratio_to": baseline,
            "ratio": round(shown, 3),
            "bound": bound,
            "bound_is": "at least, times faster" if at_least else "at most, times the baseline",
            "reached": None if bound is None else bool(shown >= bound if at_least else shown <= bound),
        }
        self.rows.append(row)
        print(f"\n{name}: {row['median_ms']} ms, ratio {row['ratio']} (bound {bound})")
        return shown

    def rate(
        self, name: str, run: Callable[[], object], amount: int, unit: str, *, bound: float, repeats: int = 9
    ) -> float:
        """Time `run`, which does `amount` of something, and return how much it does a second; `bound` is promised."""
        run()
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        rate = amount / statistics.median(times)
        row = {
            "work": name,
            "median_ms": {unit: round(statistics.median(times) * 1e3, 3)},
            "min_ms": {unit: round(min(times) * 1e3, 3)},
            "ratio_to": f"{unit} a second",
            "ratio": float(f"{rate:.3g}"),
            "bound": bound,
            "bound_is": f"at least, {unit} a second",
            "reached": bool(rate >= bound),
        }
        self.rows.append(row)
        print(f"\n{name}: {rate:.3g} {unit} a second (bound {bound:g})")
        return rate


def _machine() -> dict[str, Any]:
    import torch

    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    return {
        "cpu": cpu,
        "threads": thread_count(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "compiled_for": config.CPU_NAME or get_host_cpu_name(),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _table(record: dict[str, Any], name: str) -> str:
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make {name}`: medians of interleaved runs in one process, so ratios hold where times do not.",
        "",
        f"Machine: {', '.join(f'{key} {value}' for key, value in record['machine'].items())}.",
        "",
        "| work | median ms | ratio | bound | reached |",
        "|---|---|---|---|---|",
    ]
    for row in record["comparisons"]:
        times = "; ".join(f"{label} {value:g}" for label, value in row["median_ms"].items())
        bound = "" if row["bound"] is None else f"{row['bound']:g} {row['bound_is']}"
        reached = {True: "yes", False: "**no**", None: ""}[row["reached"]]
        lines.append(f"| {row['work']} | {times} | {row['ratio']:g} (to {row['ratio_to']}) | {bound} | {reached} |")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def bench(request):
    record = {"machine": _machine()}
    collected = Bench()
    yield collected
    asked = request.config
    whole = not asked.option.keyword and all(Path(one).is_dir() for one in asked.args)
    if collected.rows and whole:  # a part of them leaves the report of all alone
        record["comparisons"] = collected.rows
        name = "-".join(("bench", *filter(None, (os.environ.get("ATEN_CPU_CAPABILITY"),))))
        REPORTS.mkdir(exist_ok=True)
        (REPORTS / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n")
        (REPORTS / f"{name}.md").write_text(_table(record, name))

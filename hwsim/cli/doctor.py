"""The command that says what this installation can do: what is here, and what each missing part would give."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from hwsim.cli.app import app
from hwsim.cli.output import give

PARTS = (
    ("torch", "torch", "capture, emulation and training of models", "pip install 'hwsim[torch]'"),
    ("pyarrow", "pyarrow", "points.parquet instead of points.csv; tables as Parquet", "pip install 'hwsim[parquet]'"),
    ("gymnasium", "gymnasium", "a design space as an environment of reinforcement learning",
     "pip install 'hwsim[gym]'"),
    ("dask", "distributed", "accuracies measured on a cluster", "pip install 'hwsim[dask]'"),
    ("CUDA kernels", "cuda.bindings", "hwsim verify with the machine code of single CUDA instructions",
     "pip install 'hwsim[cuda]'"),
    ("scikit-learn", "sklearn", "the digits that the image models are trained and measured on",
     "pip install scikit-learn"),
    ("mmasim", "mmasim", "hwsim verify against another emulator of tensor cores", "pip install 'hwsim[dev]'"),
    ("ml_dtypes", "ml_dtypes", "hwsim verify against another library of formats", "pip install 'hwsim[dev]'"),
    ("torchao", "torchao", "hwsim verify against its NVFP4 and MX casts", "pip install 'hwsim[dev]'"),
)  # fmt: skip
"""Name, module, what it gives, and how to install it."""

TOOLS = (
    ("Yosys", ("yosys",), "areas and energies in gates: synth, power, calibrate, the front of explore",
     "apt install yosys"),
    ("Icarus Verilog", ("iverilog",), "Verilog run beside the emulator: rtl benches, toggles net by net",
     "apt install iverilog"),
    ("Chromium", ("chromium", "chromium-browser", "google-chrome", "chrome"), "tests of the report in a browser",
     "apt install chromium"),
    ("NVIDIA driver", ("nvidia-smi",), "hwsim verify against the silicon of a GPU in this machine",
     "a GPU of NVIDIA and its driver"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """One part: what there is of it ("" if nothing), what it gives, and how to get it."""

    part: str
    here: str
    gives: str
    install: str


@app.command()
def doctor(
    measure: Annotated[bool, typer.Option("--measure", help="also time the kernels here, about 20 s")] = False,
) -> None:
    """Say what is installed, what each missing part would give, and what this processor offers."""
    machine, parts = _machine(), list(survey())
    timings = _timings() if measure else {}
    give({"machine": machine, "parts": parts, "measured": timings})
    for name, value in machine.items():
        typer.echo(f"{name:10} {value}")
    typer.echo("")
    for one in parts:
        typer.echo(f"{one.part:16} {one.here or '–':22} {one.gives}")
    typer.echo("")
    missing = [one for one in parts if not one.here]
    for one in missing:
        typer.echo(f"to get {one.part}: {one.install}")
    if not missing:
        typer.echo("nothing is missing")
    for name, time_or_ratio in timings.items():
        typer.echo(f"{name}: {time_or_ratio:.3g}")


def survey() -> Iterator[Found]:
    """Every optional package and tool, found or not."""
    for name, module, gives, install in PARTS:
        yield Found(name, _version(module), gives, install)
    for name, programs, gives, install in TOOLS:
        yield Found(name, next((path for one in programs if (path := shutil.which(one))), ""), gives, install)


def _version(module: str) -> str:
    """The installed version of a module's distribution, "" if there is none; nothing is imported."""
    from importlib.metadata import PackageNotFoundError, version

    top = module.partition(".")[0]
    try:
        if importlib.util.find_spec(module) is None:
            return ""
    except ModuleNotFoundError:
        return ""
    for distribution in (module.replace(".", "-"), top, {"sklearn": "scikit-learn"}.get(top, top)):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "installed"


def _machine() -> dict[str, str]:
    import hwsim
    from hwsim import cache
    from hwsim.jit import environment, thread_count

    named = {key: value for key, _, value in (one.partition("=") for one in environment().split())}
    cores = os.cpu_count() or 1
    return {
        "hwsim": f"{hwsim.__version__}, Python {platform.python_version()}",
        "processor": f"{_processor()}, {named['cpu']}",
        "threads": f"{thread_count()} of {cores}; HWSIM_NUM_THREADS sets them",
        "cache": str(cache.root() or "none: set HWSIM_CACHE_DIR"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _timings() -> dict[str, float]:
    """The best of five, ms: a copy of 2048 × 2048 float32, and their NVFP4 fake-quantization; the ratio of both."""
    import numpy as np

    import hwsim

    x = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    out = np.empty_like(x)

    def best(call: Callable[[], object]) -> float:
        call()  # compiles
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return min(times) * 1e3

    copy = best(lambda: np.copyto(out, x))
    fake = best(lambda: hwsim.fake_quantize(x, "nvfp4.te", out=out))
    return {"copy_ms": copy, "nvfp4_fake_quantize_ms": fake, "nvfp4_to_copy": fake / copy}

"""The command line: arguments, progress and tables; everything else lives in the rooms.

A user's mistake is one line on stderr and exit status 2. An interrupted job says how to continue and leaves with
130. Anything else that goes wrong is a defect of hwsim and shows as a traceback. Rooms are imported inside the
commands, so that ``hwsim --help`` loads none of them.
"""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.evaluation import Evaluation
    from hwsim.search import Study

app = typer.Typer(
    name="hwsim",
    help="A torch model goes in, a Pareto front of 4-bit accelerators comes out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AccuracyKind = Literal["replay", "rerun"]
EnergyKind = Literal["pann", "trace", "gates"]
Delay = Literal["zero", "unit"]
TRACED_ROWS = 256
"""Rows of each operand that ``explore`` records when it captures a space's models itself."""

Model = Annotated[str, typer.Argument(help="a model of the workbench (gpt), or path/to/file.py:build")]
Out = Annotated[Path, typer.Option("--out", help="folder to write into")]
Seed = Annotated[int, typer.Option("--seed", help="the same seed gives the same result")]


def main() -> None:
    """Run the command line and leave with its exit status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns 0, 2 for a user's mistake, or 130 when interrupted."""
    try:
        app(arguments, standalone_mode=True)
    except HwsimError as error:
        typer.echo(f"hwsim: {error}", err=True)
        return 2
    except KeyboardInterrupt:
        typer.echo("hwsim: interrupted; what is finished is kept, --resume goes on from there", err=True)
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        typer.echo(f"hwsim: {error.filename}: the file must be writable, got {error.strerror!r}", err=True)
        return 2
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    return 0


@app.command()
def capture(
    model: Model,
    out: Out,
    backward: Annotated[bool, typer.Option(help="also record the GEMMs of the backward pass")] = False,
    max_rows: Annotated[int | None, typer.Option(help="keep at most this many rows of an activation")] = None,
    seed: Seed = 0,
) -> None:
    """Record the operands of every GEMM of a real run of a model."""
    import hwsim

    trace = hwsim.capture(model, out=out, backward=backward, max_rows=max_rows, seed=seed)
    workload = trace.workload
    typer.echo(f"{len(workload.gemms)} GEMMs, {workload.macs:,} MACs, as many as torch counts: {out}")


@app.command()
def evaluate(
    trace: Annotated[Path, typer.Argument(help="folder of a trace")],
    machine: Annotated[str, typer.Argument(help="a machine of the workbench (edge-nvfp4), or a TOML file")],
    accuracy: Annotated[
        AccuracyKind, typer.Option(help="replay: SQNR of the recorded GEMMs; rerun: the model's own metric")
    ] = "replay",
    energy: Annotated[
        EnergyKind, typer.Option(help="pann: formulas from widths; trace: bits that toggle on the operands")
    ] = "trace",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Price one machine on one trace: accuracy, energy, area and latency, each with its source."""
    import hwsim

    result = hwsim.evaluate(
        hwsim.load_trace(trace), hwsim.load_accelerator(machine), accuracy=accuracy, energy=energy
    )
    if as_json:
        typer.echo(json.dumps({"values": result.values(), "detail": result.detail()}, indent=1))
    else:
        _show_evaluation(result)


@app.command()
def explore(
    space: Annotated[str, typer.Argument(help="a design space of the workbench (edge-lm), or a TOML file")],
    out: Out = Path("reports/run"),
    trace: Annotated[
        list[Path] | None,
        typer.Option(help="folder of a trace; repeat for several models; else the space's models are captured"),
    ] = None,
    trials: Annotated[int, typer.Option(help="number of draws")] = 600,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="continue the study in the folder")] = False,
    force: Annotated[bool, typer.Option("--force", help="replace the study in the folder")] = False,
    workers: Annotated[int, typer.Option(help="processes that measure accuracy side by side")] = 1,
    dask: Annotated[str | None, typer.Option(help="address of a Dask scheduler that does so instead")] = None,
    gates: Annotated[
        bool, typer.Option("--gates/--no-gates", help="price the front by its own circuits too, where Yosys is")
    ] = True,
) -> None:
    """Search a design space on captured models, price its front in gates, and write the report."""
    import hwsim
    from hwsim.search import clear_study, load_space

    loaded = load_space(space)
    if force and not resume:
        clear_study(out)
    traces = trace or _traces_of(loaded.models, out, loaded.name, fresh=force)
    with _progress("exploring") as advance:
        study = hwsim.explore(
            loaded, traces, trials=trials, seed=seed, out=out, resume=resume, workers=workers, dask=dask,
            gates=gates, progress=advance,
        )  # fmt: skip
    page = hwsim.write_report(study, out)
    _show_study(study)
    typer.echo(f"{len(study.points)} designs, {len(study.pareto)} on the front: {page}")


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="folder of a study, finished or not")]) -> None:
    """Write report.html of a study again."""
    import hwsim
    from hwsim.search import load_study

    study = load_study(folder)
    study.write(folder)
    typer.echo(f"{len(study.points)} designs, {len(study.pareto)} on the front: {hwsim.write_report(study, folder)}")


@app.command()
def train(
    model: Model,
    out: Annotated[
        Path | None, typer.Option("--out", help="the checkpoint; beside the model file without it")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="steps in place of the recipe's")] = None,
    seed: Seed = 0,
) -> None:
    """Train a model by the recipe in its file; an interrupted training continues."""
    from hwsim.nn import train as train_model

    with _progress("training") as advance:
        trained = train_model(
            model,
            out,
            steps=steps,
            seed=seed,
            progress=lambda step, total, loss: advance(step, total, f"loss {loss:.3f}"),
        )
    typer.echo(f"{trained.path}: {trained.steps} steps, metric {trained.metric}")


@app.command()
def rtl(
    name: Annotated[str, typer.Argument(help="a circuit of the catalogue; a wrong name lists near ones")],
    out: Out,
    rows: Annotated[int, typer.Option(help="golden vectors")] = 1000,
) -> None:
    """Write the Verilog of a circuit, a self-checking bench, and golden vectors of the emulator."""
    from hwsim.rtl.catalog import write

    for path in write(name, out, rows=rows):
        typer.echo(str(path))


@app.command()
def synth(
    name: Annotated[str | None, typer.Argument(help="a circuit of the catalogue; all of them without it")] = None,
    liberty: Annotated[Path | None, typer.Option(help="a Liberty file; the package's own without it")] = None,
) -> None:
    """Map circuits to gates with Yosys, one on each core: area, cells, gates on the longest path."""
    from hwsim.gates.liberty import DEFAULT_LIBERTY
    from hwsim.gates.synthesis import synth as map_to_gates
    from hwsim.gates.synthesis import synth_all
    from hwsim.rtl.catalog import build, named_units

    library = liberty or DEFAULT_LIBERTY
    units = [build(one) for one in ([name] if name else named_units())]
    with _progress("synthesis") as advance:
        synth_all([(unit.verilog, unit.top) for unit in units], library, advance)
    found = [map_to_gates(unit, library) for unit in units]
    _show_table(
        ("circuit", "area µm²", "NAND2s", "cells", "flip-flops", "levels"),
        [
            (
                one.name, f"{one.area_um2:.1f}", f"{one.area_ge:.0f}", str(sum(one.result.cells.values())),
                str(one.result.flip_flops), str(one.result.levels),
            )
            for one in found
        ],
    )  # fmt: skip
    typer.echo(f"{found[0].result.liberty}, {found[0].result.tool}")


@app.command()
def power(
    trace: Annotated[Path, typer.Argument(help="folder of a trace")],
    machine: Annotated[str, typer.Argument(help="a machine of the workbench, or a TOML file")],
    delay: Annotated[Delay, typer.Option(help="zero: no glitches; unit: those of equal gate delays")] = "zero",
    liberty: Annotated[Path | None, typer.Option(help="a Liberty file; the package's own without it")] = None,
) -> None:
    """Drive a trace's operands through the gates of a machine's unit, layer by layer."""
    import hwsim
    from hwsim.gates.liberty import DEFAULT_LIBERTY
    from hwsim.gates.power import trace_power

    gemms = hwsim.load_trace(trace).gemms("forward")
    accelerator = hwsim.load_accelerator(machine)
    for layer in trace_power(gemms, accelerator, delay=delay, liberty=liberty or DEFAULT_LIBERTY):
        if layer is not None:
            typer.echo(
                f"{layer.layer:28} {layer.energy_per_mac_fj:9.2f} fJ/MAC {layer.toggles_per_mac:8.1f} toggles/MAC "
                f"{layer.energy_pj * 1e-6:9.3f} µJ   {layer.provenance}"
            )


@app.command()
def calibrate(
    trace: Annotated[Path, typer.Argument(help="folder of a trace with forward products")],
    out: Out,
    liberty: Annotated[Path | None, typer.Option(help="a Liberty file; the package's own without it")] = None,
    node_nm: Annotated[int, typer.Option(help="technology node of the library, nm")] = 45,
) -> None:
    """Fit areas and energies to synthesised circuits and a trace in their gates; needs Yosys."""
    from hwsim.cost.calibrate import write
    from hwsim.gates.liberty import DEFAULT_LIBERTY

    typer.echo(str(write(trace, out, liberty or DEFAULT_LIBERTY, node_nm, typer.echo)))


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="pann, ternary_lut or luq")],
    out: Annotated[Path | None, typer.Option("--out", help="folder; reports/study-NAME without it")] = None,
    quick: Annotated[bool, typer.Option(help="a small grid, to see that it runs")] = False,
) -> None:
    """Measure a published claim again, on circuits and real operands."""
    from hwsim.report.studies import draw
    from hwsim.studies import run as run_study

    page = run_study(name, out or Path("reports") / f"study-{name}", quick=quick)
    draw(page.parent)
    typer.echo(str(page))


def _traces_of(models: tuple[str, ...], out: Path, space: str, fresh: bool) -> list[Path]:
    """Traces of the models that a space names, captured below `out` where they are missing, or all if `fresh`."""
    import hwsim
    from hwsim.errors import ArgumentError

    if not models:
        raise ArgumentError("a space that names no models needs --trace", where=f"space {space}")
    folders = []
    for model in models:
        folder = out / "traces" / model
        if fresh or not (folder / "manifest.json").is_file():
            typer.echo(f"capturing {model}", err=True)
            hwsim.capture(model, out=folder, max_rows=TRACED_ROWS)
        folders.append(folder)
    return folders


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar with the time left; plain lines where the output is not a terminal."""
    if not sys.stderr.isatty():
        yield _plain_lines(title)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=None, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)


def _plain_lines(title: str) -> Callable[[int, int, str], None]:
    shown = -1, -1

    def advance(done: int, total: int, note: str) -> None:
        nonlocal shown
        tenth = 10 * done // max(1, total)
        if tenth > shown[1] or total != shown[0]:
            shown = total, tenth
            typer.echo(f"{title}: {done}/{total} {note}", err=True)

    return advance


def _show_evaluation(result: Evaluation) -> None:
    from hwsim.report import significant

    values = result.values()
    for name, value in values.items():
        typer.echo(f"{name:22} {significant(value)}")
    for title, part, scale, unit in (("energy", result.energy, 1e-6, "µJ"), ("area", result.area, 1e-6, "mm²")):
        typer.echo(f"\n{title}, {unit}")
        for name, quantity in part.parts.items():
            error = f"±{quantity.relative_error:.0%}"
            typer.echo(f"  {name:24} {significant(quantity.value * scale):>10} {error:>6}  {quantity.source}")


def _show_study(study: Study) -> None:
    """The front as a table, at most 12 rows, evenly thinned."""
    from hwsim.report import significant

    front: Any = study.pareto
    _show_table(
        ("arithmetic", "array", *study.objectives),
        [
            (
                point.detail["numerics"],
                point.detail["array"],
                *(significant(point.values[name]) for name in study.objectives),
            )
            for point in front[:: max(1, -(-len(front) // 12))]
        ],
        left=("array",),
    )


def _show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str] = ()) -> None:
    """Rows under their heads; the first column folds, the others but those of `left` are numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console().print(table)

"""Commands on designs: price one, search a space, write a report, measure a published claim again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hwsim.cli import completion
from hwsim.cli.app import Force, Machine, Out, Seed, Space, app
from hwsim.cli.output import give
from hwsim.cli.serving import Chips, LinkName, Pipeline, Statistics, evaluate_model, show_phase
from hwsim.cli.terminal import live, progress, show_evaluation, show_study

if TYPE_CHECKING:
    from hwsim.search import Study

AccuracyKind = Literal["replay", "rerun"]
EnergyKind = Literal["pann", "trace", "gates"]
TRACED_ROWS = 256
"""Rows of each operand that ``explore`` records when it captures a space's models itself."""


@app.command()
def evaluate(
    trace: Annotated[
        str,
        typer.Argument(
            help="folder of a trace, its name (gpt-small), or a model of the catalogue (llama3-70b)",
            autocompletion=completion.traces,
        ),
    ],
    machine: Machine,
    accuracy: Annotated[
        AccuracyKind, typer.Option(help="replay: SQNR of the recorded GEMMs; rerun: the model's own metric")
    ] = "replay",
    energy: Annotated[
        EnergyKind,
        typer.Option(
            help="pann: formulas from widths; trace: bits that toggle on the operands; gates: every gate, needs Yosys"
        ),
    ] = "trace",
    phase: Annotated[
        Literal["prefill", "decode", "training"], typer.Option(help="of a model of the catalogue")
    ] = "decode",
    batch: Annotated[int, typer.Option(help="sequences, or images, of a model of the catalogue")] = 1,
    context: Annotated[int, typer.Option(help="tokens of each sequence after the step")] = 1024,
    chips: Chips = 1,
    pipeline: Pipeline = 1,
    data: Annotated[int, typer.Option(help="copies of the model, each with its part of the batch")] = 1,
    expert: Annotated[int, typer.Option(help="chips that share the experts, each with its part of the batch")] = 1,
    context_parallel: Annotated[int, typer.Option(help="chips that share each sequence")] = 1,
    microbatches: Annotated[int, typer.Option(help="parts of a batch that follow each other in a pipeline")] = 1,
    link: LinkName = "nvlink3",
    optimizer: Annotated[Literal["adamw", "muon"], typer.Option(help="of training")] = "adamw",
    saving: Annotated[
        Literal["all", "fused", "inputs"],
        typer.Option(help="what training keeps: all, all but scores, or inputs of blocks alone (checkpointing)"),
    ] = "fused",
    statistics: Statistics = None,
) -> None:
    """Price one machine on one trace, or on a whole model: each number with its source."""
    import hwsim
    from hwsim.evaluation import Phased
    from hwsim.workloads import Parallel, names

    if trace in names() or trace.endswith((".toml", ".json")):
        shared = Parallel.on(chips, pipeline, data, expert, context_parallel, microbatches)
        found = evaluate_model(trace, machine, phase, batch, context, shared, link, statistics, optimizer, saving)
        if isinstance(found, Phased):
            show_phase(found)
            return
        result = found
    else:
        result = hwsim.evaluate(
            hwsim.load_trace(trace), hwsim.load_accelerator(machine), accuracy=accuracy, energy=energy
        )
    give({"values": result.values(), "detail": result.detail()})
    show_evaluation(result)


@app.command()
def explore(
    space: Space,
    out: Out = Path("reports/run"),
    trace: Annotated[
        list[Path] | None,
        typer.Option(help="folder of a trace; repeat for several models; else the space's models are captured"),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="number of draws; without it a space of few plans is swept whole")
    ] = None,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="continue the study in the folder")] = False,
    force: Annotated[bool, typer.Option("--force", help="replace what is in the folder")] = False,
    workers: Annotated[int, typer.Option(help="processes that measure accuracy side by side")] = 1,
    dask: Annotated[str | None, typer.Option(help="address of a Dask scheduler that does so instead")] = None,
    polish: Annotated[
        int | None, typer.Option(help="most designs tried one knob away from the front; the space says without it")
    ] = None,
    frozen: Annotated[
        list[str] | None, typer.Option("--freeze", help="KNOB=VALUE, repeatable: hold a knob at a value")
    ] = None,
    baseline: Annotated[
        list[str] | None, typer.Option(help="a machine to show beside the front (eyeriss, FILE.toml), repeatable")
    ] = None,
    gates: Annotated[
        bool, typer.Option("--gates/--no-gates", help="price the front by its own circuits too, where Yosys is")
    ] = True,
) -> None:
    """Search a design space on captured models, price its front in gates, and write the report."""
    import hwsim
    from hwsim.search import freeze, load_space, sentence, with_baselines
    from hwsim.storage import owned

    loaded = freeze(load_space(space), frozen or ())
    with owned(out, "study", force=force, beside=("traces",)):  # before the work that captures
        pass
    traces = trace or _traces_of(loaded.models, out, loaded.name, fresh=force)
    with live("exploring") as (advance, watch):
        study = hwsim.explore(
            loaded, traces, trials=trials, seed=seed, out=out, resume=resume, workers=workers, dask=dask,
            gates=gates, budget=polish, force=force, progress=advance, watch=watch,
        )  # fmt: skip
    if baseline:
        study = with_baselines(study, loaded, hwsim.load_trace(traces[0]), baseline)
        study.write(out)
    page = hwsim.write_report(study, out)
    give(_found(study, page))
    show_study(study)
    typer.echo(f"{len(study.points)} designs, {len(study.front)} on the front: {page}")
    typer.echo(sentence(study.certificate))


@app.command()
def sweep(
    space: Space,
    out: Out = Path("reports/sweep"),
    trace: Annotated[
        list[Path] | None,
        typer.Option(help="folder of a trace; repeat for several models; else the space's models are captured"),
    ] = None,
    points: Annotated[
        int | None, typer.Option(help="most designs: a larger space is swept on a coarser grid")
    ] = None,
    keep: Annotated[list[str] | None, typer.Option("--keep", help="KNOB=VALUE: hold a knob at one value")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the sweep in the folder")] = False,
    force: Annotated[bool, typer.Option("--force", help="replace what is in the folder")] = False,
    workers: Annotated[int, typer.Option(help="processes that measure accuracies and decide plans")] = 1,
    dask: Annotated[str | None, typer.Option(help="address of a Dask scheduler that does so instead")] = None,
    table: Annotated[
        bool, typer.Option("--table/--no-table", help="write every design; without it workers sweep side by side")
    ] = True,
) -> None:
    """Price every design of a space, or of a coarser grid of it; the front is exact."""
    import hwsim
    from hwsim.search import load_space
    from hwsim.storage import owned

    loaded = load_space(space).held(dict(_held(one) for one in keep or ()))
    with owned(out, "study", force=force, beside=("traces",)):  # before the work that captures
        pass
    traces = trace or _traces_of(loaded.models, out, loaded.name, fresh=force)
    with live("sweeping") as (advance, watch):
        study = hwsim.sweep(
            loaded, traces, out, points=points, workers=workers, dask=dask, force=force, resume=resume, table=table,
            progress=advance, watch=watch,
        )  # fmt: skip
    _show_sweep(study, out)


def _show_sweep(study: Study, out: Path) -> None:
    from hwsim.search import sentence

    facts = study.manifest
    give(_found(study, out))
    if study.points:
        show_study(study)
    typer.echo(
        f"{facts['designs']:,} designs in {facts['seconds']:.1f} s, {facts['plans']:,} plans, "
        f"{len(study.points)} on the front: {out}"
    )
    for reason, count in facts["status"].items():
        typer.echo(f"  {count:>12,} {reason}")
    for knob, values in facts["coarsened"].items():
        typer.echo(f"  coarser grid: {knob} of {', '.join(map(str, values))}")
    typer.echo(sentence(study.certificate))


@app.command()
def worker(
    space: Annotated[str, typer.Argument(help="a design space of the workbench (edge-lm), or a TOML file")],
    shard: Annotated[str, typer.Option(help="K/N: the K-th of N shards, counted from 1")],
    trace: Annotated[list[Path], typer.Option(help="folder of a trace; repeat for several models")],
    out: Out = Path("reports/sweep"),
    points: Annotated[
        int | None, typer.Option(help="most designs: a larger space is swept on a coarser grid")
    ] = None,
    keep: Annotated[list[str] | None, typer.Option("--keep", help="KNOB=VALUE: hold a knob at one value")] = None,
    force: Annotated[bool, typer.Option("--force", help="price the shard anew")] = False,
    workers: Annotated[int, typer.Option(help="processes that measure accuracies and decide plans")] = 1,
) -> None:
    """Price one shard of a sweep, one job of an array; started again, it goes on. Then: hwsim merge."""
    from hwsim.search import load_space, work

    loaded = load_space(space).held(dict(_held(one) for one in keep or ()))
    with progress(f"shard {shard}") as advance:
        folder = work(loaded, trace, shard, out, points, workers, force, advance)
    give({"shard": shard, "folder": folder})
    typer.echo(f"shard {shard} is finished: {folder}")


@app.command()
def merge(
    folder: Annotated[Path, typer.Argument(help="the folder that was given to hwsim worker")],
    trace: Annotated[
        list[Path] | None, typer.Option(help="where a trace is now; where the shards found it without")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a study that is in the folder")] = False,
) -> None:
    """Join the shards of a sweep: the table and the front are what one process would have left."""
    from hwsim.search import merge as join

    with progress("joining") as advance:
        study = join(folder, trace, force, advance)
    _show_sweep(study, folder)


def _held(text: str) -> tuple[str, str]:
    knob, _, value = text.partition("=")
    return knob, value


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="folder of a study, finished or not")],
    figures: Annotated[Path | None, typer.Option(help="folder for figures of a paper, SVG and PDF")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="write it anew while another process searches, until that has ended")
    ] = False,
) -> None:
    """Write report.html of a study again."""
    import hwsim
    from hwsim.report import follow_report
    from hwsim.search import load_study
    from hwsim.storage import owned

    page = folder / "report.html"
    if watch:
        study = follow_report(folder, _tell_written)
    else:
        study = load_study(folder)
        with owned(folder, "study"):
            study.write(folder)
        hwsim.write_report(study, folder)
    give(_found(study, page))
    if figures is not None:
        from hwsim.report import write_figures

        for path in write_figures(study, figures):
            typer.echo(str(path))
    typer.echo(f"{len(study.points)} designs, {len(study.front)} on the front: {page}")


def _tell_written(study: Study, page: Path) -> None:
    typer.echo(f"{len(study.points)} designs, {len(study.front)} on the front so far: {page}", err=True)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="one of hwsim list studies", autocompletion=completion.studies)],
    out: Annotated[Path | None, typer.Option("--out", help="folder; reports/study-NAME without it")] = None,
    quick: Annotated[bool, typer.Option(help="a small grid, to see that it runs")] = False,
    workers: Annotated[int, typer.Option(help="processes, of a study whose trainings are apart")] = 1,
    force: Force = False,
) -> None:
    """Measure a published claim again, on circuits and real operands; goes on where it was interrupted."""
    from hwsim.report.studies import draw
    from hwsim.studies import run as run_study

    folder = out or Path("reports") / f"study-{name}"
    with progress(f"study {name}") as advance:
        page = run_study(name, folder, quick=quick, force=force, workers=workers, advance=advance)
    draw(page.parent)
    give({"page": page})
    typer.echo(str(page))


def _found(study: Study, written: Path) -> dict[str, Any]:
    """What a search answers as JSON: how many designs, the front, what is certain of it, and where it lies."""
    return {
        "designs": len(study.points),
        "front": [{"number": one.number, "knobs": dict(one.point), "values": one.values} for one in study.front],
        "certificate": study.certificate,
        "written": written,
    }


def _traces_of(models: tuple[str, ...], out: Path, space: str, fresh: bool) -> list[Path]:
    """Traces of the models that a space names, captured below `out` where they are missing, or all if `fresh`."""
    import hwsim
    from hwsim.errors import ArgumentError

    if not models:
        raise ArgumentError("a space that names no models needs --trace", where=f"space {space}")
    folders = []
    for model in models:
        folder = out / "traces" / _file_name(model)
        if fresh or not _is_whole(folder):
            typer.echo(f"capturing {model}", err=True)
            hwsim.capture(model, out=folder, max_rows=TRACED_ROWS)
        folders.append(folder)
    return folders


def _file_name(model: str) -> str:
    """The name that the trace of a model bears, which a space may give by a path, with a function or without."""
    head, _, function = model.removeprefix("hf:").rpartition(":")
    path = Path(head if head and function.isidentifier() else model.removeprefix("hf:"))
    return path.stem if path.suffix in (".py", ".json") else path.name


def _is_whole(folder: Path) -> bool:
    """Whether a folder holds a trace that came to its end."""
    from hwsim.errors import TraceError
    from hwsim.trace.files import read_manifest

    try:
        return bool(read_manifest(folder)["complete"])
    except TraceError:
        return False

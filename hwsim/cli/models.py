"""Commands on models: record their operands, train them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hwsim.cli.app import Force, Model, Out, Seed, app
from hwsim.cli.terminal import progress


@app.command()
def capture(
    model: Model,
    out: Out,
    backward: Annotated[bool, typer.Option(help="also record the GEMMs of the backward pass")] = False,
    max_rows: Annotated[int | None, typer.Option(help="keep at most this many rows of an activation")] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Record the operands of every GEMM of a real run of a model."""
    import hwsim

    trace = hwsim.capture(model, out=out, backward=backward, max_rows=max_rows, seed=seed, force=force)
    workload = trace.workload
    typer.echo(f"{len(workload.gemms)} GEMMs, {workload.macs:,} MACs, as many as torch counts: {out}")


@app.command()
def train(
    model: Model,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="the checkpoint, beside the model file without it; with recipes their folder"),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="steps in place of the model file's")] = None,
    seed: Seed = 0,
    recipe: Annotated[
        list[str] | None,
        typer.Option(help="train in float32 and by this recipe, side by side; repeat for more (hwsim list recipes)"),
    ] = None,
    seeds: Annotated[int, typer.Option(help="with recipes: how many seeds, from --seed on")] = 3,
    exact: Annotated[
        str | None, typer.Option(help="with recipes: unit, or float32 sums; without it as the recipe says")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="with recipes: begin again what the folder holds")] = False,
    force: Force = False,
) -> None:
    """Train a model as its file says, or compare training recipes on it; what is interrupted continues."""
    if recipe:
        _compare(model, recipe, out, steps, range(seed, seed + seeds), exact, fresh, force)
        return
    from hwsim.nn import train as train_model

    with progress("training") as advance:
        trained = train_model(
            model,
            out,
            steps=steps,
            seed=seed,
            progress=lambda step, total, loss: advance(step, total, f"loss {loss:.3f}"),
        )
    typer.echo(f"{trained.path}: {trained.steps} steps, metric {trained.metric}")


def _compare(
    model: str,
    recipes: list[str],
    out: Path | None,
    steps: int | None,
    seeds: range,
    exact: str | None,
    fresh: bool,
    force: bool,
) -> None:
    from hwsim.nn import compare
    from hwsim.report.training import draw

    folder = out or Path("reports") / f"train-{Path(model.partition(':')[0]).stem}"
    with progress("training") as advance:
        found = compare(
            model,
            recipes,
            folder,
            steps=steps,
            seeds=seeds,
            exact=exact,
            resume=not fresh,
            progress=advance,
            force=force,
        )
    floor = found.noise_floor
    for name in dict.fromkeys(name for name, _ in found.last):
        if name != "float32":
            mean, error = found.cost(name)
            typer.echo(f"{name}: {mean:+.4f} nats above float32, standard error {error:.4f}, noise floor {floor:.4f}")
    typer.echo(str(draw(folder)))

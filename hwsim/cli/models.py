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
        Path | None, typer.Option("--out", help="the checkpoint; beside the model file without it")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="steps in place of the recipe's")] = None,
    seed: Seed = 0,
) -> None:
    """Train a model by the recipe in its file; an interrupted training continues."""
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

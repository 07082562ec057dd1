"""Trainings of one model side by side: float32 and recipes, from the same weights, on the same batches, per seed.

A few steps of each are looked at (`hwsim.nn.looking`): signal to noise of every operand, and the gradient beside the
one in float32 of the same step.

All runs go on in turns, a few steps each, so that at any time their curves can be compared. Each has a state of its
own (`hwsim.nn.training`), torch's random numbers and the emulation's included: an interrupted comparison ends in the
bits of an undisturbed one. What differs between float32 runs of several seeds is the noise floor; as runs of one seed
share weights and batches, a recipe's cost is the mean of its differences to float32 seed by seed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import hwsim
from hwsim import recipes as catalog
from hwsim.errors import ArgumentError, ModelError, Stopped, TraceError
from hwsim.nn.arithmetic import Exact
from hwsim.nn.capturing import weights_digest
from hwsim.nn.emulation import Emulation, emulate
from hwsim.nn.looking import Looks
from hwsim.nn.models import ModelFile
from hwsim.nn.training import (
    MOST_STEPS,
    Interruption,
    Training,
    interruptible,
    low_precision,
    restore,
    save_state,
    train_steps,
)
from hwsim.notebook import with_bar
from hwsim.storage import owned, parse_json, read_bytes, seed_checked, table_text, write_whole

TURN = 10
"""Steps of a run before the next one has its turn."""

FINAL = 0.1
"""The fraction of the steps whose mean loss is a run's last loss."""

FLOAT32 = "float32"

LOOKS = 20
"""Steps of a run that are looked at, beside the last."""


@dataclass(slots=True)
class Run:
    """One training of a comparison.

    Attributes:
        name: of its recipe, ``"float32"`` without one.
        seed: of initial weights, batches, torch's random numbers and the emulation's noise.
        losses: nats (or what the model file's loss is), one a step done.
        looks: what was measured of single steps; None for float32.
        ratios: the recipe's monitor, (step, ratio).
        emulation: state of the emulation at the last step done.
        random: torch's random state then.
        busy: whether a step is half done.
    """

    name: str
    seed: int
    recipe: catalog.Recipe | None
    network: nn.Module
    training: Training
    path: Path
    looks: Looks | None
    losses: list[float] = field(default_factory=list)
    ratios: list[tuple[int, float]] = field(default_factory=list)
    emulation: dict[str, Any] = field(default_factory=dict)
    random: Any = None
    busy: bool = False

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.losses)


@dataclass(frozen=True)
class Comparison:
    """A finished comparison.

    Attributes:
        folder: holds ``losses.csv``, ``summary.csv``, ``gradients.csv``, ``sqnr.csv``, ``manifest.json``.
        losses: (recipe, seed) -> the loss of each step.
        last: (recipe, seed) -> mean loss of the last tenth of the steps.
        gradients: (recipe, seed) -> (step, ratio, cosine) of the steps that were looked at; steps count from 1. The
            ratio ‖g‖ / ‖q - g‖ and the cosine of the gradient q that the recipe made and the one in float32, g, at
            the same weights, batch and random numbers; None without a difference.
        sqnr: (recipe, seed) -> (step, layer, GEMM, operand, dB), what quantization left of each operand; None where
            nothing was lost or nothing was there.
    """

    folder: Path
    losses: dict[tuple[str, int], list[float]]
    last: dict[tuple[str, int], float]
    gradients: dict[tuple[str, int], list[tuple[int, float | None, float]]]
    sqnr: dict[tuple[str, int], list[tuple[int, str, str, str, float | None]]]

    @property
    def noise_floor(self) -> float:
        """Standard deviation of float32's last losses over seeds; NaN with one seed."""
        values = [value for (name, _), value in self.last.items() if name == FLOAT32]
        return statistics.stdev(values) if len(values) > 1 else math.nan

    def cost(self, name: str) -> tuple[float, float]:
        """What a recipe's last loss is above float32's: the mean over seeds of the differences seed by seed, and the
        standard error of that mean (NaN with one seed)."""
        return cost(self.last, name)


def cost(last: dict[tuple[str, int], float], name: str) -> tuple[float, float]:
    """See `Comparison.cost`."""
    gaps = [value - last[FLOAT32, seed] for (one, seed), value in last.items() if one == name]
    error = statistics.stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else math.nan
    return statistics.fmean(gaps), error


@with_bar("training")
def compare(
    model: str | Path,
    recipes: Sequence[str | Path | catalog.Recipe],
    out: str | Path,
    *,
    steps: int | None = None,
    seeds: int | Sequence[int] = 3,
    exact: Exact = None,
    resume: bool = True,
    progress: Callable[[int, int, str], None] | None = None,
    save_every_s: float = 30.0,
    force: bool = False,
    looks: int = LOOKS,
) -> Comparison:
    """Train the model file `model` in float32 and by each recipe, for each seed, and write the folder `out`.

    Args:
        model: name or path, see `hwsim.nn.models`; its ``recipe(model)`` gives batches, loss and optimizers.
        recipes: names, files or records of `hwsim.recipes`.
        out: folder: ``losses.csv`` (recipe, seed, step, loss), ``summary.csv`` (recipe, seed, last loss, gap to
            float32 of the same seed), ``gradients.csv`` and ``sqnr.csv`` of the steps that were looked at,
            ``monitor.csv`` of recipes with a monitor, ``manifest.json``, and the state of each run below ``runs``.
        steps: optimizer steps in place of the model file's.
        seeds: how many, or which.
        exact: as in `hwsim.emulate`, for recipes and not for float32.
        resume: go on with the runs that `out` holds.
        progress: called with (steps done of all runs, of how many, what runs and its loss) after each step.
        save_every_s: seconds between two saved states of a run; kill -9 loses at most these.
        force: also write into a folder that holds something else.
        looks: so many steps of each run are looked at, evenly spaced, and the last; 0 for none. They change no bit.

    Raises:
        ModelError: the file has no ``recipe``, or a loss is no longer finite.
        ArgumentError: no recipe, one twice, no seed, or `out` holds a comparison of other arguments,
            something else, or is written by another process.
        StorageError: a file cannot be written.
        KeyboardInterrupt: after Ctrl-C, once the step under way is done and saved.
    """
    chosen = [catalog.get(recipe) for recipe in recipes]
    names = [recipe.name for recipe in chosen]
    numbers = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    if len(set(names)) < len(names) or FLOAT32 in names:
        raise ArgumentError(f"recipes must differ, and {FLOAT32} always runs", got=names, where="recipes")
    if not chosen or not numbers:
        raise ArgumentError("there must be a recipe and a seed", got=(names, numbers), where="compare")
    for seed in numbers:
        seed_checked(seed)
    if steps is not None and not 1 <= steps <= MOST_STEPS:
        raise ArgumentError(f"steps must be from 1 to {MOST_STEPS}", got=steps)
    if looks < 0:
        raise ArgumentError("looks must not be negative", got=looks)
    with owned(out, "comparison", force=force) as folder:
        file = ModelFile.find(model)
        return _compare(file, chosen, folder, steps, numbers, exact, resume, progress, save_every_s, looks)


def _compare(
    file: ModelFile,
    chosen: list[catalog.Recipe],
    folder: Path,
    steps: int | None,
    numbers: list[int],
    exact: Exact,
    resume: bool,
    progress: Callable[[int, int, str], None] | None,
    save_every_s: float,
    looks: int,
) -> Comparison:
    """`compare` in a folder that is this process's alone."""
    runs = [_begin(file, folder, recipe, seed, steps, looks) for seed in numbers for recipe in (None, *chosen)]
    total = runs[0].training.steps if steps is None else steps
    identity = {"model": file.name, "steps": total, "exact": repr(exact), "looks": looks}
    manifest = _manifest(file, runs, chosen, identity, numbers)
    _check(folder, manifest, resume)
    (folder / "runs").mkdir(exist_ok=True)
    for run in runs:
        _restore(run, identity, resume)
    _write_json(folder / "manifest.json", manifest)
    with interruptible() as interrupted:
        _train(runs, total, exact, identity, interrupted, progress, save_every_s)
    looked = {(run.name, run.seed): run.looks for run in runs if run.looks is not None}
    found = Comparison(
        folder,
        {(run.name, run.seed): run.losses for run in runs},
        {(run.name, run.seed): _last(run) for run in runs},
        {key: one.gradients for key, one in looked.items()},
        {key: one.sqnr for key, one in looked.items()},
    )
    _write(folder, runs, found)
    manifest["finished"] = True
    manifest["noise_floor"] = None if math.isnan(found.noise_floor) else found.noise_floor
    manifest["weights"] = {f"{run.name}/{run.seed}": weights_digest(run.network) for run in runs}
    _write_json(folder / "manifest.json", manifest)
    return found


def _begin(
    file: ModelFile, folder: Path, recipe: catalog.Recipe | None, seed: int, steps: int | None, looks: int
) -> Run:
    make = file.get("training")
    if make is None:
        raise ModelError("model file must define training(model) -> hwsim.nn.Training", where=str(file.path))
    network = file.build(checkpoint=False, seed=seed).train()
    name = FLOAT32 if recipe is None else recipe.name
    training: Training = make(network)

    def loss(model: nn.Module, batch: Any) -> Tensor:
        with low_precision():
            return training.loss(model, batch)

    total = training.steps if steps is None else steps
    looking = None if recipe is None else Looks(network, loss, total, looks)
    return Run(name, seed, recipe, network, training, folder / "runs" / f"{name}-{seed}.state", looking)


def _train(
    runs: list[Run],
    total: int,
    exact: Exact,
    identity: dict[str, Any],
    interrupted: Interruption,
    progress: Callable[[int, int, str], None] | None,
    save_every_s: float,
) -> None:
    """Turns until every run has all its steps."""
    saved = dict.fromkeys((run.path for run in runs), time.monotonic())
    try:
        while any(run.step < total for run in runs):
            for run in runs:
                _turn(run, total, exact, interrupted, functools.partial(_tell, progress, runs, run, total))
                if time.monotonic() - saved[run.path] > save_every_s or run.step == total:
                    _save(run, identity)
                    saved[run.path] = time.monotonic()
                interrupted.check()
    except (KeyboardInterrupt, Stopped):
        for run in runs:
            if not run.busy:
                _save(run, identity)
        raise


def _turn(run: Run, total: int, exact: Exact, interrupted: Interruption, tell: Callable[[float], None]) -> None:
    """Some steps of a run, with its own random numbers."""
    if run.step == total:
        return
    context: AbstractContextManager[Emulation | None] = nullcontext()
    if run.recipe is not None:
        context = emulate(run.network, run.recipe, exact=exact, seed=run.seed, steps=total)
    with torch.random.fork_rng(devices=[]), context as handle:
        torch.set_rng_state(run.random)
        if handle is not None and run.emulation:
            handle.load_state_dict(run.emulation)
        last = min(total, run.step + TURN)
        around = None if run.looks is None else functools.partial(run.looks.step, handle=handle)
        steps = train_steps(run.network, run.training, run.step, last, total, run.seed, around)
        try:
            while run.step < last and not interrupted():
                run.busy = True
                _, value = next(steps)
                run.losses.append(value)
                run.busy = False
                tell(value)
        finally:
            run.random = torch.get_rng_state()
            if handle is not None:
                run.emulation, run.ratios = handle.state_dict(), handle.ratios


def _tell(
    progress: Callable[[int, int, str], None] | None, runs: list[Run], run: Run, total: int, value: float
) -> None:
    if progress is not None:
        seen = run.looks.gradients if run.looks is not None else []
        cosine = f", gradient's cosine {seen[-1][2]:.3f}" if seen else ""
        progress(sum(one.step for one in runs), total * len(runs),
                 f"{run.name} seed {run.seed} loss {value:.3f}{cosine}")  # fmt: skip


def _save(run: Run, identity: dict[str, Any]) -> None:
    looked = run.looks.state() if run.looks is not None else {}
    more = {"losses": run.losses, "emulation": run.emulation, "random": run.random, "looks": looked}
    save_state(run.path, identity | _own(run), run.step, run.network, run.training.optimizers, more)


def _restore(run: Run, identity: dict[str, Any], resume: bool) -> None:
    if not resume:
        run.path.unlink(missing_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        run.random = torch.get_rng_state()
        _, more = restore(run.path, identity | _own(run), run.network, run.training.optimizers)
    if more:
        run.losses, run.emulation, run.random = list(more["losses"]), more["emulation"], more["random"]
        run.ratios = [(int(at), float(ratio)) for at, ratio in run.emulation.get("ratios", ())]
        if run.looks is not None:
            run.looks.load(more["looks"])


def _own(run: Run) -> dict[str, Any]:
    return {"recipe": _digest(run.recipe), "seed": run.seed}


def _digest(recipe: catalog.Recipe | None) -> str:
    return FLOAT32 if recipe is None else hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]


def _manifest(
    file: ModelFile, runs: list[Run], chosen: list[catalog.Recipe], identity: dict[str, Any], seeds: list[int]
) -> dict[str, Any]:
    return {
        **identity,
        "seeds": seeds,
        "recipes": {
            recipe.name: {
                "version": recipe.version, "digest": _digest(recipe), "paper": recipe.paper,
                "claims": list(recipe.claims), "threshold": recipe.monitor.threshold if recipe.monitor else None,
            }
            for recipe in chosen
        },
        "initial_weights": {str(run.seed): weights_digest(run.network) for run in runs if run.recipe is None},
        "source": hashlib.sha256(file.path.read_bytes()).hexdigest()[:16],
        "hwsim": hwsim.__version__,
        "torch": torch.__version__.split("+")[0],
        "threads": torch.get_num_threads(),
        "finished": False,
    }  # fmt: skip


def _check(folder: Path, manifest: dict[str, Any], resume: bool) -> None:
    path = folder / "manifest.json"
    if not resume or not path.exists():
        return
    stored = parse_json(read_bytes(path, "manifest", TraceError), "manifest", str(path), TraceError)
    if not isinstance(stored, dict):
        raise TraceError("manifest must be a table", got=stored, where=str(path))
    for name in ("model", "steps", "exact", "looks", "source"):
        if stored.get(name) != manifest[name]:
            raise ArgumentError(f"{name} must be that of the folder, {stored.get(name)}", got=manifest[name],
                                where=str(path))  # fmt: skip


def _last(run: Run) -> float:
    return statistics.fmean(run.losses[-max(1, round(FINAL * len(run.losses))) :])


def _write(folder: Path, runs: list[Run], found: Comparison) -> None:
    """The tables, in the order of recipes, seeds, steps."""
    ordered = sorted(runs, key=lambda run: (run.recipe is not None, run.name, run.seed))
    _write_csv(
        folder / "losses.csv", ("recipe", "seed", "step", "loss"),
        [(run.name, run.seed, step, loss) for run in ordered for step, loss in enumerate(run.losses, start=1)],
    )  # fmt: skip
    rows = [
        (run.name, run.seed, found.last[run.name, run.seed],
         found.last[run.name, run.seed] - found.last[FLOAT32, run.seed])
        for run in ordered
    ]  # fmt: skip
    _write_csv(folder / "summary.csv", ("recipe", "seed", "last_loss", "gap_to_float32"), rows)
    ratios = [(run.name, run.seed, step, ratio) for run in ordered for step, ratio in run.ratios]
    if ratios:
        _write_csv(folder / "monitor.csv", ("recipe", "seed", "step", "ratio"), ratios)
    looked = [(run.name, run.seed, run.looks) for run in ordered if run.looks is not None]
    for name, head in (("gradients", ("step", "ratio", "cosine")),
                       ("sqnr", ("step", "layer", "gemm", "operand", "sqnr_db"))):  # fmt: skip
        table = [(recipe, seed, *row) for recipe, seed, one in looked for row in getattr(one, name)]
        if table:
            _write_csv(folder / f"{name}.csv", ("recipe", "seed", *head), table)


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    write_whole(path, table_text(head, rows))


def _write_json(path: Path, value: Any) -> None:
    write_whole(path, json.dumps(value, indent=1) + "\n")

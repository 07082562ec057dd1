"""Training by a model file's own recipe: resumable, bit-reproducible on one machine, safe against kill -9.

The state of a training (parameters, optimizers, step) is written to a temporary file and renamed, so there is at all
times one whole state; the batch of a step follows from (seed, step) alone, so a resumed training continues as if
nothing had happened. The checkpoint is written once, at the end, from the rounded weights that it stores, and the
metric in it is the metric of those.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from hwsim.errors import ArgumentError, ModelError, Stopped, StorageError
from hwsim.guard import held_back
from hwsim.nn.models import ModelFile
from hwsim.storage import read_bytes, seed_checked, write_whole

MOST_STEPS = 10**9


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. A model file's ``recipe(model)`` returns one.

    Attributes:
        steps: optimizer steps.
        batch: (step, seed) -> batch; must depend on nothing else.
        loss: (model, batch) -> scalar.
        optimizers: all are stepped, each with its own rates times `rate`.
        rate: fraction of the steps done, 0...1 -> factor of the learning rates.
        metric: of the finished model, None to store none.
    """

    steps: int
    batch: Callable[[int, int], Any]
    loss: Callable[[nn.Module, Any], Tensor]
    optimizers: Sequence[torch.optim.Optimizer]
    rate: Callable[[float], float]
    metric: Callable[[nn.Module], Any] | None = None


@dataclass(frozen=True)
class Trained:
    """A finished training: its checkpoint, its metric as the model file gives it, and the last mean loss in nats."""

    path: Path
    steps: int
    metric: Any
    loss: float


def train(
    model: str | Path,
    out: str | Path | None = None,
    *,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = True,
    progress: Callable[[int, int, float], None] | None = None,
    save_every_s: float = 30.0,
) -> Trained:
    """Train the model file `model` by its recipe and write the checkpoint `out` (default: beside the file).

    Matrix products run in bfloat16 where the processor multiplies it (AVX512_BF16, AMX), else in float32. An
    unfinished training is continued from ``<out>.state`` unless `resume` is False.

    Args:
        model: name or path, see `hwsim.nn.models`.
        out: path of the safetensors file, weights as bfloat16.
        steps: optimizer steps in place of the recipe's.
        seed: of initial weights and order of batches.
        resume: continue an unfinished training with the same steps and seed.
        progress: called with (steps done, steps, loss) after each step.
        save_every_s: seconds between two saved states; kill -9 loses at most these.

    Raises:
        ModelError: the file has no ``recipe``, or the loss is no longer finite.
        ArgumentError: the state to resume belongs to other steps or another seed.
        StorageError: a file cannot be written.
    """
    seed_checked(seed)
    if steps is not None and not 1 <= steps <= MOST_STEPS:  # before the file is run
        raise ArgumentError(f"steps must be from 1 to {MOST_STEPS}", got=steps)
    file = ModelFile.find(model)
    make_recipe = file.get("recipe")
    if make_recipe is None:
        raise ModelError("model file must define recipe(model) -> hwsim.nn.Recipe", where=str(file.path))
    out = Path(out) if out is not None else file.path.with_suffix(".safetensors")
    state_path = out.with_name(out.name + ".state")
    network = file.build(checkpoint=False, seed=seed).train()
    recipe: Recipe = make_recipe(network)
    steps = recipe.steps if steps is None else steps
    if not 1 <= steps <= MOST_STEPS:
        raise ArgumentError(f"steps must be from 1 to {MOST_STEPS}", got=steps)
    identity = {"model": file.name, "steps": steps, "seed": seed}
    with _alone(out):
        first = _restore(state_path, identity, network, recipe.optimizers) if resume else 0
        if first == 0:
            # so that no training ends in a full disk
            _save_state(state_path, identity, 0, network, recipe.optimizers)
        losses = _steps(network, recipe, first, steps, seed)
        step, mean, saved, whole = first, float("nan"), time.monotonic(), True
        try:
            while step < steps:
                whole = False
                with held_back():  # a signal waits for the end of the step
                    step, value = next(losses)
                    whole = True
                mean = value if mean != mean else 0.98 * mean + 0.02 * value
                if progress is not None:
                    progress(step, steps, value)
                if time.monotonic() - saved > save_every_s:
                    _save_state(state_path, identity, step, network, recipe.optimizers)
                    saved = time.monotonic()
        except (KeyboardInterrupt, Stopped):
            if whole:  # half of a step cannot be continued
                _save_state(state_path, identity, step, network, recipe.optimizers)
            raise
        metric = _save_checkpoint(out, identity, network, recipe)
        state_path.unlink(missing_ok=True)
    return Trained(out, steps, metric, mean)


def _steps(network: nn.Module, recipe: Recipe, first: int, steps: int, seed: int) -> Iterator[tuple[int, float]]:
    """Train from step `first` on; yield (steps done, loss)."""
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in recipe.optimizers]
    base = _base_rates(recipe.optimizers, rates)
    for step in range(first, steps):
        factor = recipe.rate(step / steps)
        for optimizer, initial in zip(recipe.optimizers, base, strict=True):
            for group, rate in zip(optimizer.param_groups, initial, strict=True):
                group["lr"] = rate * factor
        with torch.random.fork_rng(devices=[]), _low_precision():
            torch.manual_seed(seed * 1_000_003 + step)  # dropout of a step is the same in a training that goes on
            loss = recipe.loss(network, recipe.batch(step, seed))
        value = float(loss.detach())
        if value != value or abs(value) == float("inf"):
            raise ModelError("loss must stay finite", got=value, where=f"step {step}")
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in recipe.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        yield step + 1, value


def _base_rates(optimizers: Sequence[torch.optim.Optimizer], now: list[list[float]]) -> list[list[float]]:
    """Rates of the recipe, kept in the groups so that a restored optimizer does not take a lowered rate for them."""
    for optimizer, rates in zip(optimizers, now, strict=True):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group.setdefault("recipe_lr", rate)
    return [[group["recipe_lr"] for group in optimizer.param_groups] for optimizer in optimizers]


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware (Linux on x86; False where unknown)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _low_precision() -> Any:
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bf16())


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other process train into the same file while the block runs: the lock is on a file beside it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as refusal:
        raise StorageError(f"folder must be writable, {refusal.strerror}", where=str(path.parent)) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ArgumentError("nobody else may train into the file", got=str(path), where="out") from None
    finally:
        os.close(descriptor)


def _save_state(
    path: Path, identity: dict[str, Any], step: int, network: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    state = {
        "identity": identity,
        "step": step,
        "model": network.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    held = io.BytesIO()
    torch.save(state, held)
    write_whole(path, hashlib.sha256(held.getbuffer()).hexdigest().encode() + held.getvalue())


def _restore(
    path: Path, identity: dict[str, Any], network: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> int:
    """Load an unfinished training; returns the steps that it has done, 0 if there is none."""
    if not path.exists():
        return 0
    data = read_bytes(path, "state to resume", StorageError, 1 << 40)
    digest, state = data[:64], data[64:]
    if hashlib.sha256(state).hexdigest().encode() != digest:
        raise StorageError("state to resume must be whole; remove it to begin again", where=str(path))
    try:
        held = torch.load(io.BytesIO(state), weights_only=True)
        if held["identity"] != identity:
            raise ArgumentError(f"state to resume must belong to {identity}", got=held["identity"], where=str(path))
        network.load_state_dict(held["model"])
        for optimizer, stored in zip(optimizers, held["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        return int(held["step"])
    except (KeyError, TypeError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        if isinstance(error, ArgumentError):
            raise
        rule = f"state to resume must be of this model and recipe; remove it to begin again ({type(error).__name__})"
        raise StorageError(rule, where=str(path)) from None


def _save_checkpoint(path: Path, identity: dict[str, Any], network: nn.Module, recipe: Recipe) -> Any:
    """Round to bfloat16, measure the rounded model, write it with what it takes to make it again."""
    network.eval()
    rounded = {name: value.detach().bfloat16() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in rounded.items()})
    metric = recipe.metric(network) if recipe.metric is not None else None
    notes = {name: str(value) for name, value in identity.items()} | {
        "dtype": "bfloat16",
        "multiplied_in": "bfloat16" if has_bf16() else "float32",
        "torch": torch.__version__.split("+")[0],
        "metric": json.dumps(metric),
    }
    write_whole(path, _ordered(save(rounded, metadata=notes)))
    return metric


def _ordered(data: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes the metadata in a new order each time."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]

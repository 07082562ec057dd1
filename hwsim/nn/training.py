"""Training as a model file says: resumable, bit-reproducible on one machine, safe against kill -9.

The state of a training (parameters, optimizers, step, torch's random numbers) is written to a temporary file and
renamed, so there is at all times one whole state; the batch of a step follows from (seed, step) alone, so a resumed
training continues as if nothing had happened. An interrupt waits for the end of the step under way. The checkpoint is
written once, at the end, from the rounded weights that it stores, and the metric in it is the metric of those.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from hwsim.errors import ArgumentError, ModelError, Stopped, StorageError
from hwsim.guard import held_back, is_stopping
from hwsim.nn.models import ModelFile
from hwsim.notebook import with_bar
from hwsim.storage import read_bytes, seed_checked, write_whole

MOST_STEPS = 10**9


@dataclass(frozen=True)
class Training:
    """How a model is trained. A model file's ``training(model)`` returns one.

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


@with_bar("training")
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
    """Train the model file `model` as it says and write the checkpoint `out` (default: beside the file).

    Matrix products run in bfloat16 where the processor multiplies it (AVX512_BF16, AMX), else in float32. An
    unfinished training is continued from ``<out>.state`` unless `resume` is False.

    Args:
        model: name or path, see `hwsim.nn.models`.
        out: path of the safetensors file, weights as bfloat16.
        steps: optimizer steps in place of the file's.
        seed: of initial weights and order of batches.
        resume: continue an unfinished training with the same steps and seed.
        progress: called with (steps done, steps, loss) after each step.
        save_every_s: seconds between two saved states; kill -9 loses at most these.

    Raises:
        ModelError: the file has no ``training``, or the loss is no longer finite.
        ArgumentError: the state to resume belongs to other steps or another seed.
        StorageError: a file cannot be written.
    """
    seed_checked(seed)
    if steps is not None and not 1 <= steps <= MOST_STEPS:  # before the file is run
        raise ArgumentError(f"steps must be from 1 to {MOST_STEPS}", got=steps)
    file = ModelFile.find(model)
    make = file.get("training")
    if make is None:
        raise ModelError("model file must define training(model) -> hwsim.nn.Training", where=str(file.path))
    out = Path(out) if out is not None else file.path.with_suffix(".safetensors")
    state_path = out.with_name(out.name + ".state")
    network = file.build(checkpoint=False, seed=seed).train()
    training: Training = make(network)
    steps = training.steps if steps is None else steps
    if not 1 <= steps <= MOST_STEPS:
        raise ArgumentError(f"steps must be from 1 to {MOST_STEPS}", got=steps)
    identity = {"model": file.name, "steps": steps, "seed": seed}
    with _alone(out):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            mean = _run(state_path, identity, network, training, steps, seed, resume, progress, save_every_s)
        metric = _save_checkpoint(out, identity, network, training)
        state_path.unlink(missing_ok=True)
    return Trained(out, steps, metric, mean)


def _run(
    state_path: Path,
    identity: dict[str, Any],
    network: nn.Module,
    training: Training,
    steps: int,
    seed: int,
    resume: bool,
    progress: Callable[[int, int, float], None] | None,
    save_every_s: float,
) -> float:
    """All steps that are left; returns the last mean loss."""

    def save(done: int) -> None:
        save_state(state_path, identity, done, network, training.optimizers)

    first = restore(state_path, identity, network, training.optimizers)[0] if resume else 0
    if first == 0:
        save(0)  # so that no training ends in a full disk
    mean, saved = float("nan"), time.monotonic()
    with interruptible() as interrupted:
        for step, value in train_steps(network, training, first, steps, steps, seed):
            mean = value if mean != mean else 0.98 * mean + 0.02 * value
            try:
                if progress is not None:
                    progress(step, steps, value)
                interrupted.check()
            except (KeyboardInterrupt, Stopped):
                save(step)
                raise
            if time.monotonic() - saved > save_every_s:
                save(step)
                saved = time.monotonic()
    return mean


def train_steps(
    network: nn.Module,
    training: Training,
    first: int,
    last: int,
    steps: int,
    seed: int,
    around: Callable[[int], AbstractContextManager[Callable[[Any], None]]] | None = None,
) -> Iterator[tuple[int, float]]:
    """Train from step `first` up to `last` of `steps`; yield (steps done, loss). `around` (step) is entered around
    forward and backward, and what it yields is called with the batch when both are done."""
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in training.optimizers]
    base = _base_rates(training.optimizers, rates)
    for step in range(first, last):
        factor = training.rate(step / steps)
        for optimizer, initial in zip(training.optimizers, base, strict=True):
            for group, rate in zip(optimizer.param_groups, initial, strict=True):
                group["lr"] = rate * factor
        with around(step) if around is not None else nullcontext() as look:
            batch = training.batch(step, seed)
            with low_precision():
                loss = training.loss(network, batch)
            value = float(loss.detach())
            if value != value or abs(value) == float("inf"):
                raise ModelError("loss must stay finite", got=value, where=f"step {step}")
            loss.backward()  # type: ignore[no-untyped-call]
            if look is not None:
                look(batch)
        with newton_schulz_in_float32():
            for optimizer in training.optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        yield step + 1, value


def _base_rates(optimizers: Sequence[torch.optim.Optimizer], now: list[list[float]]) -> list[list[float]]:
    """Rates of the training, kept in the groups, so that a restored optimizer takes no lowered rate for them."""
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


@contextmanager
def newton_schulz_in_float32() -> Iterator[None]:
    """`torch.optim.Muon` orthogonalizes in float32 inside the block where the processor multiplies no bfloat16: there
    its bfloat16 products take twenty times as long as the rest of a step. Elsewhere nothing changes."""
    module: Any = sys.modules.get("torch.optim._muon")
    if has_bf16() or module is None:
        yield
        return
    theirs = module._zeropower_via_newtonschulz
    module._zeropower_via_newtonschulz = orthogonalized
    try:
        yield
    finally:
        module._zeropower_via_newtonschulz = theirs


def orthogonalized(grad: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The iteration of `torch.optim.Muon`, X ← aX + (bA + cA²)X with A = XXᵀ, in the type of `grad`."""
    a, b, c = coefficients
    tall = grad.size(0) > grad.size(1)
    x = grad.T if tall else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Interruption:
    """Whether a signal waits for the end of a step; see `interruptible`."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self) -> bool:
        """Whether one waits."""
        return bool(self.asked)

    def check(self) -> None:
        """Raise the interruption that waits: `Stopped` in a process that ends by signals, else KeyboardInterrupt."""
        if self.asked:
            raise Stopped(self.asked[0]) if is_stopping() else KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """In the block Ctrl-C, and what else `hwsim.guard.stopping` watches, only turns what it yields true, so that a
    step is never left half done; a second one interrupts at once. Outside of the main thread nothing changes."""
    found = Interruption()

    def note(number: int, frame: Any) -> None:
        found.asked.append(number)
        if len(found.asked) > 1:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield found
        return
    if is_stopping():
        with held_back(found.asked):
            yield found
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)


def low_precision() -> Any:
    """Products in bfloat16 inside the block where the processor multiplies it."""
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


def save_state(
    path: Path,
    identity: dict[str, Any],
    step: int,
    network: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    more: dict[str, Any] | None = None,
) -> None:
    """Write an unfinished training, torch's random state included, and `more` of the caller's, behind a SHA-256."""
    state = {
        "identity": identity,
        "step": step,
        "model": network.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "random": torch.get_rng_state(),
        "more": more or {},
    }
    held = io.BytesIO()
    torch.save(state, held)
    write_whole(path, hashlib.sha256(held.getbuffer()).hexdigest().encode() + held.getvalue())


def restore(
    path: Path, identity: dict[str, Any], network: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> tuple[int, dict[str, Any]]:
    """Load an unfinished training; returns the steps done, 0 if there is none, and what else was saved."""
    if not path.exists():
        return 0, {}
    data = read_bytes(path, "state to resume", StorageError, 1 << 40)
    if hashlib.sha256(data[64:]).hexdigest().encode() != data[:64]:
        raise StorageError("state to resume must be whole; remove it to begin again", where=str(path))
    try:
        state = torch.load(io.BytesIO(data[64:]), weights_only=True)
        if state["identity"] != identity:
            raise ArgumentError(f"state to resume must belong to {identity}", got=state["identity"], where=str(path))
        network.load_state_dict(state["model"])
        for optimizer, stored in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)
        torch.set_rng_state(state["random"])
        return int(state["step"]), state["more"]
    except (KeyError, TypeError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        if isinstance(error, ArgumentError):
            raise
        rule = (
            f"state to resume must be of this model and training; remove it to begin again ({type(error).__name__})"
        )
        raise StorageError(rule, where=str(path)) from None


def _save_checkpoint(path: Path, identity: dict[str, Any], network: nn.Module, training: Training) -> Any:
    """Round to bfloat16, measure the rounded model, write it with what it takes to make it again."""
    network.eval()
    rounded = {name: value.detach().bfloat16() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in rounded.items()})
    metric = training.metric(network) if training.metric is not None else None
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

"""Short trainings of a small GPT and a small nGPT, and what is measured of them: the torch half of a study.

Every run of one seed starts from the same weights and sees the same batches. Now and then the gradient of a step is
taken a second time, in float32, from the same weights and the same batch: what quantization did to it is then known
exactly, and not guessed from the noise of single operands.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hwsim import quant
from hwsim.nn.corpus import stdlib
from hwsim.nn.emulation import Emulation, emulate
from hwsim.nn.looking import Looks
from hwsim.nn.models import ModelFile, load_file
from hwsim.recipes import Recipe

FLOAT32 = "float32"
WIDTH, LAYERS = 96, 3
LOOKS = 10
"""Gradients a run that are taken a second time, beside the last."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training.

    Attributes:
        model, recipe, seed: what was trained.
        loss: on held-out text, in the recipe's own arithmetic, nats a byte.
        loss_float32: of the same weights in float32.
        ratios: the recipe's monitor, one a step; None where nothing was lost.
        steps: at which gradients were looked at, counted from 1.
        gradient_ratios: ‖g‖ / ‖q - g‖ there, q the gradient of all parameters as trained with and g the one in
            float32 at the same weights and batch; None without a difference.
        cosines: of q and g.
        snr_db: signal to noise of dot products of linear layers in NVFP4 at the end, the median over layers.
        corpus: hash of the text.
    """

    model: str
    recipe: str
    seed: int
    loss: float
    loss_float32: float
    ratios: tuple[float | None, ...]
    steps: tuple[int, ...]
    gradient_ratios: tuple[float | None, ...]
    cosines: tuple[float, ...]
    snr_db: float
    corpus: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A training to be made: a cell of a study.

    Attributes:
        model: ``"gpt"`` or ``"ngpt"``.
        recipe: None for float32.
        seed: of weights, batches and rounding.
        steps: of the optimizer, each of `batch` windows of `context` bytes.
        origin: what else it follows from, `origin`.
    """

    model: str
    recipe: Recipe | None
    seed: int
    steps: int
    batch: int
    context: int
    origin: str

    @property
    def label(self) -> str:
        """``gpt nvidia-nvfp4 seed 0``."""
        return f"{self.model} {self.name} seed {self.seed}"

    @property
    def name(self) -> str:
        """Of the recipe."""
        return FLOAT32 if self.recipe is None else self.recipe.name

    def measure(self) -> dict[str, Any]:
        """The `Run`, as a table."""
        with one_thread():
            return asdict(train(self))


def origin() -> str:
    """A digest of the files of both models and of the text."""
    return digest_of(("gpt", "ngpt"), stdlib().hash)


def digest_of(models: Sequence[str], text: str) -> str:
    """16 digits for the files of models by name, and for the hash of a text."""
    found = hashlib.sha256(text.encode())
    for name in models:
        found.update(ModelFile.find(name).path.read_bytes())
    return found.hexdigest()[:16]


@contextmanager
def one_thread() -> Iterator[None]:
    """torch adds on one thread inside the block, so that its sums are the same beside other processes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(trial: Trial) -> Run:
    """One training and what is measured of it."""
    module: Any = load_file(ModelFile.find(trial.model).path)
    corpus = stdlib()
    text, held_out = torch.from_numpy(corpus.train.copy()), torch.from_numpy(corpus.validation.copy())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(trial.seed)
        model = module.GPT(WIDTH, LAYERS) if trial.model == "gpt" else module.NGPT(WIDTH, LAYERS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, betas=(0.9, 0.95), weight_decay=0.0)
    if trial.model == "ngpt":
        optimizer.register_step_post_hook(lambda *_: module.normalise(model))
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (1.0 - step / trial.steps) / 0.6 + 0.01)
    )
    fixed = _windows(held_out, 32, trial.context, seed=0)
    context: AbstractContextManager[Emulation | None] = nullcontext()
    if trial.recipe is not None:
        context = emulate(model, trial.recipe, seed=trial.seed, steps=trial.steps)
    looks = Looks(model, module.loss, trial.steps, LOOKS)
    with context as handle:
        for step in range(trial.steps):
            batch = _windows(text, trial.batch, trial.context, trial.seed * 1_000_003 + step + 1)
            optimizer.zero_grad(set_to_none=True)
            with looks.step(step, handle) as look:
                module.loss(model, batch).backward()
                look(batch)
            optimizer.step()
            rate.step()
        with torch.no_grad():
            loss = float(module.loss(model, fixed))
    ratios = () if handle is None else tuple(ratio if math.isfinite(ratio) else None for _, ratio in handle.ratios)
    with torch.no_grad():
        plain = float(module.loss(model, fixed))
    steps, gradient_ratios, cosines = zip(*looks.gradients, strict=True) if looks.gradients else ((), (), ())
    return Run(trial.model, trial.name, trial.seed, loss, plain, ratios, steps, gradient_ratios, cosines,
               snr_db(model, fixed[:8]), corpus.hash)  # fmt: skip


def snr_db(model: nn.Module, batch: Tensor) -> float:
    """10 log10(E signal² / E noise²) of the outputs of linear layers with both operands in NVFP4, the head left out;
    the median over layers."""
    found: list[float] = []

    def watch(module: Any, args: tuple[Tensor, ...], out: Tensor) -> None:
        x = args[0].detach().reshape(-1, args[0].shape[-1]).numpy()
        low = (
            quant.fake_quantize(x, "nvfp4.te") @ quant.fake_quantize(module.weight.detach().numpy(), "nvfp4.te_2d").T
        )
        exact = out.detach().reshape(low.shape).numpy().astype(np.float64)
        found.append(10 * math.log10(float(np.square(exact).mean() / np.square(low - exact).mean())))

    layers = [one for name, one in model.named_modules() if isinstance(one, nn.Linear) and name != "head"]
    hooks = [layer.register_forward_hook(watch) for layer in layers]
    try:
        with torch.no_grad():
            model(batch[:, :-1])
    finally:
        for hook in hooks:
            hook.remove()
    return statistics.median(found)


def _windows(text: Tensor, count: int, context: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(len(text) - context - 1, (count,), generator=generator)
    return text[starts[:, None] + torch.arange(context + 1)].long()

"""What a training recipe is: which products are quantized and how (`hwsim.recipes.operands`), where not, and when.

A recipe is data: it loads no torch, and equal recipes give equal bits. One class for each paper was rejected: nobody
can say what two of them differ in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.recipes.operands import FLOAT32, GEMMS, Draw, Gemm, GemmName, Layer, Operand

Kind = Literal["linear", "convolution", "recurrent", "attention", "matmul", "embedding", "head"]
"""What a product is, by what the model does with it: layers with a weight by their operator, ``attention`` (q kᵀ and
p v), ``matmul`` for other products of two activations, ``head`` for the last layer with a weight behind the blocks,
``embedding`` for layers with a weight before the blocks (patches, stems). A head or an embedding is one of these
alone."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Some of a model's products. A product is selected if any one of the fields selects it.

    Args:
        kinds: see `Kind`.
        names: patterns of dotted layer names, shell wildcards on the whole name: ``"blocks.0.*"``, ``"*.router"``.
        first, last: so many blocks at the beginning or end; a fraction below 1 means that share of the layers with a
            weight, head and embedding left out, rounded to the nearest number. Blocks are the entries of the model's
            longest list of like modules.
    """

    kinds: tuple[Kind, ...] = ()
    names: tuple[str, ...] = ()
    first: float = 0
    last: float = 0

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in get_args(Kind):
                raise ArgumentError(f"kind must be one of {', '.join(get_args(Kind))}", got=kind, where="kinds")
        for name in ("first", "last"):
            value = getattr(self, name)
            if value < 0 or (value >= 1 and value != int(value)):
                raise ArgumentError(f"{name} must be a number of blocks or a fraction below 1", got=value, where=name)


@dataclass(frozen=True, slots=True)
class Rule:
    """What some layers use in place of the recipe's `Recipe.layer`; the first rule that selects a product wins."""

    where: Selection
    use: Layer = FLOAT32


@dataclass(frozen=True, slots=True)
class Change:
    """From a fraction of the training on, some GEMMs of every quantized layer run otherwise.

    Args:
        at: 0 to 1 of the steps done. Changes hold in their order: a later one wins.
        gemms: which.
        to: their arithmetic from then on; None is float32 on high-precision operands. Operands of source
            ``forward`` are still fprop's copies.
    """

    at: float
    gemms: tuple[GemmName, ...]
    to: Gemm | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.at <= 1:
            raise ArgumentError("at must lie in 0..1", got=self.at, where="schedule.at")


@dataclass(frozen=True, slots=True)
class Monitor:
    """Switch some GEMMs to high precision once gradients drown in the noise of their quantization.

    The ratio ‖g‖ / (s √d) is taken of each gradient operand of dgrad and wgrad, s the root mean square of Q(g) - g
    (arXiv 2505.19115, for whom g is a parameter's gradient; here it is what a layer's GEMM reads).

    Args:
        threshold: the switch falls when the median over layers stays below it; √3 in the paper.
        patience: for so many steps in a row.
        gemms: what is switched.
        to: to what; None is float32.
    """

    threshold: float = 3.0**0.5
    patience: int = 1
    gemms: tuple[GemmName, ...] = ("dgrad", "wgrad")
    to: Gemm | None = None


class Softmax(Protocol):
    """A softmax of attention on low-bit numbers. Gradients are those of the float32 softmax at its result."""

    @property
    def name(self) -> str:
        """Its name in reports; equal names mean equal bits."""

    def apply(self, scores: NDArray[np.float32], draw: Draw) -> NDArray[np.float32]:
        """Probabilities of scores ``[rows, keys]``, which are -inf where masked."""


class Saver(Protocol):
    """What nonlinearities, norms and softmaxes keep for their backward, in fewer bits."""

    @property
    def name(self) -> str:
        """Its name in reports; equal names mean equal bits."""

    def saves(self, op: str) -> bool:
        """Whether tensors kept by the autograd node `op` (``"SiluBackward0"``) are packed."""

    def pack(self, op: str, x: NDArray[np.float32], draw: Draw) -> tuple[Any, int]:
        """Anything that `unpack` understands, and its size in bytes."""

    def unpack(self, packed: Any) -> NDArray[np.float32]:
        """float32 of the shape that was packed."""


class AfterStep(Protocol):
    """What a recipe does to the quantized layers' high-precision weights after an optimizer step."""

    @property
    def name(self) -> str:
        """Its name in reports; equal names mean equal bits."""

    def apply(
        self, layer: str, weight: NDArray[np.float32], scheme: Operand, step: int, steps: int, memory: Any
    ) -> Any:
        """Change `weight` ``[N, K]`` in place.

        Args:
            layer: dotted name.
            weight: writable view of the master weight.
            scheme: fprop's operand b.
            step: optimizer steps done, this one included.
            steps: of the whole training, 0 where unknown.
            memory: what the last call for this layer returned, None at first.

        Returns:
            what the next call gets; numbers and float32 arrays, in tuples or dicts.
        """


@dataclass(frozen=True, slots=True)
class Recipe:
    """A way to train in few bits.

    Args:
        name: ``"nvidia-nvfp4"``; two recipes of one name and version give the same bits.
        title: one line for a list.
        paper: where it is defined: title or authors, arXiv number, code.
        layer: layers with a weight.
        attention: products of two activations; `FLOAT32` leaves them.
        rules: exceptions by kind, position and name. Head and embedding are `FLOAT32` only if a rule says so.
        schedule: changes with time.
        monitor: changes by measurement.
        softmax: of attention, None for float32.
        saver: of saved activations, None to keep them.
        after_step: of weights.
        unbiased: whether the paper claims that its gradients are unbiased.
        claims: what of the paper's claims a measurement contradicts or nobody could verify, one sentence each.
        version: raised with every change of bits.
    """

    name: str
    title: str
    paper: str
    layer: Layer
    attention: Layer = FLOAT32
    rules: tuple[Rule, ...] = ()
    schedule: tuple[Change, ...] = ()
    monitor: Monitor | None = None
    softmax: Softmax | None = None
    saver: Saver | None = None
    after_step: AfterStep | None = None
    unbiased: bool = False
    claims: tuple[str, ...] = ()
    version: int = 1

    def __post_init__(self) -> None:
        if self.version < 1:
            raise ArgumentError("version must be at least 1", got=self.version, where=f"recipe {self.name}")
        times = [change.at for change in self.schedule]
        if times != sorted(times):
            raise ArgumentError("changes must be in the order of time", got=times, where=f"recipe {self.name}")

    @property
    def stochastic(self) -> bool:
        """Whether two trainings with other seeds of the recipe may differ."""
        layers = [self.layer, self.attention, *(rule.use for rule in self.rules)]
        changed = [change.to for change in self.schedule]
        return any(layer.stochastic for layer in layers) or any(gemm and gemm.stochastic for gemm in changed)

    def at(self, layer: Layer, done: float, switched: bool = False) -> Layer:
        """`layer` as the schedule has it once the fraction `done` of the training is done.

        Args:
            layer: one of the recipe's; `FLOAT32` stays as it is.
            done: 0 to 1.
            switched: whether the monitor's switch has fallen.
        """
        if layer == FLOAT32:
            return layer
        changes: list[tuple[tuple[GemmName, ...], Gemm | None]] = [
            (change.gemms, change.to) for change in self.schedule if done >= change.at
        ]
        if switched and self.monitor is not None:
            changes.append((self.monitor.gemms, self.monitor.to))
        for gemms, to in changes:
            one, two, three = (to if name in gemms else layer.gemm(name) for name in GEMMS)
            layer = Layer(one, two, three, layer.passes)
        return layer

    def then(self, *changes: Change, name: str | None = None) -> Recipe:
        """The recipe with more changes: ``recipe.then(Change(0.9, ("dgrad", "wgrad")))`` ends it in a finetuning
        whose backward is float32."""
        return replace(self, name=name or f"{self.name}+", schedule=(*self.schedule, *changes))

    def keeping(self, where: Selection, use: Layer = FLOAT32, name: str | None = None) -> Recipe:
        """The recipe with another exception before its own."""
        return replace(self, name=name or f"{self.name}+", rules=(Rule(where, use), *self.rules))

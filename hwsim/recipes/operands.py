"""How each operand of the three matrix products of a layer is made.

A layer multiplies three times. With x ``[M, K]``, w ``[N, K]`` and the gradient g ``[M, N]`` of the result:

| GEMM | computes | a | b | contraction |
|---|---|---|---|---|
| ``fprop`` | y = x wᵀ ``[M, N]`` | x ``[M, K]`` | w ``[N, K]`` | K, input features |
| ``dgrad`` | dx = g w ``[M, K]`` | g ``[M, N]`` | wᵀ ``[K, N]`` | N, output features |
| ``wgrad`` | dw = gᵀ x ``[N, K]`` | gᵀ ``[N, M]`` | xᵀ ``[K, M]`` | M, tokens |

Every operand is a matrix ``[rows, contraction]`` when it is quantized, so "along the contraction" is its last axis.
In a product of two activations (attention: q kᵀ, p v) the second takes the place of w: ``dgrad`` makes the gradient
of the first, ``wgrad`` that of the second.

The order within a GEMM: take the source (`Operand.source`), pad the contraction with zeros (`Gemm.pad`, and at least
to the rotation's size), rotate both operands by one rotation, mask, quantize, extend (`Gemm.extend`),
multiply.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.errors import ArgumentError
from hwsim.quant import Quantized, Rotation, Scheme

GemmName = Literal["fprop", "dgrad", "wgrad"]
"""The three products of a layer."""

GEMMS: tuple[GemmName, ...] = get_args(GemmName)

Source = Literal["high", "forward"]
"""Where an operand comes from: the high-precision tensor, or the copy that fprop quantized (in fprop's rotated basis,
the result is turned back). With ``forward`` a gradient is that of the quantized function."""

Axis = Literal["contraction", "rows"]
"""Along which axis blocks lie and channels share a scale."""

MaskRule = Literal["largest", "unbiased", "approximate"]
"""N:M masks of `hwsim.quant`: `keep_largest`, `sparsify_unbiased` (MVUE), `sparsify_2_4_approximate`."""

Passes = Literal["straight", "unclipped"]
"""What gradients do at an fprop operand's quantizer: pass straight through, or only where it did not clip."""


@dataclass(frozen=True, slots=True)
class Draw:
    """The random numbers of one operand in one call, and what the recipe remembers about it.

    They depend on (seed, layer, GEMM, operand, step, micro-batch, use of the layer) alone: recomputation, threads and
    ranks draw the same.

    Attributes:
        seed: 64 bits, for `quant.random_words` and for the ``seed`` of a quantizer.
        shared: 64 bits that both operands of the GEMM have in common (signs of a rotation).
        layer: dotted name.
        gemm: which of the three.
        step: optimizer steps done.
        memory: what `remember` kept at the last step, None at first.
    """

    seed: int
    shared: int
    layer: str
    gemm: GemmName
    step: int
    memory: Any = None
    kept: list[Any] = field(default_factory=list, compare=False, repr=False)

    def remember(self, value: Any) -> None:
        """Keep a value (numbers and float32 arrays, in tuples or dicts) for this operand's next step.

        Within a step all see the memory of the step before, so a recomputation does not change it.
        """
        self.kept[:] = [value]


@dataclass(frozen=True, slots=True)
class Taken:
    """An operand as the multiplier takes it.

    Attributes:
        values: float32 ``[rows, K]``, of the shape that was asked for.
        passed: bool ``[rows, K]``, where the quantizer did not clip; None: everywhere.
        quantized: codes and scales of the same values, where a datapath can multiply them.
    """

    values: NDArray[np.float32]
    passed: NDArray[np.bool_] | None = None
    quantized: Quantized | None = None


@runtime_checkable
class Quantizer(Protocol):
    """A quantizer that is no `hwsim.quant.Scheme`: frozen, compared by its fields.

    `name` says what it does with all that decides bits; `stochastic` whether it reads ``draw.seed``.
    """

    @property
    def name(self) -> str:
        """Its name in reports; equal names mean equal bits."""

    @property
    def stochastic(self) -> bool:
        """Whether it draws random numbers."""

    def take(self, x: NDArray[np.float32], draw: Draw) -> Taken:
        """x ``[rows, K]``, contiguous float32, quantized along its last axis; x is not written."""


@dataclass(frozen=True, slots=True)
class Mask:
    """N:M sparsity along the contraction, before the quantizer: at most `n` of `m` neighbours are not zero."""

    n: int
    m: int
    rule: MaskRule = "unbiased"

    def __post_init__(self) -> None:
        if not 1 <= self.n < self.m:
            raise ArgumentError("n must lie below m", got=(self.n, self.m), where="mask")
        if self.rule == "approximate" and (self.n, self.m) != (2, 4):
            raise ArgumentError("the approximate rule must be 2:4", got=(self.n, self.m), where="mask")


@dataclass(frozen=True, slots=True)
class Operand:
    """How one operand is made. ``Operand()`` is the high-precision tensor itself.

    Args:
        scheme: name of `hwsim.quant.names`, a `Scheme`, or a `Quantizer`; None: as the source is. A scheme with
            ``rounding="sr"`` rounds stochastically (``nvfp4.te_sr``); its noise is drawn by counter.
        source: see `Source`. In fprop always ``high``.
        axis: see `Axis`; ``rows`` for a quantizer that shares scales across the contraction.
        mask: sparsity before the quantizer.
    """

    scheme: str | Scheme | Quantizer | None = None
    source: Source = "high"
    axis: Axis = "contraction"
    mask: Mask | None = None

    def __post_init__(self) -> None:
        if isinstance(self.scheme, str):
            quant.get(self.scheme)
        if self.source not in get_args(Source):
            raise ArgumentError("source must be high or forward", got=self.source, where="operand.source")
        if self.axis not in get_args(Axis):
            raise ArgumentError("axis must be contraction or rows", got=self.axis, where="operand.axis")

    @property
    def stochastic(self) -> bool:
        """Whether two calls may differ."""
        masked = self.mask is not None and self.mask.rule != "largest"
        if self.scheme is None:
            return masked
        if isinstance(self.scheme, Quantizer):
            return masked or self.scheme.stochastic
        return masked or quant.get(self.scheme).rounding == "sr"

    @property
    def label(self) -> str:
        """The operand in a table: ``nvfp4.te_sr``, ``forward``, ``2:4 → luq``, ``–`` for high precision."""
        name = "" if self.scheme is None else self.scheme if isinstance(self.scheme, str) else self.scheme.name
        parts = [
            "forward" if self.source == "forward" else "",
            f"{self.mask.n}:{self.mask.m}" if self.mask else "",
            name,
        ]
        return " → ".join(part for part in parts if part) or "–"


class Extend(Protocol):
    """More columns along the contraction once both operands are quantized: corrections that run in the same GEMM."""

    @property
    def name(self) -> str:
        """Its name in reports; equal names mean equal bits."""

    def columns(
        self,
        a: NDArray[np.float32],
        a_taken: NDArray[np.float32],
        b: NDArray[np.float32],
        b_taken: NDArray[np.float32],
        draw: Draw,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """From operands before and after quantization, ``[M, K]`` and ``[N, K]``, what is appended to each:
        ``[M, E]`` and ``[N, E]``."""


@dataclass(frozen=True, slots=True)
class Gemm:
    """One of the three products.

    Args:
        a, b: its operands, in the places of the table above.
        rotation: of both.
        pad: the contraction is padded with zeros to a multiple of this.
        extend: corrections.
        accumulate: ``"float32"`` multiplies quantized values by a float32 GEMM; ``"unit"`` their codes on the unit
            made for the schemes; else the fields of a datapath as in a machine file (``(("family", "dot"), ...)``).
    """

    a: Operand = Operand()
    b: Operand = Operand()
    rotation: Rotation | None = None
    pad: int = 1
    extend: Extend | None = None
    accumulate: Literal["float32", "unit"] | tuple[tuple[str, Any], ...] = "float32"

    def __post_init__(self) -> None:
        if self.pad < 1:
            raise ArgumentError("pad must be at least 1", got=self.pad, where="gemm.pad")

    @property
    def operands(self) -> tuple[Operand, Operand]:
        """Both, a first."""
        return self.a, self.b

    @property
    def stochastic(self) -> bool:
        """Whether two calls may differ."""
        drawn = self.rotation is not None and self.rotation.redrawn
        return drawn or self.a.stochastic or self.b.stochastic


@dataclass(frozen=True, slots=True)
class Layer:
    """The three products of a layer; None is float32 on the high-precision operands.

    Args:
        fprop, dgrad, wgrad: see the module.
        passes: see `Passes`.
    """

    fprop: Gemm | None = None
    dgrad: Gemm | None = None
    wgrad: Gemm | None = None
    passes: Passes = "straight"

    def __post_init__(self) -> None:
        if self.fprop is not None and any(operand.source == "forward" for operand in self.fprop.operands):
            raise ArgumentError("fprop must take its operands from high precision", got="forward", where="fprop")
        for name in ("dgrad", "wgrad"):
            gemm: Gemm | None = getattr(self, name)
            if gemm is not None and gemm.a.source == "forward":
                raise ArgumentError("a gradient must come from high precision", got="forward", where=f"{name}.a")
            if gemm is not None and gemm.b.source == "forward" and self.fprop is None:
                raise ArgumentError("there must be an fprop to take copies from", got="forward", where=f"{name}.b")

    def gemm(self, name: GemmName) -> Gemm | None:
        """One of the three."""
        found: Gemm | None = getattr(self, name)
        return found

    @property
    def stochastic(self) -> bool:
        """Whether two trainings with other seeds of the recipe may differ."""
        return any(gemm is not None and gemm.stochastic for gemm in (self.fprop, self.dgrad, self.wgrad))


FLOAT32 = Layer()
"""Nothing quantized."""

"""Quantizers of recipes that are no `Scheme`: records that name a function of `hwsim.quant` and its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim import quant
from hwsim.errors import ArgumentError
from hwsim.quant import Scheme
from hwsim.recipes.operands import Draw, Taken

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Eden:
    """MS-EDEN (`quant.quantize_eden`) of an operand that its GEMM's rotation has turned already.

    Args:
        override: of the scale.
        group: elements of one correction, the size of the rotation.
    """

    override: float = 17 / 16 * 0.93
    group: int = 32

    stochastic = True

    @property
    def name(self) -> str:
        """``ms-eden``, and what differs from it."""
        return f"ms-eden.{self.group}.{self.override:g}"

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values; the words are those of ``draw.seed``."""
        return Taken(quant.quantize_eden(x, seed=draw.seed, override=self.override, group=self.group))


@dataclass(frozen=True, slots=True)
class DoubleBlock:
    """NVFP4 with float32 scales for 1 x 128 (`quant.quantize_double_block`)."""

    stochastic: bool = False

    @property
    def name(self) -> str:
        """``nvfp4.double_block``, ``nvfp4.double_block_sr``."""
        return "nvfp4.double_block" + ("_sr" if self.stochastic else "")

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values."""
        return Taken(quant.quantize_double_block(x, seed=draw.seed if self.stochastic else None))


@dataclass(frozen=True, slots=True)
class Quest:
    """QuEST's MXFP4 (`quant.quantize_quest`), with the mask of what it did not clip."""

    stochastic = False
    name = "mxfp4.quest"

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values and mask; a contraction that 32 does not divide is padded with zeros, which lower its deviation."""
        fill = -x.shape[1] % 32
        values, kept = quant.quantize_quest(np.pad(x, ((0, 0), (0, fill))) if fill else x)
        return Taken(np.ascontiguousarray(values[:, : x.shape[1]]), np.ascontiguousarray(kept[:, : x.shape[1]]))


@dataclass(frozen=True, slots=True)
class ThreeQuarters:
    """MXFP4, stochastic and unclipped (`quant.quantize_three_quarters`)."""

    stochastic = True
    name = "mxfp4.three_quarters_sr"

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values; a contraction that 32 does not divide is padded with zeros."""
        fill = -x.shape[1] % 32
        values = quant.quantize_three_quarters(np.pad(x, ((0, 0), (0, fill))) if fill else x, seed=draw.seed)
        return Taken(np.ascontiguousarray(values[:, : x.shape[1]]))


@dataclass(frozen=True, slots=True)
class PresetAmax:
    """A scheme with a tensor scale whose maximum is not measured but preset; what lies beyond it clips.

    Args:
        scheme: name of a scheme with a tensor scale, rounding to nearest.
        amax: the preset maximum.
    """

    scheme: str
    amax: float = 1.0

    stochastic = False

    def __post_init__(self) -> None:
        if not quant.get(self.scheme).tensor_scale or quant.get(self.scheme).rounding == "sr":
            raise ArgumentError("scheme must have a tensor scale and round to nearest", got=self.scheme)

    @property
    def name(self) -> str:
        """``nvfp4.te_2d.amax1``."""
        return f"{self.scheme}.amax{self.amax:g}"

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values, and codes for a unit."""
        made = quant.quantize(x, self.scheme, amax=self.amax)
        return Taken(made.dequantize(), None, made)


@dataclass(frozen=True, slots=True)
class ZerosStay:
    """A scheme with a tensor scale whose source divides 0 by 0 where a whole tensor is zero: zeros stay zeros here.

    ReLU makes such tensors, one for each dead channel of a depthwise convolution.
    """

    scheme: Scheme

    def __post_init__(self) -> None:
        if not self.scheme.tensor_scale:
            raise ArgumentError("scheme must have a tensor scale", got=self.scheme.name)

    @property
    def name(self) -> str:
        """``nvfp4.fp4atw.zeros``."""
        return f"{self.scheme.name}.zeros"

    @property
    def stochastic(self) -> bool:
        """Whether the scheme is."""
        return self.scheme.rounding == "sr"

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values, and codes for a unit."""
        seed = draw.seed if self.stochastic else None
        made = quant.quantize(x, self.scheme, seed=seed, amax=None if x.any() else 1.0)
        return Taken(made.dequantize(), None, made)


@dataclass(frozen=True, slots=True)
class Luq:
    """LUQ (`quant.quantize_luq`): a sign and a power of two, unbiased.

    Args:
        levels: number of powers of two, see `hwsim.quant.luq.LEVELS`.
        samples: independent quantizations that are averaged (SMP); they share the maximum.
        eta: weight of the past in the maximum that the next step uses; None measures it in each step. What lies above
            an estimate clips, so that with `eta` LUQ is biased.
    """

    levels: int = 7
    samples: int = 1
    eta: float | None = None

    stochastic = True

    @property
    def name(self) -> str:
        """``luq.7``, ``luq.7.smp2``, ``luq.7.hindsight0.1``."""
        tail = f".smp{self.samples}" * (self.samples > 1)
        return f"luq.{self.levels}{tail}" + ("" if self.eta is None else f".hindsight{self.eta:g}")

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values; the estimate of the maximum is remembered from step to step."""
        measured = float(np.abs(x).max(initial=0))
        estimate = measured if self.eta is None or draw.memory is None else float(draw.memory)
        if self.eta is not None:
            draw.remember(quant.hindsight_maximum(estimate, measured, self.eta))
        if self.samples > 1:
            values = quant.quantize_luq_averaged(
                x, n_levels=self.levels, seed=draw.seed, samples=self.samples, maximum=estimate
            )
            return Taken(values)
        return Taken(quant.quantize_luq(x, n_levels=self.levels, seed=draw.seed, maximum=estimate).dequantize())


@dataclass(frozen=True, slots=True)
class Sawb:
    """INT4 with the clip of SAWB, one step a tensor: ``step rint(x / step)``, ties to even, to ±7.

    SAWB's line gives no positive clip for data of one magnitude; the largest magnitude clips there.
    """

    stochastic = False
    name = "int4.sawb"

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values."""
        clip = quant.sawb_clip(x)
        step = np.float32((clip if clip > 0 else float(np.abs(x).max())) / 7)
        if step == 0:
            return Taken(np.zeros_like(x))
        return Taken(np.clip(np.rint(x / step), np.float32(-7), np.float32(7)) * step)


@dataclass(frozen=True, slots=True)
class LowRank:
    """Metis: ``Q(U) diag(s) Q(V)ᵀ + Q(X - U diag(s) Vᵀ)`` (`hwsim.quant.low_rank`).

    Args:
        base: name of the scheme of the three Q; U, V and the residual are quantized along X's contraction: U along
            the rank, V along K.
        rank: of the first term; a smaller side of X lowers it.
        iterations: of the power method, which begins at the last step's V.
    """

    base: str = "nvfp4.te"
    rank: int = 16
    iterations: int = 2

    def __post_init__(self) -> None:
        quant.get(self.base)
        if self.rank < 1:
            raise ArgumentError("rank must be at least 1", got=self.rank, where="low rank")

    @property
    def name(self) -> str:
        """``nvfp4.te.rank16.2``: base, rank, iterations."""
        return f"{self.base}.rank{self.rank}.{self.iterations}"

    @property
    def stochastic(self) -> bool:
        """Whether the base is."""
        return quant.get(self.base).rounding == "sr"

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values; V is remembered from step to step."""
        rank = min(self.rank, *x.shape)
        start = draw.memory if draw.memory is not None and np.shape(draw.memory) == (x.shape[1], rank) else None
        left, values, right = quant.leading(x, rank, start=start, iterations=self.iterations)
        draw.remember(right)
        low = quant.joined(self._of(left, draw, 1), values, self._of(right.T, draw, 2).T)
        return Taken(low + self._of(x - quant.joined(left, values, right), draw, 3))

    def _of(self, x: Floats, draw: Draw, part: int) -> Floats:
        seed = (draw.seed + part) % (1 << 64) if self.stochastic else None
        return quant.fake_quantize(np.ascontiguousarray(x), self.base, seed=seed)


@dataclass(frozen=True, slots=True)
class Cache:
    """Keys or values of attention as a cache stores them: a scheme, and the first tokens kept as they are.

    Args:
        scheme: name of a scheme.
        tokens: which axis of the operand tokens lie on: ``"rows"`` for keys ``[T, d]``, ``"columns"`` for values
            ``[d, T]``.
        along: scales are shared by neighbouring ``"channels"`` of a token, as a cache that grows token by token can
            have it, or by ``"tokens"`` of a channel, as KIVI has it for keys (arXiv 2402.02750).
        sinks: so many first tokens are kept in high precision, as attention falls on them (arXiv 2309.17453).
    """

    scheme: str
    tokens: Literal["rows", "columns"]
    along: Literal["tokens", "channels"] = "channels"
    sinks: int = 0

    def __post_init__(self) -> None:
        quant.get(self.scheme)
        for name, value, known in (("tokens", self.tokens, ("rows", "columns")),
                                   ("along", self.along, ("tokens", "channels"))):  # fmt: skip
            if value not in known:
                raise ArgumentError(f"{name} must be one of {', '.join(known)}", got=value, where="cache")
        if self.sinks < 0:
            raise ArgumentError("sinks must not be negative", got=self.sinks, where="cache")

    @property
    def name(self) -> str:
        """``int4.channel.cache-tokens.sinks4``: scheme, what shares a scale, sinks."""
        return f"{self.scheme}.cache-{self.along}" + f".sinks{self.sinks}" * (self.sinks > 0)

    @property
    def stochastic(self) -> bool:
        """Whether the scheme is."""
        return quant.get(self.scheme).rounding == "sr"

    def take(self, x: Floats, draw: Draw) -> Taken:
        """Values."""
        token_axis = 0 if self.tokens == "rows" else 1
        axis = token_axis if self.along == "tokens" else 1 - token_axis
        values = quant.fake_quantize(x, self.scheme, axis, draw.seed if self.stochastic else None)
        first: Any = (slice(self.sinks), slice(None)) if token_axis == 0 else (slice(None), slice(self.sinks))
        values[first] = x[first]
        return Taken(values)

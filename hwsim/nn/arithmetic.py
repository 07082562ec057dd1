"""The arithmetic of a product, forward and backward: by a recipe, or by the policy of a machine.

Operands are float32 ``[batch, M, K]`` and ``[batch, N, K]``, gradients ``[batch, M, N]``. A GEMM that an arithmetic
leaves to float32 is None in its answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from hwsim import quant
from hwsim.arch import Numerics, Prepared, Role
from hwsim.datapaths import Datapath
from hwsim.errors import ArgumentError
from hwsim.nn.looking import Noise
from hwsim.nn.noise import Ticket, seed_of
from hwsim.nn.operands import Floats, Made, make, padding, rotate, unpassed
from hwsim.nn.recipes import numerics_of
from hwsim.quant import Scheme
from hwsim.quant.turning import turned
from hwsim.recipes import Draw, Gemm, GemmName, Layer, Quantizer

Exact = str | Datapath | Mapping[str, Any] | None
"""How sums are made: None as the recipe says, ``"float32"``, ``"unit"``, a datapath, or one of these by GEMM."""


class Arithmetic(Protocol):
    """What multiplies the three products of a layer."""

    def emulates(self, gemm: GemmName) -> bool:
        """Whether it does one of the three, or leaves it to float32."""

    def fprop(self, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """``[batch, M, N]``; what the backward needs goes into `kept`."""

    def dgrad(self, g: Floats, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """Gradient of a, ``[batch, M, K]``."""

    def wgrad(self, g: Floats, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """Gradient of b, ``[batch, N, K]``."""


class Memory:
    """What quantizers remember from step to step: within a step all see what was kept before it."""

    def __init__(self) -> None:
        self.kept: dict[str, list[tuple[int, Any]]] = {}

    def recall(self, key: str, step: int) -> Any:
        """The value kept at the last step before `step`."""
        return next((value for at, value in reversed(self.kept.get(key, ())) if at < step), None)

    def remember(self, key: str, step: int, value: Any) -> None:
        """Keep a value for the steps after `step`."""
        older = [entry for entry in self.kept.get(key, ()) if entry[0] < step]
        self.kept[key] = [*older[-1:], (step, value)]


@dataclass(slots=True)
class Seeds:
    """Makes the `Draw` of each operand; what a monitor (`noise`) and a look (`looked`) measure of them lies here."""

    seed: int
    memory: Memory = field(default_factory=Memory)
    noise: dict[tuple[str, str], float] = field(default_factory=dict)
    looked: Noise | None = None

    def draw(self, ticket: Ticket, gemm: GemmName, operand: str, index: int) -> Draw:
        """The random numbers and the memory of an operand, number `index` of its batch."""
        used = (self.seed, ticket.layer, gemm, ticket.step, ticket.micro_batch, ticket.use)
        key = f"{ticket.layer}|{gemm}|{operand}|{index}"
        memory = self.memory.recall(key, ticket.step)
        return Draw(seed_of(*used, operand, index), seed_of(*used), ticket.layer, gemm, ticket.step, memory)

    def keep(self, draw: Draw, operand: str, index: int) -> None:
        """Store what a quantizer asked to remember."""
        if draw.kept:
            self.memory.remember(f"{draw.layer}|{draw.gemm}|{operand}|{index}", draw.step, draw.kept[0])


class ByRecipe:
    """The three GEMMs as a `hwsim.recipes.Layer` has them."""

    def __init__(self, layer: Layer, seeds: Seeds, exact: Exact, watched: bool = False) -> None:
        self.layer, self.seeds, self.watched = layer, seeds, watched
        self.numerics = {name: _numerics(layer.gemm(name), name, exact) for name in ("fprop", "dgrad", "wgrad")}
        grads = [gemm for gemm in (layer.dgrad, layer.wgrad) if gemm is not None]
        self.copies = any(gemm.b.source == "forward" for gemm in grads)
        self.square = _shares_squares(layer)

    def emulates(self, gemm: GemmName) -> bool:
        """Whether the layer says anything of it."""
        return self.layer.gemm(gemm) is not None

    def fprop(self, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """See `Arithmetic`."""
        assert self.layer.fprop is not None
        out, made_a, made_b = self._multiply("fprop", self.layer.fprop, a, b, ticket)
        clips = self.layer.passes == "unclipped"
        if self.copies or clips:
            kept["a"] = _owned(made_a, a)
        if self.copies or clips or self.square:
            kept["b"] = _owned(made_b, b)
        return out

    def dgrad(self, g: Floats, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """See `Arithmetic`."""
        return self._gradient("dgrad", g, b, "b", kept.get("a"), ticket, kept)

    def wgrad(self, g: Floats, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """See `Arithmetic`."""
        return self._gradient("wgrad", g, a, "a", kept.get("b"), ticket, kept)

    def _gradient(
        self,
        name: GemmName,
        g: Floats,
        other: Floats,
        side: str,
        of: Made | None,
        ticket: Ticket,
        kept: dict[str, Made],
    ) -> Floats:
        """g ``[batch, rows, C]``, in wgrad ``[batch, C, rows]``, times the other operand ``[batch, C, K]``."""
        fprop, gemm, k = self.layer.fprop, self.layer.gemm(name), other.shape[2]
        copied = gemm is not None and gemm.b.source == "forward"
        if copied:
            other = kept[side].values
        if gemm is None:
            out = _matmul(turned(g) if name == "wgrad" else g, turned(other))
        elif name == "dgrad" and self.square and "b" in kept and self.numerics[name] is None:
            out, *_ = self._multiply(name, gemm, g, turned(kept["b"].values)[:, :k], ticket, ready=True)
        else:
            out, *_ = self._multiply(name, gemm, g, other, ticket, across=(name == "wgrad", True))
        rotation = fprop.rotation if fprop is not None else None
        passed = of.passed if of is not None and self.layer.passes == "unclipped" else None
        if rotation is None or (passed is None and not copied):
            return unpassed(out, None if passed is None else passed[:, :, :k])[:, :, :k]
        draw = self.seeds.draw(ticket, "fprop", "rotation", 0)
        if not copied:
            assert fprop is not None
            fill = padding(fprop, k)
            out = rotate(np.concatenate([out, np.zeros((*out.shape[:2], fill), np.float32)], axis=2), rotation, draw)
        width = passed.shape[2] if passed is not None else out.shape[2]
        out = rotate(np.ascontiguousarray(unpassed(out[:, :, :width], passed)), rotation, draw, inverse=True)
        return np.ascontiguousarray(out[:, :, :k])

    def _multiply(
        self,
        name: GemmName,
        gemm: Gemm,
        a: Floats,
        b: Floats,
        ticket: Ticket,
        *,
        ready: bool = False,
        across: tuple[bool, bool] = (False, False),
    ) -> tuple[Floats, Made, Made]:
        """The product, and its operands as they were made. b is made already where it is `ready`; each is
        ``[batch, K, rows]`` where it lies `across`."""
        numerics = self.numerics[name]
        looked = self.seeds.looked
        if gemm.extend is not None or self.watched or looked is not None:
            a, b = (turned(one) if lies else one for one, lies in zip((a, b), across, strict=True))
            across = False, False
        draws: list[tuple[Draw, str, int]] = []

        def draw_for(operand: str, index: int) -> Draw:
            draw = self.seeds.draw(ticket, name, operand, index)
            draws.append((draw, operand, index))
            return draw

        codes = numerics is not None
        made_a = make(a, gemm.a, gemm, draw_for, side="a", codes=codes, across=across[0])
        made_b = Made(b) if ready else make(b, gemm.b, gemm, draw_for, side="b", codes=codes, across=across[1])
        for draw, operand, index in draws:
            self.seeds.keep(draw, operand, index)
        if self.watched and name != "fprop":
            self._watch(name, a, made_a, gemm, ticket)
        if looked is not None:
            for side, exact, made, how in (("a", a, made_a, gemm.a), ("b", b, made_b, gemm.b)):
                if (how.scheme is not None or how.mask is not None) and not (ready and side == "b"):
                    looked.add((ticket.layer, name, side), *self._pair(name, side, exact, made, gemm, ticket))
        if numerics is not None:
            pairs = zip(made_a.quantized, made_b.quantized, strict=True)
            out = np.stack([_product(numerics, one, other, name) for one, other in pairs])
        else:
            left, right = made_a.values, made_b.values
            if gemm.extend is not None:
                left, right = self._extended(gemm, a, b, made_a, made_b, name, ticket)
            out = _matmul(left, right)
        return out, made_a, made_b

    def _extended(
        self, gemm: Gemm, a: Floats, b: Floats, made_a: Made, made_b: Made, name: GemmName, ticket: Ticket
    ) -> tuple[Floats, Floats]:
        assert gemm.extend is not None
        sides: tuple[list[Floats], list[Floats]] = [], []
        for index in range(len(a)):
            draw = self.seeds.draw(ticket, name, "extend", index)
            columns = gemm.extend.columns(a[index], made_a.values[index], b[index], made_b.values[index], draw)
            self.seeds.keep(draw, "extend", index)
            for side, made, more in zip(sides, (made_a, made_b), columns, strict=True):
                side.append(np.concatenate([made.values[index], more], axis=1))
        return np.stack(sides[0]), np.stack(sides[1])

    def _watch(self, name: GemmName, g: Floats, made: Made, gemm: Gemm, ticket: Ticket) -> None:
        """The ratio of a gradient to the noise of its quantization; see `hwsim.recipes.Monitor`."""
        exact, values = self._pair(name, "a", g, made, gemm, ticket)
        noise = float(np.linalg.norm(values - exact))
        signal = float(np.linalg.norm(exact))
        self.seeds.noise[ticket.layer, name] = signal / noise if noise != 0 else float("inf")

    def _pair(
        self, name: GemmName, side: str, x: Floats, made: Made, gemm: Gemm, ticket: Ticket
    ) -> tuple[Floats, Floats]:
        """An operand as it is multiplied, before it was quantized and after."""
        exact = x
        if gemm.rotation is not None:
            plain = Gemm(type(gemm.a)(), rotation=gemm.rotation, pad=gemm.pad)
            exact = make(x, plain.a, plain, lambda _, i: self.seeds.draw(ticket, name, side, i), side=side,
                         codes=False).values  # fmt: skip
        width = min(exact.shape[2], made.values.shape[2])
        return exact[..., :width], made.values[..., :width]


class ByPolicy:
    """The three GEMMs on the unit of a layer, operands quantized as a machine quantizes activations and weights.

    A gradient is an activation to the machine. In wgrad both operands are, so a unit for weights alone leaves it to
    the unit of attention.
    """

    def __init__(self, policy: Any, layer: str, b_role: Role, seeds: Seeds, cache: dict[Any, Any]) -> None:
        self.policy, self.name, self.b_role, self.seeds, self.cache = policy, layer, b_role, seeds, cache
        self.numerics: Numerics | None = policy.for_gemm(layer, b_role)

    def emulates(self, gemm: GemmName) -> bool:
        """All or none: a machine has no other unit."""
        return self.numerics is not None

    def fprop(self, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """See `Arithmetic`."""
        return self._product("fprop", self.numerics, self.b_role, a, b, ticket)

    def dgrad(self, g: Floats, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """See `Arithmetic`."""
        return self._product("dgrad", self.numerics, self.b_role, g, turned(b), ticket)

    def wgrad(self, g: Floats, a: Floats, b: Floats, ticket: Ticket, kept: dict[str, Made]) -> Floats:
        """See `Arithmetic`."""
        numerics = self.numerics
        if self.b_role == "weight" and numerics is not None and not numerics.multiplies_activations:
            numerics = self.policy.for_gemm(self.name, "activation")
        return self._product("wgrad", numerics, "activation", turned(g), turned(a), ticket)

    def _product(
        self, gemm: GemmName, numerics: Numerics | None, b_role: Role, a: Floats, b: Floats, ticket: Ticket
    ) -> Floats:
        if numerics is None:
            return _matmul(a, b)
        seeds = [self._seed(numerics, ticket, gemm, index) for index in range(len(a))]
        if b_role != "weight":
            if seeds[0] is None:
                return numerics.gemms(a, b)
            return np.stack([numerics.gemm(a[i], b[i], b_role, seed=seed) for i, seed in enumerate(seeds)])
        out = np.empty((len(a), a.shape[1], b.shape[1]), np.float32)
        for index, seed in enumerate(seeds):
            if seed is None:
                out[index] = numerics.gemm(a[index], self._prepared(numerics, gemm, b[index], index), "weight")
            else:
                out[index] = numerics.gemm(a[index], b[index], "weight", seed=seed)
        return out

    def _seed(self, numerics: Numerics, ticket: Ticket, gemm: GemmName, index: int) -> int | None:
        schemes = getattr(numerics, "activation", None), getattr(numerics, "weight", None)
        if not any(scheme is not None and scheme.rounding == "sr" for scheme in schemes):
            return None
        return self.seeds.draw(ticket, gemm, "ab", index).seed >> 1  # b takes the next one

    def _prepared(self, numerics: Numerics, gemm: GemmName, b: NDArray[np.float32], index: int) -> Prepared:
        """Operand b, quantised again only where a bit of it has changed since the last batch."""
        key = self.name, gemm, numerics, index, b.shape
        digest = hashlib.blake2b(np.ascontiguousarray(b).data, digest_size=16).digest()
        found = self.cache.get(key)
        if found is None or found[0] != digest:
            found = digest, numerics.prepare_b(b, "weight")
            self.cache[key] = found
        prepared: Prepared = found[1]
        return prepared


def _owned(made: Made, of: Floats) -> Made:
    """An operand that may be kept: not the memory of the tensor, which its owner frees or writes."""
    return replace(made, values=made.values.copy()) if np.may_share_memory(made.values, of) else made


def _matmul(a: Floats, b: Floats) -> Floats:
    """``a @ b.T`` of each pair, a float32 GEMM."""
    out: Floats = torch.matmul(torch.from_numpy(a), torch.from_numpy(b).mT).numpy()
    return out


def _product(numerics: Numerics, a: Any, b: Any, name: str) -> Floats:
    if a is None or b is None:
        raise ArgumentError("a unit must have codes of both operands, this quantizer makes none", where=name)
    return numerics.product(a, b)


def _numerics(gemm: Gemm | None, name: str, exact: Exact) -> Numerics | None:
    """The unit of a GEMM, None for float32 sums."""
    if gemm is None:
        return None
    wanted: Any = exact.get(name) if isinstance(exact, Mapping) else exact
    if wanted is None:
        wanted = gemm.accumulate
    if wanted == "float32":
        return None
    where = f"emulate.exact, {name}"
    if gemm.extend is not None:
        raise ArgumentError(f"sums must be float32, {gemm.extend.name} adds columns", got=exact, where=where)
    schemes: list[Scheme] = []
    for operand in gemm.operands:
        if operand.scheme is None:
            raise ArgumentError("both operands must be quantized for a unit", got=operand.label, where=where)
        stands_for = getattr(operand.scheme, "scheme", None) if isinstance(operand.scheme, Quantizer) else None
        if isinstance(operand.scheme, Quantizer) and stands_for is None:
            raise ArgumentError("both operands must have codes for a unit", got=operand.scheme.name, where=where)
        schemes.append(quant.get(stands_for if stands_for is not None else operand.scheme))  # type: ignore[arg-type]
    if isinstance(wanted, str):
        if wanted != "unit":
            raise ArgumentError("exact must be None, float32, unit or a datapath", got=wanted, where=where)
        return numerics_of(*schemes)
    from hwsim import datapaths

    unit = wanted if not isinstance(wanted, tuple) else datapaths.from_spec(dict(wanted))
    return Numerics(schemes[0], schemes[1], unit)


def _shares_squares(layer: Layer) -> bool:
    """Whether dgrad reads the codes of fprop's weight: one scale a square, so that the transpose has the same."""
    fprop, dgrad = layer.fprop, layer.dgrad
    if fprop is None or dgrad is None or fprop.b != dgrad.b or isinstance(fprop.b.scheme, Quantizer):
        return False
    if fprop.b.scheme is None or quant.get(fprop.b.scheme).granularity != "block2d":
        return False
    return fprop.b.mask is None and all(
        gemm.rotation is None and gemm.pad == 1 and gemm.extend is None for gemm in (fprop, dgrad)
    )

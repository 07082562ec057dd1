"""What every datapath is: a dot-product unit, described by what it does to bits.

`Datapath` is the contract. `Unscaled` is what units without block scales share: how a call's arrays are read, checked
against each other and given to the unit's own arithmetic. A free function for each check was rejected: every family
then repeats their order, and the orders drift apart.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError


class Datapath(ABC):
    """A dot-product unit. Members are frozen dataclasses whose fields are the independent facts of the unit.

    Operands are raw codes, one element a byte (fp16 and bf16: uint16; tf32 and fp32: uint32). A unit with block
    scales also takes scale bytes, one per `block` elements along K.
    """

    family: ClassVar[str]
    """The catalogue's name of the family; `hwsim.datapaths.from_spec` builds a member from it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A short unique name, also used as a key: ``"blackwell.nvfp4"``, ``"int8x8.acc20.saturate"``."""

    @property
    @abstractmethod
    def a_format(self) -> str:
        """Name of the element Format of operand a (activations)."""

    @property
    @abstractmethod
    def b_format(self) -> str:
        """Name of the element Format of operand b (weights)."""

    @property
    def scale_format(self) -> str | None:
        """Name of the Format of the block scales that the unit itself multiplies, None if it takes none."""
        return None

    @property
    def block(self) -> int | None:
        """Elements along K that share one scale byte, None if the unit takes no scales."""
        return None

    @property
    @abstractmethod
    def accumulator_bits(self) -> int:
        """Width of the register that holds the running sum."""

    def spec(self) -> dict[str, Any]:
        """The TOML table that `hwsim.datapaths.from_spec` turns into this unit again."""
        return fields_of(self)

    @abstractmethod
    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Scalar-path dot products of a and b ``[..., K]`` plus c ``[...]``, in the unit's order of addition."""

    @abstractmethod
    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Fast path: a ``[M, K]``, b ``[N, K]``, c ``[M, N]`` -> ``[M, N]``, bit-equal to `dot` on every row pair."""


Call = Literal["dot", "matmul"]


class Unscaled(Datapath):
    """A unit that multiplies no block scales.

    A member says how operands and the accumulators' start are read, each with the name of the argument for messages,
    and computes on what was read; the class docstring of a member says which codes, values and starts it takes.
    """

    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """``c + a . b`` as the unit adds, k ascending.

        Args:
            a, b: operands ``[..., K]``, broadcast against each other.
            c: what the accumulators hold before, ``[...]``; zero if absent.
            scale_a, scale_b: None.

        Returns:
            results ``[...]``.

        Raises:
            ArgumentError: an operand, a start or shapes that the unit does not take, or block scales.
        """
        x, w = self._read("dot", a, b, scale_a, scale_b)
        shape = np.broadcast_shapes(x.shape[:-1], w.shape[:-1])
        return self._dot(x, w, None if c is None else np.broadcast_to(self._start(c, "dot.c"), shape))

    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """a ``[M, K]``, b ``[N, K]``, c ``[M, N]`` -> ``[M, N]``, equal to `dot` on each row pair; raises as it."""
        x, w = self._read("matmul", a, b, scale_a, scale_b)
        if c is not None and np.shape(c) != (len(x), len(w)):
            raise ArgumentError(f"c must have shape {(len(x), len(w))}", got=np.shape(c), where="matmul.c")
        return self._matmul(x, w, None if c is None else self._start(c, "matmul.c"))

    def _read(
        self, call: Call, a: NDArray[Any], b: NDArray[Any], scale_a: object, scale_b: object
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        if scale_a is not None or scale_b is not None:
            raise ArgumentError(
                f"{self.family} units take no block scales: scale the result", where="scale_a, scale_b"
            )
        x, w = self._activations(a, f"{call}.a"), self._weights(b, f"{call}.b")
        self._check_lengths(x, w, call)
        return x, w

    def _check_lengths(self, x: NDArray[Any], w: NDArray[Any], call: Call) -> None:
        """Raise unless the shapes of the operands fit each other in this call."""
        known = x.ndim == w.ndim == 2 if call == "matmul" else min(x.ndim, w.ndim) > 0
        if not known or x.shape[-1] != w.shape[-1]:
            shapes = "a [M, K] and b [N, K]" if call == "matmul" else "a and b [..., K]"
            raise ArgumentError(f"{call} needs {shapes} with one K", got=(x.shape, w.shape), where=call)

    @abstractmethod
    def _activations(self, a: NDArray[Any], where: str) -> NDArray[Any]:
        """Operand a, checked."""

    @abstractmethod
    def _weights(self, b: NDArray[Any], where: str) -> NDArray[Any]:
        """Operand b, checked."""

    @abstractmethod
    def _start(self, c: NDArray[Any], where: str) -> NDArray[Any]:
        """What the accumulators hold before, checked; a copy only where it must be converted."""

    @abstractmethod
    def _dot(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        """`dot` of operands as read; `start` has the shape of the result."""

    @abstractmethod
    def _matmul(self, x: NDArray[Any], w: NDArray[Any], start: NDArray[Any] | None) -> NDArray[Any]:
        """`matmul` of operands as read."""


def fields_of(unit: Any) -> dict[str, Any]:
    """The family and every field of a unit, in the order of its definition."""
    return {"family": unit.family} | {field.name: getattr(unit, field.name) for field in fields(unit)}


def check_range(unit: Any, field: str, least: int, greatest: int) -> None:
    """Raise unless an integer field of a unit lies in ``least..greatest``."""
    value = getattr(unit, field)
    if not least <= value <= greatest:
        raise ArgumentError(f"{field} must lie in {least}..{greatest}", got=value, where=unit.family)


def check_choice(unit: Any, field: str, *known: str) -> None:
    """Raise unless a field of a unit is one of `known`."""
    value = getattr(unit, field)
    if value not in known:
        *others, last = (repr(name) for name in known)
        raise ArgumentError(f"{field} must be {', '.join(others)} or {last}", got=value, where=unit.family)

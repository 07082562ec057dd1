"""Units that multiply no block scales: what is the same in all of them, from operands to results.

A new unit of integers, or of floats without blocks, derives from `Unscaled` and states only its arithmetic.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Datapath
from hwsim.errors import ArgumentError

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

"""What every datapath is: a dot-product unit, described by what it does to bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


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

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """The TOML table that `hwsim.datapaths.from_spec` turns into this unit again."""

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

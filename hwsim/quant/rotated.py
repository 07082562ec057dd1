"""A Hadamard rotation as data: tile, signs, and how an operand is padded and turned by it.

Both operands of a product that are turned alike along its contraction leave the exact product as it is. Kernels:
`hwsim.quant.rotation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Rotation:
    """A Hadamard rotation of both operands along the contraction, which leaves the exact product as it is.

    Args:
        size: tile, a power of two.
        signs: ``"nvidia"`` (size 16), the seed of fixed signs, a tuple of +1 and -1, None for all +1, or ``"drawn"``,
            which a training recipe draws.
        redrawn: drawn signs anew in each call, or once for a layer and GEMM.
    """

    size: int = 16
    signs: str | int | tuple[int, ...] | None = "nvidia"
    redrawn: bool = False

    def __post_init__(self) -> None:
        signs = self.signs
        if not 2 <= self.size <= 4096 or self.size & (self.size - 1):
            raise ArgumentError("size must be a power of two from 2 to 4096", got=self.size, where="rotation.size")
        if signs == "nvidia" and self.size != 16:
            raise ArgumentError('signs "nvidia" must have size 16', got=self.size, where="rotation.size")
        if isinstance(signs, str) and signs not in ("nvidia", "drawn"):
            raise ArgumentError(
                "signs must be nvidia, drawn, +1 and -1, a seed, or None", got=signs, where="rotation"
            )
        if isinstance(signs, int) and not 0 <= signs < 1 << 64:
            raise ArgumentError("a seed must lie in 0..2^64 - 1", got=signs, where="rotation.signs")
        if isinstance(signs, tuple) and len(signs) != self.size:
            raise ArgumentError(f"signs must be {self.size}", got=len(signs), where="rotation.signs")
        if self.redrawn and signs != "drawn":
            raise ArgumentError("only drawn signs can be redrawn", got=signs, where="rotation.redrawn")

    @property
    def label(self) -> str:
        """``H16``."""
        return f"H{self.size}"

    def padded(self, k: int) -> int:
        """The contraction with the zeros behind it that fill its last tile."""
        return k + -k % self.size

    def apply(self, x: NDArray[np.float32], *, inverse: bool = False) -> NDArray[np.float32]:
        """x float32 ``[..., K]`` with zeros behind K up to whole tiles, turned: float32 ``[..., padded(K)]``.

        `inverse` turns back, up to rounding.

        Raises:
            ArgumentError: signs that somebody else has to draw.
        """
        from hwsim.quant.rotation import hadamard

        if self.signs == "drawn":
            raise ArgumentError("signs must be fixed", got=self.signs, where="rotation.signs")
        fill = self.padded(x.shape[-1]) - x.shape[-1]
        if fill:
            x = np.concatenate([x, np.zeros((*x.shape[:-1], fill), np.float32)], axis=-1)
        signs = self.signs
        vector = drawn_signs(signs, self.size) if isinstance(signs, int) else signs
        return hadamard(x, self.size, vector, inverse=inverse)


def drawn_signs(seed: int, size: int) -> NDArray[np.float32]:
    """Signs of a seed: the lowest bits of its words (`hwsim.quant.random_words`), set for -1. float32 ``[size]``."""
    from hwsim.quant.random_bits import random_words

    return np.where(random_words(seed, size) & 1, np.float32(-1), np.float32(1))

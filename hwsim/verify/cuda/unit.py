"""A matrix instruction of a device as a dot unit, so that searches and discovery see no difference to an emulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.verify.cuda.device import Gpu
from hwsim.verify.cuda.kernels import Kernel, Product

CHUNK = 1 << 16
"""Tiles a launch."""


@dataclass(frozen=True)
class DeviceUnit:
    """Dot products of one instruction: they lie on the diagonals of its tiles, the rest of a tile is zero."""

    gpu: Gpu
    kernel: Kernel

    @property
    def product(self) -> Product:
        """Shape and formats of the instruction."""
        assert self.kernel.product is not None
        return self.kernel.product

    @property
    def name(self) -> str:
        """``NVIDIA H100: wgmma.e4m3``."""
        return f"{self.gpu.name}: {self.kernel.name}"

    @property
    def a_format(self) -> str:
        """Element format of a."""
        return self.product.a

    @property
    def b_format(self) -> str:
        """Element format of b."""
        return self.product.b

    @property
    def scale_format(self) -> str | None:
        """Format of the scale bytes."""
        return self.product.scale

    @property
    def block(self) -> int | None:
        """Elements that share a scale byte."""
        return self.product.block

    @property
    def out(self) -> str:
        """Format of c and the result."""
        return self.product.out

    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Codes a, b ``[n, k]`` with the k of the instruction, c ``[n]``, scale bytes: results ``[n]``."""
        dtype = {"fp32": np.float32, "fp16": np.float16, "int32": np.int32}[self.out]
        start = np.zeros(len(a), dtype) if c is None else c
        step = CHUNK * self.product.n
        return np.concatenate(
            [
                self._tiles(
                    *(None if x is None else x[first : first + step] for x in (a, b, start, scale_a, scale_b))
                )
                for first in range(0, len(a), step)
            ]
        )

    def _tiles(self, a: Any, b: Any, c: Any, scale_a: Any, scale_b: Any) -> NDArray[Any]:
        m, n, count = self.product.m, self.product.n, len(a)
        tiles = -(-count // n)

        def rows(values: NDArray[Any], height: int) -> NDArray[Any]:
            out = np.zeros((tiles * n, values.shape[1]), values.dtype)
            out[:count] = values
            return np.pad(out.reshape(tiles, n, -1), ((0, 0), (0, height - n), (0, 0)))

        starts, diagonal = np.zeros((tiles, m, n), c.dtype), np.arange(n)
        starts[:, diagonal, diagonal] = rows(c[:, None], n)[..., 0]
        scales = (None if s is None else rows(s, height) for s, height in ((scale_a, m), (scale_b, n)))
        results = self.gpu.multiply(self.kernel, rows(a, m), rows(b, n), starts, *scales)
        return results[:, diagonal, diagonal].reshape(-1)[:count]

    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Every row of a with every row of b, by `dot`: c and the result are ``[M, N]``."""
        i, j = (index.ravel() for index in np.indices((len(a), len(b))))
        scales = (None if s is None else s[index] for s, index in ((scale_a, i), (scale_b, j)))
        return self.dot(a[i], b[j], None if c is None else c.ravel(), *scales).reshape(len(a), len(b))

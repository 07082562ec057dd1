"""What is verified: the few calls of hwsim whose bits are compared.

Checks take their arithmetic from a `Subject`, so that a planted fault is a subject too (`hwsim.verify.mutants`): the
same checks that pass on hwsim must find it. Patching functions was rejected: compiled kernels do not see a patch.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hwsim import datapaths, formats
from hwsim.formats import Rounding


class DotUnit(Protocol):
    """What a check needs of a dot unit; every tensor core of `hwsim.datapaths` is one."""

    @property
    def name(self) -> str:
        """As in `hwsim.datapaths.Datapath`."""

    @property
    def a_format(self) -> str:
        """Element format of a."""

    @property
    def b_format(self) -> str:
        """Element format of b."""

    @property
    def scale_format(self) -> str | None:
        """Format of the block scales, None without."""

    @property
    def block(self) -> int | None:
        """Elements that share a scale, None without."""

    @property
    def out(self) -> Any:
        """Format of c and the result."""

    def dot(
        self, a: NDArray[Any], b: NDArray[Any], c: Any = None, scale_a: Any = None, scale_b: Any = None
    ) -> NDArray[Any]:
        """Dot products of rows."""

    def matmul(
        self, a: NDArray[Any], b: NDArray[Any], c: Any = None, scale_a: Any = None, scale_b: Any = None
    ) -> NDArray[Any]:
        """Every row of a with every row of b."""


class Subject:
    """hwsim itself."""

    name = "hwsim"

    def unit(self, arch: str, operand: str | tuple[str, str], out: str = "fp32") -> DotUnit:
        """`hwsim.datapaths.tensor_core`."""
        unit: Any = datapaths.tensor_core
        checked: DotUnit = unit(arch, operand, out)
        return checked

    def encode(
        self, form: str, x: NDArray[np.float32], rounding: Rounding = "rne", saturate: bool = True
    ) -> NDArray[Any]:
        """`hwsim.formats.Format.encode`: codes of float32 values."""
        return formats.get(form).encode(x, rounding, saturate=saturate)

    def decode(self, form: str, codes: NDArray[Any]) -> NDArray[np.float32]:
        """`hwsim.formats.Format.decode`: float32 values of codes."""
        return formats.get(form).decode(codes)

    def integer_dot(
        self, a: NDArray[np.int8], b: NDArray[np.int8], c: NDArray[np.int32], saturate: bool = False
    ) -> NDArray[np.int32]:
        """INT8 dot products ``[..., K]`` plus c in a 32-bit accumulator."""
        unit = datapaths.integer(8, 8, 32, overflow="saturate" if saturate else "wrap")
        return unit.dot(a, b, c)

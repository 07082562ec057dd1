"""`TensorCore`: a catalogue row as a datapath.

Decides how a caller's arrays become what the unit reads: K is padded with zeros to whole fused groups, instructions
are chained through c in ascending k, and a unit that FP8 operands only reach through FP16 steps gets them in the
order of those steps. `dot` is the general integer kernel; `matmul` takes a specialised kernel where one exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Datapath
from hwsim.datapaths.tensor_cores import catalogue
from hwsim.datapaths.tensor_cores.catalogue import Rounding, Row
from hwsim.datapaths.tensor_cores.elements import Element, checked, element
from hwsim.errors import ArgumentError

Out = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class TensorCore(Datapath):
    """One tensor-core instruction, chained over K.

    Args:
        arch: volta, turing, ampere, ada, hopper, blackwell (sm_100), rtx_blackwell (sm_120), cdna1, cdna2, cdna3.
        operand: an operand name of that architecture, or a pair (a, b) where one instruction takes both. Operands
            with block scales: ``mxfp8.e4m3`` and its kin and ``mxfp4`` (32 elements, E8M0), ``nvfp4`` (16, UE4M3).
            ``e4m3.mma_sync`` is FP8 through FP16 steps, as compiled for sm_90a and sm_100a.
        out: result and c, ``"fp32"`` or ``"fp16"``.
        promote_every: leave the unit every so many elements of K and add outside it in float32, rounding to nearest
            (DeepSeek-V3 uses 128); a multiple of the fused group.

    Raises:
        UnknownName, ArgumentError: a combination that does not exist; the message names what does.
    """

    arch: str
    operand: str | tuple[str, str]
    out: Out = "fp32"
    promote_every: int | None = None

    family: ClassVar[str] = "tensor_core"

    def __post_init__(self) -> None:
        if not isinstance(self.operand, str):  # TOML has lists
            object.__setattr__(self, "operand", tuple(self.operand))
        row = catalogue.find(self.arch, self.operand, self.out)
        if isinstance(self.operand, tuple) and self.operand[0] == self.operand[1]:
            object.__setattr__(self, "operand", self.operand[0])
        every = self.promote_every
        if every is not None and (every <= 0 or every % row.group or row.rewrite or self.out != "fp32"):
            raise ArgumentError(
                f"promote_every must be a multiple of {row.group} on a unit with a float32 result of its own",
                got=every,
                where="tensor_core.promote_every",
            )

    @property
    def row(self) -> Row:
        """The facts of the instruction."""
        return catalogue.find(self.arch, self.operand, self.out)

    @property
    def operands(self) -> tuple[str, str]:
        """Operand names of a and b."""
        return (self.operand, self.operand) if isinstance(self.operand, str) else self.operand

    @property
    def name(self) -> str:
        """``blackwell.nvfp4``, ``hopper.e4m3*e5m2.fp16.promote128``."""
        parts = [self.arch, self.operand if isinstance(self.operand, str) else "*".join(self.operand)]
        parts += [self.out] if self.out != "fp32" else []
        parts += [f"promote{self.promote_every}"] if self.promote_every else []
        return ".".join(parts)

    @property
    def a_format(self) -> str:
        """Element format of a."""
        return self.row.operands[self.operands[0]]

    @property
    def b_format(self) -> str:
        """Element format of b."""
        return self.row.operands[self.operands[1]]

    @property
    def scale_format(self) -> str | None:
        """``e8m0``, ``ue4m3`` or None."""
        return self.row.scale

    @property
    def block(self) -> int | None:
        """Elements that share a scale byte."""
        return self.row.block

    @property
    def accumulator_bits(self) -> int:
        """Bits of the result that the unit keeps: 32, 16, or 22 where 13 fraction bits remain."""
        return {"rz_fp32": 32, "rne_fp32": 32, "rz_e8m13": 22, "rne_fp16": 16}[self.rounding]

    @property
    def rounding(self) -> Rounding:
        """What happens to the sum of a group."""
        return "rne_fp16" if self.out == "fp16" else self.row.rounding

    @property
    def e_zero(self) -> int:
        """Exponent that a zero term has."""
        row = self.row
        return row.e_zero_fp16 if self.out == "fp16" and row.e_zero_fp16 is not None else row.e_zero

    def spec(self) -> dict[str, Any]:
        """The table from which `hwsim.datapaths.from_spec` builds this unit."""
        operand = self.operand if isinstance(self.operand, str) else list(self.operand)
        spec: dict[str, Any] = {"family": self.family, "arch": self.arch, "operand": operand, "out": self.out}
        return spec | ({"promote_every": self.promote_every} if self.promote_every else {})

    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Dot products of codes a and b ``[..., K]`` plus c ``[...]``: float32, or float16 for ``out="fp16"``.

        Scale bytes are uint8 ``[..., ceil(K / block)]``, not swizzled. NaN is 0x7FFFFFFF (0x7FFF); on NVIDIA's units
        -0 never appears.

        Raises:
            ArgumentError: shapes or dtypes that do not fit.
        """
        from hwsim.datapaths.tensor_cores import runner

        codes_a, codes_b = self._codes(a, b)
        if codes_a.shape != codes_b.shape or codes_a.ndim == 0:
            raise ArgumentError(
                "dot needs a and b of one shape [..., K]", got=(codes_a.shape, codes_b.shape), where="dot"
            )
        shape, length = codes_a.shape[:-1], codes_a.shape[-1]
        rows = int(np.prod(shape, dtype=np.int64))
        operands = runner.Operands(
            self,
            codes_a.reshape(rows, length),
            codes_b.reshape(rows, length),
            *(self._scales(s, codes_a.shape, w) for s, w in ((scale_a, "dot.scale_a"), (scale_b, "dot.scale_b"))),
        )
        return runner.dot(operands, self._c(c, shape, "dot.c").reshape(rows, 1)).reshape(shape)

    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """``a @ b.T + c``: a ``[M, K]``, b ``[N, K]``, c ``[M, N]``, scales ``[M or N, ceil(K / block)]``.

        Returns and raises as `dot`, to which every element is bit-equal.
        """
        from hwsim.datapaths.tensor_cores import runner

        codes_a, codes_b = self._codes(a, b)
        if codes_a.ndim != 2 or codes_b.ndim != 2 or codes_a.shape[1] != codes_b.shape[1]:
            raise ArgumentError(
                "matmul needs a [M, K] and b [N, K] with one K", got=(codes_a.shape, codes_b.shape), where="matmul"
            )
        operands = runner.Operands(
            self,
            codes_a,
            codes_b,
            self._scales(scale_a, codes_a.shape, "matmul.scale_a"),
            self._scales(scale_b, codes_b.shape, "matmul.scale_b"),
        )
        start = self._c(c, (len(codes_a), len(codes_b)), "matmul.c")
        return runner.matmul(operands, start if c is None else start.copy())

    def _codes(self, a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        return checked(element(self.a_format), a, "tensor_core.a"), checked(
            element(self.b_format), b, "tensor_core.b"
        )

    def _scales(
        self, scale: NDArray[np.uint8] | None, shape: tuple[int, ...], where: str
    ) -> NDArray[np.uint8] | None:
        block = self.block
        if block is None:
            if scale is not None:
                raise ArgumentError(f"{self.name} takes no scales", got=np.shape(scale), where=where)
            return None
        wanted = (*shape[:-1], -(-shape[-1] // block))
        if scale is None or np.shape(scale) != wanted or np.asarray(scale).dtype != np.uint8:
            got = None if scale is None else (np.asarray(scale).dtype.name, np.shape(scale))
            raise ArgumentError(f"scales must be uint8 of shape {wanted}", got=got, where=where)
        return np.ascontiguousarray(scale).reshape(-1, wanted[-1])

    def _c(self, c: NDArray[Any] | None, shape: tuple[int, ...], where: str) -> NDArray[Any]:
        dtype = np.float16 if self.out == "fp16" else np.float32
        if c is None:
            return np.zeros(shape, dtype)
        if np.shape(c) != shape or np.asarray(c).dtype != dtype:
            got = (np.asarray(c).dtype.name, np.shape(c))
            raise ArgumentError(f"c must be {np.dtype(dtype).name} of shape {shape}", got=got, where=where)
        return np.ascontiguousarray(c)


def tensor_core(
    arch: str, operand: str | tuple[str, str], out: Out = "fp32", promote_every: int | None = None
) -> TensorCore:
    """The tensor core of `arch` for `operand`; see `TensorCore`."""
    return TensorCore(arch, operand, out, promote_every)


__all__ = ["Element", "TensorCore", "tensor_core"]

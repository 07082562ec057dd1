"""The dot unit as a value: any formats, group, alignment, block scales and accumulator; tensor cores are named ones.

A call is the instruction of the unit, chained over K: the operands are cut into fused groups, each group's result is
the next one's c in ascending k, and a unit that FP8 operands only reach through FP16 steps gets them in the order of
those steps. `dot` is the general integer kernel; `matmul` takes a specialised kernel where one fits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.base import Calibration, Datapath, Gates, Price
from hwsim.datapaths.dot import catalogue
from hwsim.datapaths.dot.elements import checked
from hwsim.datapaths.dot.rule import Out, Rule
from hwsim.errors import ArgumentError


@dataclass(frozen=True)
class Dot(Rule, Datapath):
    """A unit that adds a group of products and c at once; its fields are those of `hwsim.datapaths.dot.rule.Rule`."""

    @property
    def label(self) -> str:
        """The architecture of a tensor core; formats are those of the schemes."""
        return self.named[0] if self.named is not None else self.name

    def spec(self) -> dict[str, Any]:
        """The table from which `hwsim.datapaths.from_spec` builds this unit."""
        promoted = {"promote_every": self.promote_every} if self.promote_every else {}
        if self.named is not None:
            operand = self.named[1] if isinstance(self.named[1], str) else list(self.named[1])
            table: dict[str, Any] = {"family": "tensor_core", "arch": self.named[0], "operand": operand}
            return table | {"out": self.out} | promoted
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"family": self.family} | {
            name: value for name, value in held.items() if value is not None and name not in ("rewrite", "named")
        }

    @property
    def a_format(self) -> str:
        """Element format of a."""
        return self.a

    @property
    def b_format(self) -> str:
        """Element format of b."""
        return self.b

    @property
    def scale_format(self) -> str | None:
        """`scale`."""
        return self.scale

    @property
    def accumulator_bits(self) -> int:
        """Bits of the result that the unit keeps: 32, 16, or 22 where 13 fraction bits remain."""
        return {"fp32": 32, "e8m13": 22, "fp16": 16}[self.acc]

    @property
    def lanes(self) -> int:
        """The fused group, as a unit must see its products together to align them; all elements of a rewrite."""
        return self.step

    def cycles_per_step(self, additions: float | None = None) -> float:
        """One a group; a rewrite takes two."""
        return self.step / self.group

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64] | None:
        """None: products do not leave the unit."""
        return None

    @property
    def gates(self) -> Gates:
        """One fused group as one combinational circuit."""
        from hwsim.datapaths.dot.verilog import DotGates

        return DotGates(self)

    @property
    def price(self) -> Price:
        """Of the whole group."""
        from hwsim.datapaths.dot.cost import DotPrice

        return DotPrice(self)

    @classmethod
    def calibration(cls) -> Calibration:
        """Tensor cores, and units between them."""
        from hwsim.datapaths.dot.cost import CALIBRATION

        return CALIBRATION

    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Dot products of codes a and b ``[..., K]`` plus c ``[...]``: float32, or float16 for ``acc="fp16"``.

        Scale bytes are uint8 ``[..., ceil(K / block)]``, not swizzled. NaN is 0x7FFFFFFF (0x7FFF); on NVIDIA's units
        -0 never appears.

        Raises:
            ArgumentError: shapes or dtypes that do not fit.
        """
        from hwsim.datapaths.dot.kernels import runner

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
        from hwsim.datapaths.dot.kernels import runner

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
        return checked(self.forms[0], a, "dot.a"), checked(self.forms[1], b, "dot.b")

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
) -> Dot:
    """The tensor core of `arch` for `operand`: a named value of the dot unit.

    Args:
        arch: volta, turing, ampere, ada, hopper, blackwell (sm_100), rtx_blackwell (sm_120), cdna1, cdna2, cdna3.
        operand: an operand name of that architecture, or a pair (a, b) where one instruction takes both. Operands
            with block scales: ``mxfp8.e4m3`` and its kin and ``mxfp4`` (32 elements, E8M0), ``nvfp4`` (16, UE4M3).
            ``e4m3.mma_sync`` is FP8 through FP16 steps, as compiled for sm_90a and sm_100a.
        out: result and c, ``"fp32"`` or ``"fp16"``.
        promote_every: as of `Dot`.

    Raises:
        UnknownName, ArgumentError: a combination that does not exist; the message names what does.
    """
    pair = operand if isinstance(operand, str) else catalogue.pair(operand)
    return Dot(**catalogue.facts(arch, pair, out), promote_every=promote_every, named=(arch, pair))

"""How the numbers of one GEMM are made: a scheme for each operand and the unit that multiplies them.

Every GEMM runs on a Datapath. A mode that quantises and then multiplies in float32 was rejected: it is what other
emulators do, and it hides the accumulator, which is half of what differs between two 4-bit machines.

Order of operations of `Numerics.gemm`, each line in float32 with one rounding an operation:

1. where there is a rotation both operands are turned along K, zeros behind K up to whole tiles
   (`hwsim.quant.rotation`); both are quantised along K, each with its own scheme;
2. the unit multiplies codes, with the scale bytes of each block where it has scales, k ascending;
3. its result (an integer, float16 or float32) becomes float32, rounded to nearest even where it does not fit;
4. the scales that the unit does not take multiply the result once, after all of K. Where both are one number per
   tensor, ``alpha = a_scale * b_scale`` is rounded first and ``out = result * alpha``, as the epilogue of a GEMM with
   two-level NVFP4 scales does in Transformer Engine. Where one of them is per row,
   ``out = (result * a_scale[:, None]) * b_scale[None, :]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim import content
from hwsim.errors import ArgumentError, DesignError

if TYPE_CHECKING:
    from hwsim.datapaths.base import Datapath
    from hwsim.quant import Quantized, Rotation, Scheme

Role = Literal["activation", "weight", "gradient"]
Side = Literal["a", "b"]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Operand b as the unit reads it, quantised once for many GEMMs.

    Args:
        role: the role whose scheme quantised it.
        k: length of the dot products.
        words: codes ``[N, K]``, or the keys of a lookup unit ``[N, ceil(K / group)]``.
        scales: scale bytes ``[N, ceil(K / block)]`` for a unit that multiplies them, else None.
        factor: float32 ``[N]``, or ``[]`` for one factor: what multiplies the result after K.
        source: the quantised tensor.
    """

    role: Role
    k: int
    words: NDArray[Any]
    scales: NDArray[np.uint8] | None
    factor: NDArray[np.float32]
    source: Quantized


@dataclass(frozen=True, slots=True)
class Numerics:
    """The arithmetic of a GEMM. Equal numerics give equal bits on any array, dataflow and memory.

    Args:
        activation: scheme of activations.
        weight: scheme of weights.
        datapath: the unit; its a port takes activations, its b port weights.
        rotation: of both operands before they are quantised, with fixed signs.

    Raises:
        DesignError: a scheme does not fit its port: other elements, other block scales, or scales along K that the
            unit cannot apply; a rotation whose signs nobody has drawn.
    """

    activation: Scheme
    weight: Scheme
    datapath: Datapath
    rotation: Rotation | None = None

    def __post_init__(self) -> None:
        if self.rotation is not None and self.rotation.signs == "drawn":
            raise DesignError("signs must be fixed", got=self.rotation.signs, where="numerics.rotation.signs")
        check_fit(self.activation, self.datapath, "a", "numerics.activation")
        check_fit(self.weight, self.datapath, "b", "numerics.weight")

    def __hash__(self) -> int:
        return hash(
            (self.activation.name, self.weight.name, self.datapath, self.rotation)
        )  # equal numerics have equal names

    @property
    def family(self) -> str:
        """The arithmetic in one word: what a reader of a figure tells designs apart by."""
        activation, weight = self.activation.name.split(".")[0], self.weight.name.split(".")[0]
        return activation if activation == weight else f"{weight}×{activation}"

    @property
    def label(self) -> str:
        """The arithmetic in full: schemes, and what else decides the bits of the unit."""
        schemes = "×".join(dict.fromkeys((self.weight.name, self.activation.name)))
        turned = "" if self.rotation is None else f" · {self.rotation.label}"
        return f"{schemes} · {self.datapath.label}{turned}"

    @property
    def key(self) -> str:
        """What two numerics share exactly if they give the same bits by construction (`hwsim.content`)."""
        return content.key(self)

    @property
    def stochastic(self) -> bool:
        """Whether operands are rounded by random bits, so that results depend on a seed."""
        return "sr" in (self.activation.rounding, self.weight.rounding)

    @property
    def multiplies_activations(self) -> bool:
        """Whether the b port takes activations too, so that attention products can run on this unit."""
        try:
            check_fit(self.activation, self.datapath, "b", "numerics.activation")
        except DesignError:
            return False
        return True

    def scheme(self, role: Role) -> Scheme:
        """The scheme of operands of `role`; a gradient is quantised as an activation."""
        if role not in ("activation", "weight", "gradient"):
            raise ArgumentError("role must be activation, weight or gradient", got=role, where="numerics")
        return self.weight if role == "weight" else self.activation

    def quantize(self, x: NDArray[np.float32], role: Role, seed: int | None = None) -> Quantized:
        """x ``[..., K]``, turned where there is a rotation, in codes and scales along the last axis, which a rotation
        fills to whole tiles. `seed` is for schemes that round stochastically."""
        from hwsim import quant

        if self.rotation is not None:
            x = self.rotation.apply(x)
        return quant.quantize(x, self.scheme(role), axis=-1, seed=seed)

    def padded(self, k: int) -> int:
        """Products of a dot product of length `k`, zeros that fill the tiles of a rotation included."""
        return k if self.rotation is None else self.rotation.padded(k)

    def prepare_b(self, b: NDArray[np.float32], role: Role = "weight", seed: int | None = None) -> Prepared:
        """Operand b ``[N, K]`` ready for `gemm`, to be used many times.

        Raises:
            ArgumentError: not a matrix.
            DesignError: an operand of this role does not fit the b port.
        """
        if b.ndim != 2:
            raise ArgumentError("operand b must have shape [N, K]", got=b.shape, where="numerics.prepare_b")
        if role != "weight":
            check_fit(self.activation, self.datapath, "b", "numerics.activation")
        quantized = self.quantize(b, role, seed)
        words = self.words(quantized, "b")
        return Prepared(role, b.shape[1], words, self.scale_bytes(quantized), _factor(quantized), quantized)

    def gemm(
        self,
        a: NDArray[np.float32],
        b: NDArray[np.float32] | Prepared,
        b_role: Role = "weight",
        seed: int | None = None,
    ) -> NDArray[np.float32]:
        """``a @ b.T`` on this arithmetic, in the order that the module describes.

        Args:
            a: float32 ``[M, K]``, activations.
            b: float32 ``[N, K]`` of role `b_role`, or what `prepare_b` made of it.
            b_role: scheme of b; ignored for a `Prepared` one.
            seed: for schemes that round stochastically; b gets ``seed + 1``.

        Returns:
            float32 ``[M, N]``.
        """
        if a.ndim != 2:
            raise ArgumentError("operand a must have shape [M, K]", got=a.shape, where="numerics.gemm")
        if not isinstance(b, Prepared):
            b = self.prepare_b(b, b_role, None if seed is None else seed + 1)
        if a.shape[1] != b.k:
            raise ArgumentError(f"operands must have one K, b has {b.k}", got=a.shape, where="numerics.gemm")
        quantized = self.quantize(a, "activation", seed)
        words, scales = self.words(quantized, "a"), self.scale_bytes(quantized)
        result = self.datapath.matmul(words, b.words, None, scales, b.scales)
        return _epilogue(result.astype(np.float32, copy=False), _factor(quantized), b.factor)

    def gemms(self, a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
        """`gemm` of every pair of matrices of two activations, as attention has them: the same bits.

        Schemes whose scales belong to one row at most quantize all matrices in one call.

        Args:
            a: float32 ``[batch, M, K]``.
            b: float32 ``[batch, N, K]``, of the role ``"activation"``.

        Returns:
            float32 ``[batch, M, N]``.
        """
        result = np.empty((len(a), a.shape[1], b.shape[1]), np.float32)
        if not _by_row(self.activation):
            for index in range(len(a)):
                result[index] = self.gemm(a[index], b[index], "activation")
            return result
        check_fit(self.activation, self.datapath, "b", "numerics.activation")
        sides = []
        for side, operand in (("a", a), ("b", b)):
            quantized = self.quantize(operand.reshape(-1, operand.shape[2]), "activation")
            scales, factor = self.scale_bytes(quantized), _factor(quantized)
            words = self.words(quantized, side)  # type: ignore[arg-type]
            sides.append(
                (
                    words.reshape(*operand.shape[:2], -1),
                    [None] * len(a) if scales is None else scales.reshape(*operand.shape[:2], -1),
                    np.broadcast_to(factor, len(a)) if factor.ndim == 0 else factor.reshape(operand.shape[:2]),
                )
            )
        (a_words, a_scales, a_factors), (b_words, b_scales, b_factors) = sides
        for index in range(len(a)):
            sums = self.datapath.matmul(a_words[index], b_words[index], None, a_scales[index], b_scales[index])
            sums = sums.astype(np.float32, copy=False)
            result[index] = _epilogue(sums, np.asarray(a_factors[index]), np.asarray(b_factors[index]))
        return result

    def product(self, a: Quantized, b: Quantized) -> NDArray[np.float32]:
        """``a @ b.T`` of ``[M, K]`` and ``[N, K]`` that are quantized along K already: float32 ``[M, N]``."""
        words, scales = (self.words(a, "a"), self.words(b, "b")), (self.scale_bytes(a), self.scale_bytes(b))
        result = self.datapath.matmul(*words, None, *scales)
        return _epilogue(result.astype(np.float32, copy=False), _factor(a), _factor(b))

    def words(self, quantized: Quantized, side: Side) -> NDArray[Any]:
        """What the port of `side` reads: codes, narrow integers sign-extended, ternary weights as keys."""
        return self.datapath.words(quantized.codes, quantized.scheme.element_format, side)

    def scale_bytes(self, quantized: Quantized) -> NDArray[np.uint8] | None:
        """Scale bytes, one a row and block, where the unit multiplies them, else None."""
        if self.datapath.scale_format is None:
            return None
        scales = quantized.scales
        rows = quantized.codes.shape[0]
        if quantized.scheme.granularity == "block2d":
            scales = np.repeat(scales, quantized.scheme.block or 1, axis=0)[:rows]
        return np.ascontiguousarray(scales)


def check_fit(scheme: Scheme, datapath: Datapath, side: Side, where: str) -> None:
    """Raise `DesignError` unless operands of `scheme` can enter the port `side` of `datapath`.

    The rules, in this order: the element is the port's format, or a narrower two's complement integer; the block
    scales, if any, are of the format and block that the unit multiplies, and a unit that multiplies scales gets them;
    every other scale is constant along K, so that it can multiply the finished sum.
    """
    port = datapath.a_format if side == "a" else datapath.b_format
    if not _element_fits(scheme.element, port):
        raise DesignError(
            f"element must be {port}, which port {side} of {datapath.name} reads", got=scheme.element, where=where
        )
    blocked = scheme.granularity in ("block", "block2d")
    if datapath.scale_format is None:
        if blocked:
            raise DesignError(
                f"scales must be per tensor or per channel, as {datapath.name} multiplies no block scales",
                got=scheme.name,
                where=where,
            )
        return
    if not blocked or scheme.block != datapath.block:
        raise DesignError(
            f"scales must be per block of {datapath.block}, which {datapath.name} multiplies",
            got=f"{scheme.name} ({scheme.granularity}, {scheme.block})",
            where=where,
        )
    if scheme.decode == "fp4atw":
        raise DesignError(f"scales must be factors, {datapath.name} divides by none", got=scheme.name, where=where)
    if not _same_words(str(scheme.scale_format), datapath.scale_format):
        raise DesignError(
            f"block scales must be {datapath.scale_format}, which {datapath.name} multiplies",
            got=scheme.scale_format,
            where=where,
        )


def _element_fits(element: str, port: str) -> bool:
    if element == port:
        return True
    narrow, wide = re.fullmatch(r"int(\d+)", element), re.fullmatch(r"int(\d+)", port)
    return bool(narrow and wide and int(narrow[1]) <= int(wide[1]))


def _same_words(scale: str, port: str) -> bool:
    """Whether the scale's bytes mean the same to the port; a scale is never negative, so its sign bit is nothing."""
    from hwsim import formats

    one, other = formats.get(scale), formats.get(port)
    return all(
        getattr(one, fact) == getattr(other, fact)
        for fact in ("exponent_bits", "mantissa_bits", "bias", "zero", "specials")
    )


def _by_row(scheme: Scheme) -> bool:
    """Whether rows are quantized independently of one another: no scale is shared by two, no random word counted."""
    if scheme.rounding == "sr" or scheme.tensor_scale:
        return False
    return scheme.scale_format is None or scheme.granularity in ("channel", "block")


def _factor(quantized: Quantized) -> NDArray[np.float32]:
    """What multiplies the finished sums: float32 ``[rows]`` for per-channel scales, else ``[]``."""
    tensor_scale = np.asarray(quantized.tensor_scale * np.float32(quantized.scheme.element_unit), np.float32)
    if quantized.scheme.granularity in ("block", "block2d") or quantized.scheme.scale_format is None:
        return tensor_scale
    scales = np.asarray(quantized.scales, np.float32) * tensor_scale
    return scales.reshape(-1) if quantized.scheme.granularity == "channel" else scales.reshape(())


def _epilogue(result: NDArray[np.float32], a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    if a.ndim == 0 and b.ndim == 0:
        alpha = a * b
        return result if alpha == 1 else result * alpha
    a_side = a if a.ndim == 0 else a[:, None]
    return (result * a_side) * b  # b of shape [N] lies along the columns

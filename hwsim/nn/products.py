"""Which ATen operators multiply matrices, and as which products ``out[m, n] = sum over k of a[m, k] b[n, k]``.

One table for capture, shape counting and emulation, so that the three cannot disagree. Convolutions become products
by im2col, one product a group. An operator that multiplies matrices inside and has no row here is an error, never
silently left out (`HIDDEN`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

Gradient = Literal["dgrad", "wgrad"]

aten = torch.ops.aten

HIDDEN = (
    "aten._scaled_dot_product_",
    "aten._native_multi_head_attention",
    "aten._transformer_encoder_layer_fwd",
    "aten._flash_attention",
    "aten._efficient_attention",
    "aten._scaled_mm",
    "aten._grouped_mm",
    "aten._scaled_grouped_mm",
    "aten._int_mm",
    "aten._weight_int",
    "aten._dyn_quant_matmul",
    "aten._sparse_mm",
    "aten._sparse_addmm",
    "aten._sparse_sparse_matmul",
    "aten._sparse_semi_structured",
    "aten.sspaddmm",
    "aten._trilinear",
    "aten.addbmm",
    "aten.addr",
    "aten._cdist",
    "aten._euclidean_dist",
    "aten.mkldnn_",
    "aten._cudnn_rnn",
    "aten.miopen_rnn",
    "quantized.",
    "mkldnn.",
    "onednn.",
)
"""Beginnings of the names of operators that multiply matrices where no one can see the operands."""


@dataclass(frozen=True)
class Product:
    """One batched product inside an operator.

    Attributes:
        a: ``[batch, M, K]``.
        b: ``[batch, N, K]``.
        of: the operator's arguments that a and b hold the numbers of.
        gradient: what a backward operator computes here; None where the operands must tell.
        counted: how many times `torch.utils.flop_counter` counts each multiplication.
        swapped: operands have changed places, so that the result is ``[batch, N, M]`` of the operator's.
    """

    a: Tensor
    b: Tensor
    of: tuple[Tensor, Tensor]
    gradient: Gradient | None = None
    counted: int = 1
    swapped: bool = False

    @property
    def batch(self) -> int:
        """Products of the batch."""
        return int(self.a.shape[0])

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.batch * int(self.a.shape[1]) * int(self.b.shape[1]) * int(self.a.shape[2])

    @property
    def fits(self) -> bool:
        """Whether the operands agree in batch and K."""
        return self.a.shape[::2] == self.b.shape[::2]

    def swap(self) -> Product:
        """The same product with b first."""
        return replace(self, a=self.b, b=self.a, of=self.of[::-1], swapped=not self.swapped)


@dataclass(frozen=True)
class Call:
    """An operator as products, and how its result follows from theirs.

    Attributes:
        products: in the order of computation.
        op: ``"convolution"``, or ``"matmul"`` where the operands must tell more.
        finish: results ``[batch, M, N]`` float32, in the products' order -> the operator's result; None where
            emulation has no use for the operator.
        counted: whether `torch.utils.flop_counter` knows the operator.
    """

    products: tuple[Product, ...]
    op: Literal["matmul", "convolution"]
    finish: Callable[[Sequence[Tensor]], Tensor] | None
    counted: bool = True


def hides_products(name: str) -> bool:
    """Whether the operator called `name` (``"aten.addbmm"``) multiplies matrices without showing them."""
    return name.startswith(HIDDEN)


def as_call(operator: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
    """`operator` (an overload packet such as ``aten.mm``) on its arguments as products, None if it has none."""
    row = _TABLE.get(operator)
    return None if row is None else row(*args, **kwargs)


def _mm(a: Tensor, b: Tensor, **_: Any) -> Call:
    return Call((Product(a[None], b.mT[None], (a, b)),), "matmul", lambda outs: outs[0][0].to(a.dtype))


def _addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1, **_: Any) -> Call:
    return Call(
        (Product(a[None], b.mT[None], (a, b)),),
        "matmul",
        lambda outs: _added(outs[0][0], bias, beta, alpha).to(a.dtype),
    )


def _bmm(a: Tensor, b: Tensor, **_: Any) -> Call:
    product = _batched(a, b)
    return Call((product,), "matmul", lambda outs: _unfolded(outs[0], a, b).to(a.dtype))


def _baddbmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1, **_: Any) -> Call:
    def finish(outs: Sequence[Tensor]) -> Tensor:
        return _added(_unfolded(outs[0], a, b), bias, beta, alpha).to(a.dtype)

    return Call((_batched(a, b),), "matmul", finish)


def _batched(a: Tensor, b: Tensor) -> Product:
    """A batch of products, or one where torch repeated one operand to make a batch of it."""
    if len(a) == len(b) > 1 and b.stride(0) == 0:
        return Product(a.reshape(1, -1, a.shape[2]), b[:1].mT, (a, b))
    if len(a) == len(b) > 1 and a.stride(0) == 0:
        return Product(a[:1], b.mT.reshape(1, -1, b.shape[1]), (a, b))
    return Product(a, b.mT, (a, b))


def _unfolded(out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The result of the product of `_batched` as ``[batch, M, N]``."""
    if len(out) == len(a):
        return out
    if b.stride(0) == 0:
        return out.reshape(len(a), a.shape[1], b.shape[2])
    return out.reshape(a.shape[1], len(b), b.shape[2]).transpose(0, 1)


def _mv(a: Tensor, b: Tensor, **_: Any) -> Call:
    return Call(
        (Product(a[None], b[None, None], (a, b)),), "matmul", lambda outs: outs[0][0, :, 0].to(a.dtype), counted=False
    )


def _addmv(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1, **_: Any) -> Call:
    def finish(outs: Sequence[Tensor]) -> Tensor:
        return _added(outs[0][0, :, 0], bias, beta, alpha).to(a.dtype)

    return Call((Product(a[None], b[None, None], (a, b)),), "matmul", finish, counted=False)


def _dot(a: Tensor, b: Tensor, **_: Any) -> Call:
    return Call(
        (Product(a[None, None], b[None, None], (a, b)),),
        "matmul",
        lambda outs: outs[0][0, 0, 0].to(a.dtype),
        counted=False,
    )


def _added(out: Tensor, bias: Tensor, beta: float, alpha: float) -> Tensor:
    scaled = out if alpha == 1 else out * alpha
    return scaled if beta == 0 else scaled + (bias.float() if beta == 1 else bias.float() * beta)


@dataclass(frozen=True)
class _Geometry:
    """Sizes of a convolution over any number of spatial axes."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def columns(self, x: Tensor, kernel: Sequence[int], out: Sequence[int]) -> Tensor:
        """Patches of x ``[N, C, *in]`` at the `out` places -> ``[groups, N * prod(out), C/g * prod(kernel)]``."""
        padding = [amount for axis in reversed(self.padding) for amount in (axis, axis)]
        x = torch.nn.functional.pad(x, padding).contiguous()
        batch, channels = x.shape[:2]
        steps, inner = x.stride()[:2], x.stride()[2:]
        moves = [s * stride for s, stride in zip(inner, self.stride, strict=True)]
        taps = [s * dilation for s, dilation in zip(inner, self.dilation, strict=True)]
        shape = [self.groups, batch, *out, channels // self.groups, *kernel]
        strides = [steps[1] * (channels // self.groups), steps[0], *moves, steps[1], *taps]
        patches = x.as_strided(shape, strides, x.storage_offset())
        return patches.reshape(self.groups, batch * math.prod(out), -1)

    def rows(self, y: Tensor) -> Tensor:
        """y ``[N, C, *space]`` -> ``[groups, N * prod(space), C/g]``."""
        batch, channels = y.shape[:2]
        grouped = y.reshape(batch, self.groups, channels // self.groups, -1)
        return grouped.permute(1, 0, 3, 2).reshape(self.groups, -1, channels // self.groups)

    def from_rows(self, rows: Tensor, batch: int, space: Sequence[int]) -> Tensor:
        """The inverse of `rows`."""
        return rows.reshape(self.groups, batch, math.prod(space), -1).permute(1, 0, 3, 2).reshape(batch, -1, *space)

    def weight(self, w: Tensor) -> Tensor:
        """w ``[C1, C2/g, *kernel]`` -> ``[groups, C1/g, C2/g * prod(kernel)]``."""
        return w.reshape(self.groups, w.shape[0] // self.groups, -1)


def _convolution(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *_: Any,
    **__: Any,
) -> Call:
    axes = w.ndim - 2
    unbatched = x.ndim == axes + 1
    x = x[None] if unbatched else x
    geometry = _geometry(axes, stride, padding, dilation, groups)
    kernel = list(w.shape[2:])

    def finished(out: Tensor) -> Tensor:
        out = out if bias is None else out + bias.float().reshape(-1, *[1] * axes)
        return (out[0] if unbatched else out).to(x.dtype).contiguous()

    if transposed:
        product = Product(geometry.rows(x), geometry.weight(w).mT, (x, w))
        extra = list(output_padding) * axes if len(output_padding) < axes else list(output_padding)
        return Call((product,), "convolution", lambda outs: finished(_overlap_add(outs[0], x, w, geometry, extra)))
    out = _out_sizes(x.shape[2:], kernel, geometry)
    product = Product(geometry.columns(x, kernel, out), geometry.weight(w), (x, w))
    return Call((product,), "convolution", lambda outs: finished(geometry.from_rows(outs[0], x.shape[0], out)))


def _convolution_backward(
    grad: Tensor,
    x: Tensor,
    w: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> Call:
    axes = w.ndim - 2
    grad, x = (t[None] if t.ndim == axes + 1 else t for t in (grad, x))
    geometry = _geometry(axes, stride, padding, dilation, groups)
    kernel = list(w.shape[2:])
    weight = geometry.weight(w)
    # a transposed convolution maps its input back as a convolution maps it forth, and the other way round
    small, large = (x, grad) if transposed else (grad, x)
    columns = geometry.columns(large, kernel, small.shape[2:])
    products = []
    if output_mask[0]:
        operands = (columns, weight) if transposed else (geometry.rows(grad), weight.mT)
        products.append(Product(*operands, (grad, w), gradient="dgrad"))
    if output_mask[1]:
        one, other = geometry.rows(small).mT, columns.mT
        operands = (other, one) if transposed else (one, other)
        # torch counts the groups as if each read all channels
        products.append(Product(*operands, (grad, x), gradient="wgrad", counted=groups))
    return Call(tuple(products), "convolution", None)


def _geometry(
    axes: int, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> _Geometry:
    def full(sizes: Sequence[int]) -> list[int]:
        return list(sizes) * axes if len(sizes) < axes else list(sizes)

    return _Geometry(full(stride), full(padding), full(dilation), groups)


def _out_sizes(space: Sequence[int], kernel: Sequence[int], geometry: _Geometry) -> list[int]:
    sizes = zip(space, kernel, geometry.stride, geometry.padding, geometry.dilation, strict=True)
    return [(s + 2 * p - d * (k - 1) - 1) // step + 1 for s, k, step, p, d in sizes]


def _overlap_add(out: Tensor, x: Tensor, w: Tensor, geometry: _Geometry, extra: Sequence[int]) -> Tensor:
    """Add up the overlapping patches ``[groups, N * prod(in), C/g * prod(kernel)]`` of a transposed convolution."""
    kernel, space, batch = list(w.shape[2:]), list(x.shape[2:]), x.shape[0]
    sizes = zip(space, kernel, geometry.stride, geometry.dilation, extra, strict=True)
    full = [(s - 1) * step + d * (k - 1) + 1 + e for s, k, step, d, e in sizes]
    channels = int(w.shape[1]) * geometry.groups
    patches = out.reshape(geometry.groups, batch, *space, int(w.shape[1]), *kernel)
    axes = len(space)
    order = [1, 0, 2 + axes, *range(2, 2 + axes), *range(3 + axes, 3 + 2 * axes)]
    patches = patches.permute(order).reshape(batch, channels, *space, *kernel)
    result = out.new_zeros(batch, channels, *full)
    for tap in torch.cartesian_prod(*(torch.arange(k) for k in kernel)).reshape(-1, axes).tolist():
        place = [
            slice(t * d, t * d + (s - 1) * step + 1, step)
            for t, d, s, step in zip(tap, geometry.dilation, space, geometry.stride, strict=True)
        ]
        result[(slice(None), slice(None), *place)] += patches[(..., *tap)]
    inside = [slice(p, size - p) for p, size in zip(geometry.padding, full, strict=True)]
    return result[(slice(None), slice(None), *inside)]


def _inplace(row: Callable[..., Call]) -> Callable[..., Call]:
    """The row of an operator that writes its first argument: torch does not count its multiplications."""

    def made(*args: Any, **kwargs: Any) -> Call:
        return replace(row(*args, **kwargs), counted=False)

    return made


_TABLE: dict[object, Callable[..., Call]] = {
    aten.mm: _mm,
    aten.addmm: _addmm,
    aten.addmm_: _inplace(_addmm),
    aten.baddbmm_: _inplace(_baddbmm),
    aten.addmv_: _inplace(_addmv),
    aten.bmm: _bmm,
    aten.baddbmm: _baddbmm,
    aten.mv: _mv,
    aten.addmv: _addmv,
    aten.dot: _dot,
    aten.vdot: _dot,
    aten.convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
}

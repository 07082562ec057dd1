"""Torch's functions that multiply matrices, as products: the table of `hwsim.nn.products` one level up, where
autograd still follows.

Operands are made by views and copies that autograd knows, so the gradients of a product reach the tensors that the
model holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hwsim.nn.products import Call, Product, as_call


def as_products(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
    """`function` on its arguments as products, None if it has no row here.

    ``out`` is not a part of it; the function's name must not end in an underscore.
    """
    row = _ROWS.get(function)
    return None if row is None else row(*args, **kwargs)


def in_place(function: Any) -> Callable[..., Any] | None:
    """The row's function of one that writes its first argument, ``Tensor.addmm`` for ``Tensor.addmm_``."""
    return _IN_PLACE.get(function)


def is_known(function: Any) -> bool:
    """Whether `as_products` has a row for it."""
    return function in _ROWS


def _linear(x: Tensor, w: Tensor, bias: Tensor | None = None) -> Call:
    rows = x.reshape(1, -1, x.shape[-1])
    weight = w if w.dim() == 2 else w[None]

    def finish(outs: Sequence[Tensor]) -> Tensor:
        out = outs[0].reshape(*x.shape[:-1], weight.shape[0])
        out = out if bias is None else out + bias.float()
        return (out if w.dim() == 2 else out[..., 0]).to(x.dtype)

    return Call((Product(rows, weight[None], (x, w)),), "matmul", finish)


def _matmul(a: Tensor, b: Tensor) -> Call:
    if a.dim() == 1 and b.dim() == 1:
        return _row("dot", a, b)
    if a.dim() == 1:
        return _then(_matmul(a[None], b), lambda out: out.squeeze(-2))
    if b.dim() == 1:
        return _then(_matmul(a, b[:, None]), lambda out: out.squeeze(-1))
    if a.dim() == 2 and b.dim() == 2:
        return _row("mm", a, b)
    if b.dim() == 2:
        rows = Product(a.reshape(1, -1, a.shape[-1]), b.mT[None], (a, b))
        shape = (*a.shape[:-1], b.shape[1])
        return Call((rows,), "matmul", lambda outs: outs[0].reshape(shape).to(a.dtype))
    if a.dim() == 2:
        columns = Product(a[None], b.mT.reshape(1, -1, b.shape[-2]), (a, b))
        shape = (a.shape[0], *b.shape[:-2], b.shape[-1])
        return Call((columns,), "matmul", lambda outs: outs[0].reshape(shape).movedim(0, -2).to(a.dtype))
    batch: Any = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # type: ignore[no-untyped-call]
    left, right = a.expand(*batch, *a.shape[-2:]), b.expand(*batch, *b.shape[-2:])
    call = _row("bmm", left.reshape(-1, *a.shape[-2:]), right.reshape(-1, *b.shape[-2:]), of=(a, b))
    return _then(call, lambda out: out.reshape(*batch, *out.shape[-2:]))


def _rmatmul(b: Tensor, a: Tensor) -> Call:
    return _matmul(a, b)


def _row(name: str, *args: Any, of: tuple[Tensor, Tensor] | None = None, **kwargs: Any) -> Call:
    call = as_call(getattr(torch.ops.aten, name), args, kwargs)
    assert call is not None
    if of is not None:
        product = call.products[0]
        call = Call((Product(product.a, product.b, of),), call.op, call.finish)
    return call


def _then(call: Call, change: Callable[[Tensor], Tensor]) -> Call:
    finish = call.finish
    assert finish is not None
    return Call(call.products, call.op, lambda outs: change(finish(outs)))


def _convolution(axes: int) -> Callable[..., Call]:
    def row(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Call:
        kernel, steps, apart = list(weight.shape[2:]), _full(stride, axes), _full(dilation, axes)
        x = input if input.dim() == axes + 2 else input[None]
        if padding == "same":
            total = [d * (k - 1) for d, k in zip(apart, kernel, strict=True)]
            sides = [amount for t in reversed(total) for amount in (t // 2, t - t // 2)]
            x, around = functional.pad(x, sides), [0] * axes
        else:
            around = [0] * axes if padding == "valid" else _full(padding, axes)
        out = [
            (size + 2 * p - d * (k - 1) - 1) // s + 1
            for size, p, d, k, s in zip(x.shape[2:], around, apart, kernel, steps, strict=True)
        ]
        columns = _columns(x, kernel, steps, around, apart, out)  # [N, C * taps, places]
        batch, places = x.shape[0], math.prod(out)
        rows = columns.reshape(batch, groups, -1, places).permute(1, 0, 3, 2).reshape(groups, batch * places, -1)
        filters = weight.reshape(groups, weight.shape[0] // groups, -1)

        def finish(outs: Sequence[Tensor]) -> Tensor:
            made = outs[0].reshape(groups, batch, places, -1).permute(1, 0, 3, 2).reshape(batch, -1, *out)
            made = made if bias is None else made + bias.float().reshape(-1, *[1] * axes)
            return (made if input.dim() == axes + 2 else made[0]).to(input.dtype).contiguous()

        return Call((Product(rows, filters, (input, weight)),), "convolution", finish)

    return row


def _columns(
    x: Tensor, kernel: list[int], steps: list[int], around: list[int], apart: list[int], out: list[int]
) -> Tensor:
    """Patches ``[N, C * taps, places]``."""
    axes = len(kernel)
    if axes == 1:
        return functional.unfold(x[:, :, None], (1, kernel[0]), (1, apart[0]), (0, around[0]), (1, steps[0]))
    if axes == 2:
        return functional.unfold(x, *(tuple(sizes) for sizes in (kernel, apart, around, steps)))
    x = functional.pad(x, [amount for p in reversed(around) for amount in (p, p)])
    for axis in range(axes):  # the windows of one axis after another
        windows = x.unfold(2 + axis, apart[axis] * (kernel[axis] - 1) + 1, steps[axis])
        x = windows[..., :: apart[axis]]
    batch, channels = x.shape[:2]
    order = [0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes)]
    return x.permute(order).reshape(batch, channels * math.prod(kernel), math.prod(out))


def _transposed(axes: int) -> Callable[..., Call]:
    def row(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Call:
        return _row(
            "convolution", input, weight, bias, _full(stride, axes), _full(padding, axes), _full(dilation, axes),
            True, _full(output_padding, axes), groups,
        )  # fmt: skip

    return row


def _any_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *_: Any,
    **__: Any,
) -> Call:
    axes = weight.dim() - 2
    if transposed:
        return _transposed(axes)(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return _convolution(axes)(input, weight, bias, stride, padding, dilation, groups)


def _full(sizes: Any, axes: int) -> list[int]:
    made = [int(sizes)] * axes if isinstance(sizes, int) else [int(size) for size in sizes]
    return made * axes if len(made) == 1 else made


def _plain(name: str) -> Callable[..., Call]:
    def row(*args: Any, **kwargs: Any) -> Call:
        return _row(name, *args, **kwargs)

    return row


def _known() -> dict[Any, Callable[..., Call]]:
    aten, tensor = torch.ops.aten, torch.Tensor
    found: dict[Any, Callable[..., Call]] = {
        functional.linear: _linear,
        aten.linear: _linear,
        torch.matmul: _matmul,
        tensor.matmul: _matmul,
        tensor.__matmul__: _matmul,
        tensor.__rmatmul__: _rmatmul,
        aten.matmul: _matmul,
        torch.convolution: _any_convolution,
        torch._convolution: _any_convolution,
        aten.convolution: _any_convolution,
        aten._convolution: _any_convolution,
    }
    for name in ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "vdot"):
        for function in (getattr(torch, name), getattr(tensor, name), getattr(aten, name)):
            found[function] = _plain(name)
    for axes in (1, 2, 3):
        for function in (getattr(torch, f"conv{axes}d"), getattr(aten, f"conv{axes}d")):
            found[function] = _convolution(axes)
        found[getattr(torch, f"conv_transpose{axes}d")] = _transposed(axes)
    return found


_ROWS = _known()
_IN_PLACE: dict[Any, Callable[..., Any]] = {
    torch.Tensor.addmm_: torch.addmm,
    torch.Tensor.baddbmm_: torch.baddbmm,
    torch.Tensor.addmv_: torch.addmv,
    torch.addmv_: torch.addmv,
    torch.Tensor.addbmm_: torch.addbmm,
    torch.Tensor.addr_: torch.addr,
}

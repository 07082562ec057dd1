"""Operators of torch on a CPU in terms of `hwsim.ordered`, by the names of ATen: float64 inside, rounded once.

Each takes the arguments of the operator and returns its result, or `NotImplemented` for kinds of numbers that it does
not know. What is written in torch's own functions here is one IEEE operation after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwsim.ordered import arrays, kernels
from hwsim.ordered.functions import WIDEST_ANGLE

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def products(a: Tensor, b: Tensor) -> Tensor:
    """``[batch, M, N]`` of a ``[batch, M, K]`` and b ``[batch, N, K]``, float32 unless they are float64."""
    left, right = _values(a), _values(b)
    return torch.from_numpy(np.stack([arrays.products(one, other) for one, other in zip(left, right, strict=True)]))


def _values(x: Tensor) -> NDArray[Any]:
    """The numbers of x, those of 16 bits as float32."""
    x = x.detach().resolve_neg()
    found: NDArray[Any] = (x if x.dtype in (torch.float32, torch.float64) else x.float()).numpy()
    return found


def _tensor(found: Any, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(np.asarray(found)).to(dtype)


def _unary(kernel: Callable[..., None]) -> Callable[[Tensor], Any]:
    def run(x: Tensor) -> Any:
        if not x.is_floating_point():
            return NotImplemented
        values = _values(x)
        if (
            kernel in (kernels.sin, kernels.cos)
            and np.abs(values).max(initial=0, where=np.isfinite(values)) > WIDEST_ANGLE
        ):
            return NotImplemented
        return _tensor(arrays.apply(kernel, values), x.dtype)

    return run


def _gelu(x: Tensor, *, approximate: str = "none") -> Any:
    return _unary(kernels.gelu if approximate == "none" else kernels.gelu_tanh)(x)


def _softplus(x: Tensor, beta: Any = 1, threshold: Any = 20) -> Any:
    if not x.is_floating_point():
        return NotImplemented
    values = _values(x)
    scaled = values.astype(np.float64) * float(beta)
    soft = arrays.apply(kernels.softplus, scaled) / float(beta)
    return _tensor(np.where(scaled > threshold, values, soft.astype(values.dtype)), x.dtype)


def _root(x: Tensor) -> Any:
    if not x.is_floating_point():
        return NotImplemented
    with np.errstate(invalid="ignore"):
        return _tensor(np.sqrt(_values(x)), x.dtype)


def _inverse_root(x: Tensor) -> Any:
    if not x.is_floating_point():
        return NotImplemented
    values = _values(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _tensor((1.0 / np.sqrt(values.astype(np.float64))).astype(values.dtype), x.dtype)


def _mish(x: Tensor) -> Any:
    return x * _unary(kernels.tanh)(_softplus(x))


def _elu(x: Tensor, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Any:
    return torch.where(x > 0, x * scale, _unary(kernels.expm1)(x * input_scale) * (alpha * scale))


def _addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Any:
    return x + a * b * value


def _addcdiv(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Any:
    return x + a / b * value


def _lerp(x: Tensor, end: Tensor, weight: Any) -> Tensor:
    part = torch.as_tensor(weight, dtype=x.dtype)
    return torch.where(part.abs() < 0.5, x + (end - x) * part, end - (end - x) * (1 - part))


def _binary_powers(base: Any, exponent: Any) -> Any:
    kind = torch.result_type(base, exponent)
    if kind not in FLOATS:
        return NotImplemented
    bases, exponents = (torch.as_tensor(one, dtype=kind) for one in (base, exponent))
    shape = torch.broadcast_shapes(bases.shape, exponents.shape)  # type: ignore[no-untyped-call]
    both = bases.expand(shape), exponents.expand(shape)
    return _tensor(arrays.power(*(_values(one.contiguous()) for one in both)), kind)


def _scaled(sign: int) -> Callable[..., Any]:
    def run(x: Tensor, other: Any, *, alpha: Any = 1) -> Any:
        return x + other * (alpha * sign)  # the product rounded, then the sum

    return run


def _reversed_sub(x: Tensor, other: Any, alpha: Any = 1) -> Any:
    return other - x * alpha if alpha != 1 else other - x


def _rows(x: Tensor, dim: Any) -> tuple[NDArray[Any], list[int], list[int]]:
    """x with the axes `dim` (None or none: all) as one, behind: ``[rows, n]``; the others' sizes; sizes with ones."""
    axes = [dim] if isinstance(dim, int) else list(dim or range(x.dim()))
    axes = [axis % x.dim() for axis in axes] if x.dim() else []
    others = [axis for axis in range(x.dim()) if axis not in axes]
    sizes, count = [x.shape[axis] for axis in others], 1
    for axis in axes:
        count *= x.shape[axis]
    rows = _values(x.permute([*others, *axes])).reshape(-1 if count else int(np.prod(sizes)), count)
    return rows, sizes, [1 if axis in axes else size for axis, size in enumerate(x.shape)]


def _sum(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    return _summed(x, dim, keepdim, dtype, mean=False)


def _mean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    return _summed(x, dim, keepdim, dtype, mean=True)


def _summed(x: Tensor, dim: Any, keepdim: bool, dtype: torch.dtype | None, mean: bool) -> Any:
    kind = dtype or x.dtype
    if kind not in FLOATS or x.dtype not in FLOATS:
        return NotImplemented
    rows, sizes, kept = _rows(x.to(kind), dim)
    with np.errstate(invalid="ignore"):
        found = arrays.sums(rows) / (np.float64(rows.shape[1]) if mean else 1.0)
    return _tensor(found.reshape(kept if keepdim else sizes), kind)


def _moments(x: Tensor, dim: Any, unbiased: Any, keepdim: bool, correction: Any) -> tuple[Any, Any] | None:
    """Variance and mean, float64; None for other numbers than floats."""
    if isinstance(dim, bool):
        unbiased, dim = dim, None
    if x.dtype not in FLOATS:
        return None
    taken = (1 if unbiased is None else int(unbiased)) if correction is None else correction
    rows, sizes, kept = _rows(x, dim)
    shape = kept if keepdim else sizes
    with np.errstate(invalid="ignore", divide="ignore"):
        means = arrays.sums(rows) / np.float64(rows.shape[1])
        found = arrays.sums(rows, means, squared=True) / np.float64(max(0.0, rows.shape[1] - taken))
    return found.reshape(shape), means.reshape(shape)


def _spread(root: bool, with_mean: bool) -> Callable[..., Any]:
    def run(
        x: Tensor, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None
    ) -> Any:
        found = _moments(x, dim, unbiased, keepdim, correction)
        if found is None:
            return NotImplemented
        first = _tensor(np.sqrt(found[0]) if root else found[0], x.dtype)
        return (first, _tensor(found[1], x.dtype)) if with_mean else first

    return run


def _norm(
    x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: torch.dtype | None = None
) -> Any:
    power = 2.0 if ord is None else float(ord)
    if power not in (1.0, 2.0) or x.dtype not in FLOATS:
        return NotImplemented
    kind = dtype or x.dtype
    rows, sizes, kept = _rows((x.abs() if power == 1.0 else x).to(kind), dim)
    found = np.sqrt(arrays.sums(rows, squared=True)) if power == 2.0 else arrays.sums(rows)
    return _tensor(found.reshape(kept if keepdim else sizes), kind)


def _logsumexp(x: Tensor, dim: Any, keepdim: bool = False) -> Any:
    if x.dtype not in FLOATS or not x.numel():
        return NotImplemented
    rows, sizes, kept = _rows(x, dim)
    wide = rows.astype(np.float64)
    tops = wide.max(axis=1)
    tops = np.where(np.isinf(tops), 0.0, tops)
    found = arrays.apply(kernels.log, arrays.sums(arrays.apply(kernels.exp, wide - tops[:, None]))) + tops
    return _tensor(found.reshape(kept if keepdim else sizes), x.dtype)


def _softmax(logarithm: bool) -> Callable[..., Any]:
    def run(x: Tensor, dim: int, half_to_float: bool) -> Any:
        if x.dim() == 0 or x.dtype not in FLOATS:
            return NotImplemented
        turned = x.movedim(dim, -1)
        rows = _values(turned).reshape(-1, turned.shape[-1]) if x.numel() else np.zeros((0, 1), np.float32)
        made = _tensor(arrays.softmax(rows, logarithm).reshape(turned.shape), x.dtype)
        return made.movedim(-1, dim).contiguous()

    return run


def _layer_norm(x: Tensor, shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float) -> Any:
    lead = x.shape[: x.dim() - len(shape)]
    if not x.numel():
        return NotImplemented
    w, b = (None if one is None else _values(one).reshape(-1) for one in (weight, bias))
    made, moments = arrays.layer_norm(_values(x).reshape(int(np.prod(lead)), -1), w, b, eps)
    kept = [*lead, *[1] * len(shape)]
    means, scales = (_tensor(moments[:, part].reshape(kept), x.dtype) for part in (0, 1))
    return _tensor(made.reshape(x.shape), x.dtype), means, scales


def _group_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    batch: int,
    channels: int,
    space: int,
    groups: int,
    eps: float,
) -> Any:
    if not x.numel():
        return NotImplemented
    wide = _values(x).astype(np.float64)
    made, moments = arrays.layer_norm(wide.reshape(batch * groups, -1), None, None, eps)
    made = made.reshape(batch, channels, -1)
    made = made if weight is None else made * _values(weight).reshape(-1, 1)
    made = made if bias is None else made + _values(bias).reshape(-1, 1)
    means, scales = (_tensor(moments[:, part].reshape(batch, groups), x.dtype) for part in (0, 1))
    return _tensor(made.reshape(x.shape), x.dtype), means, scales


OWN: dict[str, Callable[..., Any]] = {
    name: _unary(getattr(kernels, name))
    for name in ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "erf")
} | {
    "gelu": _gelu,
    "softplus": _softplus,
    "mish": _mish,
    "elu": _elu,
    "sqrt": _root,
    "rsqrt": _inverse_root,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "lerp": _lerp,
    "logsumexp": _logsumexp,
    "pow": _binary_powers,
    "exp2": lambda x: _binary_powers(2.0, x),
    "add": _scaled(1),
    "sub": _scaled(-1),
    "rsub": _reversed_sub,
    "sum": _sum,
    "mean": _mean,
    "var": _spread(root=False, with_mean=False),
    "std": _spread(root=True, with_mean=False),
    "var_mean": _spread(root=False, with_mean=True),
    "std_mean": _spread(root=True, with_mean=True),
    "linalg_vector_norm": _norm,
    "norm": _norm,
    "_softmax": _softmax(logarithm=False),
    "_log_softmax": _softmax(logarithm=True),
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
}

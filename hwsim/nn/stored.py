"""What a recorder keeps of a run, and where in memory a tensor of torch lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from hwsim.trace.gemm import GemmShape, Phase
from hwsim.trace.graph import Access, Source, Window


@dataclass(slots=True)
class Stored:
    """A stored tensor while it is recorded.

    `constant` if it follows from weights and constants alone, `learned` if from weights among them; `index` if it
    follows from whole numbers and constants, as positions do.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    source: Source
    constant: bool = False
    index: bool = False
    learned: bool = False


@dataclass(slots=True)
class Step:
    """An operator while it is recorded; see `hwsim.trace.Operator`.

    Attributes:
        scalars: numbers among its arguments.
        triangle: whether it masks exactly what lies above a diagonal.
        causal: whether an attention function said so of the scores it makes.
    """

    name: str
    layer: str
    kind: str
    phase: Phase
    inputs: list[Access]
    output: str
    elements: int = 0
    gemm: GemmShape | None = None
    record: int | None = None
    folded: str = ""
    scalars: tuple[float, ...] = ()
    triangle: bool = False
    causal: bool = False
    dead: bool = False


def touched(tensor: Tensor) -> int:
    """Different elements of its memory that a strided tensor reaches: repeated axes count once."""
    if not tensor.numel():
        return 0
    axes = [(size, step) for size, step in zip(tensor.shape, tensor.stride(), strict=True) if step and size > 1]
    return min(math.prod(size for size, _ in axes), sum((size - 1) * step for size, step in axes) + 1)


def span(tensor: Tensor) -> tuple[int, int]:
    """First and last element of its storage that a tensor reaches."""
    first = int(tensor.storage_offset())
    return first, first + sum(
        int(size - 1) * int(step) for size, step in zip(tensor.shape, tensor.stride(), strict=True)
    )


def region(tensor: Tensor) -> tuple[Any, ...]:
    """What tells two views of one storage apart: offset, shape, strides."""
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def storage_key(tensor: Tensor) -> int:
    """The storage that a tensor lies in, for as long as it lives."""
    return int(tensor.untyped_storage()._cdata)


def dtype_name(tensor: Tensor) -> str:
    """``float32`` for ``torch.float32``."""
    return str(tensor.dtype).removeprefix("torch.")


def is_index(tensor: Tensor) -> bool:
    """Whether its numbers are of a type that counts or selects."""
    return tensor.dtype in (torch.int64, torch.int32, torch.bool)


def written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The arguments of an operator that it writes."""
    if not func._schema.is_mutable:
        return []
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.is_write:
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            found += [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return found


def window_of(
    x: Tensor, w: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, *_: Any
) -> Window | None:
    """How a convolution looks at its input, None for one that looks at each element once."""
    axes = w.ndim - 2
    full = [tuple(value) * axes if len(value) < axes else tuple(value) for value in (stride, padding, dilation)]
    kernel = tuple(w.shape[2:])
    plain = all(k == 1 for k in kernel) and all(s == 1 for s in full[0]) and not any(full[1])
    if transposed or plain:
        return None
    sizes = tuple(x.shape[-axes:])
    outputs = tuple(
        (s + 2 * p - d * (k - 1) - 1) // step + 1 for s, k, step, p, d in zip(sizes, kernel, *full, strict=True)
    )
    images = int(x.shape[0]) if x.ndim == axes + 2 else 1
    return Window(images, int(x.shape[-axes - 1]), sizes, kernel, full[0], full[2], full[1], outputs)

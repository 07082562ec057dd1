"""The operator graph of a run, recorded below autograd: which stored tensors each operator reads and writes.

A tensor is known by the memory that it lies in, so that views are the tensor that they show. An operator that changes
its operand in place writes a new version of it. What follows from weights and constants alone (positions, masks,
cosine tables) is folded: it is computed once, before any machine runs, and its results are stored as weights are.

Rejected: recording module calls. Functional softmax, norms and residual sums would be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._pytree import tree_leaves

from hwsim.nn.patterns import simplified
from hwsim.trace.gemm import GemmShape
from hwsim.trace.graph import Access, Graph, Operator, Source, Window
from hwsim.trace.graph import Tensor as Stored

KINDS = {
    "_softmax": "softmax", "_safe_softmax": "softmax", "_log_softmax": "softmax", "native_layer_norm": "layernorm",
    "native_batch_norm": "batchnorm", "_native_batch_norm_legit": "batchnorm", "cudnn_batch_norm": "batchnorm",
    "_native_batch_norm_legit_no_training": "batchnorm", "native_group_norm": "groupnorm",
    "_fused_rms_norm": "rmsnorm", "rms_norm": "rmsnorm",
    "add": "add", "sub": "add", "rsub": "add", "add_": "add", "sub_": "add", "mul": "mul", "mul_": "mul",
    "div": "divide", "div_": "divide", "reciprocal": "divide", "relu": "relu", "relu_": "relu",
    "threshold": "relu", "hardtanh": "relu", "hardtanh_": "relu", "clamp": "relu", "gelu": "gelu", "silu": "silu",
    "silu_": "silu", "mish": "silu", "elu": "silu", "leaky_relu": "relu", "leaky_relu_": "relu",
    "sigmoid": "sigmoid", "hardsigmoid": "sigmoid", "hardswish": "silu", "hardswish_": "silu",
    "tanh": "tanh", "exp": "exp", "exp2": "exp", "expm1": "exp", "softplus": "exp", "log": "exp", "log1p": "exp",
    "erf": "gelu", "sqrt": "rsqrt", "rsqrt": "rsqrt", "embedding": "embedding", "index_select": "embedding",
    "masked_fill": "mask", "masked_fill_": "mask", "where": "mask", "tril": "mask", "triu": "mask",
    "max_pool2d_with_indices": "pool", "avg_pool2d": "pool", "_adaptive_avg_pool2d": "pool",
    "adaptive_max_pool2d": "pool", "max_pool3d_with_indices": "pool", "avg_pool3d": "pool", "avg_pool1d": "pool",
    "mean": "reduce", "sum": "reduce", "amax": "reduce", "max": "reduce", "min": "reduce", "var": "reduce",
    "var_mean": "reduce", "prod": "reduce", "cumsum": "reduce", "argmax": "reduce", "topk": "compare",
    "sort": "compare", "eq": "compare", "ne": "compare", "lt": "compare", "le": "compare", "gt": "compare",
    "ge": "compare", "bitwise_and": "compare", "logical_and": "compare", "logical_not": "compare",
    "cat": "copy", "stack": "copy", "clone": "copy", "copy_": "copy", "_to_copy": "copy", "contiguous": "copy",
    "index": "copy", "gather": "copy", "constant_pad_nd": "copy", "repeat": "copy", "flip": "copy", "roll": "copy",
    "_reshape_copy": "copy", "_unsafe_index": "copy", "index_put_": "copy", "slice_scatter": "copy",
    "select_scatter": "copy", "neg": "elementwise", "abs": "elementwise", "sin": "elementwise",
    "cos": "elementwise", "sign": "elementwise", "round": "elementwise", "floor": "elementwise",
    "maximum": "elementwise", "minimum": "elementwise",
}  # fmt: skip
"""Kinds of vector work by the name of the ATen operator; ``pow`` is told by its exponent."""

COMPOSITES = {
    torch.nn.functional.rms_norm: "rmsnorm",
    torch.nn.functional.layer_norm: "layernorm",
    torch.nn.functional.group_norm: "groupnorm",
    torch.nn.functional.batch_norm: "batchnorm",
    torch.nn.functional.instance_norm: "groupnorm",
    torch.nn.functional.gelu: "gelu",
    torch.nn.functional.silu: "silu",
    torch.nn.functional.softmax: "softmax",
    torch.nn.functional.normalize: "rmsnorm",
    torch.softmax: "softmax",
    torch.rms_norm: "rmsnorm",
    torch.layer_norm: "layernorm",
}
"""Functions of torch whose operators are one operator of a kind."""

FREE = frozenset(
    ("alias", "detach", "lift_fresh", "lift", "empty", "empty_like", "empty_strided", "new_empty", "set_", "resize_")
)
"""Operators that move nothing."""


class GraphRecorder:
    """Collects tensors and operators of a forward run.

    Args:
        weights: parameters and buffers by name.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self._names: dict[int, tuple[StorageWeakRef, str]] = {}
        self._parts: dict[int, dict[tuple[Any, ...], str]] = {}
        self._tensors: dict[str, Stored] = {}
        self._operators: list[Operator] = []
        self._counts: dict[str, int] = {}
        self._caches: set[str] = set()
        self._open: list[tuple[str, str, int]] = []
        for name, tensor in weights.items():
            self.know(tensor, name, "weight")

    def know(self, tensor: Tensor, name: str, source: Source) -> str:
        """Note a tensor that no operator makes; one that shares the memory of a known one is that one."""
        known = self._name(tensor)
        if known is not None and known in self._tensors:
            return known
        return self._note(tensor, name, source)

    def inputs(self, batch: Any) -> None:
        """Note the tensors that the model is fed."""
        for number, tensor in enumerate(leaf for leaf in tree_leaves(batch) if isinstance(leaf, Tensor)):
            self.know(tensor, f"input.{number}", "input")

    @contextmanager
    def composite(self, kind: str, layer: str) -> Iterator[None]:
        """What is recorded in the block becomes one operator of `kind`."""
        self._open.append((kind, layer, len(self._operators)))
        try:
            yield
        finally:
            kind, layer, start = self._open.pop()
            if not self._open:
                self._close(kind, layer, start)

    def record(
        self,
        name: str,
        layer: str,
        args: Any,
        kwargs: Any,
        result: Any,
        products: Sequence[tuple[GemmShape, Any, int]],
    ) -> None:
        """Note one operator.

        Args:
            name: of the ATen operator, without its overload: ``"aten.mm"``.
            layer: the module that asked for it.
            args, kwargs, result: of the call.
            products: of an operator that multiplies: shape, the operator's arguments that operands a and b hold, and
                the place of its record.
        """
        short = name.rpartition(".")[2]
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if short in FREE or not outputs or outputs[0].numel() == 0:
            return
        memories = {_memory(tensor) for tensor in read}
        in_place = short.endswith("_") and not short.startswith("_")
        if _memory(outputs[0]) in memories and not in_place:
            return  # a view
        accesses = tuple(self._access(tensor) for tensor in read)
        if products:
            for shape, (first, second), place in products:
                rest = [tensor for tensor in read if tensor is not first and tensor is not second]
                window = _window(short, args) if shape.op == "convolution" else None
                a = self._access(first)
                if window is not None:
                    a = replace(a, kind="window", window=window)
                inputs = (a, self._access(second), *(self._access(tensor) for tensor in rest))
                offline = all(self._tensors[access.tensor].source == "weight" for access in inputs)
                made = self._note(outputs[0], self._fresh(shape.layer, "out"), "weight" if offline else "computed")
                folded = "weight × weight" if offline else ""
                made_by = Operator(shape.layer, "gemm", shape.phase, inputs, made, 0, shape, place, folded)
                self._operators.append(made_by)
            return
        kind = _kind(short, args)
        if kind == "embedding" and accesses:
            rows = outputs[0].numel()
            accesses = (replace(accesses[0], elements=min(rows, accesses[0].elements), kind="gather"), *accesses[1:])
        if in_place and kind == "copy" and self._kept(layer, accesses, outputs[0], read):
            return
        constant = all(self._tensors[access.tensor].source == "weight" for access in accesses)
        made = self._note(outputs[0], self._fresh(layer, kind), "weight" if constant else "computed")
        if not constant:
            elements = max(outputs[0].numel(), *(access.elements for access in accesses))
            self._operators.append(Operator(layer, kind, "forward", accesses, made, elements))

    def _kept(self, layer: str, accesses: tuple[Access, ...], written: Tensor, read: Sequence[Tensor]) -> bool:
        """Note rows that are written into a buffer of the model, which keeps the others from earlier calls."""
        before = next(
            access for access, tensor in zip(accesses, read, strict=True) if _memory(tensor) == _memory(written)
        )
        buffer = self._tensors[before.tensor]
        rows = [access for access in accesses if access is not before]
        new = [access for access in rows if self._tensors[access.tensor].source != "weight"]
        if buffer.source not in ("weight", "state") and before.tensor not in self._caches:
            return False
        if not new or sum(access.elements for access in new) >= buffer.elements:
            return False
        if buffer.source == "weight":
            self._tensors[buffer.name] = replace(buffer, source="state")
        self._parts.pop(_memory(written), None)
        made = self._note(written, self._fresh(layer, "cache"), "computed")
        self._parts.pop(_memory(written), None)
        self._tensors[made] = replace(self._tensors[made], shape=buffer.shape)
        self._caches.add(made)
        size = sum(access.elements for access in new)
        held = replace(before, elements=buffer.elements, kind="whole")
        self._operators.append(Operator(layer, "cache", "forward", (*new, held), made, size))
        return True

    def graph(self, result: Any) -> Graph:
        """What was recorded; `result` is what the model returned."""
        returned = {self._name(leaf) for leaf in tree_leaves(result) if isinstance(leaf, Tensor)}
        tensors = {name: replace(one, is_output=name in returned) for name, one in self._tensors.items()}
        return simplified(tensors, self._operators)

    def _name(self, tensor: Tensor) -> str | None:
        known = self._names.get(_memory(tensor))
        if not known or known[0].expired():  # type: ignore[no-untyped-call]
            return None
        return self._parts.get(_memory(tensor), {}).get(_extent(tensor), known[1])

    def _note(self, tensor: Tensor, name: str, source: Source) -> str:
        storage = tensor.untyped_storage()
        known = self._names.get(storage._cdata)
        if known and not known[0].expired() and known[1] in self._tensors:  # type: ignore[no-untyped-call]
            if tensor.numel() < self._tensors[known[1]].elements or self._parts.get(storage._cdata):
                self._parts.setdefault(storage._cdata, {})[_extent(tensor)] = name  # written in place, by parts
        else:
            self._parts.pop(storage._cdata, None)
        self._names[storage._cdata] = StorageWeakRef(storage), name  # type: ignore[no-untyped-call]
        dtype = str(tensor.dtype).removeprefix("torch.")
        self._tensors[name] = Stored(name, tuple(tensor.shape), dtype, source)
        return name

    def _access(self, tensor: Tensor) -> Access:
        name = self._name(tensor)
        if name is None or name not in self._tensors:  # made where nobody watched: a constant of the model's code
            name = self._note(tensor, self._fresh("", "constant"), "weight")
        stored = self._tensors[name].elements
        shown = 1
        for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
            shown *= size if stride else 1
        return Access(name, min(shown, stored), "whole" if shown >= stored else "view")

    def _fresh(self, layer: str, kind: str) -> str:
        base = f"{layer}:{kind}"
        self._counts[base] = self._counts.get(base, -1) + 1
        return f"{base}.{self._counts[base]}"

    def _close(self, kind: str, layer: str, start: int) -> None:
        """Replace the operators from `start` on by one, if they are vector work with one result that lives on."""
        inner = self._operators[start:]
        if not inner or any(operator.gemm is not None for operator in inner):
            return
        made = {operator.output for operator in inner}
        inputs: dict[str, Access] = {}
        for operator in inner:
            for access in operator.inputs:
                if access.tensor not in made:
                    known = inputs.get(access.tensor)
                    if known is None or known.elements < access.elements:
                        inputs[access.tensor] = access
        last = inner[-1]
        size = max(self._tensors[last.output].elements, *(access.elements for access in inputs.values()))
        self._operators[start:] = [Operator(layer, kind, last.phase, tuple(inputs.values()), last.output, size)]


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _extent(tensor: Tensor) -> tuple[Any, ...]:
    """Which part of its memory a tensor shows."""
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def _kind(short: str, args: Any) -> str:
    if short == "square":
        return "square"
    if short in ("pow", "pow_"):
        known = {2: "square", -0.5: "rsqrt", 0.5: "rsqrt"}
        return "exp" if isinstance(args[1], Tensor) else known.get(args[1], "exp")
    if short in ("mul", "mul_") and not isinstance(args[1], Tensor):
        return "scale"
    return KINDS.get(short) or KINDS.get(short.removesuffix("_"), "other")


def _window(short: str, args: Any) -> Window | None:
    """How a convolution (x, w, bias, stride, padding, dilation, transposed, ...) looks at x; None for a transposed
    one, which reads every element once."""
    if short != "convolution" or args[6]:
        return None
    x, w = args[0], args[1]
    axes = w.ndim - 2
    sizes = tuple(x.shape[-axes:])
    images = x.shape[0] if x.ndim == axes + 2 else 1

    def full(values: Sequence[int]) -> tuple[int, ...]:
        return tuple(values) * axes if len(values) < axes else tuple(values)

    stride, padding, dilation, kernel = full(args[3]), full(args[4]), full(args[5]), tuple(w.shape[2:])
    outputs = tuple(
        (size + 2 * pad - d * (k - 1) - 1) // step + 1
        for size, pad, d, k, step in zip(sizes, padding, dilation, kernel, stride, strict=True)
    )
    return Window(images, x.shape[-axes - 1], sizes, kernel, stride, dilation, padding, outputs)

"""The operator graph of a model: every operator of a run, with the tensors that it reads and writes.

A graph says what a machine has to move and to compute, not how. Views are resolved: an operator accesses the *stored*
tensor that its operand is a view of, and says how many different elements of it it touches, so that a transposed, a
split or a repeated operand is not another tensor. Whether a tensor is written to DRAM, kept on chip or never
materialised is decided by a plan (`hwsim.timing`), never here.

Rejected: torch.fx graphs. They hold forward computations only, without the identity of stored tensors, and loading
one needs torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Literal

from hwsim.trace.gemm import GemmShape, Phase

Source = Literal["input", "weight", "state", "computed"]
"""Where the numbers of a tensor come from: fed to the model, a parameter or buffer, kept from an earlier call (a KV
cache, a recurrent state), or an operator of this run."""

AccessKind = Literal["whole", "view", "window", "gather"]

VECTOR_KINDS = (
    "softmax", "layernorm", "rmsnorm", "batchnorm", "groupnorm",
    "add", "mul", "scale", "relu", "gelu", "silu", "sigmoid", "tanh", "exp", "square", "divide", "rsqrt",
    "rope", "mask", "embedding", "pool", "reduce", "requantize", "cache", "copy", "compare", "elementwise", "other",
)  # fmt: skip
"""Work that is no matrix product: what a vector unit does, by the names that its prices have."""

ROWWISE_KINDS = frozenset(VECTOR_KINDS) - {"batchnorm", "groupnorm", "pool", "reduce", "cache", "other", "embedding"}
"""Kinds whose row of results depends on the same row of their operands alone, so that they fuse row by row."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A stored tensor.

    Attributes:
        name: unique in its graph: the parameter's dotted name, ``"input.0"``, or ``"LAYER:KIND.NUMBER"``.
        shape: of the stored tensor, before views.
        dtype: torch's name of the type that the model used, ``"float32"``, ``"int64"``.
        source: where its numbers come from.
        is_output: whether the model returns it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    source: Source
    is_output: bool = False

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def row_elements(self) -> int:
        """Elements of the last axis, 1 for a scalar."""
        return self.shape[-1] if self.shape else 1


@dataclass(frozen=True, slots=True)
class Window:
    """How a convolution looks at its stored input ``[channels, *sizes]`` of one image.

    Attributes:
        images: batch size.
        channels: input channels of all groups together.
        sizes: spatial sizes of the input.
        kernel, stride, dilation, padding: one number a spatial axis.
        outputs: spatial sizes of the output.
    """

    images: int
    channels: int
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...]
    outputs: tuple[int, ...]

    def input_rows(self, output_rows: int) -> int:
        """Rows along the first spatial axis that `output_rows` neighbouring output rows look at, halos included,
        padding not counted, at most the whole input."""
        reach = (output_rows - 1) * self.stride[0] + (self.kernel[0] - 1) * self.dilation[0] + 1
        return min(self.sizes[0], reach)


@dataclass(frozen=True, slots=True)
class Access:
    """What an operator reads of a stored tensor.

    Attributes:
        tensor: its name.
        elements: different elements that are touched, at most the tensor's.
        kind: ``"whole"``; ``"view"`` a part of it or another order; ``"window"`` each element several times, as a
            convolution does; ``"gather"`` rows chosen by an index tensor.
        window: of a convolution's input.
    """

    tensor: str
    elements: int
    kind: AccessKind = "whole"
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator of a run.

    Attributes:
        layer: dotted name of the module that asked for it, with ``.qk`` or ``.pv`` for the products of attention.
        kind: ``"gemm"``, or one of `VECTOR_KINDS`.
        phase: forward, dgrad or wgrad.
        inputs: for a GEMM operand a, then operand b, then what is added (a bias); else in the order of the call.
        output: name of the tensor that it writes.
        elements: elements that a vector unit handles, 0 for a GEMM.
        gemm: shape of a GEMM.
        record: place of the GEMM among the products of its workload, or None.
        folded: why this operator does not run at inference (``"weight × weight"``), or "".
    """

    layer: str
    kind: str
    phase: Phase
    inputs: tuple[Access, ...]
    output: str
    elements: int = 0
    gemm: GemmShape | None = None
    record: int | None = None
    folded: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Tensors and operators in the order of the run."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`."""
        return self.by_name[name]

    @property
    def by_name(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return {tensor.name: tensor for tensor in self.tensors}

    @property
    def producers(self) -> dict[str, int]:
        """Place of the operator that writes each computed tensor."""
        return {operator.output: place for place, operator in enumerate(self.operators)}

    @property
    def consumers(self) -> dict[str, tuple[int, ...]]:
        """Places of the operators that read each tensor, ascending."""
        found: dict[str, list[int]] = {tensor.name: [] for tensor in self.tensors}
        for place, operator in enumerate(self.operators):
            for access in operator.inputs:
                if place not in found[access.tensor]:
                    found[access.tensor].append(place)
        return {name: tuple(places) for name, places in found.items()}


def graph_of_products(gemms: Iterable[GemmShape]) -> Graph:
    """The forward products of a workload as a graph in which nothing is handed on: each reads its operands and
    leaves its result."""
    tensors: list[Tensor] = []
    operators: list[Operator] = []
    for record, gemm in enumerate(gemms):
        if gemm.phase != "forward":
            continue
        name = f"{gemm.layer}.{record}"
        shared = gemm.groups if gemm.b_role == "weight" else gemm.batch
        source: Source = "weight" if gemm.b_role == "weight" else "input"
        a = Tensor(f"{name}:a", (gemm.batch, gemm.m, gemm.k), "float32", "input")
        b = Tensor(f"{name}:b", (shared, gemm.n, gemm.k), "float32", source)
        out = Tensor(f"{name}:out", (gemm.batch, gemm.m, gemm.n), "float32", "computed", is_output=True)
        tensors += [a, b, out]
        inputs = Access(a.name, a.elements), Access(b.name, b.elements)
        operators.append(Operator(gemm.layer, "gemm", "forward", inputs, out.name, 0, gemm, record))
    return Graph(tuple(tensors), tuple(operators))

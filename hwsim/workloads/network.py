"""A graph of operators in the making, from shapes alone: no torch, no numbers.

Every method adds an operator and returns the name of the tensor that it writes. Names and accesses follow what a
capture records, so that a graph that is written and one that is captured say the same.
"""

from __future__ import annotations

from math import prod

from hwsim.errors import ArgumentError
from hwsim.trace import GemmShape, Workload
from hwsim.trace.gemm import Phase
from hwsim.trace.graph import Access, AccessKind, Graph, Operator, Source, Tensor, Window


class Network:
    """Tensors and operators in the order of the run.

    Args:
        name: of the workload.
        phase: of its operators without products.
    """

    def __init__(self, name: str, phase: Phase = "forward") -> None:
        self.name, self.phase = name, phase
        self._tensors: dict[str, Tensor] = {}
        self._operators: list[Operator] = []
        self._products: list[GemmShape] = []

    def input(self, *shape: int, dtype: str = "float32") -> str:
        """A tensor that is fed to the network."""
        name = f"input.{sum(tensor.source == 'input' for tensor in self._tensors.values())}"
        return self._store(Tensor(name, shape, dtype, "input"))

    def weight(self, name: str, *shape: int) -> str:
        """A parameter; one that is there already is shared, and must have the same shape."""
        return self._given(name, shape, "weight")

    def state(self, name: str, *shape: int) -> str:
        """What an earlier call left: a KV cache, the state of a recurrence."""
        return self._given(name, shape, "state")

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self._tensors[name].shape

    def elements(self, name: str) -> int:
        """Elements of a tensor."""
        return self._tensors[name].elements

    def convolution(
        self,
        layer: str,
        x: str,
        filters: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        added: str | None = None,
    ) -> str:
        """A convolution of ``[images, channels, size, ...]``, square in all axes, to which `added` is added."""
        images, channels, *sizes = self._tensors[x].shape
        axes = len(sizes)
        outputs = tuple((size + 2 * padding - kernel) // stride + 1 for size in sizes)
        weight = self.weight(f"{layer}.weight", filters, channels // groups, *(kernel,) * axes)
        window = Window(
            images,
            channels,
            tuple(sizes),
            (kernel,) * axes,
            (stride,) * axes,
            (1,) * axes,
            (padding,) * axes,
            outputs,
        )
        shape = GemmShape(
            layer, "convolution", "forward", groups, images * prod(outputs), filters // groups,
            channels // groups * kernel**axes, "weight", groups,
        )  # fmt: skip
        seen = images * channels * prod(outputs) if kernel < stride else self._tensors[x].elements
        kind: AccessKind = "window" if kernel > 1 or stride > 1 else "whole"
        a = Access(x, seen, kind, window)
        out = Tensor(f"{layer}:out", (images, filters, *outputs), "float32", "computed")
        return self._multiply(shape, a, self._whole(weight), out, self._optional(added))

    def linear(
        self,
        layer: str,
        x: str,
        width: int,
        repeat: int = 1,
        bias: bool = False,
        weight: str | None = None,
        rows: int | None = None,
    ) -> str:
        """A linear layer on ``[..., features]``, or `repeat` runs of it one after the other on the same weight.

        Args:
            layer: its name.
            x: its input.
            width: features of the output.
            repeat: runs.
            bias: whether one is added.
            weight: of another layer that it shares, ``[width, features]``.
            rows: of `x` that are multiplied, the last ones; all without it.
        """
        *leading, features = self._tensors[x].shape
        weight = weight or self.weight(f"{layer}.weight", width, features)
        added = self.weight(f"{layer}.bias", width) if bias else None
        count = prod(leading) if rows is None else rows
        out = x
        for run in range(repeat):
            shape = GemmShape(layer, "linear", "forward", 1, count, width, features, "weight")
            made = Tensor(f"{layer}:out.{run}", (count, width), "float32", "computed")
            a = self.part(out, count * features)
            out = self._multiply(shape, a, self._whole(weight), made, self._optional(added))
        return out

    def experts(self, layer: str, x: str, width: int, experts: int, touched: int, rows: int) -> str:
        """One linear layer of `experts`, of which `touched` run on `rows` rows each.

        Args:
            layer: its name.
            x: its input, ``[..., features]``.
            width: features of the output.
            experts: that there are.
            touched: different ones that run.
            rows: of one of them, as a grouped product pads it.
        """
        features = self._tensors[x].shape[-1]
        weight = self.weight(f"{layer}.weight", experts, width, features)
        shape = GemmShape(layer, "linear", "forward", touched, rows, width, features, "weight", touched)
        b = Access(weight, touched * width * features, "whole" if touched == experts else "gather")
        a = self.part(x, min(self._tensors[x].elements, touched * rows * features))
        return self._multiply(shape, a, b, Tensor(f"{layer}:out", (touched * rows, width), "float32", "computed"))

    def product(
        self, shape: GemmShape, a: Access, b: Access, out: tuple[int, ...] | None = None, name: str = ""
    ) -> str:
        """Any product of two tensors that are there; its result is called after the layer unless `name` is given."""
        made = Tensor(name or f"{shape.layer}:out", out or (shape.batch, shape.m, shape.n), "float32", "computed")
        return self._multiply(shape, a, b, made)

    def vector(
        self,
        layer: str,
        kind: str,
        *of: str | Access,
        shape: tuple[int, ...] | None = None,
        elements: int | None = None,
    ) -> str:
        """Work without a product.

        Args:
            layer: its name.
            kind: one of `hwsim.trace.graph.VECTOR_KINDS`.
            of: what it reads.
            shape: of its result; the first operand's without it.
            elements: that a vector unit handles; those of the first operand without it.
        """
        accesses = tuple(one if isinstance(one, Access) else self._whole(one) for one in of)
        first = self._tensors[accesses[0].tensor]
        name, number = f"{layer}:{kind}", 0
        while name in self._tensors:
            number += 1
            name = f"{layer}:{kind}.{number}"
        self._store(Tensor(name, shape or first.shape, "float32", "computed"))
        count = first.elements if elements is None else elements
        self._operators.append(Operator(layer, kind, self.phase, accesses, name, elements=count))
        return name

    def part(self, name: str, elements: int) -> Access:
        """An access to `elements` elements of a tensor."""
        return Access(name, elements, "whole" if elements == self._tensors[name].elements else "view")

    def finish(self, *results: str) -> Workload:
        """The workload, which returns the tensors `results`."""
        tensors = tuple(
            Tensor(tensor.name, tensor.shape, tensor.dtype, tensor.source, is_output=tensor.name in results)
            for tensor in self._tensors.values()
        )
        return Workload(self.name, tuple(self._products), Graph(tensors, tuple(self._operators)))

    def _given(self, name: str, shape: tuple[int, ...], source: Source) -> str:
        tensor = Tensor(name, shape, "float32", source)
        if self._tensors.get(name, tensor) != tensor:
            raise ArgumentError(
                f"a shared tensor must have the shape {self._tensors[name].shape}", got=shape, where=name
            )
        return self._store(tensor)

    def _whole(self, name: str) -> Access:
        return Access(name, self._tensors[name].elements)

    def _optional(self, name: str | None) -> Access | None:
        return None if name is None else self._whole(name)

    def _multiply(self, shape: GemmShape, a: Access, b: Access, out: Tensor, added: Access | None = None) -> str:
        if out.name in self._tensors:
            raise ArgumentError("each product must have its own layer", got=shape.layer, where=self.name)
        self._store(out)
        accesses = (a, b) if added is None else (a, b, added)
        record = len(self._products)
        self._products.append(shape)
        self._operators.append(
            Operator(shape.layer, "gemm", shape.phase, accesses, out.name, gemm=shape, record=record)
        )
        return out.name

    def _store(self, tensor: Tensor) -> str:
        self._tensors[tensor.name] = tensor
        return tensor.name

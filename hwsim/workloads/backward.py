"""The backward pass of a graph, and the update of its weights, as graphs of their own.

Every product turns into two: of the gradient with each operand (`dgrad` of what was computed, `wgrad` of weights).
What a product or a function reads of the forward pass it reads as saved, from outside; scores may be computed again.
Gradients that meet are added, those of parts of one tensor are joined by a copy. Operators without products follow
`GRADIENTS`, each over as many elements as forward. Heads that share keys have their gradients added up.
"""

from __future__ import annotations

from dataclasses import replace

from hwsim.errors import ArgumentError
from hwsim.trace import GemmShape, Workload
from hwsim.trace.graph import Access, Graph, Operator, Tensor
from hwsim.workloads.network import Network
from hwsim.workloads.training import ITERATIONS, MOVED_BYTES, Optimizer

GRADIENTS: dict[str, tuple[str, ...]] = {
    "softmax": ("mul", "add", "add", "mul"),  # P (dP - sum of P dP)
    "rmsnorm": ("rmsnorm", "mul", "reduce"),
    "layernorm": ("layernorm", "mul", "reduce"),
    "silu": ("silu", "mul"),
    "gelu": ("gelu", "mul"),
    "relu": ("mul",),
    "square": ("mul",),
    "rope": ("rope",),
    "copy": ("copy",),
    "embedding": ("reduce",),
}
"""What the gradient of an operator is computed by; the sum over rows of a norm is that of its weight."""

OPERATIONS: dict[Optimizer, int] = {"adamw": 12, "muon": 4}
"""Operations of a weight in its update, each charged as a multiplication: AdamW's two moments (3 + 4), root, quotient
and step with decay (5); Muon's momentum (2) and step with decay (2) beside its iterations."""


def backward(forward: Workload, recomputed: bool = False) -> Workload:
    """The backward pass of a part of a decoder that runs on whole sequences.

    Args:
        forward: the part; gradients of what it returns come from outside, those of what it reads are returned.
        recomputed: scores and their softmax are computed again, in place of being saved.

    Raises:
        ArgumentError: an operator whose gradient is not known.
    """
    assert forward.graph is not None, "the catalogue's workloads hold graphs"
    return _Backward(forward.name, forward.graph, recomputed).run()


class _Backward:
    def __init__(self, name: str, graph: Graph, recomputed: bool) -> None:
        self.net, self.graph, self.recomputed = Network(f"{name}.backward", "dgrad"), graph, recomputed
        self.tensors, self.producers = graph.by_name, graph.producers
        self.gradients: dict[str, list[Access]] = {}
        self.saved: dict[str, str] = {}
        self.results: list[str] = []

    def run(self) -> Workload:
        for tensor in self.graph.tensors:
            if tensor.is_output:
                self._give(tensor.name, self.net.input(*tensor.shape))
        for operator in reversed(self.graph.operators):
            if operator.output in self.gradients:
                self._turn(operator, self._gradient(operator.output))
        for tensor in self.graph.tensors:
            if tensor.source == "input" and tensor.name in self.gradients:
                self.results.append(self._gradient(tensor.name))
        return self.net.finish(*self.results)

    def _turn(self, operator: Operator, gradient: str) -> None:
        layer, kind = operator.layer, operator.kind
        if operator.gemm is not None:
            self._product(operator, operator.gemm, gradient)
        elif kind in ("add", "cache"):
            for access in operator.inputs:
                self._pass(layer, access, gradient)
        elif kind == "mul":
            first, second = operator.inputs
            for one, other in ((first, second), (second, first)):
                made = self._vector(layer, "mul", gradient, self._value(other), elements=operator.elements)
                self._give(one.tensor, made)
        elif kind in GRADIENTS:
            read = operator.inputs[0]
            value = [] if kind in ("rope", "copy", "embedding") else [self._value(read)]
            if kind == "softmax":
                value = [self._value(Access(operator.output, operator.elements))]
            made = gradient
            for each in GRADIENTS[kind]:
                out = self._vector(layer, each, made, *value, elements=operator.elements)
                if each == "reduce":
                    self.results.append(out)
                else:
                    made = out
            if kind != "embedding":
                self._pass(layer, replace(read, elements=operator.elements), made)
        else:
            raise ArgumentError("gradients must be known of every operator", got=kind, where=layer)

    def _product(self, operator: Operator, shape: GemmShape, gradient: str) -> None:
        """Gradients of both operands of a product."""
        net, (a, b) = self.net, operator.inputs[:2]
        g = self._whole(gradient)
        of_weight = shape.b_role == "weight"
        one = replace(shape, phase="dgrad", n=shape.k, k=shape.n)
        made = net.product(one, g, self._weight(b) if of_weight else self._value(b), name=f"{shape.layer}:dgrad")
        self._give(a.tensor, made)
        rows = shape.m * (shape.batch // shape.groups if of_weight else 1)
        count = shape.groups if of_weight else shape.batch
        other = GemmShape(
            shape.layer, shape.op, "wgrad" if of_weight else "dgrad", count, shape.n, shape.k, rows, "activation",
            count, shape.causal,
        )  # fmt: skip
        made = net.product(other, g, self._value(a), name=f"{shape.layer}:{'wgrad' if of_weight else 'dgrad.b'}")
        if of_weight:
            self.results.append(made)
        else:
            if shape.batch > shape.groups:
                kept = shape.groups * shape.n * shape.k
                made = net.vector(shape.layer, "reduce", made, shape=(kept,))
            self._give(b.tensor, made)
        for bias in operator.inputs[2:]:
            self._pass(shape.layer, bias, gradient)

    def _pass(self, layer: str, access: Access, gradient: str) -> None:
        """Hand a gradient on to what was read: to a weight as a sum over rows, to numbers as it is."""
        tensor = self.tensors[access.tensor]
        if tensor.source == "weight":
            elements = self.net.elements(gradient)
            self.results.append(self.net.vector(layer, "reduce", gradient, shape=tensor.shape, elements=elements))
        elif tensor.source != "state" and tensor.dtype == "float32":
            self._give(access.tensor, gradient)

    def _give(self, tensor: str, gradient: str) -> None:
        self.gradients.setdefault(tensor, []).append(self._whole(gradient))

    def _gradient(self, tensor: str) -> str:
        """The gradient of a forward tensor: the one that was given, or several added or joined."""
        found, shape = self.gradients[tensor], self.tensors[tensor].shape
        if len(found) == 1:
            return found[0].tensor
        whole = self.tensors[tensor].elements
        if sum(one.elements for one in found) <= whole:
            return self.net.vector(tensor, "copy", *found, shape=shape, elements=whole)
        made = found[0]
        for more in found[1:]:
            made = self._whole(self.net.vector(tensor, "add", made, more, shape=shape, elements=more.elements))
        return made.tensor

    def _value(self, access: Access) -> Access:
        """What the forward pass left of a tensor, or scores that are computed again."""
        name = access.tensor
        if name not in self.saved:
            tensor = self.tensors[name]
            if tensor.source == "weight":
                return self._weight(access)
            maker = self.graph.operators[self.producers[name]] if name in self.producers else None
            if self.recomputed and maker is not None and maker.kind == "softmax":
                scores = self.graph.operators[self.producers[maker.inputs[0].tensor]]
                assert scores.gemm is not None, "a softmax of attention reads scores"
                a, b = (self._value(one) for one in scores.inputs[:2])
                again = self.net.product(scores.gemm, a, b, name=f"{scores.layer}:again")
                self.saved[name] = self._vector(maker.layer, "softmax", again, elements=maker.elements)
            else:
                self.saved[name] = self.net.input(*tensor.shape)
        held = self.saved[name]
        return self.net.part(held, min(access.elements, self.net.elements(held)))

    def _weight(self, access: Access) -> Access:
        tensor: Tensor = self.tensors[access.tensor]
        return replace(access, tensor=self.net.weight(tensor.name, *tensor.shape))

    def _vector(self, layer: str, kind: str, *of: str | Access, elements: int) -> str:
        first = of[0] if isinstance(of[0], str) else of[0].tensor
        shape = self.net.shape(first)
        if self.net.elements(first) != elements:
            shape = (elements,)
        return self.net.vector(layer, kind, *of, shape=shape, elements=elements)

    def _whole(self, name: str) -> Access:
        return self.net.part(name, self.net.elements(name))


def update(forward: Workload, optimizer: Optimizer, word_bits: int) -> Workload:
    """The update of the weights of a part: with Muon, five iterations on each matrix of a layer; then each weight's
    gradient, master and moments are read and written once.

    Args:
        forward: the part.
        optimizer: ``"muon"`` for matrices of layers, with AdamW for all else, or ``"adamw"`` for all.
        word_bits: of a word of the machine's outputs, in which the bytes that the update moves are counted.
    """
    assert forward.graph is not None, "the catalogue's workloads hold graphs"
    net = Network(f"{forward.name}.update", "wgrad")
    weights = {tensor.name: tensor for tensor in forward.graph.tensors if tensor.source == "weight"}
    turned = 0
    results = []
    for gemm in forward.gemms if optimizer == "muon" else ():
        if gemm.b_role != "weight" or not gemm.layer.startswith("layers."):
            continue
        turned += gemm.groups * gemm.n * gemm.k
        results.append(_orthogonal(net, gemm.layer, min(gemm.n, gemm.k), max(gemm.n, gemm.k)))
    counts: dict[Optimizer, int] = {"muon": turned, "adamw": sum(one.elements for one in weights.values()) - turned}
    for name, count in counts.items():
        if count:
            words = count * MOVED_BYTES[name] * 8 // (2 * word_bits)
            state = net.state(f"{name}.state", words)
            results.append(net.vector(name, "mul", state, elements=OPERATIONS[name] * count))
    return net.finish(*results)


def _orthogonal(net: Network, layer: str, m: int, n: int) -> str:
    """Newton-Schulz on one matrix: X, then five times X X', its square, and their sum times X."""
    x = net.state(f"{layer}.momentum", m, n)
    for turn in range(ITERATIONS):
        name = f"{layer}:{turn}"

        def product(rows: int, columns: int, inner: int, a: str, b: str, what: str, of: str = name) -> str:
            shape = GemmShape(layer, "matmul", "wgrad", 1, rows, columns, inner, "activation", 1)
            one, other = (net.part(each, net.elements(each)) for each in (a, b))
            return net.product(shape, one, other, (rows, columns), f"{of}.{what}")

        gram = product(m, m, n, x, x, "gram")
        square = product(m, m, m, gram, gram, "square")
        both = net.vector(layer, "add", gram, square)
        moved = product(m, n, m, both, x, "turned")
        x = net.vector(layer, "add", x, moved)
    return x

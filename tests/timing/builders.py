"""Small graphs and machines for tests of plans, written by hand."""

from __future__ import annotations

from typing import Any

from hwsim.arch import Accelerator, Numerics, Policy
from hwsim.arch.dataflow import dataflow
from hwsim.arch.memory import Memory, Port
from hwsim.arch.parts import Array, VectorUnit
from hwsim.datapaths import integer
from hwsim.quant import Scheme
from hwsim.trace.gemm import GemmShape
from hwsim.trace.graph import Access, Graph, Operator, Tensor, Window


class Builder:
    """Collects tensors and operators in the order of the run."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []
        self.views: dict[str, tuple[str, int]] = {}

    def tensor(self, name: str, *shape: int, source: str = "input", dtype: str = "float32") -> str:
        self.tensors[name] = Tensor(name, shape, dtype, source)  # type: ignore[arg-type]
        return name

    def weight(self, name: str, *shape: int) -> str:
        return self.tensor(name, *shape, source="weight")

    def access(self, name: str, elements: int | None = None) -> Access:
        if name in self.views:
            stored, part = self.views[name]
            return Access(stored, part if elements is None else elements, "view")
        whole = self.tensors[name].elements
        return Access(name, elements or whole, "whole" if elements in (None, whole) else "view")

    def view(self, name: str, of: str, elements: int) -> str:
        self.views[name] = (of, elements)
        return name

    def gemm(
        self, a: str, b: str, out: str, m: int, n: int, k: int, *, batch: int = 1, groups: int = 1,
        role: str = "weight", causal: bool = False, layer: str | None = None, bias: str | None = None,
        shape: tuple[int, ...] | None = None, window: Window | None = None,
    ) -> str:  # fmt: skip
        made = shape or ((batch, m, n) if batch > 1 else (m, n))
        self.tensor(out, *made, source="computed")
        layer = layer or out
        spec = GemmShape(layer, "linear", "forward", batch, m, n, k, role, groups, causal)  # type: ignore[arg-type]
        first = self.access(a)
        if window is not None:
            first = Access(a, self.tensors[a].elements, "window", window)
        inputs = (first, self.access(b), *([self.access(bias)] if bias else []))
        self.operators.append(Operator(layer, "gemm", "forward", inputs, out, 0, spec, len(self.operators)))
        return out

    def vector(self, kind: str, out: str, *inputs: str, shape: tuple[int, ...] | None = None,
               layer: str | None = None, gather: int | None = None) -> str:  # fmt: skip
        accesses = tuple(self.access(name) for name in inputs)
        if gather is not None:
            accesses = (Access(inputs[0], gather, "gather"), *accesses[1:])
        if shape is None:
            name = inputs[0]
            shape = self.tensors[name].shape if name in self.tensors else (accesses[0].elements,)
        self.tensor(out, *shape, source="computed")
        elements = self.tensors[out].elements
        self.operators.append(Operator(layer or out, kind, "forward", accesses, out, elements))
        return out

    def graph(self, *outputs: str) -> Graph:
        from dataclasses import replace

        tensors = tuple(replace(t, is_output=t.name in outputs) for t in self.tensors.values())
        return Graph(tensors, tuple(self.operators))


def attention(heads: int, tokens: int, width: int, *, causal: bool = False) -> Graph:
    """Softmax(Q K^T) V from Q, K, V in DRAM to the result in DRAM."""
    b = Builder()
    for name in ("q", "k", "v"):
        b.tensor(name, heads, tokens, width)
    attend(b, "q", "k", "v", heads, tokens, width, causal)
    return b.graph("att.pv")


def attend(b: Builder, q: str, k: str, v: str, heads: int, tokens: int, width: int, causal: bool, name: str = "att",
           shape: tuple[int, ...] | None = None) -> str:  # fmt: skip
    b.gemm(q, k, f"{name}.qk", tokens, tokens, width, batch=heads, groups=heads, role="activation", causal=causal,
           shape=(heads, tokens, tokens))  # fmt: skip
    b.vector("softmax", f"{name}.softmax", f"{name}.qk")
    return b.gemm(f"{name}.softmax", v, f"{name}.pv", tokens, width, tokens, batch=heads, groups=heads,
                  role="activation", causal=causal, shape=shape or (heads, tokens, width))  # fmt: skip


def gemm(m: int, n: int, k: int, **more: Any) -> Graph:
    b = Builder()
    batch, groups = more.get("batch", 1), more.get("groups", 1)
    b.tensor("x", batch * m, k)
    b.tensor("w", groups * n, k, source="weight")
    b.gemm("x", "w", "y", m, n, k, **more)
    return b.graph("y")


def mlp(tokens: int, width: int, hidden: int, *, relu: bool = False) -> Graph:
    b = Builder()
    b.tensor("x", tokens, width)
    b.weight("up.w", hidden, width)
    b.weight("down.w", width, hidden)
    b.gemm("x", "up.w", "up", tokens, hidden, width)
    middle = b.vector("relu", "relu", "up") if relu else "up"
    b.gemm(middle, "down.w", "down", tokens, width, hidden)
    return b.graph("down")


def layer(heads: int, tokens: int, width: int, hidden: int) -> Graph:
    """A decoder layer of nine products and a softmax, as AccelForge's specification has it."""
    b, full = Builder(), heads * width
    b.tensor("x", tokens, full)
    for name in ("wq", "wk", "wv", "wz"):
        b.weight(name, full, full)
    b.weight("w1", hidden, full)
    b.weight("w2", full, hidden)
    for name in ("k", "v", "q"):
        b.gemm("x", f"w{name}", name, tokens, full, full)
    attend(b, "q", "k", "v", heads, tokens, width, False)
    b.gemm("att.pv", "wz", "z", tokens, full, full)
    b.gemm("z", "w1", "f1", tokens, hidden, full)
    b.gemm("f1", "w2", "f2", tokens, full, hidden)
    return b.graph("f2")


def gpt(
    layers: int = 4, tokens: int = 256, width: int = 192, heads: int = 6, hidden: int = 768, words: int = 256
) -> Graph:
    """The reference GPT: RMS norms, rotary positions, normalised queries and keys, squared ReLU, no biases."""
    b, size = Builder(), width // heads
    b.tensor("input.0", tokens, dtype="int64")
    b.weight("embed", words, width)
    b.vector("embedding", "embedded", "embed", "input.0", shape=(tokens, width), gather=tokens * width)
    x = b.vector("rmsnorm", "x0", "embedded")
    split = (heads, tokens, size)
    for i in range(layers):
        p = f"blocks.{i}"
        for name, n, k in (
            ("qkv", 3 * width, width),
            ("out", width, width),
            ("up", hidden, width),
            ("down", width, hidden),
        ):
            b.weight(f"{p}.{name}.weight", n, k)
        h = b.vector("rmsnorm", f"{p}.norm1", x)
        b.gemm(h, f"{p}.qkv.weight", f"{p}.qkv", tokens, 3 * width, width)
        for name in ("q", "k"):
            b.view(f"{p}.{name}", f"{p}.qkv", tokens * width)
            b.vector("rmsnorm", f"{p}.{name}norm", f"{p}.{name}", shape=split)
            b.vector("rope", f"{p}.{name}rope", f"{p}.{name}norm", shape=split)
        b.view(f"{p}.v", f"{p}.qkv", tokens * width)
        y = attend(b, f"{p}.qrope", f"{p}.krope", f"{p}.v", heads, tokens, size, True, f"{p}.att")
        b.gemm(y, f"{p}.out.weight", f"{p}.out", tokens, width, width)
        x = b.vector("add", f"{p}.add1", f"{p}.out", x)
        h = b.vector("rmsnorm", f"{p}.norm2", x)
        b.gemm(h, f"{p}.up.weight", f"{p}.up", tokens, hidden, width)
        b.vector("relu", f"{p}.relu", f"{p}.up")
        b.vector("square", f"{p}.square", f"{p}.relu")
        b.gemm(f"{p}.square", f"{p}.down.weight", f"{p}.down", tokens, width, hidden)
        x = b.vector("add", f"{p}.add2", f"{p}.down", x)
    h = b.vector("rmsnorm", "norm", x)
    b.weight("head.weight", words, width)
    b.gemm(h, "head.weight", "head", tokens, words, width)
    return b.graph("head")


PLAIN8 = Scheme("int8.plain", "int8", "tensor")


def int8(acc: int = 32, scheme: Scheme = PLAIN8) -> Policy:
    """Eight bits an operand, no scales."""
    return Policy(Numerics(scheme, scheme, integer(8, 8, acc)))


def buffer_machine(kib: float, *, fused: bool = True, objective: str = "traffic", **more: Any) -> Accelerator:
    """One buffer above DRAM, single-buffered, sums as wide as results, one unit: AccelForge's set-up."""
    dram = Memory(
        "dram", "dram", float("inf"), ("input", "weight", "output"), None, technology="lpddr4", gbyte_s=12.8
    )
    glb = Memory("glb", "sram", kib, ("input", "weight", "output"), "dram", (Port(512),), double_buffered=False)
    fields: dict[str, Any] = {
        "name": "buffer", "policy": int8(8),
        "arrays": (Array(1, 1, dataflow("os"), "ideal"),), "memories": (dram, glb),
        "vector": VectorUnit(), "output_bits": 8, "objective": objective, "fused": fused,
    }  # fmt: skip
    return Accelerator(**(fields | more))


def three_memories(
    activation: float, weight: float, output: float, *, rows: int = 32, cols: int = 32, flow: str = "ws",
    overlap: str = "fill", port: int = 512, gbyte_s: float = 25.6, **more: Any,
) -> Accelerator:  # fmt: skip
    """An activation, a weight and an output memory below DRAM."""
    ports = (Port(port, "read"), Port(port, "write"))
    memories = (
        Memory(
            "dram", "dram", float("inf"), ("input", "weight", "output"), None, technology="lpddr4", gbyte_s=gbyte_s
        ),
        Memory("activation", "sram", activation, ("input",), "dram", ports),
        Memory("weight", "sram", weight, ("weight",), "dram", ports),
        Memory("output", "sram", output, ("output",), "dram", ports),
    )
    fields: dict[str, Any] = {
        "name": "three", "policy": int8(),
        "arrays": (Array(rows, cols, dataflow(flow), overlap),), "memories": memories,  # type: ignore[arg-type]
        "vector": VectorUnit(), "output_bits": 16, "objective": "traffic",
    }  # fmt: skip
    return Accelerator(**(fields | more))

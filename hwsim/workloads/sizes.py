"""What a model weighs and costs a token, counted from its own graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hwsim.trace import Workload
from hwsim.trace.graph import Graph
from hwsim.workloads.config import ModelConfig
from hwsim.workloads.decoder import decode


@dataclass(frozen=True, slots=True)
class Sizes:
    """A decoder in numbers.

    Attributes:
        parameters: all of them, a shared matrix once.
        layer_macs: multiply-accumulates of a token in all linear layers but the head; of the experts that it visits.
        head_macs: the same in the head.
        pair_macs: multiply-accumulates of one query and one key that it sees, in all layers.
        kv_elements: of the cache a token.
        state_elements: of what is kept whatever the context is, a sequence.
        expert_elements: weights of all experts that are chosen from.
        visited: part of them that one token visits.
    """

    parameters: int
    layer_macs: int
    head_macs: int
    pair_macs: int
    kv_elements: int
    state_elements: int
    expert_elements: int
    visited: float

    @property
    def read_elements(self) -> int:
        """Weights that every step reads: matrices of all layers and the head, without experts."""
        return self.layer_macs + self.head_macs - round(self.visited * self.expert_elements)

    def weight_bytes(self, bits: float, head_bits: float | None = None) -> float:
        """Bytes of all matrices, experts included, at `bits` a weight and at `head_bits` in the head."""
        layers = self.read_elements - self.head_macs + self.expert_elements
        return (layers * bits + self.head_macs * (bits if head_bits is None else head_bits)) / 8

    def cache_bytes(self, tokens: int, bits: float) -> float:
        """Bytes of the cache of `tokens` tokens, scales included in `bits`."""
        return self.kv_elements * tokens * bits / 8

    def memory_bytes(self, batch: int, context: int, bits: float, kv_bits: float) -> float:
        """Bytes that must be held: all parameters at `bits`, caches at `kv_bits`, states at 32 bits."""
        held = self.parameters * bits / 8 + batch * self.cache_bytes(context, kv_bits)
        return held + batch * self.state_elements * 4


@lru_cache(maxsize=64)
def _sizes(model: ModelConfig) -> Sizes:
    one, two = decode(model, 2), decode(model, 3)
    graph = _graph(one)
    kept, more = (sum(t.elements for t in _graph(w).tensors if t.source == "state") for w in (one, two))
    linear = {gemm.layer: gemm.macs for gemm in one.gemms if gemm.b_role == "weight"}
    chosen = model.experts
    return Sizes(
        parameters=parameters(one),
        layer_macs=sum(linear.values()) - linear["head"],
        head_macs=linear["head"],
        pair_macs=two.macs - one.macs,
        kv_elements=more - kept,
        state_elements=3 * kept - 2 * more,
        expert_elements=sum(t.elements for t in graph.tensors if t.source == "weight" and ".experts." in t.name
                            and len(t.shape) == 3),
        visited=chosen.per_token / chosen.count if chosen else 0.0,
    )  # fmt: skip


def sizes(model: ModelConfig) -> Sizes:
    """What a decoder weighs and costs.

    Raises:
        ArgumentError: the model is no decoder.
    """
    return _sizes(model)


def parameters(workload: Workload) -> int:
    """Parameters of a workload's model, a shared tensor once."""
    return sum(tensor.elements for tensor in _graph(workload).tensors if tensor.source == "weight")


def _graph(workload: Workload) -> Graph:
    assert workload.graph is not None, "the catalogue's workloads hold graphs"
    return workload.graph

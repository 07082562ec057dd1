"""Data, expert and context parallelism: what their exchanges add to a step that they overlap with.

Closed forms of equal chips; each has a recurrence or a sum over messages beside it, for chips and messages that
differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError
from hwsim.timing.clusters.collectives import Link, all_to_all, ring_all_gather, ring_all_reduce, ring_reduce_scatter


def gradients_s(chips: int, size: float, link: Link, backward_s: float, buckets: int = 1) -> float:
    """Seconds behind the backward pass until gradients are added over data parallel chips.

    Gradients are ready in `buckets` equal parts, the last with the end of the pass; parts are added one behind the
    other.

    Raises:
        ArgumentError: no bucket.
    """
    if buckets < 1:
        raise ArgumentError("must have a bucket", got=buckets, where="gradients_s.buckets")
    one = ring_all_reduce(chips, size / buckets, link)
    return max(one, buckets * one - backward_s * (1 - 1 / buckets))


def buckets_s(ready_s: NDArray[np.float64], times_s: NDArray[np.float64]) -> float:
    """When the last bucket is added, of buckets that are ready and take as long as given: a recurrence."""
    end = 0.0
    for ready, time in zip(ready_s.tolist(), times_s.tolist(), strict=True):
        end = max(end, ready) + time
    return end


def sharded_gradients_s(chips: int, size: float, link: Link) -> tuple[float, float]:
    """Seconds of a reduce-scatter of gradients and of an all-gather of parameters: ZeRO of stage 1 or 2. Together
    they are an all-reduce."""
    return ring_reduce_scatter(chips, size, link), ring_all_gather(chips, size, link)


@dataclass(frozen=True, slots=True)
class Routed:
    """What experts on several chips exchange in a layer.

    Attributes:
        tokens: of each chip.
        per_token: experts that each visits.
        width: elements of a token.
        dispatch_bits, combine_bits: of an element, to the experts and back.
    """

    tokens: int
    per_token: int
    width: int
    dispatch_bits: float = 16.0
    combine_bits: float = 16.0

    def exchange_s(self, chips: int, link: Link) -> float:
        """Seconds of both exchanges, of tokens that go evenly to all chips, their own included."""
        elements = self.tokens * self.per_token * self.width
        return sum(all_to_all(chips, elements * bits / 8, link) for bits in (self.dispatch_bits, self.combine_bits))


def exchange_s(sizes: NDArray[np.float64], link: Link) -> float:
    """An all-to-all of messages that differ, on a network that holds up no chip but by its own link.

    Args:
        sizes: bytes from each chip to each other, ``[chips, chips]``; what stays is not sent.
        link: of a chip, a direction.

    Raises:
        ArgumentError: not as many rows as columns.
    """
    if sizes.ndim != 2 or sizes.shape[0] != sizes.shape[1]:
        raise ArgumentError("must have a row and a column of each chip", got=sizes.shape, where="exchange_s.sizes")
    sent = sizes * (1 - np.eye(len(sizes)))
    messages = int(max((sent > 0).sum(axis=1).max(), (sent > 0).sum(axis=0).max()))
    return float(messages * link.latency_s + max(sent.sum(axis=1).max(), sent.sum(axis=0).max()) / link.bytes_s)


def ring_attention_s(chips: int, compute_s: float, size: float, link: Link) -> float:
    """Seconds of attention whose context lies on `chips` chips: each computes with the keys and values that it has
    while it passes them on.

    Args:
        chips: that share the context.
        compute_s: of one chip's queries with the keys of one chip, all as long (a causal mask is balanced by giving
            each chip an early and a late part).
        size: bytes of keys and values of one chip.
        link: to the next chip.
    """
    passing = link.latency_s + size / link.bytes_s
    return compute_s + (chips - 1) * max(compute_s, passing)


def hidden_tokens(flops: float, bytes_s: float, kv_bytes: float, heads: int, kv_heads: int) -> float:
    """Tokens of a chip from which on passing keys and values on is hidden behind attention with them.

    n queries with n keys take ``4 n² heads d`` operations; n keys and values are ``2 n kv_heads d`` elements.
    """
    return flops / bytes_s * kv_bytes * kv_heads / heads / 2

"""Data, expert and context parallelism: values by hand, closed forms beside recurrences, energy of links."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import ArgumentError, UnknownName
from hwsim.timing.clusters import Link, all_reduce, all_to_all, ring_all_gather, ring_ns, ring_reduce_scatter
from hwsim.timing.clusters.collectives import LINKS, energy_pj, link
from hwsim.timing.clusters.parallel import (
    Routed,
    buckets_s,
    exchange_s,
    gradients_s,
    hidden_tokens,
    ring_attention_s,
    sharded_gradients_s,
)

WIRE = Link(2e-6, 100e9, 8.0)


def test_gradients_behind_backward_are_the_recurrence() -> None:
    """200 random steps: bucket i of b is ready at i / b of the pass."""
    draw = np.random.default_rng(0)
    for _ in range(200):
        chips, buckets = int(draw.integers(1, 17)), int(draw.integers(1, 9))
        size, backward = float(draw.uniform(0, 1e9)), float(draw.uniform(0, 0.05))
        times = np.full(buckets, all_reduce("ring", chips, size / buckets, WIRE))
        ready = backward * np.arange(1, buckets + 1) / buckets
        expected = buckets_s(ready, times) - backward
        assert gradients_s(chips, size, WIRE, backward, buckets) == pytest.approx(expected, abs=1e-15)


def test_a_scatter_and_a_gather_are_an_all_reduce() -> None:
    """8 chips, 8 MB: seven parts of 1 MB each way, 12 us a part; link by link the same."""
    scatter, gather = sharded_gradients_s(8, 8e6, WIRE)
    assert scatter == gather == pytest.approx(7 * 12e-6) == ring_reduce_scatter(8, 8e6, WIRE)
    assert scatter + gather == all_reduce("ring", 8, 8e6, WIRE)
    assert ring_ns(np.full(8, 12_000), 7) == 84_000


def test_experts_exchange_what_does_not_stay() -> None:
    """64 tokens of 7,168 elements to 8 experts each over 8 chips, 8 bits there and 16 back: 7/8 of 11.0 MB."""
    routed = Routed(64, 8, 7168, 8, 16)
    sent = 64 * 8 * 7168 * (1 + 2) * 7 / 8
    assert routed.exchange_s(8, WIRE) == pytest.approx(2 * 7 * 2e-6 + sent / 100e9)
    assert routed.exchange_s(1, WIRE) == 0.0


def test_messages_that_differ() -> None:
    """Even ones are `all_to_all`; the busiest chip decides, whether it sends or receives."""
    even = np.full((8, 8), 1e6)
    assert exchange_s(even, WIRE) == pytest.approx(all_to_all(8, 8e6, WIRE))
    sizes = np.zeros((3, 3))
    sizes[0, 2], sizes[1, 2], sizes[1, 1] = 1e6, 2e6, 9e9
    assert exchange_s(sizes, WIRE) == pytest.approx(2 * 2e-6 + 3e6 / 100e9)
    with pytest.raises(ArgumentError, match="a row and a column of each chip"):
        exchange_s(np.zeros((2, 3)), WIRE)


def test_context_on_a_ring() -> None:
    """4 chips: hidden where a block takes longer than its passing; H100 with 8 of 32 heads: 550 and 4,947 tokens."""
    assert ring_attention_s(4, 1e-3, 1e6, WIRE) == pytest.approx(4e-3)
    assert ring_attention_s(4, 1e-6, 1e6, WIRE) == pytest.approx(1e-6 + 3 * 12e-6)
    assert ring_attention_s(1, 1e-3, 1e6, WIRE) == 1e-3
    assert hidden_tokens(989.4e12, 450e9, 2, 32, 8) == pytest.approx(550, abs=0.5)
    assert hidden_tokens(989.4e12, 50e9, 2, 32, 8) == pytest.approx(4947, abs=0.5)
    # at that number a block of attention and its passing take as long: n^2 x 4 x 32 x 128 operations
    n = hidden_tokens(989.4e12, 450e9, 2, 32, 8)
    assert n * n * 4 * 32 * 128 / 989.4e12 == pytest.approx(n * 2 * 8 * 128 * 2 / 450e9)


def test_energy_of_links() -> None:
    """4 chips, 1 MB: each of 4 sends 3/4 MB twice, 6 MB in all at 8 pJ a bit."""
    assert energy_pj("all-reduce", 4, 1e6, WIRE) == 6e6 * 8 * 8.0
    for kind in ("reduce-scatter", "all-gather", "all-to-all"):
        assert energy_pj(kind, 4, 1e6, WIRE) == 3e6 * 8 * 8.0
    assert energy_pj("all-reduce", 1, 1e6, WIRE) == 0.0
    assert ring_all_gather(1, 1e6, WIRE) == 0.0
    assert link("2,100,8") == WIRE
    assert LINKS["nvlink3"].bit_pj == 9.0
    with pytest.raises(ArgumentError, match="energy of a bit must be known"):
        energy_pj("all-reduce", 4, 1e6, link("2,100"))
    with pytest.raises(UnknownName, match="collective must be one of"):
        energy_pj("gossip", 4, 1e6, WIRE)
    with pytest.raises(ArgumentError, match="energy of a bit must be at least 0"):
        Link(0.0, 1.0, -1.0)
    with pytest.raises(ArgumentError, match="must have a bucket"):
        gradients_s(2, 1.0, WIRE, 1.0, 0)

"""Closed forms of speculative decoding beside published values and draws."""

from __future__ import annotations

import numpy as np
import pytest

from hwsim.errors import ArgumentError
from hwsim.timing.serving.speculation import best_chain, chain_speed_up, chain_tokens, tree_nodes, tree_tokens


@pytest.mark.parametrize(("accepted", "drafts"), [(0.6, 4), (0.8, 8), (0.9, 3), (0.0, 5), (1.0, 6), (0.87, 1)])
def test_tokens_of_a_chain_by_draws(accepted: float, drafts: int) -> None:
    """The geometric sum; 200,000 drawn steps within four standard errors."""
    drawn = np.random.default_rng(0).random((200_000, drafts)) < accepted
    tokens = 1 + np.cumprod(drawn, axis=1).sum(axis=1)
    found = chain_tokens(accepted, drafts)
    assert abs(tokens.mean() - found) <= 4 * tokens.std() / 200_000**0.5 + 1e-12
    if accepted < 1:
        assert found == pytest.approx((1 - accepted ** (drafts + 1)) / (1 - accepted))


@pytest.mark.parametrize(
    ("accepted", "cost", "drafts", "speed_up"),
    [
        (0.6, 0.05, 4, 1.92), (0.6, 0.1, 3, 1.67), (0.6, 0.2, 2, 1.40), (0.8, 0.05, 8, 3.09), (0.8, 0.1, 6, 2.47),
        (0.8, 0.2, 4, 1.87), (0.9, 0.05, 13, 4.67), (0.9, 0.1, 10, 3.43), (0.9, 0.2, 7, 2.37),
    ],
)  # fmt: skip
def test_the_best_number_of_proposals(accepted: float, cost: float, drafts: int, speed_up: float) -> None:
    found = best_chain(accepted, cost)
    assert found == (drafts, pytest.approx(speed_up, abs=0.006))


def test_verification_that_is_bound_by_products_does_not_pay() -> None:
    """A step that grows with its tokens: k + 1 steps for at most k + 1 tokens."""
    assert best_chain(0.9, 0.05, verify=lambda tokens: float(tokens)) == (0, 1.0)
    assert chain_speed_up(1.0, 3, 0.25, lambda tokens: 1 + tokens / 16) == pytest.approx(4 / (0.75 + 1.25))


def test_a_tree_by_hand_and_by_draws() -> None:
    """(3, 2, 1, 1) of candidates right with 0.6, 0.15, 0.06: 0.81, 0.75, 0.6, 0.6 go on; 3 + 6 + 6 + 6 nodes."""
    widths, ranked = (3, 2, 1, 1), (0.6, 0.15, 0.06)
    found = tree_tokens(widths, ranked)
    assert found == pytest.approx(1 + 0.81 + 0.81 * 0.75 + 0.81 * 0.75 * 0.6 + 0.81 * 0.75 * 0.36)
    assert (round(found, 2), tree_nodes(widths)) == (3.0, 21)
    draws = np.random.default_rng(1).random((200_000, 4)) < np.array([0.81, 0.75, 0.6, 0.6])
    assert 1 + np.cumprod(draws, axis=1).sum(axis=1).mean() == pytest.approx(found, abs=0.01)
    assert tree_tokens((1,) * 5, (0.7,)) == pytest.approx(chain_tokens(0.7, 5))


def test_what_is_refused() -> None:
    with pytest.raises(ArgumentError, match="must be a probability"):
        chain_tokens(1.1, 3)
    with pytest.raises(ArgumentError, match="must have a probability for each child"):
        tree_tokens((2,), (0.5,))

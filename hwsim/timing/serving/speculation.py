"""Speculative decoding in closed form: tokens a verified step makes, and what that is worth.

A draft proposes, the model verifies all proposals in one step and takes those in front of the first one that it would
not have made, and one token of its own. Proposals are accepted independently with one probability; times are parts
of a decode step of the model. Verification costs as much as the step of so many tokens: nothing extra while weights
bound it (`hwsim.workloads.decode` has such a step by its tokens).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from math import prod

from hwsim.errors import ArgumentError


def chain_tokens(accepted: float, drafts: int) -> float:
    """Tokens a step of a chain of `drafts` proposals: ``(1 - a^(k + 1)) / (1 - a)``.

    Raises:
        ArgumentError: no probability, or a negative number of proposals.
    """
    if not 0 <= accepted <= 1 or drafts < 0:
        raise ArgumentError("must be a probability and a number of proposals", got=(accepted, drafts))
    return float(sum(accepted**k for k in range(drafts + 1)))


def chain_speed_up(
    accepted: float, drafts: int, draft_cost: float, verify: Callable[[int], float] = lambda tokens: 1.0
) -> float:
    """Tokens a second over plain decode.

    Args:
        accepted: probability of each proposal.
        drafts: proposals of a step.
        draft_cost: time of one proposal, over that of a decode step.
        verify: time of a step of so many tokens, over that of one.
    """
    return chain_tokens(accepted, drafts) / (drafts * draft_cost + verify(drafts + 1))


def best_chain(
    accepted: float, draft_cost: float, verify: Callable[[int], float] = lambda tokens: 1.0, most: int = 64
) -> tuple[int, float]:
    """The number of proposals of the largest speed-up, and the speed-up; none is 0 and 1."""
    found = [(chain_speed_up(accepted, k, draft_cost, verify), -k) for k in range(most + 1)]
    speed_up, drafts = max(found)
    return -drafts, speed_up


def tree_tokens(widths: Sequence[int], ranked: Sequence[float]) -> float:
    """Tokens a step of a tree whose nodes at depth d have ``widths[d]`` children each.

    Args:
        widths: children of a node, by depth.
        ranked: probability that the first, second, ... candidate is the right one.

    Raises:
        ArgumentError: a width without a probability, or probabilities of more than 1 in all.
    """
    if not all(1 <= width <= len(ranked) for width in widths) or min(ranked) < 0 or sum(ranked) > 1 + 1e-12:
        raise ArgumentError("must have a probability for each child", got=(tuple(widths), tuple(ranked)))
    return 1 + sum(accumulate([float(sum(ranked[:width])) for width in widths], lambda so, far: so * far))


def tree_nodes(widths: Sequence[int]) -> int:
    """Proposals of such a tree; a step verifies one token more."""
    return sum(prod(widths[: depth + 1]) for depth in range(len(widths)))

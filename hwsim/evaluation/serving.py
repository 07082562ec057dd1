"""A machine as a serving engine: the cost of a step from plans of a few steps, as the engine's closed form takes it.

Linear layers and attention are told apart by the layers of the plan's steps. A prompt gives the time of a token and
of a pair, a decode step that of the weights and of a row of the cache. `Planned.error_factor` says how far the closed
form is from the plans of two steps that it was not made from: a batch of decode, and a prompt half as long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError
from hwsim.evaluation.evaluator import Evaluator
from hwsim.evaluation.exchanges import exchanges, passed
from hwsim.evaluation.phased import Phased
from hwsim.evaluation.phases import attention_s, evaluate_phase
from hwsim.timing.clusters.collectives import Link
from hwsim.timing.serving import StepCost
from hwsim.workloads import Parallel, Step
from hwsim.workloads.sizes import sizes

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.timing.serving import Outcome
    from hwsim.trace import Trace
    from hwsim.workloads import ModelConfig

PROMPT, CONTEXT, BATCH = 512, 2048, 16
"""Tokens of the prompt, tokens of the context, and sequences of the batch that are planned."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What plans say of the steps of a model on a machine.

    Attributes:
        cost: of a step in time.
        step_pj: energy of a step whatever is in it: the weights.
        token_pj: of a new token.
        row_pj: of a row of the cache that is read.
        error_factor: of the time, on steps that it was not made from.
        memory_bytes: of weights and states; a row of the cache takes `row_bytes`.
        row_bytes: of the cache a token.
        note: as of the phases.
    """

    cost: StepCost
    step_pj: float
    token_pj: float
    row_pj: float
    error_factor: float
    memory_bytes: float
    row_bytes: float
    note: str

    def energy_j(self, outcome: Outcome) -> float:
        """Energy of a whole run, J, without that of waiting."""
        return 1e-12 * (self.step_pj * outcome.steps + self.token_pj * outcome.tokens + self.row_pj * outcome.rows)


def planned(
    model: ModelConfig,
    machine: Accelerator,
    statistics: Trace | Evaluator | None = None,
    chips: int | Parallel = 1,
    link: Link | None = None,
) -> Planned:
    """The cost of a model's steps on a machine, of one copy of it.

    Args:
        model: a decoder.
        machine: one chip.
        statistics: as of `hwsim.evaluation.evaluate_phase`.
        chips: tensor, pipeline and expert parallel ones; a step runs through all stages before the next one begins.
            Of expert parallel ones each serves its own requests: the cost is that of one of them, while all others
            do the same.
        link: between them.

    Raises:
        ArgumentError: attention in a window, whose rows the engine does not bound, or other degrees.
        HwsimError: as `hwsim.evaluation.evaluate_phase`.
    """
    if model.attention is not None and model.attention.window:
        raise ArgumentError(
            "attention must have no window to be served", got=model.attention.window, where=model.name
        )

    parallel = chips if isinstance(chips, Parallel) else Parallel(chips)
    if replace(parallel, tensor=1, pipeline=1, expert=1) != Parallel():
        raise ArgumentError("requests are served by tensor, pipeline and expert parallel chips", got=parallel)
    lender = statistics if statistics is None or isinstance(statistics, Evaluator) else Evaluator(statistics)

    def phase(name: str, batch: int, context: int) -> Phased:
        whole = batch * parallel.expert
        return evaluate_phase(model, machine, name, whole, context, lender, parallel, link)  # type: ignore[arg-type]

    prompt, one, many = phase("prefill", 1, PROMPT), phase("decode", 1, CONTEXT), phase("decode", BATCH, CONTEXT)
    counted = sizes(model)
    linear, attention = split(prompt)
    weights, rows = split(one)
    token = linear / (PROMPT + counted.head_macs / counted.layer_macs)
    visited = 1 - (1 - counted.visited) ** parallel.expert  # by a token of every chip that brings some
    touched = 1 - (1 - visited) ** BATCH
    experts = 0.0
    if visited:
        experts = max(0.0, (split(many)[0] - weights) / (touched - visited))
    fixed = each = 0.0
    if link is not None and parallel.chips > 1:
        steps = Step(1, 1, 1), Step(2, 1, 1)
        first, second = (_exchanged(model, machine, parallel, step, link) for step in steps)
        each, fixed = second - first, 2 * first - second
    cost = StepCost(
        fixed_s=fixed,
        token_s=each,
        compute_token_s=token,
        compute_logit_s=token * counted.head_macs / counted.layer_macs,
        compute_pair_s=attention / (PROMPT * (PROMPT + 1) / 2),
        memory_s=max(0.0, weights - experts * visited),
        memory_row_s=rows / CONTEXT,
        memory_experts_s=experts,
        visited=visited,
    )
    short = phase("prefill", 1, PROMPT // 2)
    half = PROMPT // 2
    errors = [
        cost.step_ns(BATCH, BATCH, BATCH, BATCH * CONTEXT, BATCH * CONTEXT) * 1e-9 / many.latency_s,
        cost.step_ns(half, 1, 1, half * (half + 1) // 2, half) * 1e-9 / short.latency_s,
    ]
    # energy of batch 1, of batch 16, and of batch 1 with half of the context: three unknowns
    near = phase("decode", 1, CONTEXT // 2)
    first, half_row, batched = (found.energy_pj / parallel.expert for found in (one, near, many))
    row = max(0.0, (first - half_row) / (CONTEXT // 2))
    more = max(0.0, (batched - first) / (BATCH - 1) - row * CONTEXT)
    return Planned(
        cost=cost,
        step_pj=max(0.0, first - more - row * CONTEXT),
        token_pj=more,
        row_pj=row,
        error_factor=max(max(error, 1 / error) for error in errors),
        memory_bytes=2 * near.memory_bytes - one.memory_bytes,
        row_bytes=(one.memory_bytes - near.memory_bytes) / (CONTEXT // 2),
        note=one.note,
    )


def _exchanged(model: ModelConfig, machine: Accelerator, parallel: Parallel, step: Step, link: Link) -> float:
    """Seconds of all exchanges of a step, from stage to stage and back to the first too."""
    found = exchanges(model, machine, parallel, step, link)
    hops = parallel.pipeline - 1
    moved = hops * passed(model, machine, parallel, step, link)[0] + min(hops, 1) * link.latency_s
    return sum(sum(one.counts) * one.seconds for one in found) + moved


def split(found: Phased) -> tuple[float, float]:
    """Seconds of all steps of the plans without attention, and of attention, without collectives."""
    attention = sum(count * attention_s(part) for part, count in found.parts)
    return sum(count * part.latency_s for part, count in found.parts) - attention, attention

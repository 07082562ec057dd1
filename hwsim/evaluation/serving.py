"""A machine as a serving engine: the cost of a step from plans of a few steps, as the engine's closed form takes it.

Linear layers and attention are told apart by the layers of the plan's steps. A prompt gives the time of a token and
of a pair, a decode step that of the weights and of a row of the cache. `Planned.error_factor` says how far the closed
form is from the plans of two steps that it was not made from: a batch of decode, and a prompt half as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError
from hwsim.evaluation.phases import Phased, evaluate_phase
from hwsim.timing.clusters.collectives import Link, all_reduce
from hwsim.timing.serving import StepCost
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
    statistics: Trace | None = None,
    chips: int = 1,
    link: Link | None = None,
) -> Planned:
    """The cost of a model's steps on a machine.

    Raises:
        ArgumentError: attention in a window, whose rows the engine does not bound.
        HwsimError: as `hwsim.evaluation.evaluate_phase`.
    """
    if model.attention is not None and model.attention.window:
        raise ArgumentError(
            "attention must have no window to be served", got=model.attention.window, where=model.name
        )

    def phase(name: str, batch: int, context: int) -> Phased:
        return evaluate_phase(model, machine, name, batch, context, statistics, chips, link)  # type: ignore[arg-type]

    prompt, one, many = phase("prefill", 1, PROMPT), phase("decode", 1, CONTEXT), phase("decode", BATCH, CONTEXT)
    counted = sizes(model)
    linear, attention = split(prompt)
    weights, rows = split(one)
    token = linear / (PROMPT + counted.head_macs / counted.layer_macs)
    touched = 1 - (1 - counted.visited) ** BATCH
    experts = 0.0
    if counted.visited:
        experts = max(0.0, (split(many)[0] - weights) / (touched - counted.visited))
    fixed = each = 0.0
    if link is not None and chips > 1:
        times = sum(2 if kind == "T" else 1 for kind in model.blocks)
        fixed = times * all_reduce("ring", chips, 0.0, link)
        each = times * all_reduce("ring", chips, model.width * machine.output_bits / 8, link) - fixed
    cost = StepCost(
        fixed_s=fixed,
        token_s=each,
        compute_token_s=token,
        compute_logit_s=token * counted.head_macs / counted.layer_macs,
        compute_pair_s=attention / (PROMPT * (PROMPT + 1) / 2),
        memory_s=max(0.0, weights - experts * counted.visited),
        memory_row_s=rows / CONTEXT,
        memory_experts_s=experts,
        visited=counted.visited,
    )
    short = phase("prefill", 1, PROMPT // 2)
    half = PROMPT // 2
    errors = [
        cost.step_ns(BATCH, BATCH, BATCH, BATCH * CONTEXT, BATCH * CONTEXT) * 1e-9 / many.latency_s,
        cost.step_ns(half, 1, 1, half * (half + 1) // 2, half) * 1e-9 / short.latency_s,
    ]
    # energy of batch 1, of batch 16, and of batch 1 with half of the context: three unknowns
    near = phase("decode", 1, CONTEXT // 2)
    row = max(0.0, (one.energy_pj - near.energy_pj) / (CONTEXT // 2))
    more = max(0.0, (many.energy_pj - one.energy_pj) / (BATCH - 1) - row * CONTEXT)
    return Planned(
        cost=cost,
        step_pj=max(0.0, one.energy_pj - more - row * CONTEXT),
        token_pj=more,
        row_pj=row,
        error_factor=max(max(error, 1 / error) for error in errors),
        memory_bytes=2 * near.memory_bytes - one.memory_bytes,
        row_bytes=(one.memory_bytes - near.memory_bytes) / (CONTEXT // 2),
        note=one.note,
    )


def split(found: Phased) -> tuple[float, float]:
    """Seconds of all steps of the plans without attention, and of attention, without collectives."""
    attention = total = 0.0
    for part, count in found.parts:
        clock = part.accelerator
        for step in part.plan.steps:
            seconds = count * clock.latency_s(step.cycles.latency)
            total += seconds
            layers = {product.layer.rpartition(".")[2] for product in step.products} | {
                "softmax" for work in step.vector if work.kind == "softmax" and not step.products
            }
            if layers & {"qk", "pv", "softmax"}:
                attention += seconds
    return total - attention, attention

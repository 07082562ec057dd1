"""A training step on a machine, or on several: forward and backward pass and update, priced by their own plans.

The backward pass is a graph of its own (`hwsim.workloads.backward`): three times the products of the forward pass
with it, and more where the forward pass is run again. Micro-batches alternate forward and backward in a pipeline
(1F1B); gradients of data parallel copies are added a block at a time, behind the backward pass of the last
micro-batch; then each chip updates what it holds. Products of gradients and of Muon's iterations run in the machine's
arithmetic of two activations. Loss and clipping are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError
from hwsim.evaluation.borrowing import evaluate_workload
from hwsim.evaluation.exchanges import Exchange, charged, exchanges, needed, passed
from hwsim.evaluation.phased import Phased, noted, stage_times, step_of
from hwsim.timing.clusters.collectives import SENT
from hwsim.timing.clusters.parallel import gradients_s
from hwsim.timing.clusters.pipelines import held as in_flight
from hwsim.timing.clusters.pipelines import pipeline_ns
from hwsim.workloads import folded, sharded, stages, training_step
from hwsim.workloads.backward import backward, update
from hwsim.workloads.sizes import parameters

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.evaluation.evaluator import Evaluator
    from hwsim.timing.clusters.collectives import Link
    from hwsim.workloads import ModelConfig, Parallel
    from hwsim.workloads.training import Optimizer, Saving

GRADIENT_BYTES = 2
"""Of a weight's gradient as it is added up: bfloat16, as `hwsim.workloads.training.STATE_BYTES` has it."""


def training_phase(
    model: ModelConfig,
    machine: Accelerator,
    batch: int,
    context: int,
    statistics: Evaluator | None,
    parallel: Parallel,
    link: Link | None,
    share: float,
    optimizer: Optimizer,
    saving: Saving,
) -> Phased:
    """Price a training step; arguments as of `hwsim.evaluation.evaluate_phase`.

    Raises:
        ArgumentError: expert or context parallel chips, or a model that is no decoder of attention and one
            feed-forward network.
        UnknownName: another optimizer or saving.
    """
    if parallel.expert > 1 or parallel.context > 1:
        raise ArgumentError("training must be tensor, pipeline and data parallel alone", got=parallel)
    parallel.check(model, batch, context)
    own, runs = sharded(model, parallel.tensor), parallel.microbatches
    step = step_of(parallel, "training", batch, context)
    counted = training_step(own, step.batch, context, optimizer, saving)
    works = folded(own, step)
    plan = stages(model, parallel.pipeline)
    passes = (
        [work for work, _ in works],
        [backward(work, recomputed=saving != "all") for work, _ in works],
        [update(work, optimizer, machine.output_bits) for work, _ in works],
    )
    forward, back, last = (
        tuple(evaluate_workload(work, machine, statistics, every=True) for work in one) for one in passes
    )
    found: tuple[Exchange, ...] = ()
    passing_s = 0.0
    if link is not None:
        found = exchanges(model, machine, parallel, step, link, share)
    # the backward pass exchanges as much as the forward pass, and once more what runs again
    again = 1 if saving == "inputs" else 0
    ahead = stage_times(forward, plan, found)
    behind = stage_times(back, plan, found)
    if again:
        inner = tuple((*counts[:-1], 0) for counts in plan)
        behind = [one + more for one, more in zip(behind, stage_times(forward, inner, found), strict=True)]
    found = tuple(
        Exchange(one.name, tuple((2 + again) * count for count in one.counts), one.seconds, (2 + again) * one.bits)
        for one in found
    )
    if link is not None and parallel.pipeline > 1:
        passing_s, moved = passed(model, machine, parallel, step, link)
        found = (*found, Exchange(moved.name, moved.counts, moved.seconds, 2 * moved.bits))
    if parallel.pipeline == 1:
        path = runs * (ahead[0] + behind[0])
    else:
        ns = [[round(one * 1e9) for one in times] for times in (ahead, behind)]
        path = 1e-9 * pipeline_ns(ns[0], ns[1], runs, round(passing_s * 1e9))  # type: ignore[arg-type]
    weights = [parameters(work) for work, _ in works]
    summed = 0.0
    if parallel.data > 1:
        wire, blocks = needed(link, parallel.chips), len(model.blocks) // parallel.pipeline
        sizes = [GRADIENT_BYTES * _dot(weights, counts) for counts in plan]
        summed = max(
            gradients_s(parallel.data, size, wire, time, blocks) for size, time in zip(sizes, behind, strict=True)
        )
        bits = parallel.tensor * SENT["all-reduce"](parallel.data) * 8 * sum(sizes)
        found = (*found, Exchange("data", (0,) * parallel.pipeline, summed, bits))
    updates = max(_dot([one.latency_s for one in last], counts) for counts in plan)
    total = sum(_dot(weights, counts) for counts in plan)
    held = [
        counted.state_bytes * _dot(weights, counts) / total
        + counted.saved_bytes / parallel.pipeline * in_flight(stage, parallel.pipeline, runs)
        for stage, counts in enumerate(plan)
    ]
    links = None if link is None else charged(found, link)
    parts = [(one, runs * count) for one, (_, count) in zip(back, works, strict=True)]
    parts += [(one, count) for one, (_, count) in zip(last, works, strict=True)]
    whole = [
        (one, runs * count * (1 + again * (place < len(works) - 1)))
        for place, (one, (_, count)) in enumerate(zip(forward, works, strict=True))
    ]
    return Phased(
        model.name, "training", batch, context, parallel, (*whole, *parts), path + summed + updates, found, links,
        parallel.chips // parallel.pipeline * sum(held), max(held),
        noted((*forward, *back, *last), parallel, links),
    )  # fmt: skip


def _dot(values: list[float] | list[int], counts: tuple[int, ...]) -> float:
    return sum(value * count for value, count in zip(values, counts, strict=True))

"""A decoder in one of its phases on a machine, or on several of them: seconds and joules of a token, and memory.

A step is priced part by part (`hwsim.workloads.folded`): one block of each kind, times how often it runs. Between
blocks the residual stream passes by DRAM, which the whole step in one plan might spare; everything else is the same.

Chips that share a step (`hwsim.workloads.Parallel`) each run the part that they hold; what they send each other is
`hwsim.evaluation.exchanges`. Micro-batches follow each other through the stages of a pipeline: a prompt takes the sum
of the stages and the slowest one for each further micro-batch; in decode a sequence's next token waits for its last
one, so that a step takes a round through all stages, or all micro-batches in the slowest one. Context parallel chips
compute a prompt's masked scores evenly, as if each query saw the mean of the keys.
"""

from __future__ import annotations

from dataclasses import replace
from math import fsum
from typing import TYPE_CHECKING, get_args

from hwsim.arch.units import storage_bits
from hwsim.errors import ArgumentError
from hwsim.evaluation.borrowing import evaluate_workload
from hwsim.evaluation.evaluator import Evaluator
from hwsim.evaluation.exchanges import Exchange, charged, exchanges, needed, passed
from hwsim.evaluation.phased import Phase, Phased, noted, stage_times, step_of
from hwsim.evaluation.training import training_phase
from hwsim.workloads import Parallel, folded, sharded, stages

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.plan import Step as Planned
    from hwsim.evaluation.records import Evaluation
    from hwsim.timing.clusters.collectives import Link
    from hwsim.trace import Trace, Workload
    from hwsim.workloads import ModelConfig
    from hwsim.workloads.training import Optimizer, Saving


def evaluate_phase(
    model: ModelConfig,
    machine: Accelerator,
    phase: Phase = "decode",
    batch: int = 1,
    context: int = 1024,
    statistics: Trace | Evaluator | None = None,
    chips: int | Parallel = 1,
    link: Link | None = None,
    share: float = 1.0,
    optimizer: Optimizer = "adamw",
    saving: Saving = "fused",
) -> Phased:
    """Price a phase of a decoder.

    Args:
        model: of the catalogue or a file.
        machine: one chip.
        phase: prefill of `context` tokens, one token of decode behind `context` - 1, or a training step on sequences
            of `context` tokens (`hwsim.evaluation.training`).
        batch: sequences, on all chips together.
        context: tokens of each in the cache after the step.
        statistics: a trace whose flips stand for those of the model, or its evaluator, which knows what it counted.
        chips: degrees by which chips share the step; a number is that of tensor parallel ones.
        link: between them; needed where there are several.
        share: part of the channels that tensor parallel chips add up; the others stay private to each (CAAT-Net).
        optimizer: of training.
        saving: of training: what the forward pass saves for the backward pass (`hwsim.workloads.training_step`).

    Raises:
        ArgumentError: another phase, several chips without a link, a share that is no part, or degrees that do not
            divide the model or the batch.
        HwsimError: the machine cannot run a part.
    """
    if phase not in get_args(Phase):
        raise ArgumentError("phase must be prefill, decode or training", got=phase)
    if not 0 <= share <= 1:
        raise ArgumentError("share must be a part of the channels", got=share, where="evaluate_phase.share")
    parallel = chips if isinstance(chips, Parallel) else Parallel(chips)
    if parallel.chips > 1:
        needed(link, parallel.chips)
    lender = statistics if statistics is None or isinstance(statistics, Evaluator) else Evaluator(statistics)
    if phase == "training":
        return training_phase(model, machine, batch, context, lender, parallel, link, share, optimizer, saving)
    parallel.check(model, batch, context)
    held, runs = sharded(model, parallel.tensor), parallel.microbatches
    step = step_of(parallel, phase, batch, context)
    works = folded(held, step)
    each = tuple(evaluate_workload(work, machine, lender) for work, _ in works)
    found: tuple[Exchange, ...] = ()
    passing, back = 0.0, 0.0
    plan = stages(model, parallel.pipeline)
    if link is not None:
        looked = attention_s(each[0]) if phase == "prefill" else 0.0
        found = exchanges(model, machine, parallel, step, link, share, looked)
    times = stage_times(each, plan, found)
    if link is not None and parallel.pipeline > 1:
        passing, moved = passed(model, machine, parallel, step, link)
        found, back = (*found, moved), link.latency_s
    if phase == "prefill":
        path = sum(times) + (parallel.pipeline - 1) * passing
        latency = path + (runs - 1) * max(*times, passing)
    else:
        # the number of the new token goes back to the first stage
        latency = max(sum(times) + (parallel.pipeline - 1) * passing + back, runs * max(times))
    sizes = [memory_bytes(work, machine) for work, _ in _kept(held, works, parallel, phase, batch, context)]
    on_stage = [sum(size * count for size, count in zip(sizes, counts, strict=True)) for counts in plan]
    links = None if link is None else charged(found, link)
    return Phased(
        model.name, phase, batch, context, parallel,
        tuple((one, runs * count) for one, (_, count) in zip(each, works, strict=True)), latency, found, links,
        parallel.chips // parallel.pipeline * sum(on_stage), max(on_stage), noted(each, parallel, links),
    )  # fmt: skip


def _kept(
    held: ModelConfig, works: tuple[tuple[Workload, int], ...], parallel: Parallel, phase: Phase, batch: int,
    context: int,
) -> tuple[tuple[Workload, int], ...]:  # fmt: skip
    """Parts whose caches are those of all micro-batches, and of a chip's own part of each sequence."""
    whole = step_of(replace(parallel, microbatches=1, context=1), phase, batch, context // parallel.context)
    same = parallel.microbatches == 1 and (parallel.context == 1 or phase == "decode")
    return works if same else folded(held, whole)


def attention_s(part: Evaluation) -> float:
    """Seconds of scores, softmax and weighted values in a part."""
    clock = part.accelerator
    return fsum(clock.latency_s(step.cycles.latency) for step in part.plan.steps if _attends(step))


def _attends(step: Planned) -> bool:
    layers = {product.layer.rpartition(".")[2] for product in step.products} | {
        "softmax" for work in step.vector if work.kind == "softmax" and not step.products
    }
    return bool(layers & {"qk", "pv", "softmax"})


def memory_bytes(workload: Workload, machine: Accelerator) -> float:
    """Bytes of a workload's weights, caches and states.

    What a product reads as its operand b is stored as the machine stores that operand, everything else at the width
    of its outputs.
    """
    graph = workload.graph
    assert graph is not None, "the catalogue's workloads hold graphs"
    kept = {o.output: o.inputs[0].tensor for o in graph.operators if o.kind == "cache"}
    bits: dict[str, float] = {}
    for operator in graph.operators:
        shape = operator.gemm
        numerics = None if shape is None else machine.policy.for_gemm(shape.layer, shape.b_role)
        if shape is None or numerics is None:
            continue
        name = operator.inputs[1].tensor
        each = storage_bits(numerics, shape.b_role, shape.n, shape.k) / (shape.n * shape.k)
        bits[kept.get(name, name)] = max(each, bits.get(kept.get(name, name), 0.0))
    held = [tensor for tensor in graph.tensors if tensor.source in ("weight", "state")]
    return sum(tensor.elements * bits.get(tensor.name, machine.output_bits) for tensor in held) / 8

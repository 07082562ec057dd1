"""A decoder in one of its phases on a machine, or on several of them: seconds and joules of a token, and memory.

A step is priced part by part (`hwsim.workloads.folded`): one block of each kind, times how often it runs. Between
blocks the residual stream passes by DRAM, which the whole step in one plan might spare; everything else is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hwsim.arch.units import storage_bits
from hwsim.cost.quantity import Quantity
from hwsim.errors import ArgumentError
from hwsim.evaluation.borrowing import evaluate_workload
from hwsim.evaluation.evaluator import Evaluator
from hwsim.evaluation.ledger import Charge, Ledger
from hwsim.timing.clusters.collectives import BIT_ERROR, SENT, Link, all_reduce
from hwsim.workloads import Step, folded, sharded

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.evaluation.records import Evaluation
    from hwsim.trace import Trace, Workload
    from hwsim.workloads import ModelConfig

Phase = Literal["prefill", "decode"]


@dataclass(frozen=True, slots=True)
class Phased:
    """A phase, priced.

    Attributes:
        model: its name.
        phase: ``"prefill"`` (`context` new tokens of each sequence) or ``"decode"`` (one of each behind them).
        batch: sequences.
        context: tokens of each in the cache after the step.
        chips: tensor parallel ones.
        parts: what was priced on one chip, and how often it runs.
        collectives_s: seconds of all-reduces, which nothing hides.
        links: energy of what passes links, pJ; None where no link is, or its energy is not known.
        memory_bytes: that all chips must hold: matrices and the cache as the machine stores them, the rest at the
            width of its outputs.
        note: what was not measured on this workload, and what is not counted.
    """

    model: str
    phase: Phase
    batch: int
    context: int
    chips: int
    parts: tuple[tuple[Evaluation, int], ...]
    collectives_s: float
    links: Ledger | None
    memory_bytes: float
    note: str

    @property
    def latency_s(self) -> float:
        """Seconds of the step: of a prompt until its first token, of decode between two tokens of a sequence."""
        return sum(one.latency_s * count for one, count in self.parts) + self.collectives_s

    @property
    def energy_pj(self) -> float:
        """Energy of the step on all chips, pJ, and of the links between them where it is known."""
        links = 0.0 if self.links is None else self.links.value
        return self.chips * sum(one.energy_pj * count for one, count in self.parts) + links

    @property
    def tokens(self) -> int:
        """New tokens of the step: of all prompts, or one of each sequence."""
        return self.batch * (self.context if self.phase == "prefill" else 1)

    @property
    def tokens_s(self) -> float:
        """New tokens a second."""
        return self.tokens / self.latency_s

    @property
    def energy_per_token_pj(self) -> float:
        """Energy of a new token, pJ."""
        return self.energy_pj / self.tokens

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the step on all chips."""
        return self.chips * sum(one.macs * count for one, count in self.parts)

    def values(self) -> dict[str, float]:
        """What is reported, by name with its unit."""
        name = "ttft_ms" if self.phase == "prefill" else "tpot_ms"
        read = sum(one.dram_read_bits * count for one, count in self.parts)
        written = sum(one.dram_write_bits * count for one, count in self.parts)
        return {
            name: self.latency_s * 1e3,
            "tokens_s": self.tokens_s,
            "energy_per_token_mj": self.energy_per_token_pj * 1e-9,
            "tokens_s_w": 1e12 / self.energy_per_token_pj,
            "power_w": self.energy_pj * 1e-12 / self.latency_s,
            "memory_gb": self.memory_bytes * 1e-9,
            "dram_gb": self.chips * (read + written) / 8e9,
            "collectives_ms": self.collectives_s * 1e3,
            "tmacs": self.macs * 1e-12,
        }


def evaluate_phase(
    model: ModelConfig,
    machine: Accelerator,
    phase: Phase = "decode",
    batch: int = 1,
    context: int = 1024,
    statistics: Trace | Evaluator | None = None,
    chips: int = 1,
    link: Link | None = None,
    share: float = 1.0,
) -> Phased:
    """Price a phase of a decoder.

    Args:
        model: of the catalogue or a file.
        machine: one chip.
        phase: prefill of `context` tokens, or one token of decode behind `context` - 1.
        batch: sequences.
        context: tokens of each in the cache after the step.
        statistics: a trace whose flips stand for those of the model, or its evaluator, which knows what it counted.
        chips: tensor parallel ones; each layer adds their results by ring all-reduces.
        link: between them; needed where there are several.
        share: part of the channels that chips add up; the others stay private to each (CAAT-Net).

    Raises:
        ArgumentError: another phase, several chips without a link, or a share that is no part.
        HwsimError: the machine cannot run a part, or chips do not divide the model.
    """
    if phase not in ("prefill", "decode"):
        raise ArgumentError("phase must be prefill or decode", got=phase)
    if chips > 1 and link is None:
        raise ArgumentError("several chips need a link", got=chips, where="evaluate_phase.chips")
    if not 0 <= share <= 1:
        raise ArgumentError("share must be a part of the channels", got=share, where="evaluate_phase.share")
    step = Step(batch, context if phase == "prefill" else 1, context)
    held = sharded(model, chips)
    works = folded(held, step)
    lender = statistics if statistics is None or isinstance(statistics, Evaluator) else Evaluator(statistics)
    parts = tuple((evaluate_workload(work, machine, lender), count) for work, count in works)
    exchanged, links = 0.0, None
    if link is not None:
        times = sum(2 if kind == "T" else 1 for kind in model.blocks)
        size = step.rows * round(share * model.width) * machine.output_bits / 8
        exchanged = times * all_reduce("ring", chips, size, link)
        links = _links(times, chips, size, link)
    notes = list(dict.fromkeys(one.borrowed for one, _ in parts if one.borrowed))
    if chips > 1:
        known = "of links is recalled, no measurement; that" if links is not None else "of links and"
        notes.append(f"energy {known} of waiting for them is not counted")
    return Phased(
        model.name, phase, batch, context, chips, parts, exchanged, links,
        chips * sum(memory_bytes(work, machine) * count for work, count in works), "; ".join(notes),
    )  # fmt: skip


def _links(times: int, chips: int, size: float, link: Link) -> Ledger | None:
    """The charge of `times` ring all-reduces of `size` bytes."""
    if chips == 1 or link.bit_pj is None:
        return None
    bits = times * SENT["all-reduce"](chips) * size * 8
    price = Quantity(link.bit_pj, "pJ", "energy of a bit over a link, recalled", errors={"links": BIT_ERROR})
    charge = Charge("collectives", "links", "links", "residual", bits, "bit over a link", price, bits * link.bit_pj)
    return Ledger([charge], "pJ", "counted")


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

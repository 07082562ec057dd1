"""A phase of a model, priced: its record, and what inference and training say of a step in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hwsim.evaluation.exchanges import Exchange
from hwsim.evaluation.ledger import Ledger
from hwsim.workloads import Parallel, Step

if TYPE_CHECKING:
    from hwsim.evaluation.records import Evaluation

Phase = Literal["prefill", "decode", "training"]
Parts = tuple[tuple["Evaluation", int], ...]

_NAMES: dict[Phase, str] = {"prefill": "ttft_ms", "decode": "tpot_ms", "training": "step_ms"}


@dataclass(frozen=True, slots=True)
class Phased:
    """A phase, priced.

    Attributes:
        model: its name.
        phase: ``"prefill"`` (`context` new tokens of each sequence), ``"decode"`` (one of each behind them) or
            ``"training"`` (a step on sequences of `context` tokens).
        batch: sequences.
        context: tokens of each in the cache after the step.
        parallel: degrees by which chips share it.
        parts: what was priced on one chip of each stage, and how often it runs in the step.
        latency_s: seconds of the step: of a prompt until its first token, of decode between two tokens of a sequence.
        exchanges: what chips send each other.
        links: energy of what passes links, pJ; None where no link is, or its energy is not known.
        memory_bytes: that all chips must hold: matrices and the cache as the machine stores them, the rest at the
            width of its outputs; in training weights, gradients, moments and saved activations in their usual widths.
        chip_bytes: of them, on the chip that holds most.
        note: what was not measured on this workload, and what is not counted.
    """

    model: str
    phase: Phase
    batch: int
    context: int
    parallel: Parallel
    parts: Parts
    latency_s: float
    exchanges: tuple[Exchange, ...]
    links: Ledger | None
    memory_bytes: float
    chip_bytes: float
    note: str

    @property
    def chips(self) -> int:
        """Chips in all."""
        return self.parallel.chips

    @property
    def copies(self) -> int:
        """Chips that do the same: those of one stage, of all copies of the model."""
        return self.parallel.chips // self.parallel.pipeline

    @property
    def collectives_s(self) -> float:
        """Seconds of exchanges that nothing hides, for one micro-batch in all stages."""
        return sum(sum(one.counts) * one.seconds for one in self.exchanges)

    @property
    def energy_pj(self) -> float:
        """Energy of the step on all chips, pJ, and of the links between them where it is known."""
        links = 0.0 if self.links is None else self.links.value
        return self.copies * sum(one.energy_pj * count for one, count in self.parts) + links

    @property
    def tokens(self) -> int:
        """Tokens of the step: of all prompts or sequences, or one of each sequence."""
        return self.batch * (1 if self.phase == "decode" else self.context)

    @property
    def tokens_s(self) -> float:
        """Tokens a second."""
        return self.tokens / self.latency_s

    @property
    def energy_per_token_pj(self) -> float:
        """Energy of a token, pJ."""
        return self.energy_pj / self.tokens

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the step on all chips."""
        return self.copies * sum(one.macs * count for one, count in self.parts)

    @property
    def dram_read_bits(self) -> int:
        """Bits read from DRAM by all chips."""
        return self.copies * sum(one.dram_read_bits * count for one, count in self.parts)

    @property
    def dram_write_bits(self) -> int:
        """Bits written to DRAM by all chips."""
        return self.copies * sum(one.dram_write_bits * count for one, count in self.parts)

    @property
    def area_um2(self) -> float:
        """Area of all chips, µm²."""
        return self.chips * self.parts[0][0].area_um2

    @property
    def power_w(self) -> float:
        """Mean power over the step, W."""
        return self.energy_pj * 1e-12 / self.latency_s

    def values(self) -> dict[str, float]:
        """What is reported, by name with its unit."""
        return {
            _NAMES[self.phase]: self.latency_s * 1e3,
            "tokens_s": self.tokens_s,
            "energy_per_token_mj": self.energy_per_token_pj * 1e-9,
            "tokens_s_w": 1e12 / self.energy_per_token_pj,
            "power_w": self.power_w,
            "memory_gb": self.memory_bytes * 1e-9,
            "chip_gb": self.chip_bytes * 1e-9,
            "dram_gb": (self.dram_read_bits + self.dram_write_bits) / 8e9,
            "collectives_ms": self.collectives_s * 1e3,
            "tmacs": self.macs * 1e-12,
        }


def step_of(parallel: Parallel, phase: Phase, batch: int, context: int) -> Step:
    """What one chip of a stage runs for one micro-batch."""
    own = batch // (parallel.data * parallel.expert * parallel.microbatches)
    if phase == "decode":
        return Step(own, 1, context // parallel.context, spread=parallel.expert)
    if parallel.context == 1:
        logits = context if phase == "training" else 1
        return Step(own, context, context, logits, parallel.expert)
    tokens = context // parallel.context
    return Step(own, tokens, max(tokens + 1, (context + 2) // 2), spread=parallel.expert)


def stage_times(
    parts: tuple[Evaluation, ...], plan: tuple[tuple[int, ...], ...], found: tuple[Exchange, ...]
) -> list[float]:
    """Seconds of one micro-batch in each stage, with exchanges."""
    return [
        sum(one.latency_s * count for one, count in zip(parts, counts, strict=True))
        + sum(one.counts[stage] * one.seconds for one in found)
        for stage, counts in enumerate(plan)
    ]


def noted(parts: tuple[Evaluation, ...], parallel: Parallel, links: Ledger | None) -> str:
    """What was borrowed, and what is not counted."""
    notes = list(dict.fromkeys(one.borrowed for one in parts if one.borrowed))
    if parallel.chips > 1:
        known = "of links is recalled, no measurement; that" if links is not None else "of links and"
        notes.append(f"energy {known} of waiting for them is not counted")
    return "; ".join(notes)

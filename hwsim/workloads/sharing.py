"""What one of several chips holds of a decoder, and by what degrees chips share it.

A model runs on ``data`` copies of ``pipeline`` stages; a stage runs on ``tensor`` x ``expert`` x ``context`` chips.
Tensor parallel chips share heads, inner widths and the vocabulary; expert parallel ones bring tokens of their own,
hold all of attention and a part of the experts; context parallel ones hold all weights and a part of each sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import ceil

from hwsim.errors import ArgumentError
from hwsim.workloads.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Parallel:
    """Degrees of parallelism; all 1 is one chip.

    Attributes:
        tensor: chips that share each layer.
        pipeline: stages of equally many blocks.
        data: copies of the model, each with its part of the batch.
        expert: chips that share the experts, each with its part of the batch.
        context: chips that share each sequence.
        microbatches: parts of a copy's batch, which follow each other through the stages.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: int = 1
    context: int = 1
    microbatches: int = 1

    def __post_init__(self) -> None:
        for one in fields(self):
            if getattr(self, one.name) < 1:
                raise ArgumentError("must be at least 1", got=getattr(self, one.name), where=f"Parallel.{one.name}")

    @property
    def chips(self) -> int:
        """Chips in all."""
        return self.pipeline * self.data * self.replicas

    @property
    def replicas(self) -> int:
        """Chips of a stage of one copy."""
        return self.tensor * self.expert * self.context

    @classmethod
    def on(cls, chips: int, pipeline: int = 1, data: int = 1, expert: int = 1, context: int = 1,
           microbatches: int = 1) -> Parallel:  # fmt: skip
        """Degrees on so many chips, of which those that no other degree takes are tensor parallel.

        Raises:
            ArgumentError: the other degrees do not divide the chips.
        """
        others = pipeline * data * expert * context
        if chips < 1 or others < 1 or chips % others:
            raise ArgumentError(
                f"chips must be a multiple of pipeline x data x expert x context = {others}", got=chips
            )
        return cls(chips // others, pipeline, data, expert, context, microbatches)

    def check(self, model: ModelConfig, batch: int, tokens: int) -> None:
        """That the degrees divide a model and what it runs on.

        Args:
            model: a decoder.
            batch: sequences on all chips.
            tokens: of a sequence that context parallel chips share.

        Raises:
            ArgumentError: they do not; the message names every one.
        """
        wrong = []
        blocks, shares = len(model.blocks), self.data * self.expert * self.microbatches
        if blocks % self.pipeline:
            wrong.append(f"pipeline {self.pipeline} must divide {blocks} blocks")
        if self.expert > 1 and (model.experts is None or model.experts.count % self.expert):
            count = 0 if model.experts is None else model.experts.count
            wrong.append(f"expert {self.expert} must divide {count} experts")
        if batch % shares:
            wrong.append(f"data x expert x microbatches = {shares} must divide {batch} sequences")
        if self.context > 1 and (model.attention is None or model.attention.window or "M" in model.blocks):
            wrong.append("context parallel chips need attention to all keys and values of heads in every mixer")
        if tokens % self.context:
            wrong.append(f"context {self.context} must divide {tokens} tokens")
        if (a := model.attention) is not None:
            if a.heads % self.tensor:
                wrong.append(f"tensor {self.tensor} must divide {a.heads} heads")
            elif a.kv_heads % self.tensor and a.kv_heads > self.tensor:
                wrong.append(f"tensor {self.tensor} must divide {a.kv_heads} kv_heads")
        if wrong:
            raise ArgumentError("; ".join(wrong), got=self, where=model.name)


def sharded(model: ModelConfig, chips: int) -> ModelConfig:
    """What one of `chips` tensor parallel ones holds: its heads, its part of inner widths and of the vocabulary.

    Heads of keys and values that are fewer than the chips are held several times.

    Raises:
        ArgumentError: heads or inner widths that the chips do not divide.
    """
    if chips == 1:
        return model

    def part(value: int, what: str) -> int:
        if value % chips:
            raise ArgumentError(f"{what} must be divisible by {chips} chips", got=value, where=model.name)
        return value // chips

    changes: dict[str, object] = {"vocabulary": ceil(model.vocabulary / chips)}
    if (a := model.attention) is not None:
        kept = max(1, a.kv_heads // chips) if a.kv_heads % chips == 0 or a.kv_heads < chips else 0
        if not kept:
            raise ArgumentError(f"kv_heads must be divisible by {chips} chips", got=a.kv_heads, where=model.name)
        changes["attention"] = replace(a, heads=part(a.heads, "heads"), kv_heads=kept)
    if model.latent is not None:
        changes["latent"] = replace(model.latent, heads=part(model.latent.heads, "heads"))
    if model.feed is not None:
        changes["feed"] = replace(model.feed, hidden=part(model.feed.hidden, "hidden"))
    if model.experts is not None:
        changes["experts"] = replace(model.experts, hidden=part(model.experts.hidden, "experts.hidden"))
    if (m := model.mamba) is not None:
        groups = part(m.groups, "groups") if m.groups >= chips else m.groups
        changes["mamba"] = replace(m, heads=part(m.heads, "mamba.heads"), groups=groups)
    return replace(model, **changes)  # type: ignore[arg-type]

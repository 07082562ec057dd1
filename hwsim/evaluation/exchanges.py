"""What chips that share a decoder send each other in a step: seconds that nothing hides, and bits on links.

Every exchange is one collective of `hwsim.timing.clusters`, as often as the model asks for it, at the width of the
machine's outputs. Tensor parallel chips add the results of attention and of the feed-forward network; expert parallel
ones send each token to its experts and back; context parallel ones pass keys and values round a ring in a prompt, and
merge what each found in its part of the cache in decode (a row of weighted values, a maximum and a sum of each head).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.cost.quantity import Quantity
from hwsim.errors import ArgumentError
from hwsim.evaluation.ledger import Charge, Ledger
from hwsim.timing.clusters.collectives import BIT_ERROR, SENT, Link, all_reduce
from hwsim.timing.clusters.parallel import Routed, ring_attention_s

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.workloads import ModelConfig, Parallel, Step


@dataclass(frozen=True, slots=True)
class Exchange:
    """One kind of exchange in a step.

    Attributes:
        name: of the degree that causes it.
        counts: how often it runs in each stage, for one micro-batch.
        seconds: of one, as far as nothing hides it.
        bits: on all links of all chips, in the whole step.
    """

    name: str
    counts: tuple[int, ...]
    seconds: float
    bits: float


def exchanges(
    model: ModelConfig,
    machine: Accelerator,
    parallel: Parallel,
    step: Step,
    link: Link,
    share: float = 1.0,
    attention_s: float = 0.0,
) -> tuple[Exchange, ...]:
    """Exchanges of a forward pass.

    Args:
        model: the whole one.
        machine: one chip.
        parallel: degrees that divide the model.
        step: what one chip runs for one micro-batch.
        link: between any two chips.
        share: part of the channels that tensor parallel chips add up.
        attention_s: of one layer on one chip, which a ring of keys and values hides behind.
    """
    out, runs = machine.output_bits / 8, parallel.microbatches
    found = []

    def exchange(name: str, marks: Sequence[bool | int], seconds: float, bits: float) -> None:
        """`bits` of one exchange on the links of those chips that take part in it together."""
        size = len(marks) // parallel.pipeline
        counts = tuple(sum(marks[size * stage : size * (stage + 1)]) for stage in range(parallel.pipeline))
        groups = parallel.data * parallel.replicas // getattr(parallel, name)
        found.append(Exchange(name, counts, seconds, runs * sum(counts) * groups * bits))

    blocks = model.blocks
    if (n := parallel.tensor) > 1:
        size = step.rows * round(share * model.width) * out
        sums = [2 if kind == "T" else 1 for kind in blocks]
        exchange("tensor", sums, all_reduce("ring", n, size, link), SENT["all-reduce"](n) * size * 8)
    if (n := parallel.expert) > 1:
        assert model.experts is not None, "the degree divides its experts"
        routed = Routed(step.rows, model.experts.per_token, model.width, machine.output_bits, machine.output_bits)
        size = step.rows * model.experts.per_token * model.width * out
        mixed = [kind in "T-" and number >= model.experts.dense_layers for number, kind in enumerate(blocks)]
        exchange("expert", mixed, routed.exchange_s(n, link), 2 * SENT["all-to-all"](n) * size * 8)
    if (n := parallel.context) > 1:
        assert model.attention is not None, "the degree is for such models"
        one, looks = model.attention, [kind in "T*" for kind in blocks]
        if step.tokens > 1:
            kept = max(1, one.kv_heads // parallel.tensor)
            size = step.rows * 2 * kept * one.head * out
            shown = ring_attention_s(n, attention_s / n, size, link) - attention_s
            exchange("context", looks, max(0.0, shown), n * SENT["all-gather"](n) * size * 8)
        else:
            size = step.rows * one.heads // parallel.tensor * (one.head + 2) * out
            exchange("context", looks, all_reduce("ring", n, size, link), SENT["all-reduce"](n) * size * 8)
    return tuple(found)


def passed(
    model: ModelConfig, machine: Accelerator, parallel: Parallel, step: Step, link: Link
) -> tuple[float, Exchange]:
    """Seconds from a stage to the next for one micro-batch, and what stages pass on in the step."""
    size = step.rows * model.width * machine.output_bits / 8
    hops = parallel.pipeline - 1
    bits = parallel.microbatches * hops * parallel.data * parallel.replicas * size * 8
    seconds = link.latency_s + size / link.bytes_s
    return seconds, Exchange("pipeline", (0,) * parallel.pipeline, seconds, bits)


def needed(link: Link | None, chips: int) -> Link:
    """The link between several chips.

    Raises:
        ArgumentError: there is none.
    """
    if link is None:
        raise ArgumentError("several chips need a link", got=chips, where="evaluate_phase.chips")
    return link


_MOVED = {
    "tensor": "residual", "pipeline": "residual", "expert": "tokens", "context": "keys and values",
    "data": "gradients",
}  # fmt: skip


def charged(found: Sequence[Exchange], link: Link) -> Ledger | None:
    """The energy of exchanges; None where there is none, or the energy of the link is not known."""
    if link.bit_pj is None or not any(one.bits for one in found):
        return None
    price = Quantity(link.bit_pj, "pJ", "energy of a bit over a link, recalled", errors={"links": BIT_ERROR})
    charges = [
        Charge("collectives", "links", "links", _MOVED[one.name], one.bits, "bit over a link", price,
               one.bits * link.bit_pj)
        for one in found
    ]  # fmt: skip
    return Ledger(charges, "pJ", "counted")

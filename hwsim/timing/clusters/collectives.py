"""Collectives on many chips: what each costs over links of one latency and one bandwidth.

`size` is bytes of the whole vector, n the number of chips. A chip alone sends nothing. Closed forms are those of
equal links; `hwsim.timing.clusters.rings` simulates a ring link by link.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2

from hwsim.errors import ArgumentError, UnknownName


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two chips.

    Attributes:
        latency_s: of a message.
        bytes_s: a direction.
        bit_pj: energy of a bit over it, both ends together, pJ; None where it is not known.
    """

    latency_s: float
    bytes_s: float
    bit_pj: float | None = None

    def __post_init__(self) -> None:
        if self.bit_pj is not None and not self.bit_pj >= 0:
            raise ArgumentError("energy of a bit must be at least 0", got=self.bit_pj, where="Link")
        if self.latency_s < 0 or not self.bytes_s > 0:
            raise ArgumentError("latency must be at least 0 and bandwidth above 0", got=self, where="Link")


LINKS = {
    "nvlink3": Link(
        12.4e-6 / 6, 225e9, 9.0
    ),  # NCCL on four A100: the floor over its six steps, what a long one reaches
    "pcie4": Link(10e-6, 16e9, 6.5),  # two cards with vLLM, as recorded with LLMServingSim's runs: 20 us and 16 GB/s
}
"""Measured links by name. Energies are recalled orders of magnitude, no measurement: NVLink on a board 8 to 10 pJ a
bit with both ends, PCIe 5 to 8."""

BIT_ERROR = 1.5
"""Factor within which a link's energy of a bit is taken to be known: no table of it could be verified."""


def link(text: str) -> Link:
    """A link by name, or as ``"LATENCY_US,GBYTE_S"`` or ``"LATENCY_US,GBYTE_S,PJ_BIT"``.

    Raises:
        UnknownName: neither.
    """
    if text in LINKS:
        return LINKS[text]
    latency, _, rest = text.partition(",")
    bandwidth, _, energy = rest.partition(",")
    try:
        return Link(float(latency) * 1e-6, float(bandwidth) * 1e9, float(energy) if energy else None)
    except ValueError as error:
        raise UnknownName("link", text, [*LINKS, "LATENCY_US,GBYTE_S[,PJ_BIT]"]) from error


def ring_all_reduce(n: int, size: float, link: Link) -> float:
    """Each chip adds and passes on n - 1 parts, then passes on n - 1 sums."""
    return 2 * ring_all_gather(n, size, link)


def ring_all_gather(n: int, size: float, link: Link) -> float:
    """Each chip passes on n - 1 parts."""
    return (n - 1) * (link.latency_s + size / n / link.bytes_s)


def ring_reduce_scatter(n: int, size: float, link: Link) -> float:
    """Each chip adds and passes on n - 1 parts."""
    return ring_all_gather(n, size, link)


SENT: dict[str, Callable[[int], float]] = {
    "all-reduce": lambda n: 2.0 * (n - 1),
    "reduce-scatter": lambda n: float(n - 1),
    "all-gather": lambda n: float(n - 1),
    "all-to-all": lambda n: float(n - 1),
}
"""Bytes that pass links in all, over the bytes of a chip's vector: each of n chips sends ``(n - 1) / n`` of it, twice
in an all-reduce. Without a switch that adds, nothing sends less."""


def energy_pj(kind: str, n: int, size: float, link: Link) -> float:
    """Energy of one collective on all links, pJ.

    Raises:
        UnknownName: no such kind. ArgumentError: the energy of the link is not known.
    """
    if kind not in SENT:
        raise UnknownName("collective", kind, SENT)
    if link.bit_pj is None:
        raise ArgumentError("energy of a bit must be known", got=link, where=f"energy_pj.{kind}")
    return SENT[kind](n) * size * 8 * link.bit_pj


def halving_all_reduce(n: int, size: float, link: Link) -> float:
    """Recursive halving, then doubling; n is a power of two."""
    if n & (n - 1):
        raise ArgumentError("must be a power of two", got=n, where="halving_all_reduce.n")
    return 2 * log2(n) * link.latency_s + 2 * (n - 1) / n * size / link.bytes_s


def tree_all_reduce(n: int, size: float, link: Link) -> float:
    """A double binary tree, up and down, in the limit of small pieces."""
    return 2 * log2(n) * link.latency_s + (2 * size / link.bytes_s if n > 1 else 0.0)


def direct_all_reduce(n: int, size: float, link: Link) -> float:
    """Everyone sends the whole vector to everyone; `link` is all links of a chip together."""
    return (link.latency_s if n > 1 else 0.0) + (n - 1) * size / link.bytes_s


def two_shot_all_reduce(n: int, size: float, link: Link) -> float:
    """Parts to their owner, sums to everyone; `link` is all links of a chip together."""
    return (2 * link.latency_s if n > 1 else 0.0) + 2 * (n - 1) / n * size / link.bytes_s


def switch_all_reduce(n: int, size: float, link: Link) -> float:
    """The switch adds: up once, down once, both ways at a time."""
    return 2 * link.latency_s + size / link.bytes_s if n > 1 else 0.0


def all_to_all(n: int, size: float, link: Link) -> float:
    """Each chip sends `size` bytes in all, an equal part to each chip, pair by pair."""
    return ring_all_gather(n, size, link)


ALL_REDUCES: dict[str, Callable[[int, float, Link], float]] = {
    "ring": ring_all_reduce,
    "halving": halving_all_reduce,
    "tree": tree_all_reduce,
    "direct": direct_all_reduce,
    "two-shot": two_shot_all_reduce,
    "switch": switch_all_reduce,
}
"""All-reduces by name."""


def all_reduce(kind: str, n: int, size: float, link: Link) -> float:
    """Seconds of an all-reduce of that kind.

    Raises:
        UnknownName: no such kind. ArgumentError: no chip, or a negative size.
    """
    if kind not in ALL_REDUCES:
        raise UnknownName("all-reduce", kind, ALL_REDUCES)
    if n < 1 or size < 0:
        raise ArgumentError("must have a chip and bytes", got=(n, size), where=f"all_reduce.{kind}")
    return ALL_REDUCES[kind](n, size, link)


def hierarchical_all_reduce(nodes: int, per_node: int, size: float, inside: Link, between: Link) -> float:
    """Reduce-scatter in each node, all-reduce of the parts between nodes, all-gather in each node."""
    return 2 * ring_all_gather(per_node, size, inside) + ring_all_reduce(nodes, size / per_node, between)


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way in which a library sends.

    Attributes:
        latency_s: of the whole all-reduce.
        bytes_s: of its bus: what a ring's link carries.
    """

    latency_s: float
    bytes_s: float


NCCL_A100X4 = (Protocol(13e-6, 10e9), Protocol(55e-6, 225e9))
"""NCCL on four A100 (NVLink 3): one protocol for short messages, one for long ones. Fitted to 32 measured sizes of
8 B to 17 GB (LLMCompass), which it meets within 7 % in the mean; a single line needs 26 %."""


def protocol_all_reduce(n: int, size: float, protocols: tuple[Protocol, ...] = NCCL_A100X4) -> float:
    """The fastest protocol of a library, s; a ring's 2 (n - 1) / n of the bytes pass each link."""
    if n == 1:
        return 0.0
    return min(one.latency_s + 2 * (n - 1) / n * size / one.bytes_s for one in protocols)

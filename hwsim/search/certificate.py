"""What is known of a front beyond that its members do not dominate each other, and the sentence that says it.

A front is proven about the values that the search saw, and no others: how dear each of them was, and what the plans
were chosen for, is part of the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.search.space import DesignSpace

EXACT = "every design was priced: no seed, and no other front"
DRAWN = "one seed"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of a front.

    Attributes:
        designs: members of the front.
        one_knob: members all of whose one-knob neighbours were priced, so that none of them dominates it.
        exhaustive: whether every design of the space was priced.
        polished: designs that polishing priced.
        two_knob: members of which `one_knob` holds for all designs two knobs away, too.
        grid: whether every design of a coarser grid was priced instead.
        fidelity: of each objective: what its values are, and by what kind of plan.
        arithmetics: how many were tried, each on every machine; 0 where designs were priced one by one.
        agreement: how a replay ranks them beside the rerun that they were judged by: ``arithmetics`` that have both,
            ``spearman`` and ``kendall``; empty where nothing was run again.
    """

    designs: int
    one_knob: int
    exhaustive: bool
    polished: int
    two_knob: int = 0
    grid: bool = False
    fidelity: Mapping[str, str] = field(default_factory=dict)
    arithmetics: int = 0
    agreement: Mapping[str, float] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Part of the front that holds against every one-knob neighbour."""
        return self.one_knob / self.designs if self.designs else 1.0

    def to_dict(self) -> dict[str, Any]:
        """For a manifest; ``hypervolume`` is the share of what the exhaustive front dominates, None if not known."""
        return {
            "designs": self.designs, "one_knob": self.one_knob, "one_knob_share": self.share,
            "two_knob": self.two_knob, "two_knob_share": self.two_knob / self.designs if self.designs else 1.0,
            "exhaustive": self.exhaustive, "polished": self.polished, "grid": self.grid,
            "hypervolume": 1.0 if self.exhaustive and self.one_knob == self.designs else None,
            "seeds": EXACT if self.exhaustive else DRAWN, "fidelity": dict(self.fidelity),
            "arithmetics": self.arithmetics, "agreement": dict(self.agreement),
        }  # fmt: skip


def fidelities(space: DesignSpace) -> dict[str, str]:
    """What the values of each objective of a space are.

    The plan decides bits and cycles; what it was chosen for is a knob, or the same for all machines.
    """
    aims = {str(space.machine({}).get("objective", "energy"))}
    for one in space.parameters:
        if one.sets == "objective":
            aims = {str(value) for value in one.values}
    plans = f"plans chosen for {' or '.join(sorted(aims))}"
    known = {
        "accuracy": space.accuracy, "energy": f"{space.energy}, {plans}", "area": "fitted",
        "latency": f"computed, {plans}",
    }  # fmt: skip
    if space.deploys:
        known |= {"accuracy": f"{space.accuracy}, borrowed", "energy": f"{space.energy}, borrowed, {plans}"}
        known |= {"tokens_w": known["energy"], "memory": "computed", "chip_memory": "computed"}
    return {name: known.get(name, plans) for name in space.objectives}


def sentence(known: Mapping[str, Any]) -> str:
    """What a certificate, as its manifest holds it, proves."""
    designs, one, two = known["designs"], known["one_knob"], known.get("two_knob", 0)
    if known["exhaustive"] or known.get("grid"):
        of = "the space" if known["exhaustive"] else "the coarser grid"
        said = f"every design of {of} was priced: {two} of {designs} on the front hold against all of them"
    else:
        said = (
            f"{one} of {designs} on the front are proven against every other value of every knob, "
            f"{two} against those of every two"
        )
        if tried := known.get("arithmetics"):
            said += f", and all against every machine of {tried} arithmetics"
        if one < designs:
            said += "; the rest have neighbours that were not priced"
    if ranks := known.get("agreement"):
        said += (
            f"; a replay ranks {ranks['arithmetics']:.0f} arithmetics as the rerun does with a correlation of "
            f"{ranks['spearman']:.2f} (Spearman), {ranks['kendall']:.2f} (Kendall)"
        )
    about = ", ".join(f"{name} ({how})" for name, how in known.get("fidelity", {}).items())
    return f"{said}; proven about {about}" if about else said

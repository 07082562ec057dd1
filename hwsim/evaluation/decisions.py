"""What a plan decides, as a step: found again where the machine, the graph and the code that decides are the same.

Decides that the key of a decision is what it reads: the graph, and `hwsim.evaluation.pricing.plan_key`. Machines that
differ in what no plan asks for share one. Decisions of a nominal machine, which thousands of designs share, are
remembered between runs; those of a design's own prices are not, as nearly each design has another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hwsim import content
from hwsim.evaluation.steps import Codec, Operands, Step
from hwsim.storage import Flag, Real, Record, Rows, Table, Whole
from hwsim.timing.groups import Choice, Places
from hwsim.timing.moves import Objective
from hwsim.timing.planning import Decision, Taken
from hwsim.timing.residency import UNLIMITED

if TYPE_CHECKING:
    from hwsim.arch import Accelerator

_MOVE = Record(
    {"first": Whole(), "end": Whole(), "home": Table(Whole(-1)), "room": Rows(Whole(most=UNLIMITED)),
     "cost": Real(), "latency": Real()}
    | dict.fromkeys(("tile", "used", "sides"), Rows(Real()))
    | {"loads": Table(Flag()), "stores": Table(Flag()), "residents": Table(Whole())}
)  # fmt: skip
_DECISION = Record(
    {"attach": Flag(), "fused": Flag(), "traffic": Real(), "energy": Real(), "time": Real(), "halves": Flag(),
     "moves": Rows(_MOVE)}
)  # fmt: skip


def _plain(made: Decision) -> dict[str, Any]:
    aim = made.aim
    return {
        "attach": made.attach, "fused": made.fused,
        "traffic": aim.traffic, "energy": aim.energy, "time": aim.time, "halves": aim.halves,
        "moves": [_plain_move(one) for one in made.moves],
    }  # fmt: skip


def _plain_move(one: Taken) -> dict[str, Any]:
    places, choice = one.places, one.choice
    return {
        "first": one.first, "end": one.end, "home": places.home, "room": list(places.room),
        "loads": dict.fromkeys(sorted(places.loads), True), "stores": dict.fromkeys(sorted(places.stores), True),
        "cost": choice.cost, "latency": choice.latency,
        "tile": list(choice.tile), "used": list(choice.used), "sides": list(choice.sides),
        "residents": dict(one.residents),
    }  # fmt: skip


def _decision(plain: dict[str, Any]) -> Decision:
    aim = Objective(plain["traffic"], plain["energy"], plain["time"], plain["halves"])
    return Decision(plain["attach"], plain["fused"], aim, tuple(_move(one) for one in plain["moves"]))


def _move(one: dict[str, Any]) -> Taken:
    return Taken(
        one["first"], one["end"],
        Places(one["home"], frozenset(one["loads"]), frozenset(one["stores"]), tuple(one["room"])),
        Choice(one["cost"], one["latency"], tuple(one["tile"]), tuple(one["used"]), tuple(one["sides"])),
        tuple(sorted(one["residents"].items())),
    )  # fmt: skip


DECISION: Codec[Decision] = Codec(_DECISION, _plain, _decision)


@dataclass(frozen=True)
class Decided(Step[Decision]):
    """What the plan of a forward pass decides on a machine that is its own `judge`.

    Args:
        operands: of the trace, whose forward pass is planned.
        graph: digest of its operators, of which operands name the products alone.
        read: all that the decision reads of machine and operands, `plan_key`.
        machine: one of those with this key.
        additions: of an element of operand b in an add-only unit, by the product's place in the workload.

    Raises:
        HwsimError: the machine cannot run the pass.
    """

    operands: Operands
    graph: str
    read: tuple[object, ...]
    machine: Accelerator = field(metadata=content.ASIDE)
    additions: Mapping[int, float] = field(metadata=content.ASIDE)

    @property
    def codec(self) -> Codec[Decision]:
        """See `Step`."""
        return DECISION

    def result(self) -> Decision:
        """See `Step`."""
        from hwsim.evaluation.pricing import decided, forward_work

        return decided(forward_work(self.operands.open().workload, self.operands.path), self.machine, self.additions)

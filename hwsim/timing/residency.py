"""Which stages run fused and which tensors stay on chip: dynamic programming over the stages.

A state is what lies on chip between two stages, and in which memory. A transition runs the next few stages as one
group: it chooses which of its results, and of what it read and others read later, stay. Each group is tiled in the
room that is left. The cost is what the plan reports. A larger memory allows every state and every tile of a smaller
one, so that it never costs more; only where more than `STATES` states meet, the dearest are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import inf
from typing import TYPE_CHECKING

from hwsim.errors import DesignError
from hwsim.timing.fusing import LONGEST, Fusion, fusion
from hwsim.timing.groups import DRAM, Choice, Part, Places
from hwsim.timing.moves import Group, Objective, choose, prepare
from hwsim.timing.stages import Staged
from hwsim.timing.tiles import INPUT, WEIGHT

if TYPE_CHECKING:
    from hwsim.timing.wiring import Wiring

STATES = 256
COMBINATIONS = 128
"""Places of the tensors of one group that are tried, at most."""

Residents = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Stages `first` up to `end`, not included, as one group."""

    first: int
    end: int
    parts: tuple[Part, ...]
    how: Fusion | None
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    key: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A span with the places of its tensors, what lies on chip behind it, and its tile."""

    span: Span
    places: Places
    choice: Choice
    residents: Residents


class Search:
    """The search for one staged graph on one machine.

    Args:
        staged: the stages.
        parts: their numbers.
        wires: the machine.
        fused: False plans every stage alone, and nothing stays on chip.
    """

    def __init__(self, staged: Staged, parts: tuple[Part, ...], wires: Wiring, fused: bool) -> None:
        self.staged, self.parts, self.wires, self.fused = staged, parts, wires, fused
        self.memo: dict[tuple[object, ...], Choice] = {}
        self.spans = [self._spans_from(first) for first in range(len(parts))]
        self.last_use = {name: max(number for number, _ in uses) for name, uses in staged.uses.items()}

    def run(self, aim: Objective) -> tuple[float, tuple[Move, ...]]:
        """The least cost and its moves.

        Raises:
            DesignError: a stage does not fit the memories.
        """
        front: list[dict[Residents, tuple[float, Residents, Move | None, int]]] = [{} for _ in range(len(self.parts) + 1)]
        front[0][()] = (0.0, (), None, -1)
        for at in range(len(self.parts)):
            states = front[at]
            if not states:
                continue
            for residents in sorted(states, key=lambda key: states[key][0])[:STATES]:
                cost = states[residents][0]
                for span in self.spans[at]:
                    for move in self._moves(span, residents, aim):
                        total = cost + move.choice.cost
                        known = front[span.end].get(move.residents)
                        if known is None or total < known[0]:
                            front[span.end][move.residents] = (total, residents, move, at)
        if not front[-1]:
            furthest = max(at for at, states in enumerate(front) if states)
            raise DesignError(
                "memories must hold a tile of every stage",
                got=self.staged.stages[furthest].layer,
                where="memory",
            )
        key = min(front[-1], key=lambda residents: front[-1][residents][0])
        least, moves, at = front[-1][key][0], list[Move](), len(self.parts)
        while at > 0:
            _, before, move, came = front[at][key]
            assert move is not None
            moves.append(move)
            key, at = before, came
        return least, tuple(reversed(moves))

    def _spans_from(self, first: int) -> list[Span]:
        spans = []
        for end in range(first + 1, min(len(self.parts), first + (LONGEST if self.fused else 1)) + 1):
            parts = self.parts[first:end]
            how = None
            if len(parts) > 1:
                if parts[-1].problem is None or parts[-1].window:
                    break
                how = fusion(self.staged, parts)
                if how is None:
                    continue
            made = {name for part in parts for name in part.stage.writes}
            reads = dict.fromkeys(
                read.tensor for part in parts for read in part.stage.reads if read.tensor not in made
            )
            names = {name: number for number, name in enumerate((*reads, *made))}
            writes = tuple(name for part in parts for name in part.stage.writes)
            shape = tuple(
                (names.get(part.a_source), names.get(part.b_source), tuple(names[name] for name, _ in part.extra))
                for part in parts
            )
            spans.append(
                Span(first, end, parts, how, tuple(reads), writes, (shape, tuple(part.key for part in parts)))
            )
        return spans

    def _classes(self, name: str, behind: int) -> tuple[int, ...]:
        """Memories in which a tensor may wait for the stages from `behind` on."""
        uses = {use for number, use in self.staged.uses.get(name, ()) if number >= behind}
        if not uses:
            return ()
        classes = (WEIGHT, INPUT) if "b" in uses else (INPUT,)
        if len(classes) == 2 and self.wires.pool[INPUT] == self.wires.pool[WEIGHT]:
            return (INPUT,)
        return classes

    def _moves(self, span: Span, residents: Residents, aim: Objective) -> list[Move]:
        staged, wires = self.staged, self.wires
        lying = dict(residents)
        room = list(wires.rooms)
        for name, where in residents:
            room[wires.pool[where]] -= staged.bits[name]
        fixed = {name: lying[name] for name in span.reads if name in lying}
        free: list[tuple[str, bool, tuple[int, ...]]] = []
        for name in span.reads:
            if name not in lying:
                classes = self._classes(name, span.end) if self.fused else ()
                free.append((name, False, tuple(k for k in classes if staged.bits[name] <= room[wires.pool[k]])))
        for name in span.writes:
            if self.last_use.get(name, -1) >= span.end or name in staged.outputs:
                classes = self._classes(name, span.end) if self.fused and name not in staged.made_bits else ()
                free.append((name, True, tuple(k for k in classes if staged.bits[name] <= room[wires.pool[k]])))
        options = [(*classes, DRAM) for _, _, classes in free]
        moves = []
        for count, picked in enumerate(product(*options)):
            if count >= COMBINATIONS:
                break
            left, home, loads, stores = list(room), dict(fixed), set[str](), set[str]()
            for (name, is_made, _), where in zip(free, picked, strict=True):
                home[name] = where
                if where != DRAM:
                    left[wires.pool[where]] -= staged.bits[name]
                    if not is_made:
                        loads.add(name)
                if is_made and (where == DRAM or name in staged.outputs):
                    stores.add(name)
            if min(left) < 0:
                continue
            places = Places(home, frozenset(loads), frozenset(stores), tuple(left))
            choice = self._choice(span, places, aim)
            if choice.cost == inf:
                continue
            after = {**lying, **{name: where for name, where in home.items() if where != DRAM}}
            keep = tuple(sorted((n, k) for n, k in after.items() if self.last_use.get(n, -1) >= span.end))
            moves.append(Move(span, places, choice, keep))
        return moves

    def _choice(self, span: Span, places: Places, aim: Objective) -> Choice:
        names = (*span.reads, *span.writes)
        key = (
            span.key,
            aim,
            places.room,
            tuple((places.home.get(name), name in places.loads, name in places.stores) for name in names),
        )
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = choose(self.group(span, places, aim), self.wires)
        return found

    def group(self, span: Span, places: Places, aim: Objective) -> Group:
        """The numbers of a span for given places."""
        return prepare(self.staged, span.parts, span.how, places, self.wires, aim)

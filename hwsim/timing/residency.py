"""Which stages run fused and which tensors stay on chip: dynamic programming over the stages.

A state is what lies on chip between two stages, and in which memory. A transition runs the next few stages as one
group: it chooses which of its results, and of what it read and others read later, stay. Each group is tiled in the
room that is left. The cost is what the plan reports. A larger memory allows every state and every tile of a smaller
one, so that it never costs more; only where more than `STATES` states meet, the dearest are forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import inf
from typing import TYPE_CHECKING

from hwsim.errors import DesignError
from hwsim.timing.bounds import Bounds
from hwsim.timing.fusing import LONGEST, Fusion, fusion
from hwsim.timing.groups import DRAM, Choice, Part, Places
from hwsim.timing.moves import Group, Objective, choose, prepare
from hwsim.timing.stages import Staged
from hwsim.timing.tiles import INPUT, WEIGHT

if TYPE_CHECKING:
    from hwsim.timing.wiring import Wiring

STATES, NARROW = 256, 2
"""States that are kept at a stage; those of the first walk, whose plan bounds the second."""

SLACK = 1e-9
"""Of the bound, relative: costs are sums of rounded numbers."""

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
    names: tuple[str, ...]
    made: frozenset[str]
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
        bounds = Bounds(self.staged, self.parts, self.wires, aim)
        found, least = None, bounds.ahead(0, ())
        for width in (NARROW, STATES):
            if found is not None and found[0] <= least * (1 + SLACK):
                break
            limit = inf if found is None else found[0] * (1 - SLACK)
            better = self._walk(aim, bounds, width, limit)
            if better is not None and (found is None or better[0] < found[0]):
                found = better
        if found is None:
            raise DesignError("memories must hold a tile of every stage", got=self._stuck(aim, bounds), where="memory")
        return found

    def _stuck(self, aim: Objective, bounds: Bounds) -> str:
        """The layer of the first stage that does not fit even alone, with all memories empty."""
        for number, spans in enumerate(self.spans):
            if not any(True for _ in self._moves(spans[0], (), aim, bounds, inf)):
                return self.staged.stages[number].layer
        return self.staged.stages[-1].layer

    def _walk(self, aim: Objective, bounds: Bounds, width: int, limit: float) -> tuple[float, tuple[Move, ...]] | None:
        """Forward over the stages, with the `width` states that promise most, none that cannot stay below `limit`."""
        front: list[dict[Residents, tuple[float, Residents, Move | None, int]]] = [
            {} for _ in range(len(self.parts) + 1)
        ]
        front[0][()] = (0.0, (), None, -1)
        for at in range(len(self.parts)):
            states = front[at]
            promise = {key: states[key][0] + bounds.ahead(at, key) for key in states}
            for residents in sorted(states, key=promise.__getitem__)[:width]:
                cost = states[residents][0]
                for span in self.spans[at]:
                    for move in self._moves(span, residents, aim, bounds, limit - cost):
                        total = cost + move.choice.cost
                        known = front[span.end].get(move.residents)
                        if known is None or total < known[0]:
                            front[span.end][move.residents] = (total, residents, move, at)
        if not front[-1]:
            return None
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
            if len(parts) > 1 and (parts[-1].problem is None or parts[-1].window):
                break
            how = fusion(self.staged, parts)
            if how is None and len(parts) > 1:
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
                Span(first, end, parts, how, tuple(reads), writes, (*reads, *writes), frozenset(made), (shape, tuple(part.key for part in parts)))
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

    def _moves(
        self, span: Span, residents: Residents, aim: Objective, bounds: Bounds, limit: float
    ) -> Iterator[Move]:
        """The moves of a span that may lead to a whole plan below `limit`."""
        staged, wires = self.staged, self.wires
        lying = dict(residents)
        room = list(wires.rooms)
        for name, where in residents:
            room[wires.pool[where]] -= staged.bits[name]
        if min(room) < 0:
            return
        fixed = {name: lying[name] for name in span.reads if name in lying}
        least = bounds.spans(span.first, span.end)
        free: list[tuple[str, bool, tuple[int, ...]]] = []
        for name in (*span.reads, *span.writes):
            is_made = name in span.made
            if name in lying or (is_made and not self._leaves(name, span.end)):
                continue
            if not is_made:
                least += bounds.loads.get(name, 0.0)
            classes = () if not self.fused or name in staged.made_bits else self._classes(name, span.end)
            free.append((name, is_made, tuple(k for k in classes if staged.bits[name] <= room[wires.pool[k]])))
        after = {name: where for name, where in residents if self.last_use[name] >= span.end}
        if least + bounds.ahead(span.end, ()) - bounds.pending(span.end) > limit:
            return
        for count, picked in enumerate(product(*((*classes, DRAM) for _, _, classes in free))):
            if count >= COMBINATIONS:
                break
            left, home, loads, stores = list(room), dict(fixed), set[str](), set[str]()
            keep, floor = dict(after), least
            for (name, is_made, _), where in zip(free, picked, strict=True):
                home[name] = where
                if where != DRAM:
                    left[wires.pool[where]] -= staged.bits[name]
                    if self.last_use.get(name, -1) >= span.end:
                        keep[name] = where
                    if not is_made:
                        loads.add(name)
                if is_made and (where == DRAM or name in staged.outputs):
                    stores.add(name)
                    floor += 0.0 if name in staged.outputs else bounds.stores[name]
            key = tuple(sorted(keep.items()))
            ahead = bounds.ahead(span.end, key)
            if min(left) < 0 or floor + ahead > limit:
                continue
            places = Places(home, frozenset(loads), frozenset(stores), tuple(left))
            choice = self._choice(span, places, aim)
            if choice.cost + ahead <= limit and choice.cost < inf:
                yield Move(span, places, choice, key)

    def _leaves(self, name: str, end: int) -> bool:
        return self.last_use.get(name, -1) >= end or name in self.staged.outputs

    def _choice(self, span: Span, places: Places, aim: Objective) -> Choice:
        home, loads, stores = places.home, places.loads, places.stores
        key = (
            span.key,
            aim,
            places.room,
            tuple((home.get(name), name in loads, name in stores) for name in span.names),
        )
        found = self.memo.get(key)
        if found is None:
            found = self._best(span, places, aim)
            self.memo[key] = found
        return found

    def _best(self, span: Span, places: Places, aim: Objective) -> Choice:
        if span.how is not None:
            best = choose(self.group(span, places, aim, span.how), self.wires)
            if len(span.parts) > 1:
                return best
        else:
            best = None
        alone = choose(self.group(span, places, aim, None), self.wires)
        return alone if best is None or alone.cost <= best.cost else best

    def group(self, span: Span, places: Places, aim: Objective, how: Fusion | None) -> Group:
        """The numbers of a span for given places, row block by row block or, without `how`, tile by tile."""
        return prepare(self.staged, span.parts, how, places, self.wires, aim)

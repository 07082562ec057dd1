"""Which stages run fused and which tensors stay on chip: dynamic programming over the stages.

A state is what lies on chip between two stages, and in which memory. A transition runs the next few stages as one
group: it chooses which of its results, and of what it read and others read later, stay. Each group is tiled in the
room that is left. The cost is what the plan reports. What promises least is followed first, the promise being the
cost on a machine whose memories hold everything and the DRAM accesses that are decided already: it is never more than
the truth, so that the first whole plan is the best. A larger memory allows every state and every tile of a smaller
one. Where that takes more than `TILED` tilings, a beam over the stages finds a plan instead.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from math import inf
from operator import itemgetter, le
from typing import TYPE_CHECKING

from hwsim.errors import DesignError
from hwsim.timing.bounds import Bounds
from hwsim.timing.choosing import Skeleton, State, choose
from hwsim.timing.fusing import LONGEST, Fusion, fusion
from hwsim.timing.groups import DRAM, Choice, Part, Places
from hwsim.timing.moves import Group, Objective, prepare
from hwsim.timing.stages import Staged
from hwsim.timing.tiles import INPUT, WEIGHT

if TYPE_CHECKING:
    from hwsim.timing.wiring import Wiring

TILED = 400
"""Moves that a best-first search tiles before a beam takes its place."""

NARROW, WIDE = (3, 8), (12, 48)
"""States that a beam follows at every stage, and moves of each; the plan of a narrow beam bounds the wide one."""

BRIEF = (3, 8), (5, 16)
"""The same of a brief search, which follows no promise best-first: on 25 random machines of ``dse/edge-lm.toml`` it
found the plan of the long one, in two fifths of the time."""

UNLIMITED = 1 << 62
"""Room of a memory that holds everything, bits."""

UNTILED = Choice(0.0, 0.0, ())

COMBINATIONS = 128
"""Places of the tensors of one group that are tried, at most."""

ROOMS = 12
"""Rooms for which the best tile of a structure with given places is kept."""

PRICES = 8
"""Machines, by prices and objective, for which the tiles of a structure are kept."""

Choices = dict[tuple[State, ...], list[tuple[tuple[int, ...], Choice]]]
"""By where the tensors lie: rooms, and the best tile in each."""


class Structure:
    """What spans of the same numbers share: layers that repeat, and calls for machines that differ elsewhere."""

    def __init__(self) -> None:
        self.skeletons: dict[tuple[bool, tuple[bool, ...]], Skeleton] = {}
        self._choices: dict[tuple[object, ...], Choices] = {}

    def choices_of(self, weighs: tuple[object, ...]) -> Choices:
        """Tiles that were chosen under these prices."""
        found = self._choices.setdefault(weighs, {})
        if len(self._choices) > PRICES:
            del self._choices[next(iter(self._choices))]
        return found


@lru_cache(maxsize=1024)
def structure(key: tuple[object, ...]) -> Structure:
    """The one structure of a key: all that the numbers of a span depend on."""
    return Structure()


Residents = tuple[tuple[str, int], ...]


Node = tuple[int, Residents]
"""A stage, and what lies on chip before it."""


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
    structure: Structure


@dataclass(frozen=True, slots=True)
class Move:
    """A span with the places of its tensors, what lies on chip behind it, and its tile."""

    span: Span
    places: Places
    choice: Choice
    residents: Residents


Option = tuple[float, Span, list[str], tuple[int, ...], tuple[int, ...]]
"""A move that is not made yet: the least cost of it and all behind it, its span, tensors with their places, and the
room that is left."""

Found = tuple[float, tuple[Move, ...]]
"""The cost of a plan, and its moves."""


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
        self.memos: dict[tuple[int, int, Objective], Choices] = {}
        self.signature = (
            wires.outer, wires.inner, wires.array, wires.registers, wires.pool, wires.double, wires.overlaps,
            len(wires.names), tuple(wires.capacities[level] for levels in wires.inner for level in levels),
        )  # fmt: skip
        self.spans = [self._spans_from(first) for first in range(len(parts))]
        self.first_use = {name: min(number for number, _ in uses) for name, uses in staged.uses.items()}
        self.last_use = {name: max(number for number, _ in uses) for name, uses in staged.uses.items()}

    def run(self, aim: Objective, brief: bool = False) -> tuple[float, tuple[Move, ...]]:
        """The least cost and its moves.

        What promises least is followed first; a move is tiled only when it is its turn. A brief search has beams
        alone.

        Raises:
            DesignError: a stage does not fit the memories.
        """
        bounds = self._bounds(aim)
        found = None if brief else self._best_first(aim, bounds)
        for width, moves in () if found else BRIEF if brief else (NARROW, WIDE):
            found = self._beam(aim, bounds, width, moves, found)
        if found is None:
            raise DesignError(
                "memories must hold a tile of every stage", got=self._stuck(aim, bounds), where="memory"
            )
        return found

    def promise(self, aim: Objective) -> float:
        """What every plan costs at least."""
        return self._bounds(aim).ahead(0, ())

    def _best_first(self, aim: Objective, bounds: Bounds) -> Found | None:
        """The cheapest plan, or None where it takes more than `TILED` tilings to know."""
        least: dict[Node, float] = {(0, ()): 0.0}
        came: dict[Node, tuple[Node, Move]] = {}
        queue: list[tuple[float, int, int, Node, Option | None]] = [(bounds.ahead(0, ()), 0, 0, (0, ()), None)]
        pushed, tiled, last = 0, 0, len(self.parts)
        while queue and tiled < TILED:
            _, _, _, node, option = heappop(queue)
            if option is None:
                if node[0] == last:
                    return least[node], self._moves_to(node, came)
                for option in self._options(node, bounds):
                    pushed += 1
                    heappush(queue, (least[node] + option[0], -option[1].end, pushed, node, option))
                continue
            move = self._move(node, option)
            made = self._choice(move.span, move.places, aim)
            tiled += 1
            cost = least[node] + made.cost
            there = (move.span.end, move.residents)
            if made.cost < inf and cost < least.get(there, inf):
                least[there] = cost
                came[there] = (node, Move(move.span, move.places, made, move.residents))
                pushed += 1
                heappush(queue, (cost + bounds.ahead(*there), -there[0], pushed, there, None))
        return None

    def _beam(self, aim: Objective, bounds: Bounds, width: int, most: int, known_plan: Found | None) -> Found | None:
        """Forward over the stages with the `width` states that promise most, of each the `most` moves that do, as far
        as they promise less than a plan that is known; the better of both, None where there is none."""
        last, limit = len(self.parts), known_plan[0] if known_plan else inf
        front: list[dict[Node, float]] = [{} for _ in range(last + 1)]
        promised: list[list[float]] = [[] for _ in range(last + 1)]  # of the states of `front`, ascending
        came: dict[Node, tuple[Node, Move]] = {}
        front[0][0, ()] = 0.0
        for at in range(last):
            promise = {state: cost + bounds.ahead(*state) for state, cost in front[at].items()}
            for state in sorted(promise, key=promise.__getitem__)[:width]:
                tried, so_far = 0, front[at][state]
                for option in sorted(self._options(state, bounds), key=itemgetter(0)):
                    if so_far + option[0] >= limit:
                        break
                    move, floor = self._move(state, option), option[0]
                    there = (move.span.end, move.residents)
                    before, kept = promised[there[0]], 1 if there[0] == last else width
                    least = so_far + floor
                    if len(before) >= kept and least >= before[kept - 1]:
                        made = UNTILED  # the beam would not follow it
                    else:
                        made = self._choice(move.span, move.places, aim)
                    if made.cost == inf:
                        continue
                    cost, known = so_far + made.cost, front[there[0]].get(there, inf)
                    if made is not UNTILED and cost < known:
                        ahead = bounds.ahead(*there)
                        if known < inf:
                            before.remove(known + ahead)
                        insort(before, cost + ahead)
                        front[there[0]][there] = cost
                        came[there] = (state, Move(move.span, move.places, made, move.residents))
                    tried += 1
                    if tried == most:
                        break
        if not front[-1] or min(front[-1].values()) >= limit:
            return known_plan
        end = min(front[-1], key=front[-1].__getitem__)
        return front[-1][end], self._moves_to(end, came)

    def _moves_to(self, node: Node, came: dict[Node, tuple[Node, Move]]) -> tuple[Move, ...]:
        moves = []
        while node in came:
            node, move = came[node]
            moves.append(move)
        return tuple(reversed(moves))

    def _stuck(self, aim: Objective, bounds: Bounds) -> str:
        """The layer of the first stage that does not fit even alone, with all memories empty."""
        for number, part in enumerate(self.parts):
            alone: Node = (number, ())
            moves = [self._move(alone, one) for one in self._options(alone, bounds) if one[1].end == number + 1]
            if all(self._choice(move.span, move.places, aim).cost == inf for move in moves):
                return part.stage.layer
        return self.parts[-1].stage.layer

    def _bounds(self, aim: Objective) -> Bounds:
        """Bounds from a machine whose memories hold everything: every span with all that it shares on chip, what the
        model is given loaded by the span that reads it first."""
        room = tuple(UNLIMITED for _ in self.wires.rooms)
        spans: dict[tuple[int, int], float] = {}
        for span in (span for spans in self.spans for span in spans):
            home: dict[str, int] = {}
            for name in (*span.reads, *span.writes):
                if name in span.made:
                    if self._leaves(name, span.end):
                        home[name] = self._wide_home(name, span.end)
                elif name not in self.staged.makers and self.first_use[name] >= span.first:
                    home[name] = DRAM
                elif self.fused:
                    in_span = {use for number, use in self.staged.uses[name] if span.first <= number < span.end}
                    home[name] = WEIGHT if "b" in in_span else INPUT
                else:
                    home[name] = DRAM
            stores = frozenset(
                name for name in span.made
                if name in home and (home[name] == DRAM or name in self.staged.outputs)
            )  # fmt: skip
            spans[span.first, span.end] = self._choice(span, Places(home, frozenset(), stores, room), aim).cost
        return Bounds(self.staged, self.parts, self.wires, aim, spans)

    def _wide_home(self, name: str, end: int) -> int:
        classes = self._classes(name, end) if self.fused and name not in self.staged.made_bits else ()
        if not classes:
            return DRAM
        return min(classes, key=lambda where: self.wires.prices[self.wires.outer[where], 1])

    def _spans_from(self, first: int) -> list[Span]:
        spans, staged = [], self.staged
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
            sizes = tuple((staged.bits[name], staged.made_bits.get(name)) for name in names)
            fused = how and (
                how.common, how.block, how.per_block, how.factor, how.modes,
                tuple((names[name], *stages) for name, *stages in how.inside),
            )  # fmt: skip
            spans.append(
                Span(
                    first,
                    end,
                    parts,
                    how,
                    tuple(reads),
                    writes,
                    (*reads, *writes),
                    frozenset(made),
                    structure((shape, fused, sizes, tuple(part.key for part in parts), self.signature)),
                )
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

    def _options(self, node: Node, bounds: Bounds) -> list[Option]:
        """The moves from a state, not tiled yet, each with what it and all behind it cost at least."""
        at, residents = node
        bits, pool, options = self.staged.bits, self.wires.pool, list[Option]()
        lying, room = dict(residents), list(self.wires.rooms)
        for name, where in residents:
            room[pool[where]] -= bits[name]
        for span in self.spans[at]:
            least = bounds.spans[span.first, span.end]
            if least == inf:
                continue
            least += bounds.ahead(span.end, ())
            for name in lying:
                if self.last_use[name] >= span.end:
                    least -= bounds.loads.get(name, 0.0)
            free = [one for one in self._shared(span, bounds) if one[0] not in lying]
            found: list[tuple[float, tuple[int, ...], tuple[int, ...]]] = [
                (least + sum(load for _, load, _, _, _ in free), tuple(room), ())
            ]
            for name, _, store, saved, classes in free:
                size, grown = bits[name], []
                for floor, left, picked in found:
                    for where in classes:
                        at_pool = pool[where]
                        rest = left[at_pool] - size
                        if rest >= 0:
                            less = (*left[:at_pool], rest, *left[at_pool + 1 :])
                            grown.append((floor - saved, less, (*picked, where)))
                    grown.append((floor + store, left, (*picked, DRAM)))
                found = grown[:COMBINATIONS]
            names = [one[0] for one in free]
            options += [(floor, span, names, picked, left) for floor, left, picked in found]
        return options

    def _shared(self, span: Span, bounds: Bounds) -> list[tuple[str, float, float, float, tuple[int, ...]]]:
        """Tensors of a span that may lie anywhere: name, cost of loading it, of storing it rather than keeping it,
        what keeping it saves later, and the memories that may hold it."""
        known = bounds.shared.get((span.first, span.end))
        if known is None:
            staged, known = self.staged, []
            for name in span.names:
                is_made = name in span.made
                if is_made and not self._leaves(name, span.end):
                    continue
                load = bounds.loads.get(name, 0.0) if self.fused and not is_made else 0.0
                free = self.fused and name not in staged.made_bits
                store = bounds.stores[name] if is_made and free and name not in staged.outputs else 0.0
                saved = bounds.loads.get(name, 0.0) if self.last_use.get(name, -1) >= span.end else 0.0
                known.append((name, load, store, saved, self._classes(name, span.end) if free else ()))
            bounds.shared[span.first, span.end] = known
        return known

    def _move(self, node: Node, option: Option) -> Move:
        """The move of an option."""
        _, span, names, picked, left = option
        lying = dict(node[1])
        home = {name: lying[name] for name in span.reads if name in lying}
        keep = {name: where for name, where in node[1] if self.last_use[name] >= span.end}
        loads, stores = set[str](), set[str]()
        for name, where in zip(names, picked, strict=True):
            home[name] = where
            if where != DRAM:
                if self.last_use.get(name, -1) >= span.end:
                    keep[name] = where
                if name not in span.made:
                    loads.add(name)
            if name in span.made and (where == DRAM or name in self.staged.outputs):
                stores.add(name)
        return Move(
            span, Places(home, frozenset(loads), frozenset(stores), left), UNTILED, tuple(sorted(keep.items()))
        )

    def _leaves(self, name: str, end: int) -> bool:
        return self.last_use.get(name, -1) >= end or name in self.staged.outputs

    def _choice(self, span: Span, places: Places, aim: Objective) -> Choice:
        """The best tile of a span. What is the best in some room is the best in a smaller one that still holds it."""
        home, loads, stores, room = places.home, places.loads, places.stores, places.room
        memo = self.memos.get((span.first, span.end, aim))
        if memo is None:
            memo = self.memos[span.first, span.end, aim] = span.structure.choices_of((self._weighs(aim), aim))
        states = tuple([(home.get(name), name in loads, name in stores) for name in span.names])
        known = memo.setdefault(states, [])
        for larger, choice in known:
            if all(map(le, room, larger)) and (choice.cost == inf or all(map(le, choice.used, room))):
                return choice
        found = self._best(span, states, places, aim)
        if len(known) < ROOMS:
            known.append((room, found))
        return found

    def _weighs(self, aim: Objective) -> tuple[object, ...]:
        """What a tile's cost depends on beside its structure."""
        prices = self.wires.prices if aim.energy else self.wires.prices[:, 2:]
        return (prices.tobytes(), self.wires.bits_per_cycle)

    def _best(self, span: Span, states: tuple[State, ...], places: Places, aim: Objective) -> Choice:
        best = None
        for how in dict.fromkeys((span.how, None) if len(span.parts) == 1 else (span.how,)):

            def make(given: tuple[State, ...], how: Fusion | None = how) -> Group:
                named = list(zip(span.names, given, strict=True))
                return self.group(
                    span,
                    Places(
                        {name: home for name, (home, _, _) in named if home is not None},
                        frozenset(name for name, (_, loaded, _) in named if loaded),
                        frozenset(name for name, (_, _, stored) in named if stored),
                        places.room,
                    ),
                    aim,
                    how,
                )

            shape = (how is None, tuple([home is None for home, _, _ in states]))
            skeleton = span.structure.skeletons.get(shape)
            if skeleton is None:
                skeleton = span.structure.skeletons[shape] = Skeleton()
            found = choose(skeleton.numbers(states, make), span.parts, how, places, self.wires, aim)
            if best is None or found.cost <= best.cost:
                best = found
        assert best is not None
        return best

    def group(self, span: Span, places: Places, aim: Objective, how: Fusion | None) -> Group:
        """The numbers of a span for given places, row block by row block or, without `how`, tile by tile."""
        return prepare(self.staged, span.parts, how, places, self.wires, aim)

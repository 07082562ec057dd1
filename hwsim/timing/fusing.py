"""Products that run fused: which stages can, and what a row block of them holds on chip."""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.timing import counts as c
from hwsim.timing import fused_tiles as f
from hwsim.timing.groups import DRAM, STATISTIC_BITS, Part, Places
from hwsim.timing.stages import Staged

LONGEST = 4
"""Stages of a group, at most."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the stages of a group share their rows.

    Attributes:
        common: rows of all, together.
        block: rows of one sequence, which a row block does not leave.
        per_block: problems of each stage that a row block has, one after another.
        factor: rows of each stage for a common row.
        modes: `tiles.PLAIN`, or `FIRST` and `SECOND` of a pair that meets over its inner dimension.
        inside: tensors that pass from stage to stage: name, making stage, last reading stage.
    """

    common: int
    block: int
    per_block: tuple[int, ...]
    factor: tuple[int, ...]
    modes: tuple[int, ...]
    inside: tuple[tuple[str, int, int], ...]


def fusion(staged: Staged, parts: tuple[Part, ...]) -> Fusion | None:
    """The fusion of consecutive stages, or None where their rows do not pass one by one."""
    if any(part.problem is None or part.window for part in parts):
        return None
    made: dict[str, int] = {}
    last: dict[str, int] = {}
    first_a = parts[0].a_source
    for place, part in enumerate(parts):
        if place and part.a_source != first_a and part.a_source not in made:
            return None
        if part.b_source in made:
            return None
        for name in (part.a_source, *(name for name, _ in part.extra)):
            if name in made:
                last[name] = place
        for name in _outputs(staged, part):
            made[name] = place
    common = min(part.rows for part in parts)
    block = common
    per_block, factor = [], []
    for part in parts:
        heads, rest = divmod(part.rows, common)
        if rest:
            return None
        own = part.groups > 1
        rows = part.rows // part.batch
        if own:
            if common % rows or (block not in (common, rows)):
                return None
            block = rows
        per_block.append(heads if own else 1)
        factor.append(1 if own else heads)
    for part in parts:
        if part.groups > 1 and part.rows // part.batch != block:
            return None
    modes = [f.PLAIN] * len(parts)
    for place in range(len(parts) - 1):
        one, two = parts[place], parts[place + 1]
        assert one.problem is not None
        assert two.problem is not None
        meets = (
            modes[place] == f.PLAIN
            and two.a_source in _outputs(staged, one)
            and last.get(two.a_source) == place + 1
            and sum(name in made and made[name] == place for name, _ in two.extra) == 0
            and two.a_source not in _kept(staged, parts, two.a_source)
            and one.online
            and not two.raw
            and one.problem[c.N] == two.problem[c.K]
            and per_block[place] == per_block[place + 1]
            and factor[place] == factor[place + 1]
        )
        if meets:
            modes[place], modes[place + 1] = f.FIRST, f.SECOND
    inside = tuple((name, made[name], reader) for name, reader in last.items())
    return Fusion(common, block, tuple(per_block), tuple(factor), tuple(modes), inside)


def _outputs(staged: Staged, part: Part) -> set[str]:
    return set(part.stage.writes)


def _kept(staged: Staged, parts: tuple[Part, ...], name: str) -> set[str]:
    """`name`, if it is needed outside of the group."""
    numbers = {part.number for part in parts}
    outside = any(number not in numbers for number, _ in staged.uses.get(name, ()))
    return {name} if outside or name in staged.outputs else set()


def fill_rows(
    staged: Staged, parts: tuple[Part, ...], how: Fusion, places: Places, levels: tuple[int, ...], double: int
) -> list[list[float]]:
    """For each stage: bits of a common row in the input memory, those of the columns worked on, and in the output
    memory the same."""
    count, common = len(parts), how.common
    table = [[0.0, 0.0, 0.0, 0.0] for _ in parts]
    until: dict[str, int] = {}
    for place, part in enumerate(parts):
        until[part.a_source] = place + (how.modes[place] == f.FIRST)
    spans: list[tuple[float, int, int]] = []  # bits of a row, first and last stage
    seen: set[str] = set()
    made = {name: (first, reader) for name, first, reader in how.inside}
    for place, part in enumerate(parts):
        problem = part.problem
        assert problem is not None
        narrow = problem[c.A_VIEW] / common
        stop = place + (how.modes[place] == f.FIRST)
        if part.a_source in made:
            first = made[part.a_source][0]
            if how.modes[place] == f.SECOND:
                head = problem[c.A_VIEW] / (problem[c.PROBLEMS] * problem[c.ROWS]) * how.factor[place]
                table[place - 1][1] += head
                table[place][1] += head
            elif part.raw:
                spans.append((narrow, place, stop))
            else:
                spans.append((narrow, first, stop))
        else:
            home = places.home[part.a_source]
            if (home == DRAM or levels[home] != levels[0]) and part.a_source not in seen:
                spans.append((double * part.a_bits / common, place, until[part.a_source]))
                seen.add(part.a_source)
            if part.raw:
                spans.append((narrow, place, stop))
        for name, bits in part.extra:
            if name not in made and places.home[name] == DRAM:
                spans.append((double * bits / common, place, place))
        wide = problem[c.SUM_BITS] * problem[c.N] * how.factor[place]
        if how.modes[place] == f.FIRST:
            second = parts[place + 1].problem
            assert second is not None
            stats = STATISTIC_BITS * how.factor[place] if part.softmax else 0
            sums = second[c.SUM_BITS] * second[c.N] * how.factor[place + 1] + stats
            for at in (place, place + 1):
                table[at][2] += sums
                table[at][3] += wide
        elif how.modes[place] == f.PLAIN:
            table[place][2 if part.whole_row else 3] += wide
    for name, (first, reader) in made.items():
        if any(part.a_source == name and part.raw for part in parts) or any(
            name == other for part in parts for other, _ in part.extra
        ):
            spans.append((staged.bits[name] / common, first, reader))
    for held, begin, end in spans:
        for at in range(begin, min(end, count - 1) + 1):
            table[at][0] += held
    return table

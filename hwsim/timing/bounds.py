"""What the rest of a run costs at least, whatever a plan decides: a search leaves out what cannot win.

Of a stage: each operand leaves the memory next to the array as often as a whole tile needs, a weight or an input is
loaded once, the array takes its whole folds. Of a tensor that was written to DRAM: it is read once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.timing import counts as c
from hwsim.timing import tiles as t
from hwsim.timing.groups import Part
from hwsim.timing.moves import Objective
from hwsim.timing.stages import Staged

if TYPE_CHECKING:
    from hwsim.timing.wiring import Wiring


class Bounds:
    """Lower bounds for one staged graph, machine and objective.

    Attributes:
        loads: by tensor, of reading it from DRAM once where others made it; what the model is given counts with the
            stage that reads it first.
        stores: by tensor, of writing it to DRAM.
    """

    def __init__(self, staged: Staged, parts: tuple[Part, ...], wires: Wiring, aim: Objective) -> None:
        price = wires.prices
        read = aim.traffic + aim.energy * price[0, 0] + aim.time / wires.bits_per_cycle * 0
        write = aim.traffic + aim.energy * price[0, 1]
        fill = [aim.energy * price[level, 1] for level in wires.outer]
        self.stores = {
            name: staged.made_bits.get(name, bits) * (write + aim.energy * sum(price[wires.outer[t.OUTPUT], :2]))
            for name, bits in staged.bits.items()
        }
        given = {name for name in staged.bits if name not in staged.makers}
        self.loads: dict[str, float] = {}
        stage_least: list[float] = []
        seen: set[str] = set()
        smallest: dict[str, int] = {}
        for part in parts:
            least = _on_chip(part, wires, aim)
            for part_read in part.stage.reads:
                name = part_read.tensor
                cost = part_read.bits * (read + min(fill[t.INPUT], fill[t.WEIGHT]))
                smallest[name] = min(smallest.get(name, part_read.bits), part_read.bits)
                if name in given and name not in seen:
                    seen.add(name)
                    least += cost
            stage_least.append(least)
        for name, bits in smallest.items():
            if name not in given:
                self.loads[name] = bits * (read + min(fill[t.INPUT], fill[t.WEIGHT]))
        count = len(parts)
        self._least = [0.0] * (count + 1)
        for number in reversed(range(count)):
            self._least[number] = self._least[number + 1] + stage_least[number]
        made_at = {name: number for number, part in enumerate(parts) for name in part.stage.writes}
        last = {name: max(number for number, _ in uses) for name, uses in staged.uses.items()}
        self._pending = [0.0] * (count + 1)
        for name, maker in made_at.items():
            for at in range(maker + 1, last.get(name, -1) + 1):
                self._pending[at] += self.loads[name]

    def spans(self, first: int, end: int) -> float:
        """Of the stages from `first` up to `end`, all that they share on chip."""
        return self._least[first] - self._least[end]

    def pending(self, at: int) -> float:
        """Of reading all that was made before the stage `at` and is read from there on."""
        return self._pending[at]

    def ahead(self, at: int, residents: tuple[tuple[str, int], ...]) -> float:
        """Of the stages from `at` on, with these tensors on chip."""
        return self._least[at] + self._pending[at] - sum(self.loads.get(name, 0.0) for name, _ in residents)


def _on_chip(part: Part, wires: Wiring, aim: Objective) -> float:
    """Of the array and of the memories beside it."""
    problem = part.problem
    if problem is None:
        return 0.0
    rows, cols, wide = problem[c.SIDE_R], problem[c.SIDE_C], problem[c.WIDE]
    each, n, k = problem[c.ROWS], problem[c.N], problem[c.K]
    fn, fk = -(-n // cols), -(-k // (rows * wide))
    if problem[c.FLOW] == c.WS:
        a, b, visits, steps = fn, 1, fk, fn * fk * each
    elif problem[c.FLOW] == c.IS:
        fm = -(-each // cols)
        a, b, visits, steps = 1, fm, fk, fm * fk * n
    else:
        fm = -(-each // rows)
        a, b, visits, steps = fn, fm, 1, fm * fn * -(-k // wide)
    share = 1.0
    if problem[c.CAUSAL]:
        shown, of = c.visible(each, n if problem[c.CAUSAL] == 1 else k, 1)
        share = shown / of
    problems = problem[c.PROBLEMS]
    price = wires.prices
    array_in, array_w, array_out = wires.array
    sums = problems * each * n * problem[c.SUM_BITS]
    energy = (
        problem[c.A_VIEW] * a * share * price[array_in, 0]
        + problem[c.B_BITS] * b * share * price[array_w, 0]
        + sums * share * (visits * price[array_out, 1] + (visits - 1) * price[array_out, 0])
        + sums * price[array_out, 0]
    )
    cycles = problems * steps * problem[c.PACE] * share / problem[c.ARRAYS]
    return float(aim.energy * energy + aim.time * cycles)

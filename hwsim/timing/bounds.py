"""What the rest of a run costs at least, whatever a plan decides: a search leaves out what cannot win.

Of a stage: each operand leaves the memory next to the array as often as a whole tile needs, a weight or an input is
loaded once, the array takes its whole folds. Of a tensor that was written to DRAM: it is read once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwsim.timing import counts as c
from hwsim.timing import tiles as t
from hwsim.timing.groups import Part
from hwsim.timing.moves import Objective, least_cycles, least_energy
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
        read = aim.traffic + aim.energy * price[0, 0]
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
            least = aim.energy * (least_energy(part, wires) + out_energy(part, wires)) + aim.time * least_cycles(part)
            for part_read in part.stage.reads:
                name = part_read.tensor
                cost = part_read.bits * (read + min(fill[t.INPUT], fill[t.WEIGHT]))
                smallest[name] = min(smallest.get(name, part_read.bits), part_read.bits)
                if name in given and name not in seen:
                    seen.add(name)
                    least += cost
            stage_least.append(least + sum(self.stores[name] for name in part.stage.writes if name in staged.outputs))
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


def out_energy(part: Part, wires: Wiring) -> float:
    """pJ of the vector unit's reading of the sums."""
    problem = part.problem
    if problem is None:
        return 0.0
    sums = problem[c.PROBLEMS] * problem[c.ROWS] * problem[c.N] * problem[c.SUM_BITS]
    return float(sums * wires.prices[wires.array[t.OUTPUT], 0])

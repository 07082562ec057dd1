"""What the rest of a run costs at least, whatever a plan decides.

The stages of a span cost what they cost on a machine whose memories hold everything; a tensor that was written to
DRAM has to be read from there once more.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from hwsim.timing import tiles as t
from hwsim.timing.groups import Part
from hwsim.timing.moves import Objective
from hwsim.timing.stages import Staged

if TYPE_CHECKING:
    from hwsim.timing.wiring import Wiring


class Bounds:
    """Lower bounds for one staged graph, machine and objective.

    Args:
        staged: the stages.
        parts: their numbers.
        wires: the machine.
        aim: the objective.
        spans: by first and end stage, what a span costs with all that it shares on chip.

    Attributes:
        loads: by tensor that a stage makes, of reading it from DRAM once.
        shared: by span, the tensors that may lie anywhere, with what their places cost at least (`Search`).
        stores: by tensor, of writing it to DRAM rather than into a memory on chip.
    """

    def __init__(
        self, staged: Staged, parts: tuple[Part, ...], wires: Wiring, aim: Objective,
        spans: dict[tuple[int, int], float],
    ) -> None:  # fmt: skip
        self.spans = spans
        self.shared: dict[tuple[int, int], list[tuple[str, float, float, float, tuple[int, ...]]]] = {}
        price = wires.prices
        read, write = (aim.traffic + aim.energy * price[0, side] for side in (0, 1))
        instead = max(price[wires.outer[operand], 1] for operand in (t.INPUT, t.WEIGHT))
        self.stores = {
            name: bits * max(0.0, write + aim.energy * (sum(price[wires.outer[t.OUTPUT], :2]) - instead))
            for name, bits in staged.bits.items()
        }
        smallest: dict[str, int] = {}
        for part in parts:
            for each in part.stage.reads:
                if each.tensor in staged.makers:
                    smallest[each.tensor] = min(smallest.get(each.tensor, each.bits), each.bits)
        self.loads = {name: bits * read for name, bits in smallest.items()}
        count = len(parts)
        self._least = [inf] * count + [0.0]
        for (first, end), cost in sorted(spans.items(), reverse=True):
            self._least[first] = min(self._least[first], cost + self._least[end])
        self._pending = [0.0] * (count + 1)
        last = {name: max(number for number, _ in uses) for name, uses in staged.uses.items()}
        for maker, part in enumerate(parts):
            for name in part.stage.writes:
                for at in range(maker + 1, last.get(name, -1) + 1):
                    self._pending[at] += self.loads[name]

    def ahead(self, at: int, residents: tuple[tuple[str, int], ...]) -> float:
        """Of the stages from `at` on, with these tensors on chip."""
        saved = sum(self.loads.get(name, 0.0) for name, _ in residents)
        return float(self._least[at] + self._pending[at] - saved)

"""How fast a machine can be clocked: the deepest of the units that its policy names.

Rejected: a limit a node. An 8-bit multiplier and a fused dot product of 64 elements differ by several times, and
pipeline stages (`Array.stages`) move both.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hwsim.cost.clocking import f_max_ghz
from hwsim.cost.coefficients import DEFAULT, load_coefficients
from hwsim.cost.depth_rules import estimate
from hwsim.cost.depths import Depth
from hwsim.cost.quantity import Quantity

if TYPE_CHECKING:
    from hwsim.arch.accelerator import Accelerator
    from hwsim.datapaths.base import Datapath


def f_max(machine: Accelerator) -> Quantity:
    """The highest clock of the machine's units at its node, supply and pipeline stages, GHz, slow corner.

    Raises:
        MissingView: a unit without circuits.
        ArgumentError: a node that is not known, or a supply at which its delay is not.
    """
    units = dict.fromkeys(numerics.datapath for numerics in machine.policy.numerics)
    limits = [f_max_ghz(unit_depth(unit, machine.array.stages), machine.node_nm, machine.voltage) for unit in units]
    return min(limits, key=lambda limit: limit.value)


@lru_cache(maxsize=512)
def unit_depth(unit: Datapath, stages: int) -> Depth:
    """Depth of a unit in so many pipeline stages, by the table of synthesised ones or by the rule of its family."""
    own, shared = unit.price.blocks(load_coefficients(DEFAULT))
    area_um2 = sum(block.area.value for block in (*own, *shared))
    return estimate(unit.gates.whole(), area_um2, stages)

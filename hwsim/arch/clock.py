"""How fast a machine can be clocked: the deepest circuit of the units that its policy names.

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
    limits = [
        f_max_ghz(depth, machine.node_nm, machine.voltage)
        for numerics in machine.policy.numerics
        for depth in depths(numerics.datapath, machine.array.stages)
    ]
    return min(limits, key=lambda limit: limit.value)


@lru_cache(maxsize=512)
def depths(datapath: Datapath, stages: int) -> tuple[Depth, ...]:
    """Depths of a unit's circuits, by the table of synthesised ones or by the rule of their family.

    The rule takes the whole unit's area, so that of a unit of several circuits it is on the slow side.
    """
    held = load_coefficients(DEFAULT)
    own, shared = datapath.price.blocks(held)
    registers = datapath.price.registers.sum_bits * held["flipflop.area"].value
    area_um2 = sum(block.area.value for block in (*own, *shared)) + registers
    return tuple(estimate(circuit, area_um2, stages) for circuit in datapath.gates.circuits().values())

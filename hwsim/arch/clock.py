"""How fast a machine can be clocked: by the deepest unit that its policy names, its vector unit and its memories.

Units have the stages that the machine gives them (`Array.stages`). The vector unit is fed forward and has as many as
the clock asks for, memories as many interleaved banks (`hwsim.cost.interleaving`): both pay for them, and are a limit
where there are no more to have.

Rejected: a limit a node. An 8-bit multiplier and a fused dot product of 64 elements differ by several times.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from hwsim.cost.clocking import f_max_ghz
from hwsim.cost.coefficients import DEFAULT, load_coefficients
from hwsim.cost.depth_rules import estimate
from hwsim.cost.depths import STAGES, Depth
from hwsim.cost.interleaving import fastest_ghz
from hwsim.cost.quantity import Quantity
from hwsim.datapaths.vector.work import lane_depth

if TYPE_CHECKING:
    from hwsim.arch.accelerator import Accelerator
    from hwsim.arch.memory import Memory
    from hwsim.datapaths.base import Datapath


@lru_cache(maxsize=512)
def f_max(machine: Accelerator) -> Quantity:
    """The highest clock of the machine at its node, supply and pipeline stages, GHz, slow corner.

    Raises:
        MissingView: a unit without circuits.
        ArgumentError: a node that is not known, or a supply at which its delay is not.
    """
    limits = [logic_f_max(machine), *(memory_f_max(machine, one) for one in machine.memories if one.kind == "sram")]
    return min(limits, key=lambda limit: limit.value)


def logic_f_max(machine: Accelerator) -> Quantity:
    """The highest clock of the units in their stages and of the vector unit, GHz; errors as of `f_max`."""
    units = dict.fromkeys(numerics.datapath for numerics in machine.policy.numerics)
    node, volt = machine.node_nm, machine.voltage
    limits = [f_max_ghz(unit_depth(unit, machine.array.stages), node, volt) for unit in units]
    return min([*limits, _vector_f_max(machine, STAGES[-1])], key=lambda limit: limit.value)


def memory_f_max(machine: Accelerator, memory: Memory) -> Quantity:
    """The highest clock of an SRAM at the machine's node and supply, GHz; more ports than a macro has are banks'."""
    return fastest_ghz(
        memory.kib / memory.copies, memory.macro_bits, machine.node_nm, machine.voltage,
        banks=memory.banks, ports=memory.macro_ports or "1rw", device=memory.technology,
    )  # fmt: skip


@lru_cache(maxsize=512)
def vector_stages(machine: Accelerator) -> int:
    """Pipeline stages of the vector unit's circuits: the fewest that reach the machine's clock, else the most."""
    for stages in STAGES:
        if _vector_f_max(machine, stages).value >= machine.clock_ghz:
            return stages
    return STAGES[-1]


def _vector_f_max(machine: Accelerator, stages: int) -> Quantity:
    unit = machine.vector
    schemes = tuple(dict.fromkeys(numerics.activation for numerics in machine.policy.numerics))
    longest = lane_depth(unit.precision, unit.softmax, schemes, stages, machine.policy.rotation)
    return f_max_ghz(longest, machine.node_nm, machine.voltage)


@lru_cache(maxsize=512)
def unit_depth(unit: Datapath, stages: int) -> Depth:
    """Depth of a unit in so many pipeline stages, by the table of synthesised ones or by the rule of its family."""
    own, shared = unit.price.blocks(load_coefficients(DEFAULT))
    area_um2 = sum(block.area.value for block in (*own, *shared))
    return estimate(unit.gates.whole(), area_um2, stages)

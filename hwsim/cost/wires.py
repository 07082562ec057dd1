"""What moves a bit between blocks and chips: crossbars, routers and links. Wires are `technology.wire_pj_per_bit_mm`.

A crossbar before the banks of a shared memory is a price of its own: a 22 nm cluster of 32 banks (SNAX) moves a bit
for 0.23 pJ where its macros take 0.06, a difference of 0.17. Wires of a crossbar grow with its ports, so its energy
is taken in proportion to the banks; the further from 32, the less that is known.
"""

from __future__ import annotations

from functools import cache

from hwsim.cost.quantity import Quantity
from hwsim.cost.tables import FOLDER, read
from hwsim.cost.technology import energy_errors, energy_factor, wire_pj_per_bit_mm
from hwsim.errors import ArgumentError, UnknownName

CROSSBAR_PJ, CROSSBAR_BANKS, CROSSBAR_NODE = 0.17, 32, 22
CROSSBAR_ERROR = 2.0  # one cluster, one subtraction
# FlooNoC 0.15 pJ a byte and hop at 12 nm; ISAAC's router 20.74 pJ for 256 bits at 32 nm. Each over its node's
# energy of logic: 0.069 and 0.123 pJ at 45 nm and 0.9 V; their geometric mean, and their distance from it
ROUTER_PJ, ROUTER_ERROR = 0.0923, 1.33


def crossbar_pj_per_bit(banks: int, node_nm: int, voltage: float | None = None) -> Quantity:
    """A bit through the crossbar between masters and `banks`; nothing for one bank.

    Raises:
        ArgumentError: no bank, or an unknown node.
    """
    if banks < 1:
        raise ArgumentError("must be at least 1", got=banks, where="crossbar.banks")
    share = banks / CROSSBAR_BANKS if banks > 1 else 0.0
    scale = wire_pj_per_bit_mm(node_nm, voltage).value / wire_pj_per_bit_mm(CROSSBAR_NODE).value
    errors = {"crossbar": CROSSBAR_ERROR * max(banks / CROSSBAR_BANKS, CROSSBAR_BANKS / banks) ** 0.5}
    source = f"SNAX cluster of {CROSSBAR_BANKS} banks at {CROSSBAR_NODE} nm, in proportion to banks"
    return Quantity(CROSSBAR_PJ * share * scale, "pJ/bit", source, errors=errors)


def router_pj_per_bit(node_nm: int, voltage: float | None = None) -> Quantity:
    """A bit through one router of a network on the chip, without its wires.

    Raises:
        ArgumentError: unknown node.
    """
    errors = {"router": ROUTER_ERROR} | energy_errors(45, node_nm)
    value = ROUTER_PJ * energy_factor(45, 0.9, node_nm, voltage)
    return Quantity(value, "pJ/bit", "FlooNoC and ISAAC routers", errors=errors)


@cache
def link_pj_per_bit(kind: str) -> Quantity:
    """A bit from chip to chip.

    Raises:
        UnknownName: no such kind.
    """
    rows = {row["kind"]: row for row in read(FOLDER / "links.csv")[1]}
    if kind not in rows:
        raise UnknownName("kind of link", kind, rows, where="link")
    row = rows[kind]
    return Quantity(float(row["pj_per_bit"]), "pJ/bit", row["source"], errors={f"link {kind}": float(row["error"])})

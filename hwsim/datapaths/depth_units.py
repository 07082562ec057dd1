"""Which circuits the table of depths holds: the catalogue's, and those of machines between them.

``python -m hwsim.datapaths.depth_units`` makes the table anew (minutes of Yosys).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hwsim.cost import depths
from hwsim.datapaths import circuits
from hwsim.rtl.chain import mac_chain
from hwsim.rtl.unit import Unit

BETWEEN: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        ("mac", {"a_bits": a, "b_bits": b, "acc_bits": acc})
        for a, b, acc in (
            (2, 2, 16), (3, 3, 16), (4, 4, 20), (4, 4, 24), (4, 4, 32), (5, 5, 20), (6, 6, 24), (8, 4, 24),
            (8, 4, 32), (8, 8, 20), (8, 8, 24), (8, 8, 40), (10, 10, 32), (12, 12, 40), (16, 8, 40), (16, 16, 40),
            (16, 16, 48),
        )
    ),
    *(
        ("pann_unit", {"bits_x": bits, "acc_bits": acc, "signed": signed})
        for bits, acc in ((3, 16), (4, 20), (4, 32), (6, 24), (8, 32), (8, 40))
        for signed in (False, True)
    ),
    *(("luq_unit", {"accumulate": "fixed", "acc_bits": acc}) for acc in (12, 14, 16, 18, 24)),
    *(
        ("ternary_dot", {"group": group, "luts": luts, "readers": 1})
        for group, luts in ((2, 1), (2, 4), (3, 1), (3, 2), (3, 4), (4, 1))
    ),
    *(
        ("accumulator", {"p_bits": p, "acc_bits": acc})
        for p, acc in ((8, 16), (12, 24), (16, 24), (16, 40), (32, 48))
    ),
)  # fmt: skip
"""Units of machines between the catalogue's."""


def units() -> Iterator[Unit]:
    """Every circuit of the table once."""
    found = {name: circuits.build(name) for name in circuits.named_units()}
    for family, parameters in BETWEEN:
        unit = circuits.build(family, **parameters)
        found[unit.name] = unit
    column = mac_chain()
    found[column.name] = column
    yield from found.values()


if __name__ == "__main__":
    depths.write(units())

"""The table of depths of `hwsim.cost.depths`, made anew: ``python -m hwsim.studies.depths``.

Takes every named circuit of the catalogue, units of machines between them, so that a rule of each family can be
fitted and checked, and a column of a combinational mesh.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwsim.cost.depths import TABLE, csv_text
from hwsim.datapaths import circuits as catalog
from hwsim.rtl.chain import mac_chain
from hwsim.rtl.tools import yosys_version

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
        ("mac_tree", {"a_bits": a, "b_bits": b, "acc_bits": acc, "group": group})
        for a, b, acc, group in (
            (4, 4, 20, 4), (4, 4, 24, 64), (6, 6, 24, 8), (8, 4, 24, 16), (8, 8, 24, 4), (8, 8, 24, 32),
            (8, 8, 32, 8), (8, 8, 32, 64),
        )
    ),
    *(
        ("accumulator", {"p_bits": p, "acc_bits": acc})
        for p, acc in ((8, 16), (12, 24), (16, 24), (16, 40), (32, 48))
    ),
)  # fmt: skip
"""Units of machines between the catalogue's."""


def write(out: Path = TABLE, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Synthesise all units, cut them into stages and write the table; returns its path. Minutes without a cache.

    Raises:
        MissingExtra: Yosys is not installed.
    """
    units = {name: catalog.build(name) for name in catalog.named_units()}
    for family, parameters in BETWEEN:
        unit = catalog.build(family, **parameters)
        units[unit.name] = unit
    column = mac_chain()
    units[column.name] = column
    out.write_text(csv_text(units.values(), yosys_version(), progress))
    return out


if __name__ == "__main__":
    write()

"""Prices of the vector unit's circuits: area, depth, energy of an operation; kept as a table.

``data/units.csv`` holds, for every circuit of `hwsim.datapaths.vector.units`: cells of the netlist mapped for area,
cells and depth of the one mapped for depth, and the energy of one operation on a realistic stream, without glitches
and with those of unit gate delays. ``python -m hwsim.datapaths.vector.cost`` makes it anew. All of it is at 45 nm,
1.1 V, in the library that hwsim ships; operand registers, the register file and wires are not in it. Energy is that
without glitches, as everywhere in hwsim: the other one is an upper side, and its error says so. The error does not
hold what the library is off as a whole: its 8-bit multiplier takes 0.73 pJ on the same kind of operands, where
Horowitz (ISSCC 2014) gives 0.2 pJ at 45 nm, 0.9 V. Ratios to the multiply-accumulate units of this library are what
the table is for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwsim.cost import depths
from hwsim.cost.depths import Depth
from hwsim.datapaths.vector import encoder_prices
from hwsim.datapaths.vector.measuring import TABLE, UnitPrice, csv_text, measured, table
from hwsim.datapaths.vector.units import names, stream, unit
from hwsim.errors import UnknownName

DEPTHS = TABLE.with_name("depths.csv")
"""The circuits in pipeline stages, as `hwsim.cost.depths` reads them."""

_MADE_BY = "python -m hwsim.datapaths.vector.cost"


def unit_price(name: str) -> UnitPrice:
    """One circuit of the table, or an encoder of any fields.

    Raises:
        UnknownName: the table does not hold it.
    """
    if encoder_prices.is_encoder(name):
        return encoder_prices.encoder_price(encoder_prices.named(name))
    if name not in table():
        raise UnknownName("circuit of the vector unit", name, table())
    return table()[name]


def unit_depth(name: str, stages: int) -> Depth:
    """One circuit in pipeline stages, as `hwsim.cost.depths.depth`."""
    if encoder_prices.is_encoder(name):
        return encoder_prices.encoder_depth(encoder_prices.named(name), stages)
    return depths.depth(name, stages, DEPTHS)


def measure(name: str) -> UnitPrice:
    """Synthesise and simulate one circuit in the library that hwsim ships.

    Raises:
        MissingExtra: Yosys is not installed. UnknownName: no such circuit.
    """
    return measured(unit(name), lambda rng, steps: stream(name, rng, steps))


def write(folder: Path = TABLE.parent, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Make both tables of all circuits anew in a folder; returns it.

    Raises:
        MissingExtra: Yosys is not installed.
    """
    made = {}
    for name in names():
        progress(name)
        made[name] = measure(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TABLE.name).write_text(csv_text(made, _MADE_BY), encoding="utf-8")
    tool = next(iter(made.values())).source.partition(", ")[2]
    text = depths.csv_text((unit(name) for name in names()), tool, progress, _MADE_BY)
    (folder / DEPTHS.name).write_text(text, encoding="utf-8")
    return folder


if __name__ == "__main__":
    write()

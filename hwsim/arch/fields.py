"""The fields of a machine file: one table each, from which the loader, the checks and the editors' schema are made.

A field says its type, its limits and what it means, once. Limits of a record (`hwsim.arch.parts`,
`hwsim.arch.memory`) are checked against the same table when it is built without a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hwsim.arch.dataflow import DATAFLOWS, OPERANDS
from hwsim.errors import DesignError

REQUIRED: Any = object()

MOST_KIB = 2.0**30
"""The largest memory that a file may describe, 1 TiB: more is a slip of units."""


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a table.

    Attributes:
        key: as in the file.
        kind: `str`, `int`, `float`, `bool`, `list` or `dict`.
        doc: one clause, with the unit.
        default: value where the key is absent; `REQUIRED`, or None for what may stay unsaid.
        choices: the values that a string or number may take, or the members of a list.
        least: smallest integer.
        most: largest number; a number of kind `float` must also be above zero.
    """

    key: str
    kind: type
    doc: str
    default: Any = REQUIRED
    choices: tuple[Any, ...] = ()
    least: int | None = None
    most: float | None = None

    def check(self, value: Any, where: str) -> None:
        """Complain unless `value` is allowed; NaN never is."""
        if self.choices:
            for member in value if self.kind in (list, tuple) else (value,):
                if member not in self.choices:
                    known = ", ".join(map(str, self.choices))
                    raise DesignError(f"must be one of {known}", got=member, where=where)
        if self.most is None or value is None:
            return
        if self.least is not None:
            if not self.least <= value <= self.most:
                raise DesignError(f"must lie in {self.least}..{self.most:.0f}", got=value, where=where)
        elif not 0 < value <= self.most:
            raise DesignError(f"must be above 0 and at most {self.most:g}", got=value, where=where)


def check_all(fields: Iterable[Field], values: Mapping[str, Any], where: str) -> None:
    """Check those of `fields` that `values` has."""
    for field in fields:
        if field.key in values:
            field.check(values[field.key], f"{where}.{field.key}")


def check_record(fields: Iterable[Field], record: object, where: str) -> None:
    """Check those of `fields` that are attributes of `record` under the same name."""
    for field in fields:
        if hasattr(record, field.key):
            field.check(getattr(record, field.key), f"{where}.{field.key}")


ARRAY = (
    Field("rows", int, "units along the first side", least=1, most=4096),
    Field("cols", int, "units along the second side", least=1, most=4096),
    Field("dataflow", str, "what stays in the units", "ws", tuple(flow.name for flow in DATAFLOWS)),
    Field("overlap", str, "none: fill and drain every fold; fill: once a product; ideal: never", "fill",
          ("none", "fill", "ideal")),
    Field("count", int, "arrays of this kind", 1, least=1, most=65536),
    Field("stages", int, "pipeline stages of a unit's logic", 1, least=1, most=64),
)  # fmt: skip

VECTOR = (
    Field("lanes", int, "elements a cycle", 16, least=1, most=65536),
    Field("precision", str, "of its arithmetic", "fp16", ("int8", "fp16", "fp32")),
    Field("softmax", str, "exact, or EXAQ with 2 to 4 bits", "exact", ("exact", "exaq2", "exaq3", "exaq4")),
)

TECHNOLOGY = (
    Field("clock_ghz", float, "clock, GHz", most=100.0),
    Field("node_nm", int, "technology node, nm", least=1, most=1000),
    Field("voltage", float, "supply, V; the node's nominal one without it", None, most=10.0),
)

OUTPUT_BITS = Field("output_bits", int, "bits of a stored activation that vector work reads", 16, (8, 16, 32))
OBJECTIVE = Field("objective", str, "what the plan is chosen for", "energy",
                  ("traffic", "energy", "time", "edp", "nominal"))  # fmt: skip
FUSED = Field("fused", bool, "false: every product alone, every result to DRAM and back", True)

SRAM_DEVICES = ("lstp", "lop", "hp")
MOST_PORT = 2.0**20
MOST_GBYTE_S = 1e6
PJ_PER_BIT = Field("pj_per_bit", float, "energy of a bit, pJ, in place of the table's", None, most=1e6)

SHORT_MEMORY = (
    Field("activation_kib", float, "activation memory, KiB", most=MOST_KIB),
    Field("weight_kib", float, "weight memory, KiB", most=MOST_KIB),
    Field("output_kib", float, "memory of results and partial sums, KiB", most=MOST_KIB),
    Field("port_bits", int, "width of the read and of the write port of each memory", least=1, most=MOST_PORT),
    Field("activation_port_bits", int, "another width for the activation memory", None, least=1, most=MOST_PORT),
    Field("weight_port_bits", int, "another width for the weight memory", None, least=1, most=MOST_PORT),
    Field("output_port_bits", int, "another width for the output memory", None, least=1, most=MOST_PORT),
    Field("sram", str, "device of the memories' transistors", "lstp", SRAM_DEVICES),
    OUTPUT_BITS,
    Field("dram", str, "kind of DRAM, a name of hwsim.cost's table"),
    Field("dram_gbyte_s", float, "bandwidth of the channel, 10^9 byte/s", most=MOST_GBYTE_S),
    Field("dram_pj_per_bit", float, "energy of a bit, pJ, in place of the table's", None, most=1e6),
)

MEMORY = (
    Field("name", str, "unique in its machine"),
    Field("kind", str, "dram (off chip, HBM too), sram or registers", "sram", ("dram", "sram", "registers")),
    Field("kib", float, "capacity of all copies together, KiB", None, most=MOST_KIB),
    Field("holds", list, "the operands that pass through it", None, OPERANDS),
    Field("parent", str, "the memory that fills it", None),
    Field("ports", list, "of one copy", ()),
    Field("banks", int, "of one copy", 1, least=1, most=65536),
    Field("copies", int, "how many the chip has", 1, least=1, most=2.0**24),
    Field("replicated", bool, "all copies hold the same data", False),
    Field("split", list, "share of the capacity of each operand, in the order of holds", ()),
    Field("double_buffered", bool, "half of a tile's space is filled while the other half is used", True),
    Field("technology", str, "kind of DRAM, or device of an SRAM (lstp, lop, hp)", None),
    Field("gbyte_s", float, "bandwidth of a DRAM, 10^9 byte/s", None, most=MOST_GBYTE_S),
    PJ_PER_BIT,
)  # fmt: skip

PORT = (
    Field("bits", int, "bits a cycle", least=1, most=MOST_PORT),
    Field("direction", str, "what it is for; both: one at a time", "both", ("read", "write", "both")),
)

TOP = (
    Field("name", str, "for reports"),
    Field("description", str, "one line", ""),
    Field("output_bits", int, f"{OUTPUT_BITS.doc}; in [memory] where that is one table", None, (8, 16, 32)),
    OBJECTIVE,
    FUSED,
    Field("array", dict, "the array of units"),
    Field("vector", dict, "softmax, norms, activation functions, requantisation", None),
    Field("numerics", dict, "arithmetic by layer"),
    Field("memory", dict, "three memories as one table, or any graph of them as [[memory]]"),
    Field("technology", dict, "clock, node, supply"),
)

HOMES = {
    field.key: table
    for table, fields in (
        ("[[memory]]", MEMORY),
        ("[memory]", SHORT_MEMORY),
        ("[technology]", TECHNOLOGY),
        ("[vector]", VECTOR),
        ("[array]", ARRAY),
    )
    for field in fields
} | {field.key: "the top of the file" for field in TOP if field.kind is not dict and field.key != "output_bits"}
"""Where a key belongs, for messages about one that stands elsewhere."""

"""The two ways of writing memories down: three of them in one short table, or any graph in ``[[memory]]`` tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hwsim.arch.dataflow import OPERANDS, Operand
from hwsim.arch.fields import MEMORY, PORT, REQUIRED, SHORT_MEMORY, check_all
from hwsim.arch.memory import Memory, Port
from hwsim.arch.tables import TableReader
from hwsim.errors import DesignError

ROLES: tuple[tuple[str, Operand], ...] = (("activation", "input"), ("weight", "weight"), ("output", "output"))
"""Names of the three memories of the short form, and the operand that each holds."""


def read_memories(value: object, where: str) -> tuple[tuple[Memory, ...], int | None]:
    """The memories of ``memory`` in a machine file, and its ``output_bits`` where the short form has them.

    Raises:
        DesignError: a key or a value that is not allowed, with its path.
    """
    if isinstance(value, Mapping):
        reader = TableReader(value, where)
        fields = reader.take_all(SHORT_MEMORY)
        reader.finish()
        return short(fields, where), fields["output_bits"]
    if not isinstance(value, list) or not value:
        raise DesignError("must be a table, or [[memory]] tables", got=value, where=where)
    return tuple(_level(entry, f"{where}[{index}]", where) for index, entry in enumerate(value)), None


def short(fields: Mapping[str, Any], where: str) -> tuple[Memory, ...]:
    """DRAM and the three memories of the short form.

    Each memory has a read and a write port, as two single-ported halves have of which one is filled while the other
    one is used.
    """
    check_all(SHORT_MEMORY, {key: value for key, value in fields.items() if value is not None}, where)
    dram = Memory(
        "dram", "dram", math.inf, OPERANDS, None,
        technology=fields["dram"], gbyte_s=fields["dram_gbyte_s"], pj_per_bit=fields["dram_pj_per_bit"],
    )  # fmt: skip
    levels = []
    for role, operand in ROLES:
        bits = fields[f"{role}_port_bits"] or fields["port_bits"]
        ports = (Port(bits, "read"), Port(bits, "write"))
        levels.append(
            Memory(role, "sram", fields[f"{role}_kib"], (operand,), "dram", ports, technology=fields["sram"])
        )
    return (dram, *levels)


def write_memories(memories: tuple[Memory, ...], output_bits: int) -> tuple[Any, bool]:
    """What ``memory`` is in a machine file, and whether it is the short form, which has `output_bits` too."""
    fields = _short_fields(memories, output_bits)
    if fields is not None and short(fields, "memory") == memories:
        kept = {key: _number(value) for key, value in fields.items() if value is not None}
        return kept, True
    return [_table(memory) for memory in memories], False


def _level(entry: object, where: str, above: str) -> Memory:
    reader = TableReader(entry, where)
    if isinstance(name := reader.table.get("name"), str):
        reader.where = f"{above}.{name}"
    fields = reader.take_all(MEMORY)
    ports = []
    for index, port in enumerate(fields.pop("ports")):
        part = TableReader(port, f"{reader.where}.ports[{index}]")
        ports.append(Port(**part.take_all(PORT)))
        part.finish()
    reader.finish()
    kind = fields["kind"]
    if fields["kib"] is None and kind != "dram":
        raise DesignError("must be given, as a number", where=reader.path("kib"))
    if fields["technology"] is None and kind == "dram":
        raise DesignError("must be given, as the kind of DRAM", where=reader.path("technology"))
    holds, split = fields.pop("holds"), fields.pop("split")
    if holds is None and kind != "dram":
        raise DesignError("must be given, as the operands that pass through it", where=reader.path("holds"))
    for index, share in enumerate(split):
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise DesignError("must be a number", got=share, where=f"{reader.where}.split[{index}]")
    fields["kib"] = math.inf if fields["kib"] is None else fields["kib"]
    fields["technology"] = fields["technology"] or "lstp"
    try:
        return Memory(
            **fields, holds=tuple(OPERANDS if holds is None else holds), ports=tuple(ports), split=tuple(split)
        )
    except DesignError as error:
        place = (error.where or "").removeprefix(f"memory.{fields['name']}")
        raise DesignError(error.rule, got=error.got, where=reader.where + place) from None


def _short_fields(memories: tuple[Memory, ...], output_bits: int) -> dict[str, Any] | None:
    """The fields of the short form that could make `memories`, or None where there is no chance."""
    if [memory.name for memory in memories] != ["dram", *(role for role, _ in ROLES)]:
        return None
    dram, *levels = memories
    if not all(memory.ports for memory in levels):
        return None
    widths = {memory.name: memory.ports[0].bits for memory in levels}
    common = max(set(widths.values()), key=lambda bits: (list(widths.values()).count(bits), -bits))
    fields: dict[str, Any] = {field.key: None for field in SHORT_MEMORY}
    for role, bits in widths.items():
        fields[f"{role}_port_bits"] = None if bits == common else bits
    for memory in levels:
        fields[f"{memory.name}_kib"] = memory.kib
    return fields | {
        "port_bits": common,
        "sram": levels[0].technology,
        "output_bits": output_bits,
        "dram": dram.technology,
        "dram_gbyte_s": dram.gbyte_s,
        "dram_pj_per_bit": dram.pj_per_bit,
    }


def _table(memory: Memory) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for field in MEMORY:
        value: Any = getattr(memory, field.key)
        if field.key == "ports":
            value = [{"bits": port.bits, "direction": port.direction} for port in memory.ports]
        elif isinstance(value, tuple):
            value = list(value)
        unsaid = value is None or value == [] or value == math.inf
        if not unsaid and (field.default is REQUIRED or field.default is None or value != field.default):
            table[field.key] = _number(value)
    return table


def _number(value: Any) -> Any:
    """`value` as a person writes it: 128 and not 128.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value

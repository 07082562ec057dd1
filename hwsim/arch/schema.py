"""JSON Schema of machine files, for editors that complete and check TOML while it is written.

Made from the tables that the loader reads (`hwsim.arch.fields`), so that an editor and the loader cannot disagree on
a key, a type or a limit. What no schema can say (a scheme fits its unit, memories form a tree) the loader alone says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hwsim.arch.fields import (
    ARRAY,
    MEMORY,
    PORT,
    REQUIRED,
    SHORT_MEMORY,
    TECHNOLOGY,
    TOP,
    VECTOR,
    Field,
)

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def machine_schema() -> dict[str, Any]:
    """The schema, draft 2020-12, as a dictionary for `json.dumps`."""
    top = _table(TOP)
    memory = _table(MEMORY)
    memory["properties"]["ports"]["items"] = _table(PORT)
    memory["properties"]["split"]["items"] = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    parts = {"array": _table(ARRAY), "vector": _table(VECTOR), "technology": _table(TECHNOLOGY)}
    parts["memory"] = {"anyOf": [_table(SHORT_MEMORY), {"type": "array", "items": memory, "minItems": 1}]}
    parts["numerics"] = _numerics()
    for key, part in parts.items():
        top["properties"][key] = {"description": top["properties"][key]["description"]} | part
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hwsim machine",
        "description": "made by: hwsim schema machine",
    } | top


def _table(fields: Iterable[Field]) -> dict[str, Any]:
    fields = list(fields)
    return {
        "type": "object",
        "properties": {field.key: _field(field) for field in fields},
        "required": [field.key for field in fields if field.default is REQUIRED],
        "additionalProperties": False,
    }


def _field(field: Field) -> dict[str, Any]:
    rule: dict[str, Any] = {"description": field.doc, "type": _TYPES[field.kind]}
    if field.kind is list:
        if field.choices:
            rule["items"] = {"enum": list(field.choices)}
    elif field.choices:
        rule["enum"] = list(field.choices)
    if field.most is not None:
        rule |= {"minimum": field.least} if field.least is not None else {"exclusiveMinimum": 0}
        rule["maximum"] = field.most
    if field.default is not REQUIRED and field.default is not None and field.default != ():
        rule["default"] = field.default
    return rule


def _numerics() -> dict[str, Any]:
    """Schemes by name or as a table, and the families of units; their fields are the loader's to check."""
    from hwsim import quant
    from hwsim.datapaths import FAMILIES

    scheme = {"anyOf": [{"enum": sorted(quant.names())}, {"type": "object"}]}
    unit = {"type": "object", "properties": {"family": {"enum": sorted(FAMILIES)}}, "required": ["family"]}
    arithmetic = {"activation": scheme, "weight": scheme, "datapath": unit}
    needed = list(arithmetic)
    arithmetic["rotation"] = {
        "description": "both operands turned by a Hadamard transform before they are quantised",
        "type": "object",
        "properties": {
            "size": {"description": "elements of a tile, a power of two; 1: none", "type": "integer", "minimum": 1,
                     "maximum": 4096},
            "signs": {"description": "a seed, nvidia (size 16), plain (all +1), or +1 and -1", "default": 0,
                      "anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["nvidia", "plain"]},
                                {"type": "array", "items": {"enum": [1, -1]}}]},
        },
        "required": ["size"],
        "additionalProperties": False,
    }  # fmt: skip
    attention = {
        "type": "object", "properties": arithmetic, "required": needed, "additionalProperties": False,
    }  # fmt: skip
    override = {
        "type": "object",
        "properties": {"layers": {"type": "string"}, "precision": {"enum": ["float32"]}} | arithmetic,
        "required": ["layers"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": arithmetic | {"attention": attention, "override": {"type": "array", "items": override}},
        "required": needed,
        "additionalProperties": False,
    }

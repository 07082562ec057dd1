"""JSON Schema of design spaces, for editors that complete and check TOML while it is written.

Made from the names that the loader reads, so that an editor and the loader cannot disagree on a key. What no schema
can say (a path that a knob sets, a value that another knob must be able to take) the loader alone says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwsim.evaluation.objectives import EVERY
from hwsim.search.space_file import OBJECTIVES

_NUMBER = {"type": "number"}
_VALUE = {"type": ["string", "number", "boolean"]}
_NAMES = {"type": "array", "items": {"type": "string"}}


def space_schema() -> dict[str, Any]:
    """The schema, draft 2020-12, as a dictionary for `json.dumps`."""
    measures = ["accuracy", *(one.name for one in EVERY)]
    limits = {
        "accuracy": _limit("of the model's own metric"),
        **{one.column: _limit(one.label, positive=True) for one in EVERY},
    }
    keys = {
        "name": {"description": "of the space; its designs are called after it", "type": "string"},
        "title": {"description": "heading of the report", "type": "string"},
        "models": _NAMES | {"description": "models of the workbench that designs run, the first one by default"},
        "objectives": {
            "description": "what is searched for", "type": "array", "items": {"enum": measures}, "uniqueItems": True,
            "minItems": 1, "default": list(OBJECTIVES),
        },
        "phase": {
            "description": "a decoder in a phase that designs are chips of: model, phase, batch, context, "
            "chips = {tensor, pipeline, data, expert, context, microbatches}, link, requests, and of training "
            "optimizer and saving; knobs set phase.NAME",
            "type": "object",
        },
        "machine": {"description": "what all designs share: the tables of a machine file", "type": "object"},
        "parameters": {
            "description": "the knobs, by name: a path in the machine's tables unless `sets` gives one",
            "type": "object", "additionalProperties": _knob(), "minProperties": 1,
        },
        "options": {
            "description": "by knob and value, the tables that the value merges into the machine",
            "type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"type": "object"}},
        },
        "constraints": _closed("limits of a feasible design", limits),
        "search": _closed("how it is searched", _SEARCH),
    }  # fmt: skip
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "hwsim design space",
        "description": "made by: hwsim schema space",
        "type": "object",
        "properties": keys,
        "required": ["name", "machine", "parameters"],
        "additionalProperties": False,
    }


_SEARCH: Mapping[str, Any] = {
    "population": {"description": "designs asked for at a time", "type": "integer", "minimum": 1, "default": 50},
    "polish": {
        "description": "designs one knob away from the front, tried after the draws", "type": "integer", "minimum": 0,
        "default": 0,
    },
    "plans": {
        "description": "a search of designs that take at most so many plans prices them all", "type": "integer",
        "minimum": 0, "default": 0,
    },
    "arithmetics": {
        "description": "a search chooses so many arithmetics, and prices each on every machine", "type": "integer",
        "minimum": 0, "default": 0,
    },
    "accuracy": {
        "description": "rerun: the model's own metric; replay: SQNR of the trace", "enum": ["rerun", "replay"],
        "default": "rerun",
    },
    "energy": {
        "description": "trace: bits that toggle on the operands; pann: formulas from widths",
        "enum": ["trace", "pann"], "default": "trace",
    },
    "noise_seed": {
        "description": "of schemes that round stochastically", "type": "integer", "minimum": 0,
        "default": 0,
    },
    "metric": {"description": "what the model's metric() is called with", "type": "object"},
}  # fmt: skip


def _knob() -> dict[str, Any]:
    pair = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
    keys = {
        "choice": {
            "description": "the values", "type": "array", "items": _VALUE, "minItems": 1, "uniqueItems": True,
        },
        "int": {"description": "[low, high], both included"} | pair | {"items": {"type": "integer"}},
        "float": {"description": "[low, high], in steps of `step`"} | pair,
        "log": {"description": "whether each value is the one before times `step`, 2 without it", "type": "boolean"},
        "step": {"description": "between values", "type": "number", "exclusiveMinimum": 0},
        "sets": {"description": "path in the machine's tables, its own name without it", "type": "string"},
        "when": {
            "description": "values of other knobs for which this one exists", "type": "object",
            "additionalProperties": {"anyOf": [_VALUE, {"type": "array", "items": _VALUE}]},
        },
    }  # fmt: skip
    one_of = [{"required": [kind]} for kind in ("choice", "int", "float")]
    return {"type": "object", "properties": keys, "oneOf": one_of, "additionalProperties": False}


def _limit(what: str, positive: bool = False) -> dict[str, Any]:
    most = {"type": "number", "exclusiveMinimum": 0} if positive else _NUMBER
    rule = {"type": "object", "properties": {"min": _NUMBER, "max": most}, "minProperties": 1}
    return rule | {"description": f"limits: {what}", "additionalProperties": False}


def _closed(description: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "properties": dict(keys),
        "additionalProperties": False,
    }

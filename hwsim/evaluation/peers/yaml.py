"""Just enough YAML to write peers' files: tables, lists, tags, numbers that every reader takes as such."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_PLAIN = re.compile(r"(==|~?[A-Za-z_(][A-Za-z0-9_ .~|()*/+-]*)(?<! )\Z")
"""Text that needs no quotes; AccelForge takes an expression for one only without them."""

_NO_TEXT = {"yes", "no", "on", "off", "true", "false", "null", "none"}


@dataclass(frozen=True, slots=True)
class Tagged:
    """A table with a tag: ``!Memory``."""

    tag: str
    table: Mapping[str, Any]


def yaml_text(value: Any, comment: str = "") -> str:
    """`value`, tables and lists of tables, lists, text, numbers and truth values, as YAML 1.1 and 1.2 alike."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*lines, *_block(value, 0)]) + "\n"


def _block(value: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if _nested(entry):
                yield f"{pad}{_scalar(key)}:"
                yield from _block(entry, depth + 1)
            else:
                yield f"{pad}{_scalar(key)}: {_flow(entry)}"
    else:
        for entry in value:
            table, tag = (entry.table, f"{entry.tag}") if isinstance(entry, Tagged) else (entry, "")
            if tag:
                yield f"{pad}- {tag}"
                yield from _block(table, depth + 1)
            elif isinstance(table, Mapping) and any(_nested(one) for one in table.values()):
                first, *rest = _block(table, depth + 1)
                yield f"{pad}- {first.strip()}"
                yield from rest
            else:
                yield f"{pad}- {_flow(table)}"


def _nested(value: Any) -> bool:
    """Whether a value takes lines of its own: a table, or a list of tables."""
    if isinstance(value, Mapping):
        return any(_nested(one) or isinstance(one, list) for one in value.values()) or len(value) > 5
    return isinstance(value, list) and any(isinstance(one, Mapping | Tagged | list) for one in value)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isinf(value):
            return "inf"  # as AccelForge has it, which takes expressions
        text = repr(value)
        mantissa, _, exponent = text.partition("e")
        if not exponent:
            return text
        mantissa = mantissa if "." in mantissa else f"{mantissa}.0"  # YAML 1.1 knows no number without it
        return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}"
    if _PLAIN.match(value) and value.lower() not in _NO_TEXT:
        return str(value)
    return json.dumps(value, ensure_ascii=False)

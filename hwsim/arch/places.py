"""Where in a TOML file the field of a message stands: tomllib gives no lines, so the text is searched.

Only what machine files use is understood: tables, arrays of tables, keys, one of them a line. A field that is absent,
or that an inline table holds, is placed at the nearest line that contains it.
"""

from __future__ import annotations

import re

from hwsim.errors import DesignError, UnknownName

_HEADER = re.compile(r"^\s*\[(\[)?\s*([\w.\"'-]+)\s*\]")
_LAST = re.compile(r"(\.[^.\[\]]*|\[\d+\])$")
_KEY = re.compile(r"^\s*([\w.\"'-]+)\s*=\s*(.*)$")


def line_of(text: str, path: str) -> int | None:
    """The line, from 1, of the field at `path` (``"array.rows"``, ``"memory.glb.kib"``, ``"numerics.override[0]"``).

    Of a field that is not there, the line of the innermost table around it; None where none of it is there.
    """
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header[2].replace('"', "").replace("'", "")
            if header[1]:
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            lines.setdefault(table, number)
        elif entry := _KEY.match(line):
            key = f"{table}.{entry[1]}".lstrip(".").replace('"', "").replace("'", "")
            lines.setdefault(key, number)
            if entry[1] == "name" and table.startswith("memory["):
                # a level is also called by its name: memory.glb is memory[1]
                table, index = f"memory.{entry[2].split('#')[0].strip().strip(chr(34))}", table
                for known, at in list(lines.items()):
                    if known == index or known.startswith(f"{index}."):
                        lines.setdefault(table + known.removeprefix(index), at)
    while path:
        if path in lines:
            return lines[path]
        outer = _LAST.sub("", path)
        path = outer if outer != path else path[: max(path.rfind("."), path.rfind("["), 0)]  # a name with brackets
    return None


def placed(error: DesignError | UnknownName, text: str, name: str, file: str) -> DesignError | UnknownName:
    """`error` about the machine `name` with the line of `file` added to its path, where the text shows it."""
    where = error.where or name
    line = line_of(text, where.removeprefix(name).lstrip("."))
    place = f"{where} ({file}, line {line})" if line else f"{where} ({file})"
    if isinstance(error, UnknownName):
        return UnknownName(error.kind, error.name, error.known, where=place)
    return DesignError(error.rule, got=error.got, where=place)

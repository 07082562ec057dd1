"""Checksums of what is stored as JSON: of one line of a log, and of one whole document.

A line, or a document, ends in a member ``crc32`` over all before it, so that a changed bit is found before the value
is used, and every JSON reader still reads it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from hwsim.errors import HwsimError
from hwsim.storage.reading import parse_json

CHECK = "crc32"


def format_line(entry: Mapping[str, Any]) -> bytes:
    """A line of a log, closed by its own CRC-32. Numbers must be finite."""
    line = json.dumps(entry, separators=(",", ":"), allow_nan=False)
    return f"{line[:-1]},{_tail(line)}\n".encode()


def line_body(line: str, where: str, error: type[HwsimError], *, needed: bool = True, what: str = "line") -> str:
    """The JSON text of what `format_line` wrote, without its checksum.

    Raises:
        error: a bit of it changed, or, where the checksum is `needed`, it has none.
    """
    body, _, check = line.rpartition(",")
    if not (check.startswith(f'"{CHECK}"') or needed):
        return line
    if check != _tail(body + "}"):
        raise error(f"{what} must match its CRC-32", where=where)
    return body + "}"


def parse_body(text: str, where: str, error: type[HwsimError], what: str = "line") -> dict[str, Any]:
    """The table that a line's text is; `error` where it is none."""
    entry = parse_json(text, what, where, error)
    if not isinstance(entry, dict):
        raise error(f"{what} must be a table", got=entry, where=where)
    return entry


def parse_line(
    line: bytes, where: str, error: type[HwsimError], *, needed: bool = True, what: str = "line"
) -> dict[str, Any]:
    """What `format_line` wrote.

    Raises:
        error: a bit of it changed, or, where the checksum is `needed`, it has none.
    """
    text = line.decode("utf-8", errors="replace")
    return parse_body(line_body(text, where, error, needed=needed, what=what), where, error, what)


def has_check(line: bytes) -> bool:
    """Whether a line ends in a checksum, right or wrong."""
    return line.rpartition(b",")[2].startswith(f'"{CHECK}"'.encode())


def _tail(line: str) -> str:
    return f'"{CHECK}":"{zlib.crc32(line.encode()):08x}"}}'


def seal(document: Mapping[str, Any]) -> bytes:
    """A document as JSON for people, with its CRC-32 as last member."""
    kept = {key: value for key, value in document.items() if key != CHECK}
    return (json.dumps(kept | {CHECK: _digest(kept)}, indent=1, allow_nan=False) + "\n").encode()


def unseal(data: bytes, what: str, where: str, error: type[HwsimError]) -> dict[str, Any]:
    """What `seal` wrote, without the checksum; a document without one is of an earlier version and is not checked.

    Raises:
        error: no JSON table, or a value of it changed.
    """
    document = parse_json(data, what, where, error)
    if not isinstance(document, dict):
        raise error(f"{what} must be a table", got=type(document).__name__, where=where)
    check = document.pop(CHECK, None)
    if check is not None and check != _digest(document):
        raise error(f"{what} must match its CRC-32 ({_digest(document)})", got=check, where=where)
    return document


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"{zlib.crc32(text.encode()):08x}"

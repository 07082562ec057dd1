"""Reading what a user hands over: bytes of a regular file, then TOML or JSON within limits.

Decides the limits: nothing that hwsim reads needs tables nested deeper than `DEPTH`, integers beyond 64 bits or
numbers that are not finite, and none of them can be shown, priced or written again. A parser that recurses is stopped
by Python's own limit, which becomes the same message.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from hwsim.errors import ArgumentError, HwsimError, StorageError

DEPTH = 32
"""How deep tables and arrays may nest."""

LONGEST_KEY = 255
LONGEST_TEXT = 1 << 20
LARGEST_FILE = 1 << 30
LARGEST_TOML = 1 << 20
LARGEST_SEED = 2**32 - 1

Error = type[HwsimError]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def seed_checked(seed: int) -> int:
    """`seed` where it is one that all generators of random numbers take: 0 to 2^32 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
        raise ArgumentError(f"seed must be a whole number from 0 to {LARGEST_SEED}", got=seed)
    return seed


def file_kind(mode: int) -> str:
    """What the mode of a file that is not a regular one says it is."""
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "no regular file")


def read_bytes(
    path: str | Path, what: str, error: Error = StorageError, most_bytes: int = LARGEST_FILE, start: int = 0
) -> bytes:
    """All bytes of a regular file, or those from a place on.

    Args:
        path: of the file; a folder, pipe, socket or device is refused without waiting for it.
        what: the file, in words, for messages.
        error: class of the complaint.
        most_bytes: the largest file that is read, or part of one.
        start: bytes that are left out.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise error(f"path of {what} must hold no NUL", got=str(path)) from None
    except OSError as refusal:
        raise error(f"{what} must be readable ({refusal.strerror})", where=str(path)) from None
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        os.close(descriptor)
        raise error(f"{what} must be a regular file", got=file_kind(state.st_mode), where=str(path))
    with open(descriptor, "rb") as file:
        try:
            file.seek(start)
            data = file.read(min(most_bytes, max(state.st_size, 1 << 20)) + 1)  # some files say that they are empty
        except OSError as refusal:
            raise error(f"{what} must be readable ({refusal.strerror})", where=str(path)) from None
    if len(data) > most_bytes:
        size = max(state.st_size, len(data))
        raise error(f"{what} must have at most {most_bytes} bytes", got=size, where=str(path))
    return data


def read_text(path: str | Path, what: str, error: Error = StorageError, most_bytes: int = LARGEST_FILE) -> str:
    """The UTF-8 text of a regular file, line ends as they are."""
    data = read_bytes(path, what, error, most_bytes)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{what} must be UTF-8 text ({problem})", where=str(path)) from None


def parse_toml(text: str, what: str, where: str, error: Error) -> dict[str, Any]:
    """The tables of a TOML text, within the limits of this module."""
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise error(f"{what} must nest at most {DEPTH} deep", where=where) from None
    except ValueError as problem:  # also an integer of more digits than Python converts
        raise error(f"{what} must be valid TOML ({_first(problem)})", where=where) from None
    _check_tree(tables, what, where, error, 64)
    return tables


def parse_json(data: bytes | str, what: str, where: str, error: Error) -> Any:
    """The value of a JSON text, within the limits of this module; NaN and infinities are no JSON."""
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except RecursionError:
        raise error(f"{what} must nest at most {DEPTH} deep", where=where) from None
    except ValueError as problem:
        raise error(f"{what} must be JSON ({_first(problem)})", where=where) from None
    _check_tree(value, what, where, error, 4096)
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _first(problem: ValueError) -> str:
    return str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__


def _keeps_all(tree: Any, bits: int) -> bool:
    """Whether no value of a shallow tree breaks a rule, without a word on which; levels are gone through whole."""
    level: list[Any] = [tree]
    for _ in range(16):
        below: list[Any] = []
        for value in level:
            kind = type(value)
            if kind is float:
                if not math.isfinite(value):
                    return False
            elif kind is str:
                if len(value) > LONGEST_TEXT:
                    return False
            elif kind is dict:
                if value and max(map(len, value)) > LONGEST_KEY:
                    return False
                below += value.values()
            elif kind is list:
                below += value
            elif kind is int:
                if value.bit_length() > bits:
                    return False
            elif kind is not bool and value is not None:
                return False
        if not below:
            return True
        level = below
    return False


def _check_tree(tree: Any, what: str, where: str, error: Error, bits: int) -> None:
    if _keeps_all(tree, bits):
        return
    pending: list[tuple[Any, tuple[str, ...]]] = [(tree, ())]
    while pending:
        value, path = pending.pop()
        if isinstance(value, dict | list):
            if len(path) >= DEPTH:
                raise error(f"{what} must nest at most {DEPTH} deep", where=where)
            if isinstance(value, dict):
                for key in value:
                    if len(key) > LONGEST_KEY:
                        raise error(
                            f"keys of {what} must have at most {LONGEST_KEY} characters", got=key, where=where
                        )
                pending += [(entry, (*path, key)) for key, entry in value.items()]
            else:
                pending += [(entry, (*path, str(place))) for place, entry in enumerate(value)]
            continue
        rule = _leaf_rule(value, bits)
        if rule:
            raise error(rule, got=value, where=f"{where}: {'.'.join(path)}" if path else where)


def _leaf_rule(value: Any, bits: int) -> str:
    """The rule that a value breaks, "" if none."""
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > bits:
        return f"must be a whole number of at most {bits} bits"
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"must have at most {LONGEST_TEXT} characters"
    if isinstance(value, datetime.date | datetime.time):
        return "must be text, a number or a truth value, not a date"
    return ""

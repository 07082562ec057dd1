"""What a value is, as a key: a digest of its fields, and of the code of the classes that give it its meaning.

Decides that whatever is remembered is found by content and by nothing else. Two records have one key where they are
of one class, of one code, and every field has one content; a name that stands for content was rejected, as a class
with another sum can bear it. A class of this package counts with its module and all that this imports of the package
(`hwsim.jit.source_hash`); one of a user's own with the text of its module, of what that imports of the user's own,
and with what its methods close over.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import inspect
import math
import sys
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from hwsim import workbench
from hwsim.errors import ArgumentError

ASIDE = {"content": False}
"""``metadata`` of a field that changes nothing: where something lies, or who said it."""

PACKAGE = "hwsim"


def digest(*values: object) -> str:
    """32 hexadecimal digits of the contents of values: numbers, text, bytes, arrays, dataclasses, classes, and
    collections of them. Equal numbers are one content, whatever their type; the order of a mapping or a set is none.

    Raises:
        ArgumentError: a value whose content nobody knows.
    """
    found = hashlib.sha256()
    for value in values:
        for part in _parts(value):
            found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest()[:32]


@functools.lru_cache(maxsize=4096)
def key(value: Hashable) -> str:
    """`digest` of one frozen value, made once."""
    return digest(value)


@functools.cache
def code(kind: type) -> str:
    """A digest of the code that a class runs.

    Raises:
        ArgumentError: no text of a user's class is to be had, so that what is remembered could not be told apart.
    """
    texts = []
    for base in kind.__mro__:
        texts.append(f"{base.__module__}.{base.__qualname__}")
        top = base.__module__.partition(".")[0]
        if top == PACKAGE:
            texts.append(_module_code(base.__module__))
        elif top not in sys.stdlib_module_names:
            texts += [_source(base), digest(*_enclosed(base))]
    return digest(*texts)


@functools.cache
def _module_code(name: str) -> str:
    from hwsim.jit import source_hash

    return source_hash(Path(str(sys.modules[name].__file__)))


def _source(kind: type) -> str:
    """The text of a class's module, as its methods may call what stands beside it, and of modules that it imports."""
    try:
        text = inspect.getsource(inspect.getmodule(kind) or kind)
        return "\n".join([text, *workbench.imported(Path(inspect.getfile(kind))).values()])
    except (OSError, TypeError):
        rule = "the source of a class must be readable, so that what is remembered of it can be told apart"
        raise ArgumentError(rule, got=kind, where="content") from None


def _enclosed(kind: type) -> Iterator[object]:
    """What methods of a class that was made inside a function read from there, and their defaults."""
    for name, member in sorted(vars(kind).items()):
        for function in (member, *(getattr(member, part, None) for part in ("__func__", "fget", "func"))):
            if isinstance(function, FunctionType) and function.__code__.co_filename == inspect.getfile(kind):
                values = [cell.cell_contents for cell in function.__closure__ or ()]
                values += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
                yield name
                yield [value for value in values if value is not kind and not isinstance(value, FunctionType)]


def _parts(value: object) -> Iterator[bytes]:
    """A value as a sequence of bytes from which it could be told from every other."""
    if value is None or isinstance(value, bool | int | float | np.number | np.bool_):
        yield b"number " + _number(value).encode()
    elif isinstance(value, str):
        yield b"text " + value.encode()
    elif isinstance(value, bytes):
        yield b"bytes " + value
    elif isinstance(value, np.ndarray):
        yield f"array {value.dtype.str} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, type):
        yield b"class " + code(value).encode()
    elif dataclasses.is_dataclass(value):
        kind: type = type(value)
        fields = [field for field in dataclasses.fields(value) if field.metadata.get("content", True)]
        yield f"record {len(fields)} {code(kind)}".encode()
        for field in fields:
            yield field.name.encode()
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        yield f"row {len(value)}".encode()
        for one in value:
            yield from _parts(one)
    elif isinstance(value, Mapping):
        yield f"table {len(value)}".encode()
        yield from sorted(digest(name, one).encode() for name, one in value.items())
    elif isinstance(value, set | frozenset):
        yield f"set {len(value)}".encode()
        yield from sorted(digest(one).encode() for one in value)
    else:
        raise ArgumentError("what is remembered must be numbers, text, arrays and records of them", got=type(value))


def _number(value: Any) -> str:
    if value is None or isinstance(value, bool | np.bool_):
        return str(value if value is None else bool(value))
    number = value.item() if isinstance(value, np.number) else value
    if isinstance(number, int):
        return str(number)
    if isinstance(number, complex):
        return repr(number)
    whole = math.isfinite(number) and number == int(number) and math.copysign(1.0, number) > 0
    return str(int(number)) if whole else float(number).hex()

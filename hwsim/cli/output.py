"""How a command answers: lines for a person, or one JSON value with ``--json``; examples at the end of its help.

Every command is registered through `answering`, so every command takes ``--json``. What it hands to `give` is then
all that it prints; a command that hands over nothing answers with the lines that it would have shown. A ``--json`` of
each command's own was rejected: some had it, some did not, and each wrote NaN in its own way.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import json
import math
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from hwsim.cli.examples import EXAMPLES

_given: ContextVar[dict[str, Any] | None] = ContextVar("given", default=None)


def give(value: Any) -> None:
    """What the command answers as JSON; without ``--json`` nothing happens. The last call of a command counts."""
    held = _given.get()
    if held is not None:
        held["value"] = value


def plain(value: Any) -> Any:
    """A value in JSON's types: records as tables, paths as text, what is no finite number as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | int | None):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if hasattr(value, "item") and not getattr(value, "shape", ()):  # a number of NumPy
        return plain(value.item())
    return str(value)


def answering(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with a flag ``--json``; one that has a flag of that name keeps its own."""
    own = inspect.signature(command, eval_str=True)
    parameters = list(own.parameters.values())
    if any("--json" in _spellings(one) for one in parameters):
        return command

    @functools.wraps(command)
    def run(*args: Any, in_json: bool = False, **settings: Any) -> Any:
        return _in_json(lambda: command(*args, **settings)) if in_json else command(*args, **settings)

    flag = Annotated[bool, typer.Option("--json", help="answer with one JSON value")]
    added = inspect.Parameter("in_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=flag)
    parameters.append(added)
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def _spellings(parameter: inspect.Parameter) -> set[Any]:
    """How an option is written on the command line; typer keeps the first spelling as its default."""
    marks = getattr(parameter.annotation, "__metadata__", ())
    return {one for mark in marks for one in (mark.default, *(mark.param_decls or ()))}


def _in_json(command: Callable[[], Any]) -> None:
    """Run a command with its output held back, and print one JSON value instead."""
    held: dict[str, Any] = {}
    shown, token = io.StringIO(), _given.set(held)
    left: typer.Exit | None = None
    try:
        with contextlib.redirect_stdout(shown):
            command()
    except typer.Exit as reason:  # it answers, and says by its status that something is wrong
        left = reason
    finally:
        _given.reset(token)
    value = plain(held["value"]) if "value" in held else {"lines": shown.getvalue().splitlines()}
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    if left is not None:
        raise left


class Command(TyperCommand):
    """A command whose help ends in examples."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The examples of the command, each under what it is for."""
        rows = EXAMPLES.get(str(self.name), ())
        if rows:
            formatter.write("\nExamples:\n")
            for purpose, line in rows:
                formatter.write(f"  # {purpose}\n  {line}\n")

"""Boolean functions of Liberty files as truth tables.

Decides the form in which every later step meets a cell's function: the names of its inputs and one integer whose bit
``i`` is the output for the input pattern ``i`` (input ``j`` is bit ``j`` of ``i``). Precedence follows the Liberty
reference: inversion, then XOR, then AND, then OR; AND is also written as a blank. Evaluating the expression text in
Python was rejected: a library is a user's file, so it is data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hwsim.errors import ArgumentError

_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\]$.]*|[01]|[!'^*&+|()])")
MAX_INPUTS = 6


@dataclass(frozen=True, slots=True)
class Function:
    """A truth table over named inputs; bit ``i`` of `table` is the output for pattern ``i``."""

    inputs: tuple[str, ...]
    table: int

    def __call__(self, pattern: int) -> int:
        """The output bit for one pattern."""
        return self.table >> pattern & 1

    def depends_on(self, index: int) -> bool:
        """Whether input `index` ever changes the output."""
        return any(self(p) != self(p ^ 1 << index) for p in range(1 << len(self.inputs)))

    def reduced(self) -> Function:
        """The same function without the inputs on which it does not depend."""
        kept = [index for index in range(len(self.inputs)) if self.depends_on(index)]
        table = 0
        for pattern in range(1 << len(kept)):
            spread = sum((pattern >> bit & 1) << index for bit, index in enumerate(kept))
            table |= self(spread) << pattern
        return Function(tuple(self.inputs[index] for index in kept), table)


def parse(expression: str, *, where: str = "function") -> Function:
    """The function of a Liberty expression, inputs in order of appearance; at most 6 of them.

    Raises:
        ArgumentError: the text is no expression, or has more inputs.
    """
    tokens, position = [], 0
    text = expression.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ArgumentError("must be an expression of names and ! ' ^ * & + | ( )", got=expression, where=where)
        tokens.append(match[1])
        position = match.end()
    inputs = tuple(dict.fromkeys(token for token in tokens if token[0].isalpha() or token[0] == "_"))
    if len(inputs) > MAX_INPUTS:
        raise ArgumentError(f"must have at most {MAX_INPUTS} inputs", got=expression, where=where)
    reader = _Reader(tokens, {name: _column(index, len(inputs)) for index, name in enumerate(inputs)})
    table = reader.either()
    if table is None or reader.rest:
        raise ArgumentError("must be an expression of names and ! ' ^ * & + | ( )", got=expression, where=where)
    return Function(inputs, table)


def _column(index: int, count: int) -> int:
    """The truth table of input `index` alone, among `count`."""
    return sum(1 << pattern for pattern in range(1 << count) if pattern >> index & 1)


class _Reader:
    """Recursive descent over the tokens; every rule returns a truth table, or None where it finds no operand."""

    def __init__(self, tokens: list[str], columns: dict[str, int]) -> None:
        self.rest, self.columns = tokens[::-1], columns
        self.full = (1 << (1 << len(columns))) - 1

    def next_is(self, symbols: str) -> bool:
        return bool(self.rest) and self.rest[-1] in symbols

    def either(self) -> int | None:
        left = self.both()
        while left is not None and self.next_is("+|"):
            self.rest.pop()
            right = self.both()
            left = None if right is None else left | right
        return left

    def both(self) -> int | None:
        left = self.differ()
        while left is not None and self.rest and not self.next_is("+|)"):
            if self.next_is("*&"):
                self.rest.pop()
            right = self.differ()
            left = None if right is None else left & right
        return left

    def differ(self) -> int | None:
        left = self.operand()
        while left is not None and self.next_is("^"):
            self.rest.pop()
            right = self.operand()
            left = None if right is None else left ^ right
        return left

    def operand(self) -> int | None:
        if not self.rest:
            return None
        token = self.rest.pop()
        value: int | None
        if token == "!":
            inner = self.operand()
            return None if inner is None else inner ^ self.full
        if token == "(":
            value = self.either()
            if not self.next_is(")"):
                return None
            self.rest.pop()
        elif token in "01":
            value = self.full * int(token)
        else:
            value = self.columns.get(token)
        while value is not None and self.next_is("'"):
            self.rest.pop()
            value ^= self.full
        return value

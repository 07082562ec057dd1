"""Liberty as text: statements and groups, each with the line it stands on.

Groups that hwsim does not read are skipped by their braces alone, delay tables above all: a library of several
megabytes is mostly these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hwsim.errors import HwsimError


class LibertyError(HwsimError):
    """A Liberty file breaks the format; `where` is its name and line."""


@dataclass(slots=True)
class Group:
    """``kind (names) { attributes and groups }``, found at a position of the text."""

    kind: str
    names: str
    position: int
    attributes: dict[str, str] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def of(self, kind: str) -> Iterator[Group]:
        """Groups of one kind directly inside."""
        return (group for group in self.groups if group.kind == kind)


class LibertyText:
    """The text of a file `name` without comments and line continuations, every line where it was.

    `extra` names kinds of groups to read besides those of `KEPT`, such as ``timing`` and what lies in it.
    """

    def __init__(self, text: str, name: str, extra: frozenset[str] = frozenset()) -> None:
        self.text, self.name, self.kept = _plain(text), name, KEPT | extra

    def library(self) -> Group:
        """The file's one library, with the groups below it that hwsim reads."""
        text, position = self.text, 0
        root = Group("", "", 0)
        stack = [root]
        length = len(text)
        while position < length:
            match = _STATEMENT.match(text, position)
            if match is None:
                if not text[position:].strip():
                    break
                raise self.error("a statement must be 'name : value;' or 'name (values) { ... }'", position)
            position = match.end()
            if match["end"]:
                stack.pop()
                if not stack:
                    raise self.error("a closing brace must have an opening one", match.start("end"))
            elif match["open"]:
                if match["name"] not in self.kept:
                    position = self._skip(position)
                    continue
                group = Group(match["name"], match["names"], match.start("name"))
                stack[-1].groups.append(group)
                stack.append(group)
            elif match["name"]:
                value = match["value"] if match["value"] is not None else match["names"]
                stack[-1].attributes[match["name"]] = value.strip()
        if len(stack) > 1:
            raise self.error("an opening brace must have a closing one", stack[-1].position)
        libraries = list(root.of("library"))
        if len(libraries) != 1:
            raise self.error("a Liberty file must hold one library group", 0)
        return libraries[0]

    def error(self, rule: str, position: int, **got: object) -> LibertyError:
        """A broken rule with file and line of `position`."""
        start = position + len(self.text[position:]) - len(self.text[position:].lstrip())
        line = self.text.count("\n", 0, start) + 1
        return LibertyError(rule, where=f"{self.name}:{line}", **got)

    def _skip(self, position: int) -> int:
        depth = 1
        for match in _BRACE.finditer(self.text, position):
            depth += {"{": 1, "}": -1}.get(match[0], 0)
            if not depth:
                return match.end()
        raise self.error("an opening brace must have a closing one", position)


_STATEMENT = re.compile(
    r"""\s*(?:
        (?P<end>\})
      | (?P<name>[A-Za-z_]\w*)\s*
        (?: :\s*(?P<value>"[^"]*"|[^;{}\n]*?)\s*(?:;|(?=\n|\}))
          | \((?P<names>(?:[^()"]|"[^"]*")*)\)\s*(?:(?P<open>\{)|;|(?=\n|\}|\s*[A-Za-z_]))
        )
      | ;
    )""",
    re.VERBOSE,
)
_BRACE = re.compile(r'"[^"]*"|[{}]')
KEPT = frozenset(
    {"library", "cell", "pin", "bundle", "ff", "latch", "ff_bank", "latch_bank", "statetable", "internal_power"}
    | {"power", "rise_power", "fall_power", "leakage_power", "operating_conditions"}
)


def _plain(text: str) -> str:
    """The text without comments and line continuations, every line where it was."""

    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n")

    text = re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.DOTALL)
    return text.replace("\\\n", " \n")

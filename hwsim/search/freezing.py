"""A space with some of its knobs held at a value: the same file, asked a narrower question."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hwsim.errors import ArgumentError, UnknownName

if TYPE_CHECKING:
    from hwsim.search.space import DesignSpace


def freeze(space: DesignSpace, settings: Mapping[str, Any] | Iterable[str]) -> DesignSpace:
    """The space whose named knobs have one value each; its digest is another, so its studies are others.

    Args:
        space: any space.
        settings: knob -> value, or texts ``"knob=value"``.

    Raises:
        ArgumentError: a text of another form.
        UnknownName: no such knob, or the knob cannot have the value.
    """
    entries = dict(settings.items() if isinstance(settings, Mapping) else map(_split, settings))
    by_name = {knob.name: knob for knob in space.parameters}
    for name, value in entries.items():
        if name not in by_name:
            raise UnknownName("knob", name, by_name, where="freeze")
        held = [one for one in by_name[name].values if one == value or str(one) == str(value)]
        if not held:
            raise UnknownName(f"value of {name}", str(value), map(str, by_name[name].values), where="freeze")
        by_name[name] = dataclasses.replace(by_name[name], values=(held[0],))
    return dataclasses.replace(space, parameters=tuple(by_name.values()))


def _split(text: str) -> tuple[str, str]:
    name, sign, value = (part.strip() for part in text.partition("="))
    if not (name and sign and value):
        raise ArgumentError("a frozen knob must be KNOB=VALUE", got=text, where="freeze")
    return name, value

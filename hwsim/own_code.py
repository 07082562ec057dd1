"""Python files of a user's own: models, units, recipes.

Decides that what comes out of such a file, whenever it is called, is a mistake in it: the command line says it in one
line with the place, also where a worker process met it. Calls are not wrapped: a unit's members are called from
everywhere, and its source is its key.
"""

from __future__ import annotations

import re
import traceback
from pathlib import Path

_FILES: set[str] = set()

_PLACE = re.compile(r'^ *File "(.+)", line ([0-9]+)', re.MULTILINE)


def note(path: str | Path) -> None:
    """Remember that the file at `path`, as Python names it, is of a user's own."""
    _FILES.add(str(path))


def line_of(error: BaseException) -> str | None:
    """``file.py:12``, the last line of a user's own file that an error came through, or that is no Python; None where
    it came through none."""
    told = "".join(traceback.format_exception(error))  # with what a worker process wrote about it
    places = [f"{path}:{line}" for path, line in _PLACE.findall(told) if path in _FILES]
    return places[-1] if places else None

"""The page of a study that runs: written again whenever the study has grown, and read again by who has it open.

Decides that the page is followed by its file: a server was rejected, as the page must work without one. The folder
is the search's; the page in it is replaced whole, without a claim to the folder, so that the search never finds it
taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.report.page import put
from hwsim.storage import is_held

if TYPE_CHECKING:
    from hwsim.search.study import Study

POLL_S = 0.5
"""How often the folder is looked at."""

EVERY_S = 3.0
"""How often the open page is read again."""

SHARE = 4
"""The page is written again when this many times what the last writing took have passed."""


def follow_report(folder: str | Path, told: Callable[[Study, Path], None] = lambda study, page: None) -> Study:
    """Write the page of a study again and again while another process searches, and once more when it has ended.

    Args:
        folder: of a study that is under way, or that is not.
        told: called with the study so far and its page after each writing.

    Returns:
        The study as it was when nobody worked on it any more, finished or not.

    Raises:
        TraceError: the folder holds no study.
        ArgumentError: the study ended without a feasible design.
    """
    from hwsim.search import load_study

    folder, seen = Path(folder), ""
    while True:
        began = time.monotonic()
        runs = is_held(folder)  # before the study is read: what is written in between is read
        if (stamp := _stamp(folder)) != seen or not runs:
            study, seen = load_study(folder), stamp
            if study.front or not runs:
                told(study, put(study, folder, EVERY_S if runs else None))
            if not runs:
                return study
        time.sleep(max(POLL_S, SHARE * (time.monotonic() - began)))


def _stamp(folder: Path) -> str:
    """What changes whenever a file of the study does that its page is made from."""
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix in (".jsonl", ".json", ".csv") and path.is_file():
            facts = path.stat()
            found.append(f"{path.name} {facts.st_mtime_ns} {facts.st_size}")
    return " ".join(found)

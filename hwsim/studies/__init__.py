"""Studies: one published claim each, measured again on this project's circuits and on real operands.

`run` computes everything anew; what a study quotes from a paper carries its source and stands beside what was found,
also where the two disagree.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from hwsim.errors import ArgumentError, UnknownName
from hwsim.storage import owned

NAMES = {
    "pann": "hwsim.studies.pann",
    "ternary_lut": "hwsim.studies.ternary_lut",
    "luq": "hwsim.studies.luq",
    "chips": "hwsim.studies.chips",
    "decode": "hwsim.studies.decode",
    "dropcompute": "hwsim.studies.dropcompute",
    "caat": "hwsim.studies.caat",
    "recurrent": "hwsim.studies.recurrent",
    "measured": "hwsim.studies.measured",
    "muon": "hwsim.studies.muon",
    "fp4_training": "hwsim.studies.fp4_training",
    "pretrained": "hwsim.studies.pretrained",
    "lottery": "hwsim.studies.lottery",
    "market": "hwsim.studies.market",
    "seeds": "hwsim.studies.seeds",
    "refinement": "hwsim.studies.refinement",
}

__all__ = ["NAMES", "run"]


def run(
    name: str,
    out: str | Path,
    *,
    quick: bool = False,
    force: bool = False,
    workers: int = 1,
    advance: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Compute the study `name` and write its page and its tables into the folder `out`; returns the page's path.

    A study of cells (`hwsim.studies.cells`) goes on with those that `out` holds of an interrupted run.

    Args:
        name: one of `NAMES`.
        out: folder, made if absent; ``study.md`` and a CSV for each table.
        quick: a small grid and short streams, to see that it runs; the numbers are no result.
        force: also write into a folder that holds something else.
        workers: processes, of a study of cells; they change no bit.
        advance: called with (cells done, of how many, which) after each.

    Raises:
        UnknownName: another name. ArgumentError: the folder holds something else, or workers for a study that is one
            piece.
        MissingExtra: Yosys, torch or what else the study needs is not installed.
    """
    if name not in NAMES:
        raise UnknownName("study", name, NAMES)
    from hwsim.studies.cells import forget, measured
    from hwsim.studies.page import write

    module = importlib.import_module(NAMES[name])
    grid = module.QUICK if quick else module.FULL
    apart = hasattr(module, "cells")
    if workers != 1 and not apart:
        raise ArgumentError("workers must be 1, this study is one piece", got=workers, where=name)
    with owned(out, "replication", force=force) as folder:  # before the work
        found = measured(module.cells(grid), folder, workers, advance) if apart else None
    page = write(module.study(grid, found) if apart else module.study(grid), out, force)
    forget(Path(out))
    return page

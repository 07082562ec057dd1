"""Studies: one published claim each, measured again on this project's circuits and on real operands.

`run` computes everything anew; what a study quotes from a paper carries its source and stands beside what was found,
also where the two disagree.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from hwsim.errors import UnknownName
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
    "lottery": "hwsim.studies.lottery",
    "market": "hwsim.studies.market",
    "seeds": "hwsim.studies.seeds",
}

__all__ = ["NAMES", "run"]


def run(name: str, out: str | Path, *, quick: bool = False, force: bool = False) -> Path:
    """Compute the study `name` and write its page and its tables into the folder `out`; returns the page's path.

    Args:
        name: one of `NAMES`.
        out: folder, made if absent; ``study.md`` and a CSV for each table.
        quick: a small grid and short streams, to see that it runs; the numbers are no result.
        force: also write into a folder that holds something else.

    Raises:
        UnknownName: another name. ArgumentError: the folder holds something else.
        MissingExtra: Yosys or torch is not installed.
    """
    if name not in NAMES:
        raise UnknownName("study", name, NAMES)
    from hwsim.studies.page import write

    module = importlib.import_module(NAMES[name])
    with owned(out, "replication", force=force):  # before the work
        pass
    return write(module.study(module.QUICK if quick else module.FULL), out, force)

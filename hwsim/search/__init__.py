"""Design spaces, the search over them, and the study it leaves.

Names are loaded when they are first used: a question to a study loads no evaluator.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.search.baselines import with_baselines
    from hwsim.search.certificate import sentence
    from hwsim.search.comparison import Comparison, Flip, compare
    from hwsim.search.confirmation import confirm_front
    from hwsim.search.differences import Difference, as_point, difference
    from hwsim.search.exploring import explore
    from hwsim.search.freezing import freeze
    from hwsim.search.manifest import clear_study
    from hwsim.search.optuna_journal import write_journal
    from hwsim.search.pareto import front
    from hwsim.search.points import Point
    from hwsim.search.questions import Answer, query
    from hwsim.search.shards import merge, work
    from hwsim.search.space import Design, DesignSpace, Parameter
    from hwsim.search.space_file import load_space, space_from_dict
    from hwsim.search.study import Study, load_study
    from hwsim.search.sweeping import sweep
    from hwsim.search.thinning import Alike, thinned

_HOME = {
    "Alike": "thinning",
    "Answer": "questions",
    "Comparison": "comparison",
    "Design": "space",
    "DesignSpace": "space",
    "Difference": "differences",
    "Flip": "comparison",
    "Parameter": "space",
    "Point": "points",
    "Study": "study",
    "as_point": "differences",
    "clear_study": "manifest",
    "compare": "comparison",
    "confirm_front": "confirmation",
    "difference": "differences",
    "explore": "exploring",
    "freeze": "freezing",
    "front": "pareto",
    "load_space": "space_file",
    "load_study": "study",
    "merge": "shards",
    "query": "questions",
    "sentence": "certificate",
    "space_from_dict": "space_file",
    "sweep": "sweeping",
    "thinned": "thinning",
    "with_baselines": "baselines",
    "work": "shards",
    "write_journal": "optuna_journal",
}

__all__ = [
    "Alike",
    "Answer",
    "Comparison",
    "Design",
    "DesignSpace",
    "Difference",
    "Flip",
    "Parameter",
    "Point",
    "Study",
    "as_point",
    "clear_study",
    "compare",
    "confirm_front",
    "difference",
    "explore",
    "freeze",
    "front",
    "load_space",
    "load_study",
    "merge",
    "query",
    "sentence",
    "space_from_dict",
    "sweep",
    "thinned",
    "with_baselines",
    "work",
    "write_journal",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

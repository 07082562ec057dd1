"""Design spaces, the search over them, and the study it leaves."""

from hwsim.search.baselines import with_baselines
from hwsim.search.certificate import sentence
from hwsim.search.comparison import Comparison, Flip, compare
from hwsim.search.confirmation import confirm_front
from hwsim.search.difference import Difference, as_point, difference
from hwsim.search.explorer import explore
from hwsim.search.freezing import freeze
from hwsim.search.optuna_journal import write_journal
from hwsim.search.pareto import front
from hwsim.search.points import Point
from hwsim.search.query import Answer, query
from hwsim.search.shards import merge, work
from hwsim.search.space import Design, DesignSpace, Parameter, load_space, space_from_dict
from hwsim.search.study import Study, clear_study, load_study
from hwsim.search.sweeping import sweep
from hwsim.search.thinning import Alike, thinned

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

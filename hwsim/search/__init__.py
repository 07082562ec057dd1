"""Design spaces, the search over them, and the study it leaves."""

from hwsim.search.confirmation import confirm_front
from hwsim.search.explorer import explore
from hwsim.search.pareto import front
from hwsim.search.space import Design, DesignSpace, Parameter, load_space, space_from_dict
from hwsim.search.study import Point, Study, clear_study, load_study
from hwsim.search.sweeping import sweep, thinned

__all__ = [
    "Design",
    "DesignSpace",
    "Parameter",
    "Point",
    "Study",
    "clear_study",
    "confirm_front",
    "explore",
    "front",
    "load_space",
    "load_study",
    "space_from_dict",
    "sweep",
    "thinned",
]

"""One design priced for the command line, as soon as that can be the first time.

A first result waits for kernels that are not compiled yet, some of the arithmetic and some of the plan, and Numba
compiles one at a time. So a second process decides the plan of a first result meanwhile; it leaves its machine code
in the cache, and the next result needs no second process. Rejected: machine code in the wheel, which is of one
processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.evaluation import Evaluation
    from hwsim.trace import Trace

AccuracyKind = Literal["replay", "rerun"]
EnergyKind = Literal["pann", "trace", "gates"]


def price(trace: Trace, machine: Accelerator, accuracy: AccuracyKind, energy: EnergyKind) -> Evaluation:
    """`hwsim.evaluate`, with its plan in a second process where no plan was ever made here and a core is free."""
    from hwsim.evaluation import Evaluator
    from hwsim.jit import is_compiled, thread_count
    from hwsim.search.workers import open_pool
    from hwsim.timing.tiles import cost_of

    evaluator = Evaluator(trace, accuracy, energy)
    own = all(type(one.datapath).__module__.startswith("hwsim.") for one in machine.policy.numerics)
    if not own or thread_count() == 1 or is_compiled(cost_of.py_func):  # a user's unit is at home in this process
        return evaluator(machine)
    with open_pool(2) as pool:
        assert pool is not None
        evaluator.begin_plan(machine, pool.submit)
        return evaluator(machine)

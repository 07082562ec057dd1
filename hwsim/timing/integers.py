"""A bounded planner over integers: constraints ``==``, ``<=`` and divisibility between sums, products and powers.

Depth first over variables in a given order, each with its values in order of preference. What cannot be met is seen
by intervals: a term's least and greatest value over what is still open, which for sums and products of numbers that
are not negative lie at the ends. Without a cost the first solution counts, and its quality is that of the order: so
FlashRNN's own solver works (ConstrINT, arXiv 2412.07752). With a cost the least value that a partial plan can still
reach is compared with the best plan so far, and what is found is the optimum.

Terms have no subtraction and no division; multiply out. Rejected: a solver of a package, for a dozen variables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hwsim.errors import ArgumentError

Box = Mapping[str, tuple[int, int]]
"""Least and greatest value of each variable."""


@dataclass(frozen=True, slots=True)
class Term:
    """A sum or product of variables and numbers, none negative.

    Attributes:
        bounds: its least and greatest value over a box.
        text: as written.
    """

    bounds: Callable[[Box], tuple[int, int]]
    text: str

    def __add__(self, other: Term | int) -> Term:
        right = term(other)

        def bounds(box: Box) -> tuple[int, int]:
            (a, b), (c, d) = self.bounds(box), right.bounds(box)
            return a + c, b + d

        return Term(bounds, f"({self.text} + {right.text})")

    def __mul__(self, other: Term | int) -> Term:
        right = term(other)

        def bounds(box: Box) -> tuple[int, int]:
            (a, b), (c, d) = self.bounds(box), right.bounds(box)
            return a * c, b * d

        return Term(bounds, f"{self.text} * {right.text}")

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, power: int) -> Term:
        def bounds(box: Box) -> tuple[int, int]:
            low, high = self.bounds(box)
            return low**power, high**power

        return Term(bounds, f"{self.text} ^ {power}")


def variable(name: str) -> Term:
    """A variable by its name."""
    return Term(lambda box: box[name], name)


def term(value: Term | int) -> Term:
    """A number as a term.

    Raises:
        ArgumentError: it is negative.
    """
    if isinstance(value, Term):
        return value
    if value < 0:
        raise ArgumentError("a number of a term must not be negative", got=value)
    return Term(lambda _: (value, value), str(value))


@dataclass(frozen=True, slots=True)
class Constraint:
    """What must hold. `open` says whether it still can in a box; in a box of single values, whether it does."""

    open: Callable[[Box], bool]
    text: str

    def __or__(self, other: Constraint) -> Constraint:
        return Constraint(lambda box: self.open(box) or other.open(box), f"({self.text} | {other.text})")


def equal(left: Term | int, right: Term | int) -> Constraint:
    """``left == right``."""
    a, b = term(left), term(right)

    def possible(box: Box) -> bool:
        (low, high), (least, most) = a.bounds(box), b.bounds(box)
        return low <= most and least <= high

    return Constraint(possible, f"{a.text} == {b.text}")


def at_most(left: Term | int, right: Term | int) -> Constraint:
    """``left <= right``."""
    a, b = term(left), term(right)
    return Constraint(lambda box: a.bounds(box)[0] <= b.bounds(box)[1], f"{a.text} <= {b.text}")


def divides(divisor: Term | int, of: Term | int) -> Constraint:
    """``of % divisor == 0``."""
    a, b = term(of), term(divisor)

    def possible(box: Box) -> bool:
        (low, high), (least, most) = a.bounds(box), b.bounds(box)
        return least < most or (least > 0 and high // least * least >= low)

    return Constraint(possible, f"{a.text} % {b.text} == 0")


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan that meets all constraints.

    Attributes:
        values: of the variables.
        cost: of the plan; 0 without a cost.
        nodes: values that were tried.
        optimal: whether no plan is cheaper; False without a cost, and where the search was cut short.
    """

    values: dict[str, int]
    cost: int
    nodes: int
    optimal: bool


def plan_integers(
    domains: Mapping[str, Sequence[int]],
    constraints: Sequence[Constraint],
    cost: Term | None = None,
    most_nodes: int = 1_000_000,
) -> Planned | None:
    """A plan: the first in the order of variables and values, or the cheapest one.

    Args:
        domains: values of each variable in order of preference, none negative; variables in the order of the search.
        constraints: that must hold.
        cost: to be least; among equal ones the first.
        most_nodes: tries, after which the best so far is returned.

    Returns:
        The plan, or None where there is none, or none among the tries.

    Raises:
        ArgumentError: a variable without values, or with a negative one.
    """
    for name, values in domains.items():
        if not values or min(values) < 0:
            raise ArgumentError("a variable must have values, none negative", got=list(values), where=name)
    names = list(domains)
    box = {name: (min(values), max(values)) for name, values in domains.items()}
    best: tuple[int, dict[str, int]] | None = None
    nodes = 0

    def search(depth: int) -> bool:
        """Whether to go on."""
        nonlocal best, nodes
        if depth == len(names):
            found = {name: low for name, (low, _) in box.items()}
            best = (0 if cost is None else cost.bounds(box)[0], found)
            return cost is not None
        name = names[depth]
        whole = box[name]
        for value in domains[name]:
            if nodes >= most_nodes:
                break
            nodes += 1
            box[name] = value, value
            hopeful = cost is None or best is None or cost.bounds(box)[0] < best[0]
            if hopeful and all(one.open(box) for one in constraints) and not search(depth + 1):
                box[name] = whole
                return False
        box[name] = whole
        return nodes < most_nodes

    finished = search(0)
    if best is None:
        return None
    return Planned(best[1], best[0], nodes, cost is not None and finished)

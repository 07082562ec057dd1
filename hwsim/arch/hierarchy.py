"""Memory levels as a graph: every operand's chain from DRAM to the array, and what a graph must satisfy.

A level says what fills it. An operand passes the levels that hold it, DRAM first, each filled by the one before; two
operands may share a level, and one may pass fewer levels than another. Levels that hold an operand on two branches
were rejected: which of them an array reads would be a second decision beside the plan.
"""

from __future__ import annotations

from hwsim.arch.dataflow import OPERANDS, Operand
from hwsim.arch.memory import Memory
from hwsim.errors import DesignError


def chain(memories: tuple[Memory, ...], operand: Operand) -> tuple[Memory, ...]:
    """The levels that `operand` passes, DRAM first, the one that the array reads last."""
    by_name = {memory.name: memory for memory in memories}
    level = _innermost(memories, operand)[0]
    found = [level]
    while level.parent is not None:
        level = by_name[level.parent]
        found.append(level)
    return tuple(reversed(found))


def check(memories: tuple[Memory, ...], where: str) -> None:
    """Complain unless the levels are a graph that a machine can have.

    Names differ; one DRAM is the root and holds every operand; every other level leads to it; each operand has one
    innermost level, on chip, and every level between holds it too.

    Raises:
        DesignError: the first rule that is broken, at the path of the level below `where`.
    """
    names = [memory.name for memory in memories]
    for name in names:
        if names.count(name) > 1:
            raise DesignError("must be a name that no other memory has", got=name, where=f"{where}.{name}.name")
    roots = [memory.name for memory in memories if memory.kind == "dram"]
    if len(roots) != 1:
        raise DesignError("must have exactly one DRAM", got=roots, where=where)
    by_name = {memory.name: memory for memory in memories}
    for memory in memories:
        _leads_to_dram(memory, by_name, where)
    for operand in OPERANDS:
        _holds(operand, memories, by_name, where)


def _leads_to_dram(memory: Memory, by_name: dict[str, Memory], where: str) -> None:
    passed = [memory.name]
    while (parent := memory.parent) is not None:
        if parent not in by_name:
            raise DesignError(
                f"must be another memory: {', '.join(by_name)}", got=parent, where=f"{where}.{memory.name}.parent"
            )
        if parent in passed:
            raise DesignError(
                f"must lead to the DRAM, not in a circle ({' <- '.join([parent, *reversed(passed)])})",
                got=parent,
                where=f"{where}.{memory.name}.parent",
            )
        passed.append(parent)
        memory = by_name[parent]


def _holds(operand: Operand, memories: tuple[Memory, ...], by_name: dict[str, Memory], where: str) -> None:
    ends = _innermost(memories, operand)
    if len(ends) != 1:
        names = [memory.name for memory in ends]
        raise DesignError(f"must end in one memory on chip that holds {operand!r}", got=names, where=where)
    level = ends[0]
    while level.parent is not None:
        above = by_name[level.parent]
        if operand not in above.holds:
            raise DesignError(
                f"must name {operand!r}, which {level.name!r} takes from it",
                got=list(above.holds),
                where=f"{where}.{above.name}.holds",
            )
        level = above


def _innermost(memories: tuple[Memory, ...], operand: Operand) -> list[Memory]:
    """Levels on chip that hold `operand` and fill no other level that does."""
    holders = [memory for memory in memories if operand in memory.holds and memory.kind != "dram"]
    parents = {memory.parent for memory in holders}
    return [memory for memory in holders if memory.name not in parents]

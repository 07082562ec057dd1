"""Cycles of one decision on many machines that differ in ports, lanes and bandwidth: columns of a plan's latency.

A step's latency is a closed form of what it moves and works (`hwsim.timing.counts.pipeline`), rounded up to whole
cycles. It is computed in float64 for all machines at once. Where the result lies so near a whole number that float64
cannot say on which side, that one step is computed again in integers, so that every latency equals the plan's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwsim.timing.groups import Part, part, totals
from hwsim.timing.planning import Decision, assembled, check, works_of
from hwsim.timing.stages import stage
from hwsim.timing.wiring import wiring

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.arch.parts import Array
    from hwsim.trace.graph import Graph

UNSURE = 1e-13
"""Relative distance from a whole number below which float64 does not decide: its own error is some 1e-15."""


@dataclass(frozen=True, slots=True)
class Paced:
    """One step: bits read and written by level, DRAM bits before the array starts and after it ends together, cycles
    of the array, equal pieces, and the stages whose vector work it does, with how often their prologue."""

    reads: tuple[int, ...]
    writes: tuple[int, ...]
    edge: Fraction
    cycles: int
    tiles: int
    stages: tuple[int, ...]
    prologues: int


class Stages:
    """The stages of a graph under one policy, with the vector work of each: whatever array and memories carry it out.

    Args:
        graph: of the operators.
        machine: supplies policy and bits of a stored activation.
        attach: of the decision.
        additions: of an element of operand b in an add-only unit, by the operator's place in the graph.
    """

    def __init__(
        self, graph: Graph, machine: Accelerator, attach: bool, additions: dict[int, float] | None = None
    ) -> None:
        self.staged, self.additions = stage(graph, machine, attach), additions
        self._parts: dict[tuple[Array, int], tuple[Part, ...]] = {}

    def parts(self, machine: Accelerator, lanes: int | None = None) -> tuple[Part, ...]:
        """The numbers of every stage on `machine`, or on the same with so many lanes."""
        key = machine.array, machine.vector.lanes if lanes is None else lanes
        if key not in self._parts:
            if lanes is not None:
                machine = replace(machine, vector=replace(machine.vector, lanes=lanes))
            stages = range(len(self.staged.stages))
            self._parts[key] = tuple(part(self.staged, number, machine, self.additions) for number in stages)
        return self._parts[key]


class Retiming:
    """The steps of a decision, to be timed on machines of the sizes that it was made for.

    Args:
        decided: what the plan decides.
        stages: of the graph, as the decision attaches vector work.
        machine: any machine of those sizes.
    """

    def __init__(self, decided: Decision, stages: Stages, machine: Accelerator) -> None:
        self.machine, self.stages = machine, stages
        staged, wires, parts = stages.staged, wiring(machine, None), stages.parts(machine)
        self.levels, self.overlaps = wires.names[1:], wires.overlaps
        works = works_of(parts, decided.moves, decided.aim, staged, wires)
        self.plan = assembled(works, decided.moves, staged, machine, wires, timed=False)
        check(self.plan, staged.graph)
        self.steps = []
        for move, (_, work) in zip(decided.moves, works, strict=True):
            reads, writes = totals(work.flows, len(wires.names))
            self.steps.append(
                Paced(
                    tuple(reads),
                    tuple(writes),
                    min(Fraction(work.first), Fraction(reads[0])) + min(Fraction(work.last), Fraction(writes[0])),
                    ceil(work.cycles),
                    int(work.tiles),
                    tuple(range(move.first, move.end)),
                    work.prologues,
                )
            )

    def vector(self, lanes: int) -> NDArray[np.int64]:
        """Cycles of a vector unit of so many lanes in every step, int64 ``[steps]``."""
        parts = self.stages.parts(self.machine, lanes)
        return np.array([
            sum(parts[one].vector_cycles + parts[one].pre_cycles * paced.prologues for one in paced.stages)
            for paced in self.steps
        ])  # fmt: skip

    def busy(self, ports: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cycles of the array or of the busiest port in every step.

        Args:
            ports: for each level on chip, in the order of `levels`, bits a cycle of its read ports, write ports and
                all ports: int64 ``[levels, 3]``.

        Returns:
            int64 ``[steps]``.
        """
        found = []
        for paced in self.steps:
            most = paced.cycles
            for level, (read, write, every) in enumerate(ports.tolist(), 1):
                reads, writes = paced.reads[level], paced.writes[level]
                most = max(most, -(-reads // read), -(-writes // write), -(-(reads + writes) // every))
            found.append(most)
        return np.array(found, np.int64)

    def latency(
        self, pace: NDArray[np.float64], busy: NDArray[np.int64], vector: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Cycles of the run on each machine.

        Args:
            pace: bits a cycle of the DRAM channel, float64 ``[machines]``.
            busy, vector: of `busy` and `vector`, int64 ``[machines, steps]``.

        Returns:
            int64 ``[machines]``.
        """
        moved = np.array([paced.reads[0] + paced.writes[0] for paced in self.steps], np.float64)
        edge = np.array([float(paced.edge) for paced in self.steps])
        tiles = np.array([paced.tiles for paced in self.steps], np.float64)
        rate, work = pace[:, None], busy + vector
        if self.overlaps:
            fed = moved / rate + work / tiles
            worked = edge / rate + work / tiles + np.maximum(busy, vector) * ((tiles - 1) / tiles)
            found = np.maximum(fed, worked)
        else:
            found = moved / rate + work
        whole = np.ceil(found)
        unsure = np.abs(found - np.rint(found)) <= UNSURE * np.maximum(found, 1.0)
        known: dict[tuple[int, float, int, int], int] = {}
        for machine, step in zip(*np.nonzero(unsure), strict=True):
            key = int(step), float(pace[machine]), int(busy[machine, step]), int(vector[machine, step])
            if key not in known:
                known[key] = self._exact(*key)
            whole[machine, step] = known[key]
        return np.asarray(whole.astype(np.int64).sum(axis=1))

    def _exact(self, step: int, pace: float, busy: int, vector: int) -> int:
        """The latency of a step over one common denominator, as `hwsim.timing.steps` counts it in fractions."""
        paced, (rate, of) = self.steps[step], pace.as_integer_ratio()
        moved, work = paced.reads[0] + paced.writes[0], busy + vector
        if not self.overlaps:
            return -(-moved * of // rate) + work
        edge, tiles = paced.edge, paced.tiles
        apart, worked = edge.denominator, work + max(busy, vector) * (tiles - 1)
        most = max(
            moved * of * tiles * apart + work * rate * apart,
            edge.numerator * of * tiles + worked * rate * apart,
        )
        return -(-most // (rate * tiles * apart))

"""The plan of a run: what lies where and when, tile by tile, from the model's input to its stored output.

The plan is the cheapest that the search finds for the machine's objective: DRAM bits, energy, cycles, or energy times
cycles (by a sweep over weighted sums). Where a product with the vector work around it fits no memory, every operator
is planned as a stage of its own. It is never worse than every operator alone with all results in DRAM, which tiny
memories make cheaper than fused tiles of a row or two. `check` holds for every plan that is returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.arch.plan import Plan, Resident, Step
from hwsim.errors import ArgumentError, HwsimError
from hwsim.timing.fusing import fusion
from hwsim.timing.groups import FUSED_TILE, Choice, Part, Places, part
from hwsim.timing.moves import Group, Objective, prepare
from hwsim.timing.residency import Residents, Search
from hwsim.timing.stages import Staged, stage
from hwsim.timing.steps import Work, step_of, work_of
from hwsim.timing.wiring import PlanPrices, Wiring, wiring
from hwsim.trace.graph import Graph

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.trace.gemm import Workload

TIE = 2.0**-40
"""Weight of what an objective does not name: it decides between plans that are equal otherwise."""

SWEEP = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""Weights of time against energy that are tried for their product, in units of both plans' extremes."""


class BrokenPlan(HwsimError):
    """A plan that reads what nothing wrote: a defect of the planner, never of a machine or a model."""


def plan(
    work: Graph | Workload,
    machine: Accelerator,
    prices: PlanPrices | None = None,
    additions: dict[int, float] | None = None,
) -> Plan:
    """The plan of a graph, or of a workload that holds one, on a machine.

    Args:
        work: the operators; no operators give a plan without steps.
        machine: levels, array, vector unit, objective.
        prices: of the levels, for the objectives that weigh energy; without them a bit of DRAM counts 1.
        additions: of an element of operand b in an add-only unit, by the operator's place in the graph.

    Raises:
        ArgumentError: a workload without a graph.
        DesignError: a size of 0, a layer in float32, or a stage that no memory can hold.
    """
    graph = work if isinstance(work, Graph) else work.graph
    if graph is None:
        raise ArgumentError("must hold a graph of operators", got=work, where="plan.work")
    if not graph.operators:
        return Plan(machine.objective, (), (), machine.dram.name)
    return carry_out(decide(graph, machine, prices, additions), graph, machine, additions)


@dataclass(frozen=True, slots=True)
class Taken:
    """Stages `first` up to `end`, not included, as one group: places of its tensors, its tile, and what lies on chip
    behind it."""

    first: int
    end: int
    places: Places
    choice: Choice
    residents: Residents


@dataclass(frozen=True, slots=True)
class Decision:
    """What a plan decides, without what follows from it: it holds on every machine whose memories have the same sizes
    and holders and whose array the same dataflow.

    Attributes:
        attach: whether vector work runs with the product beside it.
        fused: whether tensors may stay on chip between stages.
        aim: what it was chosen for.
        moves: in order.
    """

    attach: bool
    fused: bool
    aim: Objective
    moves: tuple[Taken, ...]


def decide(
    graph: Graph, machine: Accelerator, prices: PlanPrices | None = None, additions: dict[int, float] | None = None
) -> Decision:
    """The best decisions for a graph of at least one operator on a machine.

    Raises:
        DesignError: a size of 0, a layer in float32, or a stage that no memory can hold.
    """
    wires = wiring(machine, prices)
    best: tuple[float, Decision] | None = None
    failed: HwsimError | None = None
    for attach, fused in ((True, True), (False, True), (False, False)) if machine.fused else ((False, False),):
        if best is not None and fused and machine.objective in ("edp", "nominal"):
            continue  # no bound says whether operators apart are worth a search, or the search is a brief one
        staged = stage(graph, machine, attach)
        if best is not None and best[0] <= _least_unfused(staged, machine, wires):
            continue
        parts = tuple(part(staged, number, machine, additions) for number in range(len(staged.stages)))
        search = Search(staged, parts, wires, fused)
        if best is not None and fused and best[0] <= search.promise(_aim(machine, wires)):
            continue
        try:
            cost, aim, moves = _search(search, staged, machine, wires)
        except HwsimError as error:
            failed = failed or error
            continue
        if best is None or cost < best[0]:
            best = cost, Decision(attach, fused, aim, moves)
    if best is None:
        assert failed is not None
        raise failed
    return best[1]


def carry_out(
    decided: Decision, graph: Graph, machine: Accelerator, additions: dict[int, float] | None = None
) -> Plan:
    """The plan of a decision on `machine`, whose dataflow and sizes of memories are those it was made for.

    Sides of the array, ports, lanes, bandwidth, prices and clock may be others: they change what the steps take, and
    how often the array reads what lies on chip.
    """
    staged, wires = stage(graph, machine, decided.attach), wiring(machine, None)
    parts = tuple(part(staged, number, machine, additions) for number in range(len(staged.stages)))
    made = plan_of(parts, decided.moves, decided.aim, staged, machine, wires)
    check(made, graph)
    return made


def _least_unfused(staged: Staged, machine: Accelerator, wires: Wiring) -> float:
    """What the objective costs at least where every stage reads and writes the DRAM."""
    read = sum(one.bits for each in staged.stages for one in each.reads)
    written = sum(staged.made_bits.get(name, staged.bits[name]) for each in staged.stages for name in each.writes)
    cycles = (read + written) / wires.bits_per_cycle
    energy = read * wires.prices[0, 0] + written * wires.prices[0, 1] + wires.idle * cycles
    least = {"traffic": read + written, "time": cycles, "energy": energy, "nominal": energy, "edp": energy * cycles}
    return float(least[machine.objective])


def _aim(machine: Accelerator, wires: Wiring) -> Objective:
    """What a machine's objective weighs; of energy times delay, the delay."""
    if machine.objective == "traffic":
        return Objective(1.0, 0.0, TIE)
    if machine.objective in ("energy", "nominal"):
        return Objective(TIE, 1.0, wires.idle + TIE, halves=machine.objective == "energy")
    return Objective(TIE, 0.0, 1.0)


def _search(
    search: Search, staged: Staged, machine: Accelerator, wires: Wiring
) -> tuple[float, Objective, tuple[Taken, ...]]:
    """The least cost, what moves were weighed by, and the moves."""

    def best(aim: Objective) -> tuple[float, Objective, tuple[Taken, ...]]:
        cost, moves = search.run(aim, brief=machine.objective == "nominal")
        taken = (Taken(m.span.first, m.span.end, m.places, m.choice, m.residents) for m in moves)
        return cost, aim, tuple(taken)

    fast = best(_aim(machine, wires))
    if machine.objective != "edp":
        return fast
    found = [fast, best(Objective(TIE, 1.0, wires.idle + TIE))]
    plans = [plan_of(search.parts, moves, aim, staged, machine, wires) for _, aim, moves in found]
    scale = energy_of(plans[1], wires) / max(1, plans[0].latency_cycles)
    for weight in SWEEP:
        found.append(best(Objective(TIE, 1.0, wires.idle + weight * scale)))
        plans.append(plan_of(search.parts, found[-1][2], found[-1][1], staged, machine, wires))
    product, number = min((energy_of(one, wires) * one.latency_cycles, place) for place, one in enumerate(plans))
    return product, *found[number][1:]


def energy_of(made: Plan, wires: Wiring) -> float:
    """pJ of the levels and of idling, as the search weighs them."""
    price = {name: wires.prices[number, :2] for number, name in enumerate(wires.names)}
    moved = sum(
        row.read_bits * price[row.level][0] + row.written_bits * price[row.level][1]
        for step in made.steps
        for row in step.traffic
    )
    return float(moved + wires.idle * made.latency_cycles)


def group_of(move: Taken, parts: tuple[Part, ...], aim: Objective, staged: Staged, wires: Wiring) -> Group:
    """The numbers of a move's group on the machine of `parts` and `wires`."""
    chosen = parts[move.first : move.end]
    how = fusion(staged, chosen) if len(move.choice.tile) == FUSED_TILE else None
    return prepare(staged, chosen, how, move.places, wires, aim)


def plan_of(
    parts: tuple[Part, ...], moves: tuple[Taken, ...], aim: Objective, staged: Staged, machine: Accelerator,
    wires: Wiring,
) -> Plan:  # fmt: skip
    """The plan that moves make on the machine of `parts` and `wires`."""
    return assembled(works_of(parts, moves, aim, staged, wires), moves, staged, machine, wires)


def works_of(
    parts: tuple[Part, ...], moves: tuple[Taken, ...], aim: Objective, staged: Staged, wires: Wiring
) -> list[tuple[Group, Work]]:
    """What each move does on the machine of `parts` and `wires`."""
    groups = [group_of(move, parts, aim, staged, wires) for move in moves]
    return [(group, work_of(group, move.choice, staged, wires)) for group, move in zip(groups, moves, strict=True)]


def assembled(
    works: list[tuple[Group, Work]], moves: tuple[Taken, ...], staged: Staged, machine: Accelerator, wires: Wiring,
    timed: bool = True,
) -> Plan:  # fmt: skip
    """The plan of what moves do (`works_of`); its steps take no time where they are not `timed`."""
    steps: list[Step] = []
    since: dict[tuple[str, int], int] = {}
    residents: list[Resident] = []

    def ends(name: str, where: int, last: int) -> None:
        level = wires.names[wires.outer[where]]
        residents.append(Resident(name, level, staged.bits[name], since.pop((name, where)), last))

    for number, (move, (group, work)) in enumerate(zip(moves, works, strict=True)):
        steps.append(step_of(group, work, staged, machine, wires, timed))
        for name, where in move.residents:
            since.setdefault((name, where), number)
        for name, where in [key for key in since if key not in move.residents]:
            ends(name, where, number)
    return Plan(machine.objective, tuple(steps), tuple(residents), wires.names[0])


def check(made: Plan, graph: Graph) -> None:
    """That what a plan reads from a level was written there before.

    Raises:
        BrokenPlan: a tensor is read from a level where nothing wrote it; an operator is left out or runs twice; the
            model's input is not loaded whole, or its output not stored.
    """
    tensors = graph.by_name
    ran = [place for step in made.steps for place in step.operators]
    wanted = [place for place, operator in enumerate(graph.operators) if not operator.folded]
    if sorted(ran) != wanted:
        raise BrokenPlan("every operator must run once", got=ran, where="plan")
    folded = {operator.output for operator in graph.operators if operator.folded}
    kept = {operator.output for operator in graph.operators if operator.kind == "cache"}
    there = {(name, made.dram) for name, tensor in tensors.items()
             if tensor.source != "computed" or name in folded or name in kept}  # fmt: skip
    loaded: dict[str, int] = {}
    stored: dict[str, int] = {}
    for number, step in enumerate(made.steps):
        there |= {(row.tensor, row.level) for row in step.traffic if row.written_bits}
        for row in step.traffic:
            if row.read_bits and (row.tensor, row.level) not in there:
                raise BrokenPlan(
                    "what is read must have been written", got=row.tensor, where=f"step {number}, level {row.level}"
                )
            if row.level == made.dram:
                loaded[row.tensor] = loaded.get(row.tensor, 0) + row.read_bits
                stored[row.tensor] = stored.get(row.tensor, 0) + row.written_bits
    used = {access.tensor for place in wanted for access in graph.operators[place].inputs}
    for name, tensor in tensors.items():
        if tensor.source == "input" and name in used and not loaded.get(name):
            raise BrokenPlan("the input must be loaded", got=name, where="plan")
        if tensor.is_output and tensor.source == "computed" and not stored.get(name) and name not in folded:
            raise BrokenPlan("the output must be stored", got=name, where="plan")

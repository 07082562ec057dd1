"""A graph as stages: one product with the vector work before and behind it, or vector work alone.

Vector work that looks at one row at a time runs where its row passes anyway. Behind the product that makes the row
(an epilogue), or in front of the one product that reads its result (a prologue) where the row itself is stored for
others all the same: a norm of a residual stream is done again when the stream is read, not stored a second time.

What passes between stages is stored at the cheapest cut. A tensor that only products of one scheme read has that
scheme's bits, scales included; whatever vector work reads, and what the model returns, has the machine's
`output_bits`. A tensor of which a part is read is stored in that part. Operators that are folded offline are gone,
and their results are weights.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hwsim.arch.units import storage_bits
from hwsim.errors import DesignError
from hwsim.trace.graph import ROWWISE_KINDS, Access, Graph, Operator, Tensor

if TYPE_CHECKING:
    from hwsim.arch import Accelerator, Numerics, Policy

Use = Literal["a", "b", "vector"]

REDUCING_KINDS = frozenset({"softmax", "layernorm", "rmsnorm", "batchnorm", "groupnorm", "pool", "reduce", "other"})
"""Kinds that need a whole row before its first result."""

NORM_PASSES = {"softmax": 3, "layernorm": 3, "groupnorm": 3, "batchnorm": 1, "rmsnorm": 2}
"""Passes of the vector unit over its elements, 1 where not named: maximum, exponentials with their sum, division;
mean, variance, scaling; squares, scaling."""

STORED_INTEGERS = {"bool": 8, "uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 32}
"""Bits of a stored integer of torch's types: indices never need more than 32."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a stage reads of a tensor that it does not make: the part's stored bits."""

    tensor: str
    bits: int
    use: Use


@dataclass(frozen=True, slots=True)
class Stage:
    """Work between two stored tensors.

    Attributes:
        operators: places in the graph, in the order of the run.
        layer: of its product, or of its first operator.
        product: place of its product in the graph, or None.
        before, after: places of the vector work in front of and behind the product; all of it behind where there is
            no product.
        reads: what it needs from others.
        writes: what others, or the model's caller, need from it.
    """

    operators: tuple[int, ...]
    layer: str
    product: int | None
    before: tuple[int, ...]
    after: tuple[int, ...]
    reads: tuple[Read, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """The stages of a graph on a machine.

    Attributes:
        graph: without folded operators.
        stages: in order.
        bits: stored bits of every tensor that passes between stages, enters or leaves the model.
        wide: tensors that are stored as `output_bits`, which a product must still requantise.
        uses: for each tensor, the stages that read it and how, ascending.
        numerics: of each product, by its place in the graph.
        makers: the operator that makes each tensor.
        rows: length of a row of each tensor.
        outputs: what the model returns.
        made_bits: bits of a tensor that its maker writes: of a cache only what is new.
    """

    graph: Graph
    stages: tuple[Stage, ...]
    bits: dict[str, int]
    wide: frozenset[str]
    uses: dict[str, tuple[tuple[int, Use], ...]]
    numerics: dict[int, Numerics]
    makers: dict[str, int]
    rows: dict[str, int]
    outputs: frozenset[str]
    made_bits: dict[str, int]


def stage(graph: Graph, machine: Accelerator, attach: bool = True) -> Staged:
    """The stages of `graph`; those of a graph that was staged for the same policy and bits before are the same.

    Args:
        graph: the operators.
        machine: its policy says how operands are stored.
        attach: False makes every operator a stage of its own.

    Raises:
        DesignError: a layer runs in float32, for which the machine has no unit; a tensor or product has a size of 0.
    """
    key = id(graph), machine.policy, machine.output_bits, attach
    found = _MADE.get(key)
    if found is None:
        found = graph, _stage(graph, machine, attach)  # a graph that is held keeps its address
        with _LOCK:
            while len(_MADE) >= _KEPT:
                del _MADE[next(iter(_MADE))]
            _MADE[key] = found
    return found[1]


_KEPT = 64
_MADE: dict[tuple[int, Policy, int, bool], tuple[Graph, Staged]] = {}
_LOCK = threading.Lock()


def _stage(graph: Graph, machine: Accelerator, attach: bool) -> Staged:
    _check_sizes(graph)
    numerics = _numerics(graph, machine)
    home = _attached(graph) if attach else {}
    live = [place for place, operator in enumerate(graph.operators) if not operator.folded]
    for place in live:
        home.setdefault(place, place)
    members: dict[int, list[int]] = {}
    for place in live:
        members.setdefault(home[place], []).append(place)
    if attach:
        _move_prologues(graph, home, members)
    return _finish(graph, machine, numerics, [members[key] for key in sorted(members)])


def vector_cycles(operator: Operator, lanes: int) -> int:
    """Cycles of the vector unit for an operator."""
    return -(-operator.elements * NORM_PASSES.get(operator.kind, 1) // lanes)


def _check_sizes(graph: Graph) -> None:
    for operator in graph.operators:
        shape = operator.gemm
        if shape is not None and min(shape.batch, shape.m, shape.n, shape.k, shape.groups) < 1:
            raise DesignError("sizes of a product must be at least 1", got=(shape.batch, shape.m, shape.n, shape.k),
                              where=operator.layer)  # fmt: skip
        if shape is not None and shape.batch % shape.groups:
            raise DesignError("groups must divide the batch", got=(shape.batch, shape.groups), where=operator.layer)
    for tensor in graph.tensors:
        if tensor.elements < 1:
            raise DesignError("every size of a tensor must be at least 1", got=tensor.shape, where=tensor.name)


def _numerics(graph: Graph, machine: Accelerator) -> dict[int, Numerics]:
    found = {}
    for place, operator in enumerate(graph.operators):
        if operator.gemm is None or operator.folded:
            continue
        numerics = machine.policy.for_gemm(operator.gemm.layer, operator.gemm.b_role)
        if numerics is None:
            raise DesignError(
                "must run on a unit of the machine to have a cost, not in float32",
                got=operator.layer,
                where=f"{machine.name}.numerics.override",
            )
        found[place] = numerics
    return found


def _attached(graph: Graph) -> dict[int, int]:
    """The stage, named by its first operator, of every vector operator that follows its producer row by row."""
    producers = {o.output: place for place, o in enumerate(graph.operators) if not o.folded}
    home: dict[int, int] = {}
    rank: dict[int, int] = {}  # place of the last operator on which a stage waits
    for place, operator in enumerate(graph.operators):
        if operator.folded:
            continue
        home[place], rank[place] = place, place
        if operator.gemm is not None or operator.kind not in ROWWISE_KINDS:
            continue
        made = [producers[access.tensor] for access in operator.inputs if access.tensor in producers]
        if not made:
            continue
        target = max((home[source] for source in made), key=lambda stage: rank[stage])
        core = graph.operators[target]
        if core.gemm is None and core.kind not in ROWWISE_KINDS | {"embedding"}:
            continue
        if core.gemm is not None and operator.elements % core.gemm.m and operator.elements < core.gemm.m:
            continue  # it has fewer rows than the product
        home[place] = target
    return home


def _readers(graph: Graph) -> dict[str, list[int]]:
    readers: dict[str, list[int]] = {}
    for place, operator in enumerate(graph.operators):
        if not operator.folded:
            for access in operator.inputs:
                readers.setdefault(access.tensor, []).append(place)
    return readers


def _move_prologues(graph: Graph, home: dict[int, int], members: dict[int, list[int]]) -> None:
    """Move vector work in front of the product that alone reads it, where its own operands are stored anyway."""
    tensors, readers = graph.by_name, _readers(graph)
    producers = {o.output: place for place, o in enumerate(graph.operators) if not o.folded}
    for place in sorted(home, reverse=True):
        operator = graph.operators[place]
        if operator.gemm is not None or operator.kind not in ROWWISE_KINDS or tensors[operator.output].is_output:
            continue
        targets = {home[reader] for reader in readers.get(operator.output, [])}
        if len(targets) != 1 or (target := targets.pop()) == home[place]:
            continue
        product = graph.operators[target].gemm
        if product is None or product.batch * product.m * product.k != operator.elements:
            continue
        if any(not _is_front(graph, reader, target, operator.output) for reader in readers[operator.output]):
            continue
        stored = True
        for access in operator.inputs:
            maker = producers.get(access.tensor)
            if maker is None or home[maker] != home[place]:
                continue
            others = [r for r in readers[access.tensor] if r != place and home[r] not in (home[place], target)]
            stored &= bool(others) or tensors[access.tensor].is_output
        if not stored:
            continue
        members[home[place]].remove(place)
        if not members[home[place]]:
            del members[home[place]]
        home[place] = target
        members[target] = sorted([*members[target], place])


def _is_front(graph: Graph, reader: int, target: int, tensor: str) -> bool:
    """Whether `reader` uses a tensor as rows of operand a of the product `target`, directly or in its prologue."""
    operator = graph.operators[reader]
    if operator.gemm is None:
        return reader < target
    uses = [position for position, access in enumerate(operator.inputs) if access.tensor == tensor]
    return uses == [0] and operator.inputs[0].kind in ("whole", "view")


def _finish(graph: Graph, machine: Accelerator, numerics: dict[int, Numerics], groups: list[list[int]]) -> Staged:
    tensors = graph.by_name
    owner = {place: number for number, places in enumerate(groups) for place in places}
    made = {graph.operators[place].output: number for place, number in owner.items()}
    readers: dict[str, list[tuple[int, Access, Use]]] = {}
    for place in sorted(owner):
        operator = graph.operators[place]
        for position, access in enumerate(operator.inputs):
            use: Use = "vector" if operator.gemm is None or position > 1 else ("b" if position else "a")
            if owner[place] != made.get(access.tensor):
                readers.setdefault(access.tensor, []).append((place, access, use))
    bits: dict[str, int] = {}
    touched: dict[str, int] = {}
    wide: set[str] = set()
    for name, tensor in tensors.items():
        outside, leaves = readers.get(name, []), tensor.is_output and name in made
        if not outside and not leaves:
            continue
        part = sum(access.elements for _, access, _ in outside)
        touched[name] = tensor.elements if leaves else min(tensor.elements, part)
        if tensor.dtype in STORED_INTEGERS:
            bits[name] = touched[name] * STORED_INTEGERS[tensor.dtype]
        elif leaves or any(use == "vector" for _, _, use in outside):
            bits[name] = touched[name] * machine.output_bits
            wide.add(name)
        else:
            bits[name] = max(
                -(-_scheme_bits(tensor, graph.operators[place], numerics[place], access, use) * touched[name]
                  // access.elements)
                for place, access, use in outside
            )  # fmt: skip
    stages, uses = [], dict[str, dict[tuple[int, Use], None]]()
    for number, places in enumerate(groups):
        product = next((place for place in places if graph.operators[place].gemm is not None), None)
        before = _feeding(graph, product, places)
        inner = {graph.operators[place].output for place in places}
        reads: dict[tuple[str, Use], int] = {}
        for place in places:
            operator = graph.operators[place]
            for position, access in enumerate(operator.inputs):
                name = access.tensor
                if name in inner or name not in bits:
                    continue
                if operator.kind == "cache" and tensors[name].source == "state":
                    continue  # what a cache held before stays where it is
                use = "vector" if operator.gemm is None or position > 1 else ("b" if position else "a")
                if place in before and product is not None and operator.elements == access.elements:
                    use = "a"  # rows of operand a, before its prologue
                part = -(-bits[name] * min(access.elements, touched[name]) // touched[name])
                reads[name, use] = max(reads.get((name, use), 0), part)
                uses.setdefault(name, {})[number, use] = None
        stages.append(
            Stage(
                tuple(places),
                graph.operators[places[0] if product is None else product].layer,
                product,
                before,
                tuple(place for place in places if place != product and place not in before),
                tuple(Read(name, size, use) for (name, use), size in reads.items()),
                tuple(name for name in dict.fromkeys(graph.operators[p].output for p in places) if name in bits),
            )
        )
    made_bits = {}
    for places in groups:
        for place in places:
            operator = graph.operators[place]
            if operator.kind == "cache" and operator.output in bits:
                name = operator.output
                new = sum(access.elements for access in operator.inputs if tensors[access.tensor].source != "state")
                made_bits[name] = min(bits[name], -(-bits[name] * new // tensors[name].elements))
    return Staged(
        graph,
        tuple(stages),
        bits,
        frozenset(wide),
        {name: tuple(found) for name, found in uses.items()},
        numerics,
        {graph.operators[place].output: place for place in owner},
        {tensor.name: tensor.row_elements for tensor in graph.tensors},
        frozenset(tensor.name for tensor in graph.tensors if tensor.is_output),
        made_bits,
    )


def _feeding(graph: Graph, product: int | None, places: list[int]) -> tuple[int, ...]:
    """The vector work on which the product waits."""
    if product is None:
        return ()
    needed = {access.tensor for access in graph.operators[product].inputs[:2]}
    found = []
    for place in sorted(places, reverse=True):
        if place < product and graph.operators[place].output in needed:
            needed |= {access.tensor for access in graph.operators[place].inputs}
            found.append(place)
    return tuple(reversed(found))


def _scheme_bits(tensor: Tensor, operator: Operator, numerics: Numerics, access: Access, use: Use) -> int:
    """Bits of the part that a product reads of `tensor`, in the form that its unit takes."""
    shape = operator.gemm
    assert shape is not None
    if use == "b":
        whole, elements = (
            shape.groups * storage_bits(numerics, shape.b_role, shape.n, shape.k),
            (shape.groups * shape.n * shape.k),
        )
    elif access.kind == "window":
        columns = tensor.row_elements
        return storage_bits(numerics, "activation", max(1, access.elements // columns), columns)
    else:
        whole, elements = (
            storage_bits(numerics, "activation", shape.batch * shape.m, shape.k),
            (shape.batch * shape.m * shape.k),
        )
    return -(-whole * access.elements // elements)

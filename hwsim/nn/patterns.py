"""Operators that belong together, found in a recorded graph: layouts, rotations, norms and quantisation by hand.

Decides what is safe to merge: a group of vector operators with one computed input, whose inner results nobody else
reads. A group that holds a mean and a reciprocal root is an RMS norm; one of products and sums around a concatenation
is a rotary position; a largest magnitude, a quotient by it and a rounding are a quantisation, whose scales of rows
others may read. Whatever is not recognised stays as it was, and is counted as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hwsim.trace.gemm import GemmShape
from hwsim.trace.graph import Access, Graph, Operator, Tensor

MOST = 16
"""Operators of the largest group."""

SMALL = 100
"""How many times larger than the scales of its rows a tensor is."""

UNARY = frozenset(("scale", "relu", "gelu", "silu", "sigmoid", "tanh", "exp", "square", "rsqrt"))
"""Kinds whose every result follows from one element of one operand."""

Kinds = list[str]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Operators that are one.

    Attributes:
        kind: of the one.
        members: kinds of operators that may take part.
        accepts: whether a group of kinds is the pattern.
        scales: whether others may read an inner result that is much smaller than the group's.
    """

    kind: str
    members: frozenset[str]
    accepts: Callable[[Kinds], bool]
    scales: bool = False


PATTERNS = (
    Pattern(
        "rope",
        frozenset(("mul", "add", "copy", "elementwise")),
        lambda kinds: kinds.count("mul") >= 2 and "add" in kinds and "copy" in kinds,
    ),
    Pattern(
        "rmsnorm",
        frozenset(("square", "reduce", "add", "rsqrt", "mul", "divide", "copy", "relu")),
        lambda kinds: "reduce" in kinds and "rsqrt" in kinds and ("mul" in kinds or "divide" in kinds),
    ),
    Pattern(
        "requantize",
        frozenset(("reduce", "relu", "divide", "mul", "scale", "add", "elementwise", "copy")),
        lambda kinds: "reduce" in kinds and "divide" in kinds and kinds.count("elementwise") >= 2,
        scales=True,
    ),
)


def simplified(tensors: Mapping[str, Tensor], operators: list[Operator]) -> Graph:
    """The graph with layouts followed, patterns merged, and what nobody reads left out."""
    held = dict(tensors)
    found = _without_layouts(held, operators)
    for pattern in PATTERNS:
        found = _Merger(held, found, pattern).merged()
    found = _alive(held, _without_scales(held, found))
    used = {access.tensor for one in found for access in one.inputs} | {one.output for one in found}
    used |= {name for name, tensor in held.items() if tensor.source == "input"}
    return Graph(tuple(tensor for name, tensor in held.items() if name in used), tuple(found))


def _without_layouts(held: dict[str, Tensor], operators: list[Operator]) -> list[Operator]:
    """Operators without copies of one tensor, which are another order of the same numbers, or repeat them, and
    without the masks of causal attention: what reads their result reads the original."""
    same: dict[str, str] = {}
    triangles: set[str] = set()  # scores whose masked half nobody computes, so that nothing is left to mask
    kept: list[Operator] = []
    for one in operators:
        inputs = tuple(_followed(access, same, held) for access in one.inputs)
        moved = [access for access in inputs if held[access.tensor].source != "weight"]
        masks = one.kind in ("add", "mask") and len(moved) == 1 and moved[0].tensor in triangles
        if one.gemm is not None and one.gemm.causal:
            triangles.add(one.output)
        if masks or (one.kind == "copy" and len(inputs) == len(moved) == 1):
            same[one.output] = moved[0].tensor
            if held[one.output].is_output:
                held[moved[0].tensor] = replace(held[moved[0].tensor], is_output=True)
            continue
        kept.append(_once(one, inputs, held) or replace(one, inputs=inputs, gemm=_grouped(one, inputs)))
    return kept


def _once(one: Operator, inputs: tuple[Access, ...], held: dict[str, Tensor]) -> Operator | None:
    """An elementwise operator on an operand that was repeated, as it works on the original: as heads that share keys
    do, whose keys are scaled. None for any other."""
    if one.kind not in UNARY or len(inputs) != 1 or inputs[0] == one.inputs[0]:
        return None
    original, out = held[inputs[0].tensor], held[one.output]
    if inputs[0].elements != original.elements or out.elements <= original.elements or out.is_output:
        return None
    held[one.output] = replace(out, shape=original.shape)
    return replace(one, inputs=inputs, elements=original.elements)


def _followed(access: Access, same: Mapping[str, str], held: Mapping[str, Tensor]) -> Access:
    original = same.get(access.tensor, access.tensor)
    elements = min(access.elements, held[original].elements)
    if original == access.tensor and elements == access.elements:
        return access
    return replace(access, tensor=original, elements=elements, kind="view")


def _grouped(one: Operator, inputs: tuple[Access, ...]) -> GemmShape | None:
    """The shape of a product, in whose batch as many different operands b count as its stored tensor holds: heads
    that are repeated are one."""
    shape = one.gemm
    if shape is None or shape.batch == 1:
        return shape
    different = max(1, inputs[1].elements // (shape.n * shape.k))
    return replace(shape, groups=different) if different < shape.groups and shape.batch % different == 0 else shape


class _Merger:
    """Replaces every group of one pattern by one operator."""

    def __init__(self, held: Mapping[str, Tensor], operators: list[Operator], pattern: Pattern) -> None:
        self.held, self.operators, self.pattern = held, operators, pattern
        self.makers = {one.output: place for place, one in enumerate(operators)}
        self.readers: dict[str, set[int]] = {}
        for place, one in enumerate(operators):
            for access in one.inputs:
                self.readers.setdefault(access.tensor, set()).add(place)

    def merged(self) -> list[Operator]:
        groups: dict[int, set[int]] = {}
        gone: set[int] = set()
        for last in range(len(self.operators) - 1, -1, -1):
            if last in gone or self.operators[last].kind not in self.pattern.members:
                continue
            if group := self._group(last, gone):
                groups[last] = group
                gone |= group
        parts = {
            self.operators[place].output: self.operators[last].output
            for last, group in groups.items()
            for place in group
        }
        return [
            _reading(self._as_one(sorted(groups[place])) if place in groups else one, parts)
            for place, one in enumerate(self.operators)
            if place not in gone or place in groups
        ]

    def _group(self, last: int, gone: set[int]) -> set[int]:
        """The smallest accepted group that ends with operator `last`, grown backwards; empty if there is none."""
        group = {last}
        size = self.held[self.operators[last].output].elements
        while len(group) < MOST:
            outside = self._outside(group)
            if len(outside) == 1 and self.pattern.accepts([self.operators[place].kind for place in group]):
                return group
            grown = [
                place
                for name in outside
                if (place := self.makers.get(name, -1)) >= 0
                and place not in gone
                and self.operators[place].kind in self.pattern.members
                and not self.held[name].is_output
                and (self.readers[name] <= group or (self.pattern.scales and 4 * self.held[name].elements <= size))
            ]
            if not grown:
                return set()
            group.add(max(grown))
        return set()

    def _outside(self, group: set[int]) -> set[str]:
        """Tensors that a group reads and does not make, weights not counted."""
        made = {self.operators[place].output for place in group}
        read = {access.tensor for place in group for access in self.operators[place].inputs}
        return {name for name in read - made if self.held[name].source != "weight"}

    def _as_one(self, group: list[int]) -> Operator:
        last = self.operators[group[-1]]
        size = self.held[last.output].elements
        made = {self.operators[place].output for place in group}
        inputs: dict[str, Access] = {}
        for place in group:
            for access in self.operators[place].inputs:
                known = inputs.get(access.tensor)
                if access.tensor not in made and (known is None or known.elements < access.elements):
                    inputs[access.tensor] = access
        constants = [access for access in inputs.values() if self.held[access.tensor].source == "weight"]
        (moved,) = (access for access in inputs.values() if access not in constants)
        # parts of it were read one by one
        moved = replace(moved, elements=min(size, self.held[moved.tensor].elements))
        return replace(last, kind=self.pattern.kind, inputs=(moved, *constants), elements=size)


def _reading(one: Operator, parts: Mapping[str, str]) -> Operator:
    """An operator that reads what a group made inside as a part of the group's result."""
    inputs = tuple(replace(access, tensor=parts.get(access.tensor, access.tensor)) for access in one.inputs)
    return one if inputs == one.inputs else replace(one, inputs=inputs)


def _without_scales(held: Mapping[str, Tensor], operators: list[Operator]) -> list[Operator]:
    """Operators without arithmetic on scales of rows: less than a hundredth of the work of what reads them."""
    readers: dict[str, list[Operator]] = {}
    for one in operators:
        for access in one.inputs:
            readers.setdefault(access.tensor, []).append(one)
    gone = {
        one.output
        for one in operators
        if one.gemm is None
        and not held[one.output].is_output
        and readers.get(one.output)
        and all(SMALL * one.elements <= reader.elements for reader in readers[one.output])
        and all(
            held[access.tensor].source == "weight" or SMALL * access.elements <= held[access.tensor].elements
            for access in one.inputs
        )
    }
    return [
        replace(one, inputs=tuple(access for access in one.inputs if access.tensor not in gone))
        for one in operators
        if one.output not in gone
    ]


def _alive(held: Mapping[str, Tensor], operators: list[Operator]) -> list[Operator]:
    """Operators without those whose results nobody reads."""
    read: set[str] = set()
    kept: list[Operator] = []
    for one in reversed(operators):
        if one.output in read or held[one.output].is_output:
            kept.append(one)
            read |= {access.tensor for access in one.inputs}
    return kept[::-1]

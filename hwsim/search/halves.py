"""A space as trials and hardware halves: what is dear to change one by one, what is cheap in blocks of one plan.

A knob is of the hardware half if it sets the array, the vector unit, the memories or the technology, one of them
alone, and no other knob depends on it. All others (numerics, models, what the plan is chosen for) make a trial; for
each trial the half is every combination of the rest. A block of a half is the machines whose plan is one: for
``objective = "nominal"`` those of one array and one set of memory sizes (arrays of one dataflow share decisions);
for ``"time"`` and ``"traffic"`` also of one vector unit and one bandwidth a cycle; for ``"energy"`` and ``"edp"``,
whose plans ask every price, one machine.

Every design of a space has a number that follows from its place alone, so that no list of designs is needed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwsim.arch import Accelerator
from hwsim.arch.nominal import nominal_array, nominal_memories
from hwsim.errors import HwsimError
from hwsim.evaluation.machine_columns import Machines, Technology
from hwsim.search.space import DesignSpace, Parameter, Value

if TYPE_CHECKING:
    from hwsim.arch.parts import Array

PARTS = {"array": "array", "vector": "vector", "memory": "memory", "technology": "technology"}

Point = dict[str, Value]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Machines that share a plan, and the number of each in its half; machines that cannot be made have None."""

    machines: Machines | None
    numbers: Integers


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a machine in every combination of the knobs that set it.

    Attributes:
        records: the part in each combination that gives a machine.
        offsets: its share of a design's number, int64 ``[records]``.
        refused: shares of the combinations that give none, int64.
    """

    records: tuple[Any, ...]
    offsets: Integers
    refused: Integers


@lru_cache(maxsize=1024)
def part_of(space: DesignSpace, parameter: Parameter) -> str | None:
    """The part of a machine that a knob of the hardware half sets; None for a knob that makes trials."""
    if any(parameter.name == name for other in space.parameters for name, _ in other.when):
        return None
    options = json.loads(space.tables)["options"].get(parameter.name, {})
    heads: set[str] = set()
    for value in parameter.values:
        option = options.get(str(value))
        heads |= {parameter.sets.split(".")[0]} if option is None else set(option)
    return PARTS.get(heads.pop()) if len(heads) == 1 else None


def trials(space: DesignSpace) -> Iterator[Point]:
    """Every combination of the knobs outside of the hardware half, inactive ones left out, in the file's order."""
    outer = [one for one in space.parameters if part_of(space, one) is None]

    def walk(index: int, point: Point) -> Iterator[Point]:
        if index == len(outer):
            yield point
        elif not outer[index].active(point):
            yield from walk(index + 1, point)
        else:
            for value in outer[index].values:
                yield from walk(index + 1, point | {outer[index].name: value})

    yield from walk(0, {})


class Half:
    """The hardware half of one trial.

    Args:
        space: the space.
        trial: values of the knobs outside of the half.
        known: parts that halves of other trials have made, filled here.
    """

    def __init__(
        self, space: DesignSpace, trial: Mapping[str, Value], known: dict[tuple[str, ...], Part] | None = None
    ) -> None:
        self.space, self.trial, self._known = space, dict(trial), {} if known is None else known
        self.knobs = [one for one in space.parameters if part_of(space, one) is not None and one.active(self.trial)]
        sizes = [len(knob.values) for knob in self.knobs]
        self._strides = [prod(sizes[place + 1 :]) for place in range(len(sizes))]
        self.size = prod(sizes)

    @cached_property
    def base(self) -> Accelerator:
        """The first machine of the trial that can be made.

        Raises:
            HwsimError: there is none; the message is that of the first.
        """
        return self.space.design(self._base_point).accelerator

    @property
    def model(self) -> str | None:
        """The model that the trial names."""
        found: str | None = self.space.machine(self.trial).get("model")
        return found

    def point(self, number: int) -> tuple[tuple[str, Value], ...]:
        """The design of a number, as `DesignSpace.canonical` gives it."""
        places = [number // stride % len(knob.values) for knob, stride in zip(self.knobs, self._strides, strict=True)]
        return self.space.canonical(self._point(places))

    def number(self, point: Mapping[str, Value]) -> int:
        """The number of a design of this trial."""
        return sum(
            knob.values.index(point[knob.name]) * stride
            for knob, stride in zip(self.knobs, self._strides, strict=True)
        )

    def places(self, numbers: Integers) -> dict[str, NDArray[np.int16]]:
        """For each knob, the place of its value in each design."""
        return {
            knob.name: (numbers // stride % len(knob.values)).astype(np.int16)
            for knob, stride in zip(self.knobs, self._strides, strict=True)
        }

    def count_plans(self, most: int) -> int:
        """How many plans the half takes, counted up to one more than `most`."""
        return sum(1 for _ in itertools.islice(self._alike(), most + 1))

    def blocks(self) -> Iterator[Block]:
        """Every design once, in blocks that share a plan; last, if there are any, those that are no machine."""
        for arrays, vectors, pairs in self._alike():
            yield Block(*self._machines(arrays, vectors, pairs))
        if len(refused := self._refused()):
            yield Block(None, refused)

    def planned(self) -> Iterator[Accelerator]:
        """A machine of each different plan."""
        for arrays, vectors, pairs in self._alike(planned=True):
            yield self._machines(arrays[:1], vectors[:1], pairs[:1])[0].machine(0)

    @property
    def parts_made(self) -> tuple[int, ...]:
        """What tells halves apart whose arrays, vector units, memories or technologies are not the same objects."""
        return tuple(map(id, self._parts.values()))

    def block(self, numbers: Integers) -> Iterator[Block]:
        """Blocks of some designs only."""
        wanted = np.unique(numbers)
        for block in self.blocks():
            at = np.flatnonzero(np.isin(block.numbers, wanted))
            if not len(at):
                continue
            made = block.machines
            if made is not None:
                made = replace(
                    made, array=made.array[at], vector=made.vector[at], memory=made.memory[at],
                    technology=made.technology[at],
                )  # fmt: skip
            yield Block(made, block.numbers[at])

    def _alike(self, planned: bool = False) -> Iterator[tuple[list[int], list[int], list[tuple[int, int]]]]:
        """Arrays, vector units, and pairs of memories and technology of one plan as it is carried out; with `planned`
        those for which one plan is chosen, to be carried out on arrays of several sizes."""
        array, vector, memory, technology = (self._parts[name] for name in PARTS)
        aim = self.base.objective
        carried_out = nominal_array if planned and aim == "nominal" else _of_one_stage
        alike = (
            _grouped(array, lambda one: one if aim in _OWN else carried_out(one)),
            _grouped(vector, lambda one: (one.precision, one.softmax) if aim == "nominal" else one),
            _grouped(memory, lambda one: _sizes(one, aim)),
            _grouped(technology, lambda one: one if aim in _OWN else one.node_nm),
        )
        for memories, clocks in itertools.product(alike[2], alike[3]):
            for pairs in _paced(memory, technology, memories, clocks, aim):
                for arrays, vectors in itertools.product(alike[0], alike[1]):
                    yield arrays, vectors, pairs

    def _point(self, places: Sequence[int]) -> Point:
        return self.trial | {knob.name: knob.values[at] for knob, at in zip(self.knobs, places, strict=True)}

    @cached_property
    def _base_point(self) -> Point:
        failed: HwsimError | None = None
        for places in itertools.product(*(range(len(knob.values)) for knob in self.knobs)):
            try:
                self.space.design(self._point(places))
            except HwsimError as error:
                failed = failed or error
                continue
            return self._point(places)
        assert failed is not None
        raise failed

    @cached_property
    def _parts(self) -> dict[str, Part]:
        """Each part in every combination of its own knobs, with the base machine's values of all others."""
        rest = self.space.machine(self._base_point)
        shared = {key: table for key, table in rest.items() if key not in ("numerics", "model")}
        known = json.dumps(shared, sort_keys=True), *(knob.name for knob in self.knobs)
        for part in PARTS:
            if (part, *known) not in self._known:
                self._known[part, *known] = self._part(part)
        return {part: self._known[part, *known] for part in PARTS}

    def _part(self, part: str) -> Part:
        own = [place for place, knob in enumerate(self.knobs) if part_of(self.space, knob) == part]
        records, offsets, refused = [], [], []
        for places in itertools.product(*(range(len(self.knobs[place].values)) for place in own)):
            chosen = list(zip(own, places, strict=True))
            share = sum(at * self._strides[place] for place, at in chosen)
            draw = {self.knobs[place].name: self.knobs[place].values[at] for place, at in chosen}
            tables = self.space.machine(self._base_point | draw)
            tables.pop("model", None)
            try:
                records.append(_record(part, self.base.with_hardware(tables | {"name": self.space.name})))
                offsets.append(share)
            except HwsimError:
                refused.append(share)
        return Part(tuple(records), np.array(offsets, np.int64), np.array(refused, np.int64))

    def _machines(
        self, arrays: list[int], vectors: list[int], pairs: list[tuple[int, int]]
    ) -> tuple[Machines, Integers]:
        """Machines of some parts, and the number of each."""
        array, vector, memory, technology = (self._parts[name] for name in PARTS)
        memories, of_memory = np.unique([pair[0] for pair in pairs], return_inverse=True)
        clocks, of_clock = np.unique([pair[1] for pair in pairs], return_inverse=True)
        shares = memory.offsets[memories[of_memory]] + technology.offsets[clocks[of_clock]]
        numbers = array.offsets[arrays][:, None, None] + vector.offsets[vectors][None, :, None] + shares
        rows = np.arange(len(arrays))[:, None, None], np.arange(len(vectors))[None, :, None], of_memory, of_clock
        machines = Machines(
            replace(self.base, output_bits=memory.records[memories[0]][1]),
            tuple(array.records[one] for one in arrays),
            tuple(vector.records[one] for one in vectors),
            tuple(memory.records[one][0] for one in memories),
            tuple(technology.records[one] for one in clocks),
            *(np.broadcast_to(row, numbers.shape).ravel() for row in rows),
        )
        return machines, numbers.ravel()

    def _refused(self) -> Integers:
        """Designs of which some part cannot be made."""
        parts = [self._parts[name] for name in PARTS]
        found = [np.empty(0, np.int64)]
        for place, part in enumerate(parts):
            before = (one.offsets for one in parts[:place])
            after = (np.concatenate((one.offsets, one.refused)) for one in parts[place + 1 :])
            found.append(_sums(*before, part.refused, *after))
        return np.concatenate(found)


_OWN = ("energy", "edp")


def _record(part: str, machine: Accelerator) -> Any:
    if part == "array":
        return machine.array
    if part == "vector":
        return machine.vector
    if part == "memory":
        return machine.memories, machine.output_bits
    return Technology(machine.clock_ghz, machine.node_nm, machine.voltage)


@lru_cache(maxsize=1024)
def _of_one_stage(array: Array) -> Array:
    return replace(array, stages=1)


def _sizes(record: Any, aim: str) -> Any:
    """What a plan asks of memories."""
    memories, output_bits = record
    if aim in _OWN:
        return record
    if aim == "nominal":
        return nominal_memories(memories), output_bits
    bare = (
        replace(one, technology="", gbyte_s=1.0) if one.kind == "dram" else replace(one, technology="lstp")
        for one in memories
    )
    return tuple(bare), output_bits


def _grouped(part: Part, key: Any) -> list[list[int]]:
    groups: dict[Any, list[int]] = {}
    for place, record in enumerate(part.records):
        groups.setdefault(key(record), []).append(place)
    return list(groups.values())


def _paced(
    memory: Part, technology: Part, memories: list[int], clocks: list[int], aim: str
) -> Iterator[list[tuple[int, int]]]:
    """Pairs of memories and technology that a plan does not tell apart: of one bandwidth a cycle, where it asks."""
    if aim == "nominal":
        return iter([list(itertools.product(memories, clocks))])
    groups: dict[float, list[tuple[int, int]]] = {}
    for pair in itertools.product(memories, clocks):
        chosen = memory.records[pair[0]][0]
        gbyte_s = next(one.gbyte_s or 0.0 for one in chosen if one.kind == "dram")
        pace = gbyte_s * 8 / technology.records[pair[1]].clock_ghz
        groups.setdefault(pace, []).append(pair)
    return iter(groups.values())


def _sums(*shares: Integers) -> Integers:
    """Every sum of one of each."""
    total = np.zeros(1, np.int64)
    for one in shares:
        total = (total[:, None] + one[None, :]).ravel()
    return total

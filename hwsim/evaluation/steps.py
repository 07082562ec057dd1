"""What is measured once and remembered: one record a step, whose fields are all that its result depends on.

Decides that a step is a value. Its key is the content of its fields and the code of its class (`hwsim.content`), so
that a subclass of a unit with another sum, another seed, or another line of the code that computes the step is
another step; nobody writes a key by hand. A step travels to another process as it is, and its codec turns the result
into what JSON holds and back, checked.

=============  ======================================  ===========================================================
step           of                                      result
=============  ======================================  ===========================================================
`Replayed`     operands, policy, seed                  SQNR by layer
`Counted`      operands, policy                        flips of every product in each order
`Additions`    operands, policy                        additions an element of every product
`InGates`      operands, policy, order, tools          energy of every product in the gates of its unit
`Rerun`        weights, the model's files, policy      the model's own metric
`Decided`      operands, all that a plan reads         what a plan decides (`hwsim.evaluation.decisions`)
=============  ======================================  ===========================================================
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hwsim import content
from hwsim.cost.toggles import Toggles
from hwsim.errors import DesignError
from hwsim.evaluation.accuracy import Measured, replay, rerun
from hwsim.storage import Either, OneOf, Real, Record, Rows, Shape, Table, Text, Whole
from hwsim.trace import load_trace

if TYPE_CHECKING:
    from hwsim.arch import Policy
    from hwsim.cost.gates import GateEnergy
    from hwsim.gates.simulator import Delay
    from hwsim.gates.steps import Dataflow
    from hwsim.trace import Trace

T = TypeVar("T")

Flips = list[dict[str, Toggles]]
"""Of every forward product, by order of the dataflow."""


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """A result as what JSON holds, and back.

    Attributes:
        shape: what may be remembered; anything else is measured again.
        encode, decode: to plain values and from them.
    """

    shape: Shape
    encode: Callable[[T], Any]
    decode: Callable[[Any], T]


_NUMBERS = ("a_element", "b_element", "a_scale", "b_scale", "addend", "sum", "sampled")
_TOGGLES = Record(
    {"layer": Text(), "dataflow": Text(), "inner": Table(Real()), "rebuilt": Table(Real())}
    | dict.fromkeys(_NUMBERS, Real(0.0))
)
_GATES = Record(
    {"layer": Text(), "dataflow": Text(), "delay": OneOf(("zero", "unit")), "update_fj": Real(),
     "rebuild_fj": Real(), "steps": Whole(), "provenance": Text()}
)  # fmt: skip


def _same(value: Any) -> Any:
    return value


def _gate_energies(plain: list[dict[str, Any]]) -> list[GateEnergy]:
    from hwsim.cost.gates import GateEnergy

    return [GateEnergy(**one) for one in plain]


BY_LAYER: Codec[dict[str, float]] = Codec(Table(Real()), _same, _same)
FLIPS: Codec[Flips] = Codec(
    Rows(Record(dict.fromkeys(("ws", "is", "os"), _TOGGLES)), 1),
    lambda found: [{order: dataclasses.asdict(one) for order, one in orders.items()} for orders in found],
    lambda plain: [{order: Toggles(**one) for order, one in orders.items()} for orders in plain],
)
ADDITIONS: Codec[list[float | None]] = Codec(Rows(Either((OneOf((None,)), Real(0.0)))), _same, _same)
GATES: Codec[list[GateEnergy]] = Codec(
    Rows(_GATES), lambda found: [dataclasses.asdict(one) for one in found], _gate_energies
)
METRIC: Codec[Measured] = Codec(
    Record({"name": Text(), "goal": OneOf(("min", "max")), "value": Real()}),
    dataclasses.asdict,
    lambda plain: Measured(**plain),
)


class Step(ABC, Generic[T]):
    """Something to measure. Members are frozen dataclasses; fields with the metadata `content.ASIDE` change no bit of
    the result."""

    @cached_property
    def key(self) -> str:
        """What its result is found by."""
        return content.digest(self)

    @property
    @abstractmethod
    def codec(self) -> Codec[T]:
        """How its result is kept."""

    @abstractmethod
    def result(self) -> T:
        """Measure it, in any process."""


def result(step: Step[T]) -> T:
    """`Step.result`, as a call that travels."""
    return step.result()


@dataclass(frozen=True, slots=True)
class Operands:
    """The operands of a trace.

    Args:
        digest: `Trace.digest`, of its index with all checksums.
        path: where it lies now.
    """

    digest: str
    path: str = field(metadata=content.ASIDE)

    def open(self) -> Trace:
        """The trace; a long-lived process reads it once."""
        return _opened(self.path, self.digest)


@lru_cache(maxsize=4)
def _opened(path: str, digest: str) -> Trace:
    return load_trace(path)


def operands_of(trace: Trace) -> Operands:
    """The operands of an open trace."""
    return Operands(trace.digest, str(trace.path.resolve()))


@dataclass(frozen=True)
class Replayed(Step[dict[str, float]]):
    """SQNR in dB by layer (`hwsim.evaluation.replay`); `seed` is None where nothing is drawn."""

    operands: Operands
    policy: Policy
    seed: int | None

    @property
    def codec(self) -> Codec[dict[str, float]]:
        """See `Step`."""
        return BY_LAYER

    def result(self) -> dict[str, float]:
        """See `Step`."""
        return replay(self.operands.open(), self.policy, self.seed or 0)


@dataclass(frozen=True)
class Counted(Step[Flips]):
    """Flips of every forward product in each order.

    Raises:
        DesignError: the policy leaves a layer in float32, which has no unit.
    """

    operands: Operands
    policy: Policy

    @property
    def codec(self) -> Codec[Flips]:
        """See `Step`."""
        return FLIPS

    def result(self) -> Flips:
        """See `Step`."""
        from hwsim.evaluation.counting import count_by_dataflow

        found = []
        for gemm in self.operands.open().gemms("forward"):
            numerics = self.policy.for_gemm(gemm.layer, "weight" if gemm.b.role == "weight" else "activation")
            if numerics is None:
                raise DesignError("a layer in float32 has no unit whose bits toggle", where=gemm.layer)
            found.append(count_by_dataflow(gemm, numerics))
        return found


@dataclass(frozen=True)
class Additions(Step[list[float | None]]):
    """Additions an element that the weights of every forward product take, None for units that multiply."""

    operands: Operands
    policy: Policy

    @property
    def codec(self) -> Codec[list[float | None]]:
        """See `Step`."""
        return ADDITIONS

    def result(self) -> list[float | None]:
        """See `Step`."""
        from hwsim.arch.units import count_additions

        gemms = self.operands.open().gemms("forward")
        chosen = [(gemm, self.policy.for_gemm(gemm.layer, gemm.b.role)) for gemm in gemms]
        return [None if one is None else count_additions(one, gemm.b.values, gemm.b.role) for gemm, one in chosen]


@dataclass(frozen=True, slots=True)
class Tools:
    """What energies in gates depend on beside operands and circuits: synthesis, cells, delay model."""

    yosys: str
    library: str
    delay: Delay


def tools() -> Tools:
    """Those of this installation.

    Raises:
        MissingExtra: Yosys is not installed.
    """
    from hwsim.cost.coefficients import load_coefficients
    from hwsim.gates.liberty import DEFAULT_LIBERTY
    from hwsim.rtl.tools import yosys_version

    delay: Any = load_coefficients().delay_model
    return Tools(yosys_version(), content.digest(DEFAULT_LIBERTY.read_bytes()), delay)


@dataclass(frozen=True)
class InGates(Step[list["GateEnergy"]]):
    """Energy of every forward product in the gates of its unit, in the order of a dataflow.

    Raises:
        DesignError: a layer in float32 has no unit.
    """

    operands: Operands
    policy: Policy
    dataflow: Dataflow
    tools: Tools

    @property
    def codec(self) -> Codec[list[GateEnergy]]:
        """See `Step`."""
        return GATES

    def result(self) -> list[GateEnergy]:
        """See `Step`."""
        from hwsim.evaluation.simulation import gate_energy

        found = []
        for gemm in self.operands.open().gemms("forward"):
            numerics = self.policy.for_gemm(gemm.layer, "weight" if gemm.b.role == "weight" else "activation")
            if numerics is None:
                raise DesignError("a layer in float32 has no unit whose gates switch", where=gemm.layer)
            found.append(gate_energy(gemm, numerics, self.dataflow, self.tools.delay))
        return found


@dataclass(frozen=True)
class Rerun(Step[Measured]):
    """The model's own metric (`hwsim.evaluation.rerun`), of float32 where the policy is None.

    Args:
        weights: digest of those that the trace was captured with.
        sources: digest of the files that the model is made of, which define the metric
            (`hwsim.evaluation.model_sources`); of one evaluator alone where that cannot be told.
        options: what ``metric()`` is called with.
        policy: arithmetic by layer.
        spec: the model's file and function now.
    """

    weights: str
    sources: str
    options: Mapping[str, Any]
    policy: Policy | None
    spec: str = field(metadata=content.ASIDE)

    @property
    def codec(self) -> Codec[Measured]:
        """See `Step`."""
        return METRIC

    def result(self) -> Measured:
        """See `Step`."""
        return rerun(self.spec, self.weights, self.policy, dict(self.options))

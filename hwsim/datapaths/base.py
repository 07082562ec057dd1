"""The contract: what a unit is to every other room, in five views.

A `Datapath` is a dot-product unit, described by what it does to bits. Everything that arrays, traces, circuits and
prices need of it is a member here, so that no room asks which family a unit is:

- *bits*: codes taken, `dot` and `matmul`, running sums, products a cycle and cycles a step, storage of an operand;
- *toggles*: the order in which operands and sums pass one unit (`stream`), what flips at its accumulator;
- *gates*: `gates`, its circuits and how a stream drives them (`Gates`);
- *price*: `price`, registers, blocks with an area, inner flips with an energy (`Price`), and `calibration`, the
  circuits and operands that their coefficients are fitted to;
- *words for reports*: `name`, `label`, `key`.

A view that a unit does not have raises `MissingView` with the view's name; nothing falls through to another family's.
One class with every member was rejected: a user's unit should be a page that states bits, and grow from there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim import content, formats
from hwsim.datapaths.streams import ordered, running_sums, unsigned
from hwsim.errors import ArgumentError

if TYPE_CHECKING:
    from hwsim.cost.blocks import Blocks, Registers, WidthFlips
    from hwsim.cost.coefficients import Coefficients
    from hwsim.cost.designs import Design
    from hwsim.cost.features import Features
    from hwsim.cost.quantity import Quantity
    from hwsim.formats import Format
    from hwsim.gates.steps import Stream
    from hwsim.quant import Scheme
    from hwsim.rtl.unit import Unit

Side = Literal["a", "b"]
Words = NDArray[np.uint64]


class MissingView(ArgumentError):
    """A view that a unit does not have was asked for: its circuits, its price, what to calibrate it on."""

    def __init__(self, unit: object, view: str) -> None:
        self.view = view
        super().__init__(f"a unit must have the view '{view}' to be used here", got=unit, where=f"datapath.{view}")


class Driven(NamedTuple):
    """Vectors of one circuit: words by input port, and by register what it holds before each of them."""

    ports: Mapping[str, NDArray[Any]]
    states: Mapping[str, NDArray[Any]]


def driven_sum(stream: Stream) -> Driven:
    """A stream as vectors of a clocked circuit with ports a, b and clear, and the running sum in register acc."""
    ports = {"a": stream.a, "b": stream.b, "clear": stream.first.astype(np.uint64)}
    return Driven(ports, {"acc": stream.before})


class Gates(ABC):
    """The circuits of a unit, and how a stream of operands drives each of them."""

    @property
    def shared(self) -> Mapping[str, int]:
        """Roles of circuits that a row of the array shares, and how many of each it has."""
        return {}

    @property
    def summing(self) -> str:
        """Role of the circuit that makes the running sum."""
        return "unit"

    @abstractmethod
    def circuits(self) -> Mapping[str, Unit]:
        """Circuits by role; most units are one, ``"unit"``.

        Raises:
            MissingView: no circuit computes these bits.
        """

    @abstractmethod
    def drive(self, role: str, stream: Stream) -> Driven:
        """A stream as vectors of the circuit `role`, registers held at the stream's running sums."""

    def whole(self) -> Unit:
        """The unit in one piece; where it is several circuits, those that operands pass in one step."""
        return self.circuits()["unit"]

    def drive_whole(self, stream: Stream) -> Driven:
        """A stream as vectors of `whole`."""
        return self.drive("unit", stream)


class Price(ABC):
    """What a unit costs: registers, blocks, and flips that coefficients weigh."""

    parts: ClassVar[Mapping[str, str]] = {}
    """Part of a machine (``products``, ``scaling``, ``alignment``) that a feature belongs to, ``accumulation`` if it
    is not here."""

    @property
    def table(self) -> str | None:
        """Path of the family's own coefficients (``hwsim calibrate --unit``), where the package's sets lack them."""
        return None

    @property
    def beyond_fit(self) -> float:
        """Relative error of areas and energies that the fit does not state, for a unit outside of what was fitted."""
        return 0.0

    @property
    @abstractmethod
    def update(self) -> str:
        """Family of the coefficients that price an update, ``<update>.energy.<feature>``."""

    @property
    def rebuild(self) -> str | None:
        """The same for a rebuild of tables that a row shares; None without tables."""
        return None

    @property
    def defines_flip(self) -> bool:
        """Whether PANN's formulas are the unit's own, so that its gates say what a flip of theirs costs."""
        return False

    @property
    @abstractmethod
    def registers(self) -> Registers:
        """Bits of operands, sums and tables that a unit holds."""

    @abstractmethod
    def blocks(self, held: Coefficients) -> Blocks:
        """Blocks of every unit, and blocks that a row shares, in one set of coefficients.

        Raises:
            UnknownName: a coefficient is missing. MissingView: the set has no rule for this unit.
        """

    @abstractmethod
    def update_flips(self, stream: Stream) -> Features:
        """Flips inside of one update, means over a stream: what its energy is linear in."""

    def rebuild_flips(self, stream: Stream) -> Features:
        """Flips of one rebuild of shared tables, all of them together; empty without tables."""
        return {}

    @abstractmethod
    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """Bits that flip in an update by PANN's formulas, from widths alone.

        Args:
            additions: of an element in an add-only unit, its budget if not given.
        """

    def fetch(self, dataflow: str, held: Coefficients) -> Quantity:
        """fJ of all fetches of an update, for a unit whose products are read from tables."""
        raise MissingView(type(self).__name__, "fetch")


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A unit with operands, whose energies are measured for a calibration.

    Args:
        activation, weight: schemes of the operands.
        unit: the unit.
        rectified: sides whose negative codes become zero, where no scheme makes unsigned operands.
        weight_range: weights are scaled to this largest magnitude before they are cast; None leaves them.
    """

    activation: Scheme
    weight: Scheme
    unit: Datapath
    rectified: frozenset[str] = frozenset()
    weight_range: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What coefficients of a family are fitted to.

    Args:
        designs: circuits for areas; called with ``quick``, whether to leave out what takes minutes to synthesise.
        arithmetics: units with operands for energies.
        wholes: circuits of whole units, none of which a fit sees, with the unit that each is.
    """

    designs: Callable[[bool], Iterator[Design]]
    arithmetics: Callable[[], Iterator[Arithmetic]]
    wholes: Callable[[], Iterator[tuple[Unit, Datapath]]]


class Datapath(ABC):
    """A dot-product unit. Members are frozen dataclasses whose fields are the independent facts of the unit.

    Operands are raw codes, one element a byte (fp16 and bf16: uint16; tf32 and fp32: uint32). A unit with block
    scales also takes scale bytes, one per `block` elements along K.
    """

    family: ClassVar[str]
    """The catalogue's name of the family; `hwsim.datapaths.from_spec` builds a member from it."""

    file: ClassVar[str | None] = None
    """``path/to/file.py:Class`` of a user's unit that came from there; None of a unit of the catalogue."""

    # words for reports

    @property
    @abstractmethod
    def name(self) -> str:
        """A short name: ``"blackwell.nvfp4"``, ``"int8x8.acc20.saturate"``; units of one class with different fields
        have different names."""

    @property
    def label(self) -> str:
        """What decides the bits of a unit beside the schemes of its operands, in a report's words."""
        return self.name

    @property
    def key(self) -> str:
        """What remembered values are found by: its fields, and the code of its class (`hwsim.content`)."""
        return content.key(self)

    def spec(self) -> dict[str, Any]:
        """The TOML table that `hwsim.datapaths.from_spec` turns into this unit again."""
        return fields_of(self)

    # bits: what a port takes

    @property
    @abstractmethod
    def a_format(self) -> str:
        """Name of the element Format of operand a (activations)."""

    @property
    @abstractmethod
    def b_format(self) -> str:
        """Name of the element Format of operand b (weights)."""

    @property
    def scale_format(self) -> str | None:
        """Name of the Format of the block scales that the unit itself multiplies, None if it takes none."""
        return None

    @property
    def block(self) -> int | None:
        """Elements along K that share one scale byte, None if the unit takes no scales."""
        return None

    def codes(self, side: Side) -> NDArray[Any]:
        """Every element code that the port of `side` takes, in the container of its format."""
        name = self.a_format if side == "a" else self.b_format
        if name.startswith("uint"):
            bits = int(name.removeprefix("uint"))
            return np.arange(1 << bits, dtype=np.uint8 if bits <= 8 else np.uint16)
        form = formats.get(name)
        return (np.arange(1 << form.bits) << form.padding_bits).astype(form.code_dtype)

    @property
    def elements_per_word(self) -> int:
        """Elements of b in one word of its port; more than one where words are keys of groups."""
        return 1

    @property
    def padding_word(self) -> int:
        """The word of b that stands for zeros beyond K."""
        return 0

    def words(self, codes: NDArray[Any], element: Format, side: Side) -> NDArray[Any]:
        """What the port of `side` reads of codes ``[..., K]`` of `element`; narrow integers are sign-extended."""
        port = self.a_format if side == "a" else self.b_format
        if not element.is_integer or element.name == port:
            return codes
        bits = int(port.removeprefix("int"))
        values = element.decode(codes).astype(np.int32)
        return (values & ((1 << bits) - 1)).astype(np.uint8 if bits <= 8 else np.uint16)

    def stored_bits(self, side: Side, k: int, element_bits: int) -> int:
        """Bits that a row of `k` elements of `element_bits` takes in memory, scales aside."""
        return k * element_bits

    # bits: time

    @property
    def lanes(self) -> int:
        """Elements along K that the unit takes a cycle: all products that it adds without rounding in between."""
        return 1

    def cycles_per_step(self, additions: float | None = None) -> float:
        """Cycles of the unit for its `lanes` elements.

        Args:
            additions: what `mean_additions` counts, where the weights are known.
        """
        return 1.0

    @property
    def timed_by_weights(self) -> bool:
        """Whether the cycles of a step depend on the weights, by `mean_additions`."""
        return False

    def mean_additions(self, words: NDArray[Any]) -> float:
        """Additions an element that weights ``[N, K]`` cost a unit that is timed by them."""
        raise MissingView(self.name, "additions")

    # bits: products and sums

    @property
    @abstractmethod
    def accumulator_bits(self) -> int:
        """Width of the register that holds the running sum."""

    @abstractmethod
    def dot(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Scalar-path dot products of a and b ``[..., K]`` plus c ``[...]``, in the unit's order of addition."""

    @abstractmethod
    def matmul(
        self,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any] | None = None,
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Fast path: a ``[M, K]``, b ``[N, K]``, c ``[M, N]`` -> ``[M, N]``, bit-equal to `dot` on every row pair."""

    # toggles

    def addends(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int64] | None:
        """What reaches the accumulator in each step, int64 ``[m, n, steps]``, for words a ``[m, K]`` and b of n rows.

        None for a unit whose products never leave it as integers: its accumulator then counts no input flips. There
        is no default, as a unit that says nothing would silently count none.
        """
        raise MissingView(self.name, "addends")

    def sum_words(self, result: NDArray[Any]) -> NDArray[Any]:
        """Words of the accumulator's register of what `matmul` returns, unsigned integers of the same shape: integers
        by their low bits, floats as they are."""
        words = unsigned(result)
        if result.dtype.kind != "i":
            return words
        return words.astype(np.uint64) & np.uint64((1 << self.accumulator_bits) - 1)

    def running_sums(
        self, a: NDArray[Any], b: NDArray[Any], scale_a: NDArray[Any] | None, scale_b: NDArray[Any] | None
    ) -> tuple[Words, Words]:
        """Words at the accumulator's input and in its register after each update, ``[m, n, updates]`` each.

        Args:
            a, b: words of m and of n rows.
            scale_a, scale_b: scale bytes of the rows, where the unit has them.
        """
        return running_sums(self, a, b, scale_a, scale_b)

    def stream(
        self,
        dataflow: str,
        budget: int,
        a: NDArray[Any],
        b: NDArray[Any],
        scale_a: NDArray[Any] | None,
        scale_b: NDArray[Any] | None,
    ) -> Stream:
        """What one unit sees of a product, step after step; at most `budget` steps.

        Args:
            dataflow: order of the operands, a key of `hwsim.gates.steps.ORDERS`.
            budget: most steps.
            a, b, scale_a, scale_b: as in `running_sums`.
        """
        return ordered(self, dataflow, budget, a, b, scale_a, scale_b)

    def register_flips(self, stream: Stream) -> tuple[float, float] | None:
        """Flips an update at the accumulator's input and in its register, for a unit whose sums follow only from its
        stream; None where they follow from `running_sums`."""
        return None

    # gates and price

    @property
    def gates(self) -> Gates:
        """Its circuits."""
        raise MissingView(self.name, "gates")

    @property
    def price(self) -> Price:
        """Its area and energy."""
        raise MissingView(self.name, "price")

    @classmethod
    def calibration(cls) -> Calibration:
        """What the coefficients of its family are fitted to."""
        raise MissingView(cls.__name__, "calibration")


def fields_of(unit: Any) -> dict[str, Any]:
    """The family (or file) and every field of a unit, in the order of its definition."""
    origin = {"file": unit.file} if getattr(unit, "file", None) else {"family": unit.family}
    return origin | {field.name: getattr(unit, field.name) for field in fields(unit) if field.init}


def check_range(unit: Any, field: str, least: int, greatest: int) -> None:
    """Raise unless an integer field of a unit lies in ``least..greatest``."""
    value = getattr(unit, field)
    if not least <= value <= greatest:
        raise ArgumentError(f"{field} must lie in {least}..{greatest}", got=value, where=unit.family)


def check_choice(unit: Any, field: str, *known: str) -> None:
    """Raise unless a field of a unit is one of `known`."""
    value = getattr(unit, field)
    if value not in known:
        *others, last = (repr(name) for name in known)
        raise ArgumentError(f"{field} must be {', '.join(others)} or {last}", got=value, where=unit.family)

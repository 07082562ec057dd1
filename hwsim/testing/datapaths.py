"""The conformance suite of units: each check states a rule that other rooms rely on.

Checks of a view that the unit does not have are left out, and `missing_views` names them; where Icarus Verilog or
Yosys are not installed, circuits are compared with the emulator by their golden values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hwsim.cost.coefficients import load_coefficients
from hwsim.datapaths import from_spec
from hwsim.datapaths.base import Datapath, MissingView, Side
from hwsim.datapaths.streams import unsigned
from hwsim.errors import ArgumentError, HwsimError
from hwsim.gates.steps import ORDERS, Stream
from hwsim.gates.synth_report import gate_mismatches
from hwsim.gates.synthesis import synth
from hwsim.rtl.bench import run_rtl
from hwsim.rtl.tools import available

ROWS, STEPS, BUDGET = 5, 3, 400
"""Rows of each operand, instructions along K, and steps of a stream."""

VIEWS = ("gates", "price", "calibration")


class Failure(NamedTuple):
    """A rule that a unit breaks."""

    check: str
    detail: str


def check_datapath(unit: Datapath, vectors: int = 1000, gates: bool = True, seed: int = 0) -> list[Failure]:
    """Every rule of `hwsim.datapaths.base` that can be tested on a unit.

    Args:
        unit: of the catalogue, or a user's own.
        vectors: through each circuit, in Verilog and in gates.
        gates: whether circuits are synthesised too, which takes Yosys seconds to minutes for a large one.
        seed: of the operands.

    Returns:
        What failed, ``[]`` if the unit conforms.
    """
    failures: list[Failure] = []
    for check in CHECKS:
        rng = np.random.default_rng(seed)
        name = check.__name__.removeprefix("_").replace("_", " ")
        try:
            failures += [Failure(name, detail) for detail in check(unit, rng)]
        except MissingView as reason:
            if reason.view not in VIEWS and not reason.view.startswith("price"):
                failures.append(Failure(name, str(reason)))
        except (HwsimError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
            failures.append(Failure(name, f"{type(error).__name__}: {error}"))
    if _has(lambda: unit.gates.circuits()):
        failures += _circuits(unit, vectors, gates, seed)
    return failures


def missing_views(unit: Datapath) -> list[str]:
    """Views that a unit does not have: ``gates``, ``price``, ``calibration``."""
    asked: dict[str, Callable[[], object]] = {
        "gates": lambda: unit.gates.circuits(),
        "price": lambda: unit.price.blocks(load_coefficients()),
        "calibration": type(unit).calibration,
    }
    return [view for view, ask in asked.items() if not _has(ask)]


def _has(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except MissingView:
        return False
    return True


class Drawn(NamedTuple):
    """Operands as the ports read them, K a whole number of steps: words and scale bytes of rows of a and of b."""

    a: NDArray[Any]
    b: NDArray[Any]
    scale_a: NDArray[np.uint8] | None
    scale_b: NDArray[np.uint8] | None


def draw(unit: Datapath, rng: np.random.Generator, rows: int = ROWS, steps: int = STEPS, ragged: int = 0) -> Drawn:
    """Codes of every kind that the unit takes, a third of them zero; finite in all rows but the first.

    Args:
        unit: whose ports read them.
        rng: source of the codes.
        rows: of each operand.
        steps: of `Datapath.lanes` elements along K.
        ragged: elements less.
    """
    k = unit.lanes * steps - ragged
    sides: list[NDArray[Any]] = []
    for side in ("a", "b"):
        codes = rng.choice(unit.codes(side), size=(rows, k))
        codes[rng.random(codes.shape) < 0.3] = 0
        sides.append(_words(unit, codes, side))
    if unit.block is None:
        return Drawn(sides[0], sides[1], None, None)
    blocks = -(-k // unit.block)
    scales = [rng.integers(0, 256, (rows, blocks)).astype(np.uint8) for _ in "ab"]
    for scale in scales:
        scale &= np.uint8((1 << _scale_bits(unit)) - 1)
    return Drawn(sides[0], sides[1], scales[0], scales[1])


def _words(unit: Datapath, codes: NDArray[Any], side: Side) -> NDArray[Any]:
    """Codes of the port's own elements as words: unsigned integers have no format and are words already."""
    from hwsim import formats

    name = unit.a_format if side == "a" else unit.b_format
    return codes if name.startswith("uint") else unit.words(codes, formats.get(name), side)


def _scale_bits(unit: Datapath) -> int:
    from hwsim import formats

    return formats.get(str(unit.scale_format)).bits


def _row_pairs(unit: Datapath, drawn: Drawn, start: NDArray[Any] | None) -> NDArray[Any]:
    """`Datapath.dot` of every pair of rows, ``[m, n]``."""
    m, n = len(drawn.a), len(drawn.b)
    i, j = (index.ravel() for index in np.indices((m, n)))
    scales = [None if one is None else one[at] for one, at in ((drawn.scale_a, i), (drawn.scale_b, j))]
    c = None if start is None else start.reshape(-1)
    return unit.dot(drawn.a[i], drawn.b[j], c, *scales).reshape(m, n)


def _spec_and_key(unit: Datapath, rng: np.random.Generator) -> Iterator[str]:
    again = from_spec(unit.spec()) if unit.file or type(unit).__module__.startswith("hwsim.") else unit
    if again != unit or hash(again) != hash(unit) or again.key != unit.key:
        yield f"from_spec({unit.spec()}) is {again!r}, not {unit!r}"
    if again is not unit:
        try:
            from_spec(unit.spec() | {"no_such_field": 1})
            yield "an unknown field is not refused"
        except ArgumentError:
            pass


def _dot_and_matmul(unit: Datapath, rng: np.random.Generator) -> Iterator[str]:
    for ragged in {0, unit.lanes - 1}:
        drawn = draw(unit, rng, ragged=ragged)
        first = unit.matmul(drawn.a, drawn.b, None, drawn.scale_a, drawn.scale_b)
        for start in (None, first):
            product = unit.matmul(drawn.a, drawn.b, start, drawn.scale_a, drawn.scale_b)
            pairs = _row_pairs(unit, drawn, start)
            wrong = int((unsigned(product) != unsigned(pairs.astype(product.dtype, copy=False))).sum())
            if wrong or product.shape != (len(drawn.a), len(drawn.b)):
                yield f"{wrong} of {product.size} elements of matmul and dot differ, K short of a step by {ragged}"


def _running_sums(unit: Datapath, rng: np.random.Generator) -> Iterator[str]:
    drawn = draw(unit, rng)
    if unit.register_flips(_stream(unit, drawn, "ws")) is not None:
        return
    addends, sums = unit.running_sums(*drawn)
    shape = (len(drawn.a), len(drawn.b), STEPS)
    if addends.shape != shape or sums.shape != shape:
        yield f"running sums must have shape {shape}, got {addends.shape} and {sums.shape}"
        return
    total = None
    per_word, block = unit.elements_per_word, unit.block
    for step in range(STEPS):
        first, last = step * unit.lanes, (step + 1) * unit.lanes
        parts: list[Any] = [None, None]
        if block is not None:
            at = slice(first // block, -(-last // block))
            parts = [None if one is None else one[:, at] for one in (drawn.scale_a, drawn.scale_b)]
        total = unit.matmul(drawn.a[:, first:last], drawn.b[:, first // per_word : last // per_word], total, *parts)
        words = unit.sum_words(total).astype(np.uint64) & np.uint64((1 << min(unit.accumulator_bits, 64)) - 1)
        mask = np.uint64((1 << min(unit.accumulator_bits, 64)) - 1)
        if unit.addends(drawn.a, drawn.b) is not None and (words != sums[:, :, step] & mask).any():
            yield f"the register after step {step} does not hold what matmul returns"
    if unit.lanes * STEPS == drawn.a.shape[1] and total is not None:
        whole = unit.matmul(*drawn[:2], None, *drawn[2:])
        if (unsigned(whole) != unsigned(total)).any():
            yield "steps chained through c are not the whole product"


def _stream(unit: Datapath, drawn: Drawn, dataflow: str) -> Stream:
    return unit.stream(dataflow, BUDGET, drawn.a, drawn.b, drawn.scale_a, drawn.scale_b)


def _streams(unit: Datapath, rng: np.random.Generator) -> Iterator[str]:
    drawn = draw(unit, rng)
    for dataflow in ORDERS:
        stream = _stream(unit, drawn, dataflow)
        if not 2 <= stream.steps <= BUDGET or not stream.first[0]:
            yield f"{dataflow}: {stream.steps} steps, the first must begin a dot product"
        if stream.a.shape != (stream.steps, unit.lanes):
            yield f"{dataflow}: port a must take {unit.lanes} words a step, got {stream.a.shape}"
        if stream.before[stream.first & ~np.append(False, stream.last[:-1]), 0].any() and dataflow != "os":
            yield f"{dataflow}: a dot product begins with a sum that is not zero"


def _circuits_follow_streams(unit: Datapath, rng: np.random.Generator) -> Iterator[str]:
    gates = unit.gates
    circuit = gates.circuits()[gates.summing]
    stream = _stream(unit, draw(unit, rng), "os")
    ports, states = gates.drive(gates.summing, stream)
    held = {
        name: np.broadcast_to(np.asarray(ports[name], np.uint64).reshape(len(np.asarray(ports[name])), -1),
                              (stream.steps, port.count))
        for port in circuit.inputs for name in [port.name]
    }  # fmt: skip
    inputs = {port.name: held[port.name] if port.count > 1 else held[port.name][:, 0] for port in circuit.inputs}
    golden = circuit.golden(inputs)
    follows = ~stream.first[1:]
    names = list(states) or [circuit.outputs[0].name]
    for column, name in enumerate(names):
        after = golden[name].reshape(stream.steps, -1)[:-1][follows]
        wanted = states[name] if name in states else stream.before[:, min(column, stream.before.shape[1] - 1)]
        if (after[:, 0] != np.asarray(wanted, np.uint64).reshape(stream.steps, -1)[1:, 0][follows]).any():
            yield f"the circuit's {name} is not the running sum of the stream"


def _prices(unit: Datapath, rng: np.random.Generator) -> Iterator[str]:
    price = unit.price
    held = load_coefficients().with_table(price.table)
    if min(price.registers) < 0 or min(price.width_flips()) < 0:
        yield f"registers and flips by widths must not be negative: {price.registers}, {price.width_flips()}"
    own, shared = price.blocks(held)
    for block in (*own, *shared):
        if not (np.isfinite(block.area.value) and block.area.value >= 0 and block.area.source):
            yield f"a block must have an area and a source: {block}"
    drawn = draw(unit, rng)
    names: set[tuple[str, ...]] = set()
    for dataflow in ORDERS:
        stream = _stream(unit, drawn, dataflow)
        flips = price.update_flips(stream)
        names.add(tuple(flips))
        if not all(np.isfinite(value) and value >= 0 for value in flips.values()):
            yield f"{dataflow}: flips must be finite and not negative: {dict(flips)}"
        for family, found in ((price.update, flips), (price.rebuild, price.rebuild_flips(stream))):
            if family is None:
                continue
            missing = [name for name in found if f"{family}.energy.{name}" not in held]
            if missing:
                yield f"coefficients {held.name} have no {family}.energy of {', '.join(missing)}"
    if len(names) != 1:
        yield "flips must have the same names in every dataflow"


CHECKS: tuple[Callable[[Datapath, np.random.Generator], Iterator[str]], ...] = (
    _spec_and_key,
    _dot_and_matmul,
    _running_sums,
    _streams,
    _circuits_follow_streams,
    _prices,
)


def _circuits(unit: Datapath, vectors: int, gates: bool, seed: int) -> Iterator[Failure]:
    """Verilog and gates of every circuit against its golden values."""
    held = unit.gates
    made = {"whole": held.whole()} | {role: one for role, one in held.circuits().items() if one.inputs}
    for role, circuit in {one.name: (role, one) for role, one in made.items()}.values():
        inputs = circuit.operands(np.random.default_rng(seed), vectors)
        if available("iverilog", "vvp") and (wrong := run_rtl(circuit, inputs)):
            yield Failure("verilog", f"{wrong} of {vectors} rows of {circuit.name} ({role}) differ from the emulator")
        if gates and available("yosys", "yosys-abc"):
            try:
                wrong = gate_mismatches(circuit, synth(circuit).netlist, inputs)
            except ArgumentError as different:  # a register that the gates compute otherwise
                yield Failure("gates", str(different))
                continue
            if wrong:
                yield Failure(
                    "gates", f"{wrong} of {vectors} rows of {circuit.name} ({role}) differ from the emulator"
                )

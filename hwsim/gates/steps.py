"""Which operands of a recorded product one unit sees, step after step: the one place that decides it.

A row is one step of one unit: the next ``lanes`` elements along K of a row m of operand a and a row n of operand b,
and the running sum before them. Their order is the dataflow's:

- ``ws``: the element of b stays, rows of a pass (m in turn); the sum comes from the neighbour's register;
- ``is``: the element of a stays, rows of b pass (n in turn);
- ``os``: the sum stays, K passes.

An add-only unit repeats an element for every addition that its weight asks for. Running sums are the datapath's own,
so rounding and overflow are those of the machine. Taken are neighbouring rows of the operand that moves fast and
evenly spread rows of the other one, from evenly spread batches. Gates are simulated and inner flips are counted on
the same rows, so that the two differ by their model of the circuit alone; where one element follows another the
operands change together, as at the reload of a tile.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.arch import Numerics, Prepared
from hwsim.arch.units import lanes
from hwsim.datapaths.base import Datapath
from hwsim.datapaths.operands import integer_range, integer_values
from hwsim.errors import ArgumentError
from hwsim.trace import Gemm

Dataflow = Literal["ws", "is", "os"]
Words = NDArray[np.uint64]

ORDERS = {"ws": (1, 2, 0), "is": (0, 2, 1), "os": (0, 1, 2)}
"""Axes m, n, step of K from slow to fast."""

PRODUCTS = 1 << 16
"""Products of one recorded product that a unit is followed through."""

LEAST_STEPS = 1 << 11
"""Steps that even a unit of many lanes is followed for."""

FAST, SLOW = 64, 8
"""Most rows of the operand that passes, and rows of the one that stays, as far as the budget goes."""

BATCHES = 4
"""Batches among which the steps are divided."""

SEED = 0
"""Of schemes that round stochastically."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Steps of one unit, in order.

    Attributes:
        a: words at port a, ``[steps, lanes]``.
        b: words at port b, ``[steps, lanes]``; keys ``[steps, luts]`` for a lookup unit.
        scale_a, scale_b: scale bytes ``[steps, blocks]``, no column for units without.
        before: the running sum before the step, ``[steps, 1]``; of an add-only unit both sums, ``[steps, 2]``.
        first, last: whether a step begins and ends a dot product, bool ``[steps]``.
        tables: activations of one table after another, ``[rebuilds, lanes]``; no row for units without tables.
    """

    a: Words
    b: Words
    scale_a: Words
    scale_b: Words
    before: Words
    first: NDArray[np.bool_]
    last: NDArray[np.bool_]
    tables: Words

    @property
    def steps(self) -> int:
        """Length of the stream."""
        return len(self.a)


class Operands:
    """A recorded product in the words of a unit; each batch is quantised once, however often it is asked for."""

    def __init__(self, gemm: Gemm, numerics: Numerics) -> None:
        self.gemm, self.numerics = gemm, numerics
        self._a: dict[int, tuple[NDArray[Any], NDArray[np.uint8] | None]] = {}
        self._b: dict[int, Prepared] = {}

    def batches(self, most: int = BATCHES) -> list[int]:
        """At most so many batches, evenly spread."""
        return [int(one) for one in np.unique(np.linspace(0, len(self.gemm.a.values) - 1, most).astype(np.intp))]

    def a(self, batch: int) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        """Words ``[M, K]`` and scale bytes of operand a."""
        if batch not in self._a:
            a = self.numerics.quantize(self.gemm.a.values[batch], "activation", seed=SEED)
            self._a[batch] = self.numerics.words(a, "a"), self.numerics.scale_bytes(a)
        return self._a[batch]

    def b(self, batch: int) -> Prepared:
        """Operand b, which all batches share where the trace has one of it."""
        at = batch if len(self.gemm.b.values) > 1 else 0
        if at not in self._b:
            self._b[at] = self.numerics.prepare_b(self.gemm.b.values[at], self.gemm.b.role, seed=SEED + 1)
        return self._b[at]


def unit_stream(operands: Operands, dataflow: str = "ws", steps: int | None = None) -> Stream:
    """What one unit sees of a product.

    Args:
        operands: the product and the arithmetic.
        dataflow: order of the operands.
        steps: most steps; what `PRODUCTS` and `LEAST_STEPS` ask for by default.

    Raises:
        ArgumentError: an unknown dataflow, or fewer than 2 steps.
    """
    if dataflow not in ORDERS:
        raise ArgumentError(f"dataflow must be one of {', '.join(ORDERS)}", got=dataflow, where="gates.steps")
    unit, k = operands.numerics.datapath, operands.gemm.k
    wide = lanes(unit)
    most = max(PRODUCTS // wide, LEAST_STEPS) if steps is None else steps
    if most < 2:
        raise ArgumentError("steps must be at least 2", got=most, where="gates.steps")
    batches = operands.batches(min(BATCHES, max(most // -(-k // wide), 1)))
    parts = []
    for batch in batches:
        (a, scale_a), b = operands.a(batch), operands.b(batch)
        parts.append(_ordered(unit, dataflow, most // len(batches), a, b.words, scale_a, b.scales))
    if len(parts) == 1:
        return parts[0]
    joined = {one.name: np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Stream)}
    return Stream(**joined)


def running_sums(
    unit: Datapath, a: NDArray[Any], b: NDArray[Any], scale_a: NDArray[Any] | None, scale_b: NDArray[Any] | None
) -> tuple[Words, Words]:
    """Words at the accumulator's input and in its register after each update: ``[m, n, updates]`` each.

    The input is 0 where products never leave the unit: tensor cores, lookup units of floats and float32 sums.

    Args:
        unit: the datapath, no add-only one.
        a, b: words ``[m, K]`` and ``[n, K]``, or keys ``[n, groups]``.
        scale_a, scale_b: scale bytes ``[m, blocks]`` and ``[n, blocks]`` where the unit has them.
    """
    wide = lanes(unit)
    exact = _exact_values(unit, a, b)
    if exact is not None:
        return _exact_sums(*exact, wide, unit)
    known: Any = unit
    block, lookup = unit.block or 1, unit.family == "ternary_lut"
    sums: list[NDArray[Any]] = []
    total = None
    for first in range(0, a.shape[1], wide):
        at, scales = slice(first, first + wide), slice(first // block, -(-(first + wide) // block))
        keys = slice(first // known.group, (first + wide) // known.group) if lookup else at
        parts = (None if held is None else held[:, scales] for held in (scale_a, scale_b))
        total = unit.matmul(a[:, at], b[:, keys], total, *parts)
        # a lookup unit returns its 16-bit register widened to float32
        sums.append(formats.get(unit.a_format).encode(total) if lookup else unsigned(total))
    register = np.stack(sums, -1).astype(np.uint64)
    return np.zeros_like(register), register


def add_only_sums(unit: Any, a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64], Words]:
    """Of an add-only unit: inputs ``[m, K]``, weights ``[n, K]``, and both sums before each element ``[m, n, K, 2]``,
    the positive one first, in words of the accumulator."""
    x = integer_values(a, unit.bits_x, unit.signed, "steps.a").astype(np.int64)
    w = integer_values(b, 8, True, "steps.b").astype(np.int64)
    parts = np.stack([np.maximum(w, 0), np.maximum(-w, 0)], -1)
    after = (x[:, None, :, None] * parts[None]).cumsum(2)
    before = np.concatenate([np.zeros_like(after[:, :, :1]), after[:, :, :-1]], axis=2)
    return x, w, _masked(before, unit.acc_bits)


def unsigned(words: NDArray[Any]) -> NDArray[Any]:
    """The same bits as unsigned integers of the same width."""
    return words if words.dtype.kind == "u" else words.view(f"u{words.dtype.itemsize}")


def _ordered(
    unit: Datapath,
    dataflow: str,
    budget: int,
    a: NDArray[Any],
    b: NDArray[Any],
    scale_a: NDArray[Any] | None,
    scale_b: NDArray[Any] | None,
) -> Stream:
    """The stream of operands of one batch."""
    wide = lanes(unit)
    steps = min(-(-a.shape[1] // wide), budget)
    pace = max(float(np.abs(b.view(np.int8)).mean()), 1.0) if unit.family == "pann" else 1.0
    rows_a, rows_b = _rows(len(a), len(b), dataflow, max(int(budget / pace) // steps, 1))
    a, b = a[rows_a], b[rows_b]
    scale_a, scale_b = (None if one is None else one[rows] for one, rows in ((scale_a, rows_a), (scale_b, rows_b)))
    axes = np.indices((len(a), len(b), steps))
    order = ORDERS[dataflow]
    m, n, step = (one.transpose(order).reshape(-1) for one in axes)
    if unit.family == "pann":
        return _repeated(unit, dataflow, a[:, :steps], b[:, :steps], (m, n, step), budget)
    m, n, step = m[:budget], n[:budget], step[:budget]
    sums = running_sums(unit, a, b, scale_a, scale_b)[1][..., : steps - 1]
    before = np.concatenate([np.zeros((len(a), len(b), 1), np.uint64), sums], axis=2)
    per_word, padding = 1, 0
    lookup: Any = unit if unit.family == "ternary_lut" else None
    if lookup is not None:
        per_word, padding = lookup.group, int(lookup.encode(np.zeros(lookup.group, np.int8))[0])
    blocks = wide // (unit.block or 1)
    by_step = _steps(a, steps, wide)
    moved = [axis for axis in order if axis != 1]
    m_only, step_only = (axes[axis][:, 0].transpose([(0, 2).index(one) for one in moved]) for axis in (0, 2))
    return Stream(
        a=by_step[m, step],
        b=_steps(b, steps, wide // per_word, padding)[n, step],
        scale_a=_steps(scale_a, steps, blocks)[m, step] if scale_a is not None else np.zeros((len(m), 0), np.uint64),
        scale_b=_steps(scale_b, steps, blocks)[n, step] if scale_b is not None else np.zeros((len(m), 0), np.uint64),
        before=before[m, n, step][:, None],
        first=step == 0,
        last=step == steps - 1,
        tables=by_step[m_only.reshape(-1), step_only.reshape(-1)][: len(m) if lookup is not None else 0],
    )


def _repeated(
    unit: Any,
    dataflow: str,
    a: NDArray[Any],
    b: NDArray[Any],
    places: tuple[NDArray[np.intp], ...],
    budget: int,
) -> Stream:
    """Every element as often as its weight says; an element of weight 0 is passed over."""
    x, w, sums = add_only_sums(unit, a, b)
    m, n, step = places
    times = np.abs(w)[n, step]
    repeat = np.repeat(np.arange(len(m)), times)[:budget]
    again = np.arange(len(repeat)) - np.repeat(np.cumsum(times) - times, times)[:budget]
    m, n, step = m[repeat], n[repeat], step[repeat]
    some = w != 0
    least, greatest = some.argmax(1), w.shape[1] - 1 - some[:, ::-1].argmax(1)
    first = (step == least[n]) & (again == 0)
    last = (step == greatest[n]) & (again == times[repeat] - 1)
    side = np.where(w[n, step] > 0, 0, 1)
    before = sums[m, n, step].astype(np.int64)
    before[np.arange(len(m)), side] += again * x[m, step]
    if dataflow == "os":  # the sums of the dot product before, which the subtraction still reads
        ends = np.flatnonzero(last[:-1])
        final = before[ends].copy()
        final[np.arange(len(ends)), side[ends]] += x[m[ends], step[ends]]
        before[ends + 1] = final
    nothing = np.zeros((len(m), 0), np.uint64)
    return Stream(
        a=unsigned(a)[m, step].astype(np.uint64)[:, None],
        b=unsigned(b)[n, step].astype(np.uint64)[:, None],
        scale_a=nothing,
        scale_b=nothing,
        before=_masked(before, unit.acc_bits),
        first=first,
        last=last,
        tables=np.zeros((0, 1), np.uint64),
    )


def _rows(m: int, n: int, dataflow: str, pairs: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of a and of b whose pairs number at most about `pairs`."""

    def spread(rows: int, wanted: int) -> NDArray[np.intp]:
        return np.unique(np.linspace(0, rows - 1, min(rows, wanted)).astype(np.intp))

    if dataflow == "os":
        side = max(int(pairs**0.5), 1)
        return spread(m, side), spread(n, side)
    fast = max(min(pairs // SLOW, FAST, m if dataflow == "ws" else n), 2)
    slow = max(pairs // fast, 1)
    if dataflow == "ws":
        return np.arange(min(m, fast)), spread(n, slow)
    return spread(m, slow), np.arange(min(n, fast))


def _steps(words: NDArray[Any], steps: int, per_step: int, padding: int = 0) -> Words:
    """Words ``[rows, K']`` as ``[rows, steps, per_step]``, a ragged end filled with `padding`."""
    full = np.full((len(words), steps * per_step), padding, np.uint64)
    used = min(full.shape[1], words.shape[1])
    full[:, :used] = unsigned(words)[:, :used]
    return full.reshape(len(words), steps, per_step)


def _exact_values(unit: Any, a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Integers whose exact products the unit adds, or None where it rounds."""
    if unit.family == "integer":
        x, w = integer_values(a, unit.a_bits, unit.signed, "a"), integer_values(b, unit.b_bits, unit.signed, "b")
    elif unit.family == "ternary_lut" and unit.activation == "int8":
        x, w = integer_values(a, 8, True, "a"), unit.decode(b, a.shape[1])
    elif unit.family == "shift" and unit.accumulator == "fixed":
        x, w = integer_values(a, 4, True, "a"), 4 * formats.get(unit.b_format).decode(b)
    else:
        return None
    return x.astype(np.int64), w.astype(np.int64)


def _exact_sums(x: NDArray[np.int64], w: NDArray[np.int64], wide: int, unit: Any) -> tuple[Words, Words]:
    """`running_sums` of an exact unit: products of `wide` elements at once, wrapped or clamped after each update."""
    ragged = -x.shape[1] % wide
    x, w = (np.pad(side, ((0, 0), (0, ragged))) for side in (x, w))
    products = x[:, None, :] * w[None, :, :]
    addends = products.reshape(*products.shape[:2], -1, wide).sum(-1)
    bits = unit.accumulator_bits
    sums = addends.cumsum(-1)
    if getattr(unit, "overflow", "wrap") == "saturate":
        least, greatest = integer_range(bits, unit.signed)
        if sums.min() < least or sums.max() > greatest:
            total = np.zeros(addends.shape[:2], np.int64)
            for step in range(addends.shape[2]):
                total = np.clip(total + addends[:, :, step], least, greatest)
                sums[:, :, step] = total
    return _masked(addends, bits), _masked(sums, bits)


def _masked(values: NDArray[np.int64], bits: int) -> Words:
    return np.ascontiguousarray(values).view(np.uint64) & np.uint64((1 << bits) - 1)

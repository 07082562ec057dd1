"""The floating-point adders of ternary lookup-table units, in exact fractions: what their kernels must meet.

``ieee`` is IEEE 754 addition, round to nearest even, subnormals kept, every NaN the canonical quiet one. ``kul`` is
the adder ``fp_add.sv`` of KU Leuven's ``chisel-float``, whose results were recorded from its own simulation. It
departs from IEEE in three places:

(a) signs of zero: ±0 + ±0 is +0, and an exact cancellation takes the sign of the second operand;
(b) the smaller operand is shifted right by at most precision + 1 places, so that one further away enters too large;
(c) where both effective exponents are the least one and the first operand is subnormal, the adder takes the result to
    be subnormal too: a sum that became normal loses its leading bit, or its exponent comes out one too small.

Rejected: describing (a) to (c) by a tolerance. They are reproducible, and (c) can halve a sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Semantics = Literal["ieee", "kul"]


@dataclass(frozen=True, slots=True)
class Binary16:
    """A 16-bit interchange format: sign, exponent, mantissa."""

    exponent_bits: int
    mantissa_bits: int

    @property
    def precision(self) -> int:
        """Significant bits, the implicit one included."""
        return self.mantissa_bits + 1

    @property
    def least_exponent(self) -> int:
        """Exponent of the least normal number."""
        return 2 - (1 << (self.exponent_bits - 1))

    @property
    def infinity(self) -> int:
        """Code of +Inf."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits

    @property
    def nan(self) -> int:
        """Code of the canonical quiet NaN."""
        return self.infinity | 1 << (self.mantissa_bits - 1)

    def effective_exponent(self, code: int) -> int:
        """Exponent of the leading place of a finite code; subnormals have that of the least normal number."""
        return max(code >> self.mantissa_bits & (1 << self.exponent_bits) - 1, 1) - 1 + self.least_exponent

    def value(self, code: int) -> Fraction:
        """The number a finite code stands for."""
        mantissa = code & (1 << self.mantissa_bits) - 1
        if code & self.infinity:
            mantissa += 1 << self.mantissa_bits
        magnitude = mantissa * Fraction(2) ** (self.effective_exponent(code) - self.mantissa_bits)
        return -magnitude if code >> 15 else magnitude

    def round_magnitude(self, magnitude: Fraction) -> int:
        """Code of a number >= 0 rounded to nearest even, +Inf above the greatest."""
        if not magnitude:
            return 0
        exponent = max(_floor_log2(magnitude), self.least_exponent)
        steps = round(magnitude / Fraction(2) ** (exponent - self.mantissa_bits))  # half to even
        code = steps + ((exponent - self.least_exponent) << self.mantissa_bits)
        return min(code, self.infinity)

    def decode(self, codes: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Values of codes, every NaN as 0x7FC00000."""
        if self.exponent_bits == 8:
            values = (codes.astype(np.uint32) << np.uint32(16)).view(np.float32)
        else:
            values = codes.view(np.float16).astype(np.float32)
        return np.where(np.isnan(values), np.float32(np.nan), values)


FP16 = Binary16(5, 10)
BF16 = Binary16(8, 7)


def reference_add(a: int, b: int, form: Binary16, semantics: Semantics) -> int:
    """Code of a + b for two codes of `form`; a is the adder's first operand."""
    magnitude_a, magnitude_b = a & 0x7FFF, b & 0x7FFF
    if max(magnitude_a, magnitude_b) > form.infinity:
        return form.nan
    if magnitude_a == form.infinity or magnitude_b == form.infinity:
        if magnitude_a == magnitude_b and a != b:
            return form.nan
        return a if magnitude_a == form.infinity else b
    x, y = form.value(a), form.value(b)
    if semantics == "ieee":
        if not x + y:
            return a & b & 0x8000  # -0 only from -0 + -0
        return _signed(x + y, form.round_magnitude(abs(x + y)))
    if not x and not y:
        return 0
    gap = form.effective_exponent(a) - form.effective_exponent(b) if x and y else 0
    beyond = abs(gap) - (form.precision + 1)
    if beyond > 0:
        x, y = (x, y * 2**beyond) if gap > 0 else (x * 2**beyond, y)
    total = x + y
    if not total:
        return b & 0x8000
    if not x or magnitude_a >= 1 << form.mantissa_bits or gap < 0:
        return _signed(total, form.round_magnitude(abs(total)))
    unit = Fraction(2) ** (form.least_exponent - form.mantissa_bits)
    steps, normal = int(abs(total) / unit), 1 << form.mantissa_bits
    if steps < normal:
        return _signed(total, steps)
    return _signed(total, steps - normal if steps < 2 * normal else round(Fraction(steps, 2)))


def reference_dot(
    x: list[int],
    weights: list[int],
    group: int,
    luts: int,
    form: Binary16,
    semantics: Semantics,
    start: int | None = None,
) -> int:
    """Code of one dot product in the order of the hardware, from its description alone.

    Args:
        x: codes of the activations.
        weights: -1, 0 or 1, as many as x.
        group, luts: as `hwsim.datapaths.TernaryLut`.
        start: code held by the accumulator before; absent, one step of the unit writes it without an addition.
    """

    def add(a: int, b: int) -> int:
        return reference_add(a, b, form, semantics)

    def fetch(acts: list[int], w: list[int]) -> int:
        first = next((v for v in w if v), 0)
        if not first:
            return 0
        flip = 0 if first > 0 else 0x8000  # the table holds the group whose first weight is +1
        terms = [v and (act if v == first else act ^ 0x8000) for act, v in zip(acts, w, strict=True)]
        if group < 3:
            entry = add(terms[0], terms[1]) if group == 2 and all(w) else terms[0] if w[0] else terms[1]
            return entry ^ flip
        tail = 0
        for term, v in reversed(list(zip(terms, w, strict=True))[2:]):
            tail = add(tail, term) if v else tail
        if w[0] and w[1]:
            return add(add(terms[0], terms[1]), tail) ^ flip
        if w[0] or w[1]:
            return add(terms[0] if w[0] else terms[1], tail) ^ flip
        return tail ^ flip

    missing = -len(x) % group
    x, weights = x + [0] * missing, weights + [0] * missing
    fetched = [fetch(x[i : i + group], weights[i : i + group]) for i in range(0, len(x), group)]
    steps = -(-len(fetched) // luts)
    if steps > 1:
        fetched += [0] * (steps * luts - len(fetched))
    acc = start
    for step in range(steps):
        chain, *others = fetched[step * luts : (step + 1) * luts]
        for other in others:
            chain = add(other, chain)
        acc = chain if acc is None and steps == 1 else add(acc or 0, chain)
    if acc is None:
        return 0
    return form.nan if acc & 0x7FFF > form.infinity else acc


def _floor_log2(value: Fraction) -> int:
    guess = value.numerator.bit_length() - value.denominator.bit_length()
    return guess if value >= Fraction(2) ** guess else guess - 1


def _signed(value: Fraction, magnitude_code: int) -> int:
    return magnitude_code | (0x8000 if value < 0 else 0)

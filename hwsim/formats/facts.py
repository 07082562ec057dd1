"""What a number format is: a finite set of numbers and the words that stand for them.

It holds only facts that do not follow from each other: field widths, bias, how a sign is written, which words
are special. Everything else (largest value, code of infinity, table of values) is computed from them, so that no two
constants can disagree. A table of constants per format was rejected: adding a format then means editing many places.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, Literal, get_args

import numpy as np

from hwsim.errors import ArgumentError

Rounding = Literal["rne", "rz", "rp", "away", "sr"]
"""How a value between two neighbours of the format is decided.

``rne``: to the nearest, a tie to the neighbour whose last significand bit is even; where a format has no mantissa
bits and both are odd, to the larger magnitude (IEEE 754-2019, 4.3.1). ``rz``: toward zero. ``rp``: toward plus
infinity; a format without a sign rounds the magnitude, so that ``rp`` is away from zero there (PTX ``cvt.rp`` to
UE8M0). ``away``: to the nearest, a tie away from zero. ``sr``: stochastic, on the magnitude.
"""
ROUNDINGS: tuple[str, ...] = get_args(Rounding)

Sign = Literal["magnitude", "twos_complement", "ignored", "none"]
"""``magnitude``: the top bit. ``ignored``: a top bit that decoding does not read. ``none``: no such bit."""

Specials = Literal["none", "nan", "ieee", "fnuz"]
"""``nan``: the word of all ones (sign aside) is NaN. ``ieee``: the top exponent holds infinity and NaN. ``fnuz``
(finite, NaN, unsigned zero): the word that would be -0 is the one NaN, and every zero is +0."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A number format by its independent facts, and what follows from them.

    A word is, from the top, sign, exponent field E, mantissa field M, and `padding_bits` that are not read. Its value
    is ``(-1)^sign 2^(E - bias) (1 + M / 2^mantissa_bits)``, and ``2^(1 - bias) M / 2^mantissa_bits`` where E = 0.
    With ``zero=False`` the first rule holds for E = 0 too, so that the format has neither zero nor subnormals.
    With ``sign="twos_complement"`` there is no exponent, and the word is the integer itself.

    Args:
        name: the name in the catalogue.
        exponent_bits: width of E.
        mantissa_bits: width of M; for integers every bit but the sign.
        bias: exponent bias; 0 for integers.
        sign: how the sign is written.
        specials: which words are infinity or NaN.
        zero: whether E = 0 means zero and subnormals.
        padding_bits: low bits of the word that hold nothing (TF32 lies in the upper 19 bits of a float32 word).
        source: the document that defines the format.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    sign: Sign = "magnitude"
    specials: Specials = "none"
    zero: bool = True
    padding_bits: int = 0
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.exponent_bits < 0 or self.mantissa_bits < 0 or not 1 <= self.bits <= 32:
            raise ArgumentError("a format must have between 1 and 32 bits", got=self.bits, where=self.name)
        if self.is_integer and (self.exponent_bits or self.specials != "none" or not self.mantissa_bits):
            raise ArgumentError("a two's complement format must have mantissa bits only", got=self, where=self.name)
        if not self.is_integer and not (1 <= self.exponent_bits <= 8 and self.mantissa_bits <= 23):
            raise ArgumentError(
                "a float format must fit float32: 1 to 8 exponent bits, at most 23 mantissa bits",
                got=(self.exponent_bits, self.mantissa_bits),
                where=self.name,
            )
        if self.specials == "fnuz" and (self.sign != "magnitude" or not self.zero):
            raise ArgumentError("specials fnuz must have a sign and a zero", got=self.sign, where=self.name)
        if not self.is_integer and (self.min_exponent < -127 or self.max_exponent > 127):
            raise ArgumentError(
                "exponents of a float format must lie in -127..127",
                got=(self.min_exponent, self.max_exponent),
                where=self.name,
            )

    # Widths

    @property
    def is_integer(self) -> bool:
        """Whether words are two's complement integers."""
        return self.sign == "twos_complement"

    @property
    def signed(self) -> bool:
        """Whether the format has negative values."""
        return self.sign in ("magnitude", "twos_complement")

    @property
    def bits(self) -> int:
        """Bits that a stored element takes, a sign bit that is ignored included, padding not."""
        return (self.sign != "none") + self.exponent_bits + self.mantissa_bits

    @property
    def code_dtype(self) -> np.dtype[Any]:
        """The dtype of an array of codes, one element an item: uint8, uint16 or uint32."""
        word = self.bits + self.padding_bits
        return np.dtype(np.uint8 if word <= 8 else np.uint16 if word <= 16 else np.uint32)

    @property
    def code_count(self) -> int:
        """One above the largest code."""
        return 1 << (self.bits + self.padding_bits)

    # Exponents and special magnitudes. A magnitude is a code without sign and padding.

    @property
    def min_exponent(self) -> int:
        """Exponent of the smallest normal number; 0 for integers."""
        return 0 if self.is_integer else 1 - self.bias if self.zero else -self.bias

    @property
    def max_exponent(self) -> int:
        """floor(log2(max)): the ``emax`` of the OCP scale rule."""
        if self.is_integer:
            return self.mantissa_bits - 1
        return (self.max_magnitude >> self.mantissa_bits) - self.bias

    @property
    def quantum_exponent(self) -> int:
        """log2 of the distance between the smallest values; 0 for integers."""
        return 0 if self.is_integer else self.min_exponent - self.mantissa_bits

    @property
    def nan_magnitude(self) -> int | None:
        """The NaN that `encode` writes: all ones, as NVIDIA's conversions do; the sign bit, for ``fnuz``. None if the
        format has no NaN."""
        sign = 1 << (self.exponent_bits + self.mantissa_bits)
        return None if self.specials == "none" else sign if self.specials == "fnuz" else sign - 1

    @property
    def inf_magnitude(self) -> int | None:
        """Infinity, None if the format has none."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits if self.specials == "ieee" else None

    @property
    def max_magnitude(self) -> int:
        """The largest finite magnitude."""
        top = (1 << (self.exponent_bits + self.mantissa_bits)) - 1
        if self.specials == "ieee":
            return (((1 << self.exponent_bits) - 1) << self.mantissa_bits) - 1
        return top - (self.specials == "nan")

    # Values

    @property
    def max(self) -> float:
        """The largest finite value."""
        return _largest(self)

    @property
    def min(self) -> float:
        """The most negative value; the smallest positive one, or zero, without a sign."""
        if self.is_integer:
            return float(-self.max_magnitude - 1)
        return -self.max if self.signed else float(self._magnitude_value(0))

    @property
    def min_normal(self) -> float:
        """The smallest positive number with a full significand."""
        return float(2.0**self.min_exponent)

    @property
    def smallest(self) -> float:
        """The smallest positive number."""
        return float(self._magnitude_value(0 if not self.zero else 1))

    @property
    def epsilon(self) -> float:
        """Distance from 1 to the next larger number; 1 for integers."""
        return 1.0 if self.is_integer else float(2.0**-self.mantissa_bits)

    def _magnitude_value(self, magnitude: int) -> Fraction:
        """The value of a finite magnitude, exactly."""
        if self.is_integer:
            return Fraction(magnitude)
        exponent, mantissa = divmod(magnitude, 1 << self.mantissa_bits)
        implicit = 1 if exponent or not self.zero else 0
        scale = max(exponent, 1 if self.zero else 0) - self.bias - self.mantissa_bits
        return ((implicit << self.mantissa_bits) + mantissa) * Fraction(2) ** scale


@cache  # asked for by every quantization, and exact fractions are slow
def _largest(form: Facts) -> float:
    if form.is_integer:
        return float(form.max_magnitude)
    return float(form._magnitude_value(form.max_magnitude))

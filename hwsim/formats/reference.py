"""The definition of every conversion, one number at a time, in exact integers and fractions.

It follows the words of IEEE 754-2019 (4.3 rounding, 7.4 overflow) and of the OCP specifications, not the shape of the
fast code in `hwsim.formats.codec`: a value is bracketed by its two neighbours in the format, the rounding rule picks
one. Only then is the word looked for.
"""

from __future__ import annotations

import math
from fractions import Fraction

from hwsim.formats.format import Format


def decode(form: Format, code: int) -> float:
    """The value of one code. Every float32 is a Python float, so nothing is rounded."""
    word = code >> form.padding_bits
    if form.is_integer:
        return float(word - (1 << form.bits) if word >> form.mantissa_bits else word)
    if form.specials == "fnuz" and word == 1 << (form.bits - 1):
        return math.nan
    negative = form.sign == "magnitude" and bool(word >> (form.bits - 1))
    magnitude = word % (1 << (form.exponent_bits + form.mantissa_bits))
    exponent, mantissa = divmod(magnitude, 1 << form.mantissa_bits)
    all_ones = (1 << form.exponent_bits) - 1
    if form.specials == "ieee" and exponent == all_ones:
        value = math.nan if mantissa else math.inf
    elif form.specials == "nan" and exponent == all_ones and mantissa == (1 << form.mantissa_bits) - 1:
        value = math.nan
    else:
        fraction = Fraction(mantissa, 1 << form.mantissa_bits)
        if exponent == 0 and form.zero:
            value = float(Fraction(2) ** (1 - form.bias) * fraction)
        else:
            value = float(Fraction(2) ** (exponent - form.bias) * (1 + fraction))
    return math.copysign(value, -1.0) if negative and not math.isnan(value) else value


def encode(
    form: Format, value: float, rounding: str = "rne", random: int = 0, saturate: bool = True, sr_bits: int = 32
) -> int:
    """The code of one float32 `value`; `random` is a 32-bit word of which the top `sr_bits` are used."""
    if math.isnan(value):
        return _nan(form)
    negative = math.copysign(1.0, value) < 0
    if not form.signed:
        negative, value = False, abs(value)
    if math.isinf(value):
        return _overflow(form, negative, saturate)
    exact = abs(Fraction(value))
    below, quantum = _neighbour_below(form, exact)
    if exact < form.smallest and not form.zero:
        return 0  # nothing below: the smallest value is the nearest, the next up and the last down
    rounded = (
        below + quantum
        if _goes_up(exact, below, quantum, negative, rounding, random >> (32 - sr_bits), sr_bits)
        else below
    )
    if form.is_integer:
        integer = -rounded if negative else rounded
        return int(min(max(integer, Fraction(form.min)), Fraction(form.max))) % (1 << form.bits)
    if rounded > Fraction(form.max):
        toward_zero = rounding == "rz" or (rounding == "rp" and negative)
        return _overflow(form, negative, saturate or toward_zero)
    return _word(form, negative, rounded)


def _neighbour_below(form: Format, exact: Fraction) -> tuple[Fraction, Fraction]:
    """The largest magnitude not above `exact` in the format without an upper bound, and the gap to the next one."""
    if form.is_integer:
        quantum = Fraction(1)
    else:
        exponent = form.min_exponent
        if exact:
            exponent = max(exponent, _floor_log2(exact))
        quantum = Fraction(2) ** (exponent - form.mantissa_bits)
    return exact // quantum * quantum, quantum


def _floor_log2(exact: Fraction) -> int:
    guess = exact.numerator.bit_length() - exact.denominator.bit_length()
    return guess if Fraction(2) ** guess <= exact else guess - 1


def _goes_up(
    exact: Fraction, below: Fraction, quantum: Fraction, negative: bool, rounding: str, random: int, sr_bits: int
) -> bool:
    fraction = (exact - below) / quantum
    if fraction == 0:
        return False
    if rounding == "rz":
        return False
    if rounding == "rp":
        return not negative
    if rounding == "sr":
        return fraction + Fraction(random, 1 << sr_bits) >= 1
    if fraction != Fraction(1, 2):
        return fraction > Fraction(1, 2)
    return rounding == "away" or below / quantum % 2 == 1


def _word(form: Format, negative: bool, magnitude: Fraction) -> int:
    """The word of a finite magnitude that the format holds."""
    if form.zero and magnitude < Fraction(form.min_normal):
        fields = int(magnitude / Fraction(form.smallest)) if magnitude else 0
    else:
        exponent = _floor_log2(magnitude)
        mantissa = (magnitude / Fraction(2) ** exponent - 1) * (1 << form.mantissa_bits)
        assert mantissa.denominator == 1
        fields = ((exponent + form.bias) << form.mantissa_bits) + int(mantissa)
    return _placed(form, negative, fields)


def _overflow(form: Format, negative: bool, saturate: bool) -> int:
    if form.is_integer:
        return 1 << form.mantissa_bits if negative else (1 << form.mantissa_bits) - 1
    if saturate or form.specials == "none":
        return _word(form, negative, Fraction(form.max))
    if form.specials == "fnuz":
        return _nan(form)
    if form.specials == "nan":
        return _placed(form, negative, (1 << (form.exponent_bits + form.mantissa_bits)) - 1)
    return _placed(form, negative, ((1 << form.exponent_bits) - 1) << form.mantissa_bits)


def _nan(form: Format) -> int:
    if form.is_integer:
        return 0
    if form.specials == "none":
        return _word(form, False, Fraction(form.max))
    if form.specials == "fnuz":
        return 1 << (form.bits - 1)
    return _placed(form, False, (1 << (form.exponent_bits + form.mantissa_bits)) - 1)


def _placed(form: Format, negative: bool, fields: int) -> int:
    if form.specials == "fnuz" and fields == 0:
        negative = False  # the only zero
    sign = 1 << (form.exponent_bits + form.mantissa_bits) if negative else 0
    return (sign | fields) << form.padding_bits

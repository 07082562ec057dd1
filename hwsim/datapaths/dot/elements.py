"""Element and scale codes as integers: a signed significand and an exponent.

Decides the reading of a number that every unit shares: value = significand * 2^(exponent - mantissa_bits), where a
subnormal keeps the smallest exponent and is not normalised (arXiv 2511.10909, section on FDPA). Infinity and NaN are
exponents of their own, so that two arrays say everything about an operand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.errors import ArgumentError

INF = 20000
"""Exponent that marks an infinity; the significand's sign is its sign."""
NAN = 30000
"""Exponent that marks NaN."""


@dataclass(frozen=True, slots=True)
class Element:
    """The fields of an element code, top to bottom: sign, exponent, mantissa, bits that are not read.

    `word_bits` is the width of a code, unread bits included.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: Literal["none", "nan", "ieee", "fnuz"]
    word_bits: int
    signed: bool = True
    unread_bits: int = 0
    has_zero: bool = True

    @property
    def magnitude_bits(self) -> int:
        """Width of exponent and mantissa together."""
        return self.exponent_bits + self.mantissa_bits

    @property
    def min_exponent(self) -> int:
        """Exponent of subnormals and of the smallest normal number."""
        return (1 if self.has_zero else 0) - self.bias

    @property
    def max_exponent(self) -> int:
        """Exponent of the largest exponent field that holds finite numbers."""
        top = (1 << self.exponent_bits) - 1
        if self.specials == "ieee" or (self.specials == "nan" and self.mantissa_bits == 0):
            top -= 1
        return top - self.bias

    @property
    def fixed_bits(self) -> int:
        """Bits of a magnitude as an integer of the format's smallest step."""
        return self.max_exponent - self.min_exponent + self.mantissa_bits + 1

    @property
    def fixed_max(self) -> int:
        """Largest such integer, if every mantissa is a number."""
        return ((1 << (self.mantissa_bits + 1)) - 1) << (self.max_exponent - self.min_exponent)

    @property
    def code_dtype(self) -> type[np.unsignedinteger[Any]]:
        """uint8, uint16 or uint32, the container of a code."""
        return np.uint8 if self.word_bits <= 8 else np.uint16 if self.word_bits <= 16 else np.uint32


@cache
def element(name: str) -> Element:
    """The format of `hwsim.formats` called `name`."""
    form = formats.get(name)
    return Element(
        name,
        form.exponent_bits,
        form.mantissa_bits,
        form.bias,
        form.specials,
        form.bits + form.padding_bits,
        signed=form.signed,
        unread_bits=form.padding_bits,
        has_zero=form.zero,
    )


@cache
def scale_element(name: str) -> Element:
    """The format of block scales called `name`: a scale is never negative, so a sign bit is not read."""
    return replace(element(name), signed=False)


def split(form: Element, codes: NDArray[Any]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Significands (int16, signed) and exponents (int16) of codes, both in the shape of `codes`."""
    words = codes.astype(np.int64) >> form.unread_bits
    magnitude = words & ((1 << form.magnitude_bits) - 1)
    field = magnitude >> form.mantissa_bits
    mantissa = magnitude & ((1 << form.mantissa_bits) - 1)
    normal = (field > 0) | (not form.has_zero)
    significand = np.where(normal, mantissa | 1 << form.mantissa_bits, mantissa)
    exponent = np.where(normal, field - form.bias, form.min_exponent)
    negative = ((words >> form.magnitude_bits) & 1).astype(bool) & form.signed
    significand = np.where(negative, -significand, significand)
    if form.specials == "ieee":
        top = field == (1 << form.exponent_bits) - 1
        exponent = np.where(top, np.where(mantissa == 0, INF, NAN), exponent)
    elif form.specials == "nan":
        exponent = np.where(magnitude == (1 << form.magnitude_bits) - 1, NAN, exponent)
    elif form.specials == "fnuz":
        exponent = np.where(negative & (magnitude == 0), NAN, exponent)
    return significand.astype(np.int16, order="C"), exponent.astype(np.int16, order="C")


@cache
def tables(form: Element) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """`split` of every code of a format of at most 16 bits."""
    return split(form, np.arange(1 << form.word_bits))


def parts(form: Element, codes: NDArray[Any]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """`split` by table where one fits."""
    if form.word_bits > 16:
        return split(form, codes)
    significands, exponents = tables(form)
    return significands[codes], exponents[codes]


def checked(form: Element, codes: NDArray[Any], where: str) -> NDArray[Any]:
    """Codes as a contiguous array of the format's container.

    Raises:
        ArgumentError: not unsigned codes, or a code outside the format.
    """
    array = np.asarray(codes)
    if array.dtype != form.code_dtype:
        raise ArgumentError(
            f"codes of {form.name} must be {np.dtype(form.code_dtype).name}", got=array.dtype.name, where=where
        )
    if form.word_bits not in (8, 16, 32) and array.size and int(array.max()) >> form.word_bits:
        raise ArgumentError(
            f"codes of {form.name} must be below {1 << form.word_bits}", got=int(array.max()), where=where
        )
    return np.ascontiguousarray(array)

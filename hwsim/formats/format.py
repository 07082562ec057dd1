"""A number format with its conversions; facts about it stand apart, as the conversions are made from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwsim.errors import ArgumentError
from hwsim.formats import codec
from hwsim.formats.facts import Facts, Rounding


@dataclass(frozen=True, slots=True)
class Format(Facts):
    """A number format; its fields are those of `hwsim.formats.facts.Facts`."""

    @property
    def values(self) -> NDArray[np.float32]:
        """The value of every code, float32 ``[code_count]``, read-only. Formats of up to 16 bits."""
        if self.code_count > 1 << 16:
            raise ArgumentError("a table of values needs a format of at most 16 bits", got=self.bits, where=self.name)
        return codec.values(self)

    def decode(self, codes: ArrayLike) -> NDArray[np.float32]:
        """The values of `codes`.

        Args:
            codes: unsigned integers below `code_count`, any shape. Padding and an ignored sign bit are not read.

        Returns:
            float32, the shape of `codes`, exact. Every NaN is 0x7FC00000.

        Raises:
            ArgumentError: not integers, or outside the format.
        """
        return codec.decode(self, codes)

    def encode(
        self,
        values: ArrayLike,
        rounding: Rounding = "rne",
        random_bits: NDArray[np.uint32] | None = None,
        saturate: bool = True,
        sr_bits: int = 32,
    ) -> NDArray[Any]:
        """The codes of `values`, rounded once.

        Special values are those of NVIDIA's conversions: NaN becomes the positive NaN of all ones; in a float format
        without NaN the largest positive value; 0 in an integer. -0.0, negative underflow and negative overflow keep
        their sign, also where overflow gives NaN; but the zero and the NaN of ``fnuz`` have none. A format without a
        sign takes the magnitude; one without zero turns 0 into its smallest value.

        Args:
            values: any shape; real numbers of any type, torch's tensors among them. Those of up to 64 bits round
                once, from what they are; a wider float from its float64 with a sticky last bit.
            rounding: see `Rounding`.
            random_bits: uint32, the shape of `values`, for ``sr`` only: one word an element, its top `sr_bits` used.
                A magnitude goes up if ``discarded fraction + random / 2^sr_bits >= 1``: with probability
                ``floor(fraction 2^sr_bits) / 2^sr_bits``, so the mean lies below the value by less than
                2^-sr_bits of the distance between neighbours.
            saturate: True: what is beyond the largest value, infinity included, becomes it. False: infinity, or NaN
                where the format has no infinity; but a finite value that ``rz`` (or ``rp``, below zero) brings back
                stays the largest value (IEEE 754-2019, 7.4). A format with neither saturates in any case, as every
                converter does.
            sr_bits: 1 to 32.

        Returns:
            `code_dtype`, the shape of `values`.

        Raises:
            ArgumentError: values that are no real numbers; unknown rounding; or random bits absent, unexpected or of
                another shape.
        """
        return codec.encode(self, values, rounding, random_bits, saturate, sr_bits)


def by_name(formats: Iterable[Format]) -> dict[str, Format]:
    """A catalogue; two formats of one name are a defect."""
    catalogue: dict[str, Format] = {}
    for form in formats:
        assert form.name not in catalogue, form.name
        catalogue[form.name] = form
    return catalogue

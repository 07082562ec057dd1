"""Power in bit flips: the formulas of PANN (Spingarn Eliezer et al., arXiv 2202.02783), from operand widths alone.

The unit is the average number of bits that flip in one multiply-accumulate of random operands. A multiplier flips
half a bit in each of b² internal signals and half of its input bits; a signed accumulator flips half of the B bits of
the sign-extended product at its input, and as many bits as the product is wide in its sum and register together.

The formulas ignore glitches and the clock, and 0.5 b² counts one signal a cell of the array. They are kept exactly as
published, as the cheapest of the fidelities; `hwsim.evaluation.energy` says what a flip costs and how wrong that is.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.errors import ArgumentError

SOURCE = "arXiv 2202.02783, bit-flip formulas"


def multiplier_flips(a_bits: int, b_bits: int) -> float:
    """Bits that flip in a multiplier: 0.5 max(a, b)² inside and 0.5 (a + b) at its inputs.

    The larger width decides inside, signed or not: narrowing one operand alone saves little.
    """
    _positive(a_bits=a_bits, b_bits=b_bits)
    return 0.5 * max(a_bits, b_bits) ** 2 + 0.5 * (a_bits + b_bits)


def accumulator_flips(a_bits: int, b_bits: int, acc_bits: int = 32, signed: bool = True) -> float:
    """Bits that flip in an accumulator of products of a and b: at its input, its sum and its register.

    The input flips half of `acc_bits` if products are sign-extended, else half of the product's bits.
    """
    _positive(a_bits=a_bits, b_bits=b_bits, acc_bits=acc_bits)
    product = a_bits + b_bits
    return (0.5 * acc_bits if signed else 0.5 * product) + product


def mac_flips(a_bits: int, b_bits: int, acc_bits: int = 32, signed: bool = True) -> float:
    """Bits that flip in one multiply-accumulate: 0.5 b² + 3 b + 0.5 B signed, 0.5 b² + 4 b unsigned."""
    return multiplier_flips(a_bits, b_bits) + accumulator_flips(a_bits, b_bits, acc_bits, signed)


def add_only_flips(x_bits: int, additions: float) -> float:
    """Bits that flip a weight in the multiplier-free unit with R `additions` an element: (R + 0.5) b_x."""
    _positive(x_bits=x_bits)
    if additions < 0:
        raise ArgumentError("additions must not be negative", got=additions, where="pann")
    return (additions + 0.5) * x_bits


def additions_for(budget_flips: float, x_bits: int) -> float:
    """R that spends `budget_flips` an element at activations of `x_bits`: P / b_x - 0.5.

    Raises:
        ArgumentError: the budget does not reach one addition in any number of elements.
    """
    _positive(x_bits=x_bits)
    additions = budget_flips / x_bits - 0.5
    if additions <= 0:
        raise ArgumentError(f"budget must exceed {0.5 * x_bits} flips", got=budget_flips, where="pann")
    return additions


@dataclass(frozen=True, slots=True)
class Row:
    """One width of the paper's table: flips of signed and unsigned units, and what dropping the sign saves."""

    bits: int
    signed: float
    unsigned: float

    @property
    def saving(self) -> float:
        """Part of the signed unit's flips that the unsigned unit does not make."""
        return 1 - self.unsigned / self.signed


def table(widths: tuple[int, ...] = (2, 3, 4, 5, 6, 8), acc_bits: int = 32) -> tuple[Row, ...]:
    """The paper's table for equal operand widths."""
    return tuple(Row(b, mac_flips(b, b, acc_bits, True), mac_flips(b, b, acc_bits, False)) for b in widths)


def _positive(**widths: int) -> None:
    for name, width in widths.items():
        if width < 1:
            raise ArgumentError(f"{name} must be at least 1", got=width, where="pann")

"""What a dot unit does, as a value: formats, group, alignment, block scales and accumulator, and what follows.

Decides which combinations exist: those that an integer of 62 bits, or limbs of an exact sum, can add. Tensor cores
are named values, whose facts stand in the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from hwsim.datapaths.base import check_choice, check_range
from hwsim.datapaths.dot import catalogue
from hwsim.datapaths.dot.catalogue import Align, Rounding
from hwsim.datapaths.dot.elements import Element, element, scale_element
from hwsim.errors import ArgumentError

Out = Literal["fp32", "fp16"]
Acc = Literal["fp32", "e8m13", "fp16"]

ROUNDINGS: dict[tuple[str, str], Rounding] = {
    ("fp32", "rz"): "rz_fp32",
    ("fp32", "rne"): "rne_fp32",
    ("e8m13", "rz"): "rz_e8m13",
    ("fp16", "rne"): "rne_fp16",
}
E_ZERO = {"fused": -133, "grouped": -139, "exact": 0}
"""Exponent of a zero term where none is given: Blackwell's."""

WORD = 62
"""Bits that the sum of a group may take, sign aside: emulators and circuits share it."""

EXACT_RANGE = -320, 440
"""Exponents that an exact sum spans."""


@dataclass(frozen=True)
class Rule:
    """A unit that adds `group` products and c at once.

    Args:
        a: element format of operand a, a float format of at most 10 mantissa bits.
        b: that of operand b; `a` if left out.
        group: products that are added together, 1 to 256.
        fraction_bits: bits kept below the largest exponent (F); of no effect on exact sums.
        align: ``"fused"``: every product and c are cut below the largest exponent among the non-zero ones.
            ``"grouped"``: products of `sub_group` elements are added exactly and multiplied by their block's scales;
            only these sums and c are cut, below the largest exponent of their scales. ``"exact"``: one rounding of
            the exact sum. Others are AMD's and come by `tensor_core`.
        block: elements that share a scale byte, a divisor or a multiple of `group`; None without scales.
        scale: format of the scale bytes, a float format of at most 8 bits without infinities; a sign is not read.
        acc: ``"fp32"``, ``"e8m13"`` (float32's exponents, 13 fraction bits, kept in float32), or ``"fp16"``, whose
            c and results are float16.
        rounding: of a group's sum: ``"rz"`` toward zero, ``"rne"`` to nearest even; "" is what the accumulator has:
            rz, for fp16 and exact sums rne.
        sub_group: elements that a grouped unit adds before any scale.
        e_zero: exponent that a zero term has, at most the least one of c; Blackwell's -133 (fused) or -139 (grouped)
            if left out.
        promote_every: leave the unit every so many elements of K and add outside it in float32, rounding to nearest
            (DeepSeek-V3 uses 128); a multiple of the group.
        rewrite: FP8 as compiled for sm_90a and sm_100a: two FP16 steps for 32 elements, c added outside.
        named: architecture and operand of a tensor core, whose facts the other fields then are.

    Raises:
        ArgumentError: a field outside its range, or a combination that no integer of 62 bits can add.
        UnknownName: a format or tensor core that does not exist.
    """

    a: str
    b: str = ""
    group: int = 16
    fraction_bits: int = 25
    align: Align = "fused"
    block: int | None = None
    scale: str | None = None
    acc: Acc = "fp32"
    rounding: str = ""
    sub_group: int = 16
    e_zero: int | None = None
    promote_every: int | None = None
    rewrite: bool = False
    named: tuple[str, str | tuple[str, str]] | None = None

    family: ClassVar[str] = "dot"

    def __post_init__(self) -> None:
        if not self.b:
            object.__setattr__(self, "b", self.a)
        if not self.rounding:
            nearest = self.acc == "fp16" or self.align == "exact"
            object.__setattr__(self, "rounding", "rne" if nearest else "rz")
        if self.e_zero is None:
            object.__setattr__(self, "e_zero", -21 if self.acc == "fp16" else E_ZERO.get(self.align, -133))
        if self.named is None:
            self._check()
            return
        facts = catalogue.facts(*self.named, self.out)
        if different := [name for name, value in facts.items() if getattr(self, name) != value]:
            rule = (
                f"a named unit must have the facts of {'.'.join(map(str, self.named))}; without the name it is free"
            )
            raise ArgumentError(rule, got=different, where="dot.named")
        self._check_promotion("tensor_core")

    def _check(self) -> None:
        check_choice(self, "align", *E_ZERO)
        check_choice(self, "acc", "fp32", "e8m13", "fp16")
        check_range(self, "group", 1, 256)
        check_range(self, "fraction_bits", 1, 48)
        check_range(self, "e_zero", -160, {"fp16": -14}.get(self.acc, 0 if self.align == "exact" else -126))
        if (self.acc, self.rounding) not in ROUNDINGS or (self.align == "exact" and self.rounding != "rne"):
            known = ", ".join(f"{acc} {how}" for acc, how in ROUNDINGS)
            got = f"{self.align} {self.acc} {self.rounding}"
            raise ArgumentError(f"acc and rounding must be one of {known}; exact sums need rne", got=got, where="dot")
        for form in self.forms:
            if form.mantissa_bits > 10 or form.exponent_bits == 0 or not (form.signed and form.has_zero):
                rule = "an element must be a float with a sign, a zero and at most 10 mantissa bits"
                raise ArgumentError(rule, got=form.name, where="dot")
        if (self.block is None) != (self.scale is None):
            raise ArgumentError("block and scale must come together", got=(self.block, self.scale), where="dot")
        if self.block is not None and (self.block < 1 or (self.group % self.block and self.block % self.group)):
            rule = f"a block must be a divisor or a multiple of the group of {self.group}"
            raise ArgumentError(rule, got=self.block, where="dot.block")
        scale = self.scale_form
        if scale is not None and (
            scale.word_bits > 8 or scale.exponent_bits == 0 or scale.specials not in ("none", "nan")
        ):
            rule = "scales must be floats of at most 8 bits without infinities"
            raise ArgumentError(rule, got=self.scale, where="dot.scale")
        check_range(self, "sub_group", 1, 256)
        if self.align == "grouped" and (
            self.block is None or self.group % self.sub_group or self.block % self.sub_group
        ):
            rule = "a grouped unit must have blocks of whole sub-groups, and groups of them"
            raise ArgumentError(rule, got=(self.group, self.sub_group, self.block), where="dot.sub_group")
        if self.rewrite:
            raise ArgumentError("only tensor cores rewrite their operands", got=True, where="dot.rewrite")
        self._check_promotion("dot")
        self._check_width()

    def _check_promotion(self, where: str) -> None:
        every = self.promote_every
        if every is not None and (every <= 0 or every % self.step or self.out != "fp32" or self.rewrite):
            raise ArgumentError(
                f"promote_every must be a multiple of {self.step} on a unit with a float32 result of its own",
                got=every,
                where=f"{where}.promote_every",
            )

    def _check_width(self) -> None:
        if self.align == "exact":
            least, greatest = self.exponents
            if self.acc != "fp32" or least - self.point < EXACT_RANGE[0] or greatest + 2 > EXACT_RANGE[1]:
                rule = f"an exact sum must be in fp32 and span exponents {EXACT_RANGE[0]}..{EXACT_RANGE[1]}"
                raise ArgumentError(rule, got=(self.acc, least - self.point, greatest), where="dot.align")
            return
        needed = self.fraction_bits + self.integer_bits + (self.terms + 1).bit_length()
        held = self.term_bits + (self.sub_group if self.align == "grouped" else 1).bit_length()
        if max(needed, held) > WORD:
            rule = f"terms and their sum must fit {WORD} bits, fewer fraction bits or narrower formats would"
            raise ArgumentError(rule, got=max(needed, held), where="dot.fraction_bits")

    # what follows from the fields

    @property
    def forms(self) -> tuple[Element, Element]:
        """Elements of a and b."""
        return element(self.a), element(self.b)

    @property
    def scale_form(self) -> Element | None:
        """Scales, None without."""
        return None if self.scale is None else scale_element(self.scale)

    @property
    def scale_point(self) -> int:
        """Fraction bits of a scale's significand; 0 without scales."""
        return self.scale_form.mantissa_bits if self.scale_form else 0

    @property
    def point(self) -> int:
        """Fraction bits of the product of two significands, with those of their scales."""
        a, b = self.forms
        return a.mantissa_bits + b.mantissa_bits + 2 * self.scale_point

    @property
    def integer_bits(self) -> int:
        """Bits of an aligned term above the point at its own exponent: 2 of a product, 2 of two scales; of a grouped
        unit those of an exact sum."""
        scaled = 2 if self.scale_point else 0
        if self.align != "grouped":
            return 2 + scaled
        a, b = self.forms
        return (self.sub_group * a.fixed_max * b.fixed_max).bit_length() + self.fixed_unit + scaled

    @property
    def fixed_unit(self) -> int:
        """Exponent of one unit of a grouped unit's exact sums."""
        return sum(form.min_exponent - form.mantissa_bits for form in self.forms)

    @property
    def term_bits(self) -> int:
        """Bits of a term before it is aligned: of a product, or of an exact sum times its scales."""
        scales = 2 * (self.scale_point + 1) if self.scale_point else 0
        if self.align == "grouped":
            return self.integer_bits - (2 if self.scale_point else 0) - self.fixed_unit + scales
        return sum(form.mantissa_bits + 1 for form in self.forms) + scales

    @property
    def terms(self) -> int:
        """Terms that are aligned beside c: products, or sums of sub-groups."""
        return self.group // self.sub_group if self.align == "grouped" else self.group

    @property
    def exponents(self) -> tuple[int, int]:
        """Least and greatest exponent of a term that is not zero."""
        parts = [] if self.align == "grouped" else list(self.forms)
        if self.scale_form is not None:
            parts += 2 * [self.scale_form]
        return sum(form.min_exponent for form in parts), sum(form.max_exponent for form in parts)

    @property
    def rule(self) -> Rounding:
        """What happens to the sum of a group."""
        return ROUNDINGS[self.acc, self.rounding]

    @property
    def arch(self) -> str | None:
        """Architecture of a tensor core, None of a free unit."""
        return None if self.named is None else self.named[0]

    @property
    def operand(self) -> str | tuple[str, str] | None:
        """Operand name, or a pair of them, of a tensor core."""
        return None if self.named is None else self.named[1]

    @property
    def step(self) -> int:
        """Elements of K that one instruction takes."""
        return catalogue.REWRITE_K if self.rewrite else self.group

    @property
    def out(self) -> Out:
        """Type of c and of results."""
        return "fp16" if self.acc == "fp16" else "fp32"

    @property
    def derived(self) -> bool:
        """Whether the inside of the unit follows from its rule, so that it can be drawn and priced; units that are
        only known from outside, and those made of others, are not."""
        return self.align in ("fused", "grouped") and not self.rewrite

    @property
    def name(self) -> str:
        """``blackwell.nvfp4``, ``hopper.e4m3*e5m2.fp16.promote128``, ``dot.e3m1.g32.f13.b64xue5m3``."""
        if self.named is not None:
            arch, operand = self.named
            parts = [arch, operand if isinstance(operand, str) else "*".join(operand)]
            parts += [self.out] if self.out != "fp32" else []
        else:
            pair = self.a if self.a == self.b else f"{self.a}*{self.b}"
            parts = ["dot", pair, f"g{self.group}"]
            if self.align != "fused":
                parts.append(self.align + (str(self.sub_group) if self.align == "grouped" else ""))
            parts += [f"f{self.fraction_bits}"] if self.align != "exact" else []
            parts += [f"b{self.block}x{self.scale}"] if self.scale else []
            nearest = self.acc == "fp16" or self.align == "exact"
            parts += [self.acc] if self.acc != "fp32" else []
            parts += [self.rounding] if (self.rounding == "rne") != nearest else []
            usual = -21 if self.acc == "fp16" else E_ZERO.get(self.align, -133)
            parts += [f"z{self.e_zero}"] if self.e_zero != usual else []
        return ".".join(parts + ([f"promote{self.promote_every}"] if self.promote_every else []))

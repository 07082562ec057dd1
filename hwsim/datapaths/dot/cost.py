"""Price of dot units: blocks that follow from the rule of a unit, and flips at the seams of its circuit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, log2
from typing import ClassVar

from hwsim import quant
from hwsim.cost import pann
from hwsim.cost.blocks import Blocks, Component, Registers, WidthFlips
from hwsim.cost.coefficients import Coefficients
from hwsim.cost.designs import Design
from hwsim.cost.features import Features
from hwsim.cost.fitted import SHARES, area
from hwsim.cost.parts import COMPOSED_ERROR, Parts, sum_of
from hwsim.datapaths.base import Arithmetic, Calibration, MissingView, Price
from hwsim.datapaths.dot.bits import Dot, tensor_core
from hwsim.datapaths.dot.signals import update_flips
from hwsim.datapaths.dot.verilog import dot_unit
from hwsim.datapaths.dot.verilog.parts import widths
from hwsim.gates.steps import Stream
from hwsim.rtl.minifloat import e2m1_dot

AREA_PARTS: Mapping[str, str] = {
    "partial_products": "products", "significands": "products", "exponents": "products", "groups": "products",
    "scales": "scaling", "factors": "scaling", "candidates": "alignment", "selections": "alignment",
    "addends": "accumulation", "normalisation": "accumulation", "constant": "accumulation",
}  # fmt: skip
"""Part of a machine's area that a feature belongs to."""

PRODUCTS = (
    "partials", "a", "b", "turned_by_product", "turned_by_exponent", "products", "groups", "quads", "exponents",
)  # fmt: skip
SCALING = ("scales", "scaled")
ALIGNMENT = (
    "turned_by_term", "distances_by_term", "shifts_by_term", "shifts_by_tree", "tops_by_terms", "signs_by_term",
)  # fmt: skip


FITTED = frozenset({"fp16", "bf16", "e4m3", "e5m2", "e3m2", "e2m3", "e2m1"})
"""Elements of fused units that the fit has seen, with windows of 13 to 25 bits."""

OTHER_ERROR, FREE_ERROR = 0.21, 0.54
"""Largest deviation from gates (``reports/free_units.md``) of units that no fit has seen: of fused ones without a
scale's mantissa, whose elements or windows are other than the fit's (five units: area -3 to +18 %, energy +2 to
+21 %); and of those with other scales or blocks (eleven: area -3 to +54 %, energy -32 to +18 %).
"""


@dataclass(frozen=True, slots=True)
class DotPrice(Price):
    """Of one fused or grouped unit."""

    unit: Dot

    parts: ClassVar[Mapping[str, str]] = (
        dict.fromkeys(PRODUCTS, "products")
        | dict.fromkeys(SCALING, "scaling")
        | dict.fromkeys(ALIGNMENT, "alignment")
    )

    @property
    def update(self) -> str:
        """``dot.fused`` or ``dot.grouped``."""
        return f"dot.{self._known().align}"

    @property
    def beyond_fit(self) -> float:
        """Of free units whose elements, window or scales have no circuit like theirs in the fit."""
        unit = self.unit
        if unit.align == "fused" and unit.scale_point == 0:
            known = {unit.a, unit.b} <= FITTED and 13 <= unit.fraction_bits <= 25
            return 0.0 if known else OTHER_ERROR
        usual = (unit.scale_point, unit.block) in ((0, 16), (0, 32), (3, 16))
        return 0.0 if unit.align == "grouped" and usual and unit.sub_group == 16 else FREE_ERROR

    def _known(self) -> Dot:
        """The unit, if its inside follows from its rule."""
        if not self.unit.derived:
            raise MissingView(self.unit.name, "price")
        return self.unit

    @property
    def registers(self) -> Registers:
        """All lanes with their scale bytes, and the sum."""
        unit = self.unit
        a, b = ((form.word_bits - form.unread_bits) * unit.group for form in unit.forms)
        scales = 0
        if unit.block is not None and unit.scale_form is not None:
            scales = unit.scale_form.word_bits * max(unit.group // unit.block, 1)
        return Registers(a + scales, b + scales, unit.accumulator_bits, 0, 0.5 * (a + b))

    def blocks(self, held: Coefficients) -> Blocks:
        """Products, scaling, alignment and accumulation."""
        unit = self._known()
        if held.fidelity != "fitted":
            own = (
                composed_grouped(unit, Parts(held)) if unit.align == "grouped" else composed_fused(unit, Parts(held))
            )
            if unit.promote_every:
                adder = held["fp32_adder.area"]
                own.append(Component("accumulation", adder, Parts(held).dense(adder)))
            return tuple(own), ()
        sizes = area_features(unit)
        by_part: dict[str, dict[str, float]] = {}
        for name, value in sizes.items():
            by_part.setdefault(AREA_PARTS[name], {})[name] = value
        whole = area(held, self.update, sizes).scaled(1.0, self.beyond_fit)
        shares = {part: area(held, f"{self.update}{SHARES}", one).value for part, one in by_part.items()}
        each = {part: whole.scaled(share / sum(shares.values())) for part, share in shares.items()}
        return tuple(Component(part, price, None) for part, price in each.items()), ()

    def update_flips(self, stream: Stream) -> Features:
        """At the seams of the circuit."""
        return update_flips(self._known(), stream)

    def width_flips(self, additions: float | None = None) -> WidthFlips:
        """A float product is an unsigned product of significands; each addition of the group flips as many bits as a
        product has, and each update adds one signed accumulation at the width of its window."""
        unit = self.unit
        a, b = (form.mantissa_bits + 1 for form in unit.forms)
        window = unit.fraction_bits + 3
        sums = unit.group * (a + b) + window + 0.5 * unit.accumulator_bits
        return WidthFlips(unit.group * pann.multiplier_flips(a, b), sums)


def area_features(unit: Dot) -> Features:
    """What the area of a unit is linear in.

    Raises:
        MissingView: exact sums of other elements than E2M1, for which no circuit was fitted.
    """
    wide, terms = widths(unit), unit.terms + 1
    shared = {
        "candidates": terms * wide.exponent_bits,
        "selections": terms * wide.term_bits * log2(wide.term_bits),
        "addends": terms * wide.term_bits,
        "normalisation": wide.magnitude_bits * log2(wide.magnitude_bits),
        "constant": 1.0,
    }
    form_a, form_b = unit.forms
    significand = unit.scale_point + 1
    blocks = max(unit.group // unit.block, 1) if unit.block else 0
    if unit.align == "grouped":
        if (unit.a, unit.b) != ("e2m1", "e2m1"):
            raise MissingView(unit.name, "price of exact sums of other elements than e2m1")
        sums = unit.term_bits - (2 * significand if unit.scale_point else 0)
        factors = unit.terms * sums * 2 * significand if unit.scale_point else 0
        return {"groups": unit.group / 16, "scales": 16 * blocks, "factors": factors, **shared}
    a, b = form_a.mantissa_bits + 1, form_b.mantissa_bits + 1
    scaling = 0
    if unit.scale_point:  # the same arrays of partial products multiply scales, and products by them
        scaling = blocks * significand**2 + unit.group * (a + b) * 2 * significand
    own = {
        "partial_products": unit.group * a * b + scaling,
        "significands": unit.group * (a + b) / 2,
        "exponents": unit.group * (form_a.exponent_bits + form_b.exponent_bits) / 2,
    }
    return own | shared


def composed_grouped(unit: Dot, parts: Parts) -> list[Component]:
    """Exact sums of 16 products, times their scales, aligned by the scales' exponents only."""
    if (unit.a, unit.b, unit.sub_group) != ("e2m1", "e2m1", 16):
        raise MissingView(unit.name, f"price in {parts.of.name}")
    groups = unit.terms
    dots = Component(
        "products",
        parts.of["e2m1_dot16.area"].scaled(groups),
        parts.of["e2m1_dot16.energy"].scaled(groups),
    )
    # |T| < 2^49 and a sign at F = 35; scale exponents and c's fit 10 bits
    window, exponent = unit.fraction_bits + 15, 10
    blocks = [dots]
    if unit.scale_point == 0:
        blocks.append(parts.block("scaling", f"{groups} sums of scale exponents", parts.adder(exponent * groups)))
    else:
        bits = unit.scale_point + 1
        significands, energy = parts.multiplier(bits, bits, False)
        products, product_energy = parts.multiplier(13, 2 * bits, False)
        exponents = parts.adder(exponent * groups)
        blocks.append(
            Component(
                "scaling",
                sum_of(
                    (significands.scaled(groups), products.scaled(groups), exponents),
                    "composed: scales times sums",
                    COMPOSED_ERROR,
                ),
                sum_of(
                    (energy.scaled(groups), product_energy.scaled(groups), parts.dense(exponents)),
                    "composed: scales times sums",
                    COMPOSED_ERROR,
                ),
            )
        )
    terms = groups + 1
    blocks.append(
        parts.block(
            "alignment",
            f"largest of {terms} exponents, {terms} shifters of {window} bits",
            parts.adder(2 * exponent * terms),
            parts.shifter(window).scaled(terms),
        )
    )
    blocks.append(_sum_and_normalise(parts, groups, window))
    return blocks


def composed_fused(unit: Dot, parts: Parts) -> list[Component]:
    """Every product aligned to the largest exponent, F bits kept below it."""
    if unit.scale_point:
        raise MissingView(unit.name, f"price in {parts.of.name}")
    a, b = unit.forms
    size, energy = parts.multiplier(a.mantissa_bits + 1, b.mantissa_bits + 1, False)
    exponent = max(a.exponent_bits, b.exponent_bits) + 2
    terms = unit.group + 1
    window = unit.fraction_bits + 3  # a product of significands is below 4, and a sign
    blocks = [
        Component("products", size.scaled(unit.group), energy.scaled(unit.group)),
        parts.block(
            "alignment",
            f"{unit.group} exponent sums, the largest of {terms}, {terms} shifters of {window} bits",
            parts.adder(exponent * unit.group),
            parts.adder(2 * exponent * terms),
            parts.shifter(window).scaled(terms),
        ),
        _sum_and_normalise(parts, unit.group, window + ceil(log2(terms))),
    ]
    if unit.scale is not None:
        blocks.insert(1, parts.block("scaling", "sum of two scale exponents", parts.adder(2 * 9)))
    return blocks


def _sum_and_normalise(parts: Parts, additions: int, window: int) -> Component:
    return parts.block(
        "accumulation",
        f"{additions} additions of {window} bits, leading zeros, one shifter",
        parts.adder(window * additions),
        parts.adder(window),
        parts.shifter(window),
    )


FUSED = (
    ("volta", "fp16"), ("ampere", "fp16"), ("ampere", "bf16"), ("ada", "e4m3"), ("ada", "e5m2"), ("hopper", "fp16"),
    ("hopper", "bf16"), ("hopper", "e4m3"), ("hopper", "e5m2"), ("blackwell", "e4m3"), ("blackwell", "e3m2"),
    ("blackwell", "e2m3"), ("blackwell", "e2m1"), ("blackwell", "mxfp8.e4m3"), ("blackwell", "mxfp8.e5m2"),
    ("blackwell", "mxfp6.e3m2"), ("blackwell", "mxfp6.e2m3"), ("blackwell", "mxf8f6f4.e2m1"),
)  # fmt: skip
GROUPED = (("blackwell", "nvfp4"), ("blackwell", "mxfp4"))


def designs(quick: bool) -> Iterator[Design]:
    """Exact sums of E2M1, units between the catalogue's (twenty tensor cores are too few to fit eight coefficients
    and to check them), and the catalogue's."""
    if quick:
        return
    for count in (2, 4, 8, 16, 32):
        unit = e2m1_dot(count)
        yield Design("dot.e2m1", unit.top, {"products": count, "constant": 1}, unit.verilog, compared=True)
    yield from _between()
    for arch, operand in FUSED + GROUPED:
        yield _design(tensor_core(arch, operand), f"dot_{arch}_{operand.replace('.', '_')}")


def _between() -> Iterator[Design]:
    """Tensor cores that nobody ships: shorter groups and other windows of the catalogue's rules."""
    for arch, operand, groups in (
        ("hopper", "fp16", (4, 8)), ("hopper", "bf16", (4, 8)), ("hopper", "e4m3", (4, 8, 16)),
        ("blackwell", "e2m1", (8, 16)), ("blackwell", "mxfp8.e5m2", (8, 16)), ("blackwell", "mxfp6.e2m3", (4, 8, 16)),
        ("blackwell", "mxf8f6f4.e2m1", (8, 16)),
    ):  # fmt: skip
        free = replace(tensor_core(arch, operand), named=None)
        for group in groups:
            for fraction in (13, 19, 25) if group == groups[0] else (free.fraction_bits,):
                name = f"dot_{operand.replace('.', '_')}_g{group}_f{fraction}"
                yield _design(replace(free, group=group, fraction_bits=fraction), name)
    blocks: tuple[tuple[str, tuple[int, ...]], ...] = (("nvfp4", (16, 32, 48, 64)), ("mxfp4", (32, 64)))
    for operand, lengths in blocks:
        free = replace(tensor_core("blackwell", operand), named=None)
        for group, fraction in product(lengths, (25, 30, 35)):
            if (group, fraction) != (64, 35):
                name = f"dot_{operand}_g{group}_f{fraction}"
                yield _design(replace(free, group=group, fraction_bits=fraction), name)


def _design(unit: Dot, name: str) -> Design:
    return Design(f"dot.{unit.align}", name, area_features(unit), dot_unit(unit, name).verilog, whole=True)


def arithmetics() -> Iterator[Arithmetic]:
    """Tensor cores of several generations, on the schemes that they were made for."""
    for arch, operand, scheme in (
        ("hopper", "e4m3", "fp8.e4m3.channel"), ("hopper", "bf16", "bf16"), ("ampere", "fp16", "fp16"),
        ("blackwell", "mxfp8.e4m3", "mxfp8.e4m3.rceil"), ("blackwell", "mxfp8.e5m2", "mxfp8.e5m2.rceil"),
        ("blackwell", "mxfp6.e2m3", "mxfp6.e2m3.rceil"), ("blackwell", "mxfp6.e3m2", "mxfp6.e3m2.rceil"),
        ("blackwell", "mxfp4", "mxfp4.floor"), ("blackwell", "nvfp4", "nvfp4.te"),
    ):  # fmt: skip
        held = quant.get(scheme)
        yield Arithmetic(held, held, tensor_core(arch, operand))


CALIBRATION = Calibration(designs, arithmetics, lambda: iter(()))

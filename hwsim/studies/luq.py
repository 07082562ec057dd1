"""LUQ's multiplier-free product beside what it replaces: area and energy, alone and with an accumulator.

The paper (Chmiel et al., arXiv 2112.10769) counts gates of its product and of a path that casts both operands to a
7-bit float and multiplies there. Its baseline is therefore no INT4 multiplier. Both baselines are synthesised here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.integer.verilog import mac
from hwsim.datapaths.shift.verilog import luq_product, luq_unit
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.synthesis import library_of
from hwsim.quant.luq import quantize_luq
from hwsim.rtl.float_adders import float_adder
from hwsim.rtl.multipliers import STYLES, multiplier
from hwsim.rtl.unit import Unit
from hwsim.studies import log_product, operands
from hwsim.studies.circuits import Measured, area_ge, conditions, measure, running
from hwsim.studies.luq_findings import PAPER_GATES, findings
from hwsim.studies.page import Study, Table, Value

ACC_BITS = 20
TOGETHER = "casts and FP7 multiplier, synthesised together"


@dataclass(frozen=True, slots=True)
class Grid:
    """Steps of a stream, and layers of the GPT whose gradients are recorded."""

    cycles: int
    layers: tuple[str, ...]


FULL = Grid(1 << 14, (".up", ".down"))
QUICK = Grid(512, ("0.down",))


@dataclass(frozen=True, slots=True)
class Codes:
    """One stream in the codes of every circuit: weights INT4, gradients as powers (e3m0) and as INT4."""

    weight: NDArray[np.int64]
    power: NDArray[np.int64]
    integer: NDArray[np.int64]
    clear: NDArray[np.uint64]


def study(grid: Grid) -> Study:
    """All tables and what follows from them."""
    streams = {"gpt gradients": _gradients(grid), "uniform codes": _uniform(grid.cycles)}
    tables = (_areas(), _claims(), _parts(), _accumulated(), _energy(streams), _energy_accumulated(streams))
    return Study(
        "luq",
        "LUQ: a product without a multiplier",
        "Chmiel et al. (arXiv 2112.10769) replace the product of INT4 and a 4-bit power of two by an exponent "
        "addition and state 264 gates before and 49 after, five times fewer, and 22 % fewer with an FP16 "
        "accumulator. How much of that is the baseline?",
        findings({table.name: table for table in tables}),
        conditions(
            operands="products of the input gradients of `models/gpt.py` "
            f"({', '.join('`*' + ending + '`' for ending in grid.layers)}): gradients by LUQ (seven powers, seed 0) "
            "or rounded to INT4, weights rounded to INT4, both at the clip of least squared error; and uniform "
            f"random codes; {grid.cycles} cycles a circuit, the sum in place",
            claims="the paper's gate counts are quoted from memory of its appendix; the parts add up to the totals, "
            "and their ratio and the 22 % agree with its text",
        ),
        tables,
    )


def _products() -> dict[str, tuple[Unit, ...]]:
    """Circuits by name; several are one after the other."""
    return {
        "shift, sign and magnitude": (luq_product("sign_magnitude"),),
        "shift, two's complement": (luq_product("twos_complement"),),
        "multiplier-free to FP7": (log_product.free_product(),),
        "INT4 × INT4, sign and magnitude": (log_product.int4_sign_magnitude(),),
        **{f"INT4 × INT4, two's complement, {style}": (multiplier(4, 4, True, style),) for style in STYLES},
        "casts and FP7 multiplier": log_product.standard_parts(),
        TOGETHER: (log_product.standard_product(),),
    }


def _area(units: tuple[Unit, ...]) -> float:
    return sum(area_ge(unit) for unit in units)


def _areas() -> Table:
    plain = {name: _area(units) for name, units in _products().items()}
    shift, free = plain["shift, sign and magnitude"], plain["multiplier-free to FP7"]
    rows = [(name, area, area / shift, area / free) for name, area in plain.items()]
    note = (
        "Gate equivalents (two-input NANDs). `shift` ends in fixed point, quarters; FP7 is a sign, four "
        "exponent bits and two fraction bits, as in the paper. All circuits are checked on all 256 pairs "
        "of operands."
    )
    return Table("area", "Area of a product", ("circuit", "GE", "to shift", "to multiplier-free"), tuple(rows), note)


def _claims() -> Table:
    area = {name: _area(units) for name, units in _products().items()}
    array = area["INT4 × INT4, two's complement, array"]
    pairs = (
        ("paper's path: casts, then FP7 multiplier", "casts and FP7 multiplier", "multiplier-free to FP7"),
        ("the same, synthesised together", TOGETHER, "multiplier-free to FP7"),
        ("INT4 multiplier, sign and magnitude", "INT4 × INT4, sign and magnitude", "shift, sign and magnitude"),
        ("INT4 multiplier, two's complement", "INT4 × INT4, two's complement, array", "shift, two's complement"),
    )
    rows: list[tuple[str, float, float, float, float | None]] = [
        (name, area[before], area[after], area[before] / area[after], None) for name, before, after in pairs
    ]
    rows[0] = (*rows[0][:4], PAPER_GATES["standard"] / PAPER_GATES["multiplier-free"])
    rows.append(("INT4 multiplier, shift in sign and magnitude", array, area["shift, sign and magnitude"],
                 array / area["shift, sign and magnitude"], None))  # fmt: skip
    columns = ("instead of", "GE before", "GE after", "ratio", "published")
    return Table("claims", "How many times smaller", columns, tuple(rows))


def _parts() -> Table:
    cast_a, cast_b, multiply = log_product.standard_parts()
    rows = (
        ("casts", area_ge(cast_a) + area_ge(cast_b), PAPER_GATES["casts"]),
        ("FP7 multiplier", area_ge(multiply), PAPER_GATES["FP7 multiplier"]),
        ("its significand multiplier", area_ge(multiplier(3, 3, False)), PAPER_GATES["its significand multiplier"]),
        ("multiplier-free product", area_ge(log_product.free_product()), PAPER_GATES["multiplier-free"]),
    )
    note = (
        "Gate equivalents found, gates published. The significand multiplier is 3 × 3 bits for all operands; inside "
        "the FP7 multiplier its leading bits are ones."
    )
    return Table("parts", "Where the baselines differ", ("part", "GE", "published gates"), rows, note)


def _flip_flop_ge() -> float:
    cells = library_of(str(DEFAULT_LIBERTY)).cells
    return cells["DFF"].area_um2 / cells["NAND2"].area_um2


def _accumulated() -> Table:
    rows: list[tuple[Value, ...]] = []
    before, after = _area(log_product.standard_parts()), _area((log_product.free_product(),))
    for fmt in ("fp32", "fp16"):
        held = area_ge(float_adder(fmt)) + float_adder(fmt).outputs[0].bits * _flip_flop_ge()
        paper = PAPER_GATES[fmt] + PAPER_GATES["standard"]
        saved = (PAPER_GATES["standard"] - PAPER_GATES["multiplier-free"]) / paper
        rows.append((f"FP7 products into {fmt}", held, held + before, held + after,
                     (before - after) / (held + before), saved))  # fmt: skip
    integer, fixed = area_ge(mac(4, 4, ACC_BITS)), area_ge(luq_unit("fixed", ACC_BITS))
    product, shifted = area_ge(multiplier(4, 4)), area_ge(luq_product())
    rows.append((f"INT4 multiplier or shift into {ACC_BITS} bits", integer - product, integer, fixed,
                 1 - fixed / integer, None))  # fmt: skip
    wide = area_ge(luq_unit("fp32"))
    rows.append(("shift into float32, with its conversion", wide - shifted, None, wide, None, None))
    note = (
        "GE with the accumulator and its register. For float accumulators the adder of `hwsim rtl "
        "float_adder` (nearest even, subnormals); FP7 enters it by wires."
    )
    columns = ("unit", "accumulator", "before", "after", "saved", "published")
    return Table("accumulated", "With an accumulator", columns, tuple(rows), note)


def _gradients(grid: Grid) -> Codes:
    gemms = operands.captured("gpt", grid.layers, phase="dgrad", rows=32)
    parts = []
    for gemm in gemms:
        gradient, weight = gemm.a.values[0], gemm.b.values[0]
        powers = quantize_luq(gradient, n_levels=7, seed=0).codes.astype(np.int64)
        integers = operands.quantize(gradient, 4, True)[0]
        weights = operands.quantize(weight, 4, True)[0]
        power, used, clear = operands.pairs(powers, weights, grid.cycles // len(gemms))
        parts.append((used, power, operands.pairs(integers, weights, grid.cycles // len(gemms))[0], clear))
    return Codes(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _uniform(n: int) -> Codes:
    rng = np.random.default_rng(0)
    weight, integer = rng.integers(-7, 8, size=(2, n))
    return Codes(weight, rng.integers(0, 16, size=n), integer, operands.clears(n, operands.LENGTH))


def _sign_magnitude(values: NDArray[np.int64]) -> NDArray[np.int64]:
    words: NDArray[np.int64] = np.abs(values) | (values < 0) << 3
    return words


def _quarters(codes: Codes) -> NDArray[np.int64]:
    """Products in quarters."""
    exponent = codes.power & 7
    size = np.where(exponent > 0, codes.weight << np.maximum(exponent - 1, 0), 0)
    return np.where(codes.power >> 3, -size, size)


def _streamed(name: str, units: tuple[Unit, ...], codes: Codes) -> tuple[float, float]:
    """Energy of a product, zero and unit delay, through circuits one after the other."""
    plain = _sign_magnitude(codes.weight)
    if name == "casts and FP7 multiplier":
        cast_a, cast_b, multiply = units
        x, y = (cast_a.golden({"a": plain.astype(np.uint64)})["f"],
                cast_b.golden({"b": codes.power.astype(np.uint64)})["f"])  # fmt: skip
        found = [
            measure(cast_a, {"a": plain}),
            measure(cast_b, {"b": codes.power}),
            measure(multiply, {"x": x, "y": y}),
        ]
        return sum(one.zero_fj for one in found), sum(one.unit_fj for one in found)
    encode: Callable[[NDArray[np.int64]], NDArray[np.int64]] = (
        (lambda v: v & 15) if "two's complement" in name else _sign_magnitude
    )
    other = encode(codes.integer) if name.startswith("INT4") else codes.power
    one = measure(units[0], {"a": encode(codes.weight), "b": other})
    return one.zero_fj, one.unit_fj


def _zero_products(name: str, codes: Codes) -> float:
    other = codes.integer if name.startswith("INT4") else codes.power & 7
    return float(((codes.weight == 0) | (other == 0)).mean())


def _energy(streams: dict[str, Codes]) -> Table:
    rows = []
    for source, codes in streams.items():
        found = {name: _streamed(name, units, codes) for name, units in _products().items()}
        shift = found["shift, sign and magnitude"]
        rows += [
            (source, name, *pair, pair[0] / shift[0], pair[1] / shift[1], _zero_products(name, codes))
            for name, pair in found.items()
        ]
    note = "fJ a product. The INT4 multiplier gets the gradients rounded to INT4, the others LUQ's powers of two."
    columns = ("operands", "circuit", "zero fJ", "unit fJ", "to shift zero", "to shift unit", "zero products")
    return Table("energy", "Energy of a product", columns, tuple(rows), note)


def _energy_accumulated(streams: dict[str, Codes]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for source, codes in streams.items():
        quarters = _quarters(codes)
        for name, found in (
            (f"INT4 multiplier into {ACC_BITS} bits", _mac(codes)),
            (f"shift into {ACC_BITS} bits", _fixed(codes, quarters)),
            ("shift into float32", _float32(codes, quarters)),
        ):
            rows.append((source, name, found.zero_fj, found.unit_fj, found.clock_fj))
        for fmt in ("fp16", "fp32"):
            adder = _adder(fmt, quarters, codes.clear)
            for way, key in (("casts and FP7 multiplier", "casts and FP7 multiplier"),
                             ("multiplier-free", "multiplier-free to FP7")):  # fmt: skip
                zero, unit = _streamed(key, _products()[key], codes)
                rows.append((source, f"{way}, {fmt} adder", zero + adder.zero_fj, unit + adder.unit_fj, None))
    note = (
        "fJ an operation. The units are whole circuits with their registers; for FP7 products the product"
        " and the float adder are measured one after the other, without a register."
    )
    columns = ("operands", "unit", "logic zero fJ", "logic unit fJ", "clock fJ")
    return Table("energy_accumulated", "Energy with an accumulator", columns, tuple(rows), note)


def _mac(codes: Codes) -> Measured:
    after = running(codes.weight * codes.integer, codes.clear, ACC_BITS)
    return measure(mac(4, 4, ACC_BITS), {"a": codes.weight, "b": codes.integer, "clear": codes.clear}, {"acc": after})


def _fixed(codes: Codes, quarters: NDArray[np.int64]) -> Measured:
    ports = {"a": codes.weight & 15, "b": codes.power, "clear": codes.clear}
    return measure(luq_unit("fixed", ACC_BITS), ports, {"acc": running(quarters, codes.clear, ACC_BITS)})


def _float32(codes: Codes, quarters: NDArray[np.int64]) -> Measured:
    # below 2^24 quarters: every sum is exact, so the float register holds the integer's value
    sums = running(quarters, codes.clear, 64).view(np.int64) / np.float32(4)
    after = sums.astype(np.float32).view(np.uint32).astype(np.uint64)
    return measure(luq_unit("fp32"), {"a": codes.weight & 15, "b": codes.power, "clear": codes.clear}, {"acc": after})


def _adder(fmt: str, quarters: NDArray[np.int64], clear: NDArray[np.uint64]) -> Measured:
    """A float adder on the products and its own running sum, rounded after each addition."""
    kind = np.dtype(np.float16 if fmt == "fp16" else np.float32)
    terms = (quarters / 4).astype(kind)
    before = np.zeros_like(terms)
    for row in range(1, len(terms)):
        before[row] = 0 if clear[row] else before[row - 1] + terms[row - 1]
    words = [values.view(f"u{kind.itemsize}").astype(np.uint64) for values in (before, terms)]
    return measure(float_adder(fmt), {"a": words[0], "b": words[1]})

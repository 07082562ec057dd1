"""What a dot unit is, found by asking it: group size, fraction bits, rounding, order, scales, special values.

Each question has one number as its answer. Ones in two positions beside a c at the end of its precision tell whether
the positions share a group; a pair that cancels beside a small c tells how many bits are kept below the largest
exponent; c at all ones plus two and four tells the rounding. The answers are the arguments of a unit
(`hwsim.verify.free.Parameters`), and that unit is compared with the one asked on hard operands: a description is only
given as found if nothing differs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwsim.verify.describe import describe
from hwsim.verify.free import Parameters, build
from hwsim.verify.operands import batches
from hwsim.verify.probes import Case, Pair, Probe, negative, powers
from hwsim.verify.search import Difference, search
from hwsim.verify.subject import DotUnit

ONE: Pair = (1.0, 1.0)
MINUS: Pair = (-1.0, 1.0)
ACCUMULATORS = {(23, "rz"): "fp32", (13, "rz"): "e8m13", (10, "rne"): "fp16", (23, "rne"): "fp32"}
"""Fraction bits of a result and its rounding -> accumulator."""

SUB_GROUP = 16
"""Products that a grouped unit adds before any scale, in every one that is known."""


@dataclass(frozen=True)
class Discovery:
    """What was found.

    Attributes:
        unit: name of the unit that was asked.
        parameters: the unit that reproduces it; None where the answers fit no known kind of unit.
        facts: further answers by name: special values, scale and element formats, order.
        checked: the comparison of that unit with the one asked.
        asked: dot products that the questions took.
    """

    unit: str
    parameters: Parameters | None
    facts: dict[str, str]
    checked: Difference
    asked: int

    @property
    def found(self) -> bool:
        """Whether a unit reproduces the one asked in every case."""
        return self.parameters is not None and self.checked.count == 0

    def text(self) -> str:
        """Lines for a person."""
        lines = [f"{self.unit}: " + (self.parameters.literal() if self.parameters else "no known kind of unit")]
        lines += [f"  {name}: {value}" for name, value in self.facts.items()]
        if self.parameters:
            lines.append(f"  compared with it on {self.checked.cases:,} dot products: {self.checked.count:,} differ")
        if self.checked.smallest:
            lines.append(f"  {self.checked.smallest}")
        return "\n".join(lines)


def precision(probe: Probe) -> int:
    """Fraction bits of a result: the largest n for which 1 + 2^-n goes through."""
    widths = range(1, 11 if probe.half else 24)
    got = probe.values([Case(c=1 + 2.0**-n) for n in widths])
    return max((n for n, value in zip(widths, got, strict=True) if value == 1 + 2.0**-n), default=0)


def kept(probe: Probe, partner: int, sign: float = 1.0, base: int | None = None) -> dict[int, float]:
    """n -> result · 2^-base of positions 0 and `partner`, which cancel at 2^base, beside c = sign · 2^(base - n)."""
    top = (probe.largest if probe.half else 0) if base is None else base
    pair = probe.product(top)
    assert pair is not None
    widths = range(1, min(60, top - probe.smallest_c) + 1)
    cases = [Case({0: pair, partner: negative(pair)}, sign * 2.0 ** (top - n)) for n in widths]
    return {n: value * 2.0**-top for n, value in zip(widths, probe.values(cases), strict=True)}


def last_kept(results: dict[int, float], sign: float = 1.0) -> int | None:
    """Bits kept below the largest exponent; None if every one that was asked about is."""
    lost = [n for n, value in results.items() if value != sign * 2.0**-n]
    return min(lost) - 1 if lost else None


def window(probe: Probe) -> tuple[int, int | None]:
    """A position of the group of position 0, and the bits that the group keeps.

    Where two positions are in different groups, the rounding between them takes part; it keeps no more bits.
    """
    found = {
        partner: last_kept(kept(probe, partner))
        for partner in sorted({1, 2, probe.k // 2, probe.k - 1} & set(range(1, probe.k)))
    }
    whole = [partner for partner, fraction in found.items() if fraction is None]
    if whole:
        return whole[0], None
    best = max(found, key=lambda partner: (found[partner] or 0, -partner))
    return best, found[best]


def same_group(probe: Probe, bits: int, fraction: int | None) -> list[int]:
    """The positions that are added in one step with position 0."""
    others = range(1, probe.k)
    if fraction is not None and fraction <= bits:  # c and one more fills the binade, and only then is a one cut
        c = 2.0 ** (fraction + 1) - 1
        got, joint = probe.values([Case({0: ONE, k: MINUS}, c) for k in others]), c
    else:  # one is half a unit of c, two are a whole
        c = 2.0 ** (bits + 1)
        got, joint = probe.values([Case({0: ONE, k: ONE}, c) for k in others]), c + 2
    return [0, *(k for k, value in zip(others, got, strict=True) if value == joint)]


def ascending(probe: Probe, bits: int, fraction: int | None, group: int) -> bool:
    """Whether the group of position 0 comes before the next one."""
    wide = fraction is not None and fraction <= bits
    top = 2.0 ** ((fraction if wide and fraction is not None else bits) + 1)
    (got,) = probe.values([Case({0: ONE, group: MINUS}, top - 1 if wide else top)])
    return got == (top if wide else top - 1)


def rounding(probe: Probe, bits: int) -> str:
    """``rz``, ``rne`` or ``other``: all ones plus two is a tie, plus four is above one."""
    top, c = 2.0 ** (bits + 1), 2.0 ** (bits + 1) - 1
    cases = [Case({0: (sign * 2.0, y)}, sign * c) for sign in (1.0, -1.0) for y in (1.0, 2.0)]
    got = probe.values(cases)
    for name, expected in (("rz", [top, top + 2]), ("rne", [top, top + 4])):
        if got == [*expected, *(-value for value in expected)]:
            return name
    return "other"


def sub_group(probe: Probe, group: int, fraction: int) -> int:
    """How many products of a grouped unit are added before anything is cut.

    A last block that cancels, with large scales, sets the window; beside it a product of 1/4 is half of what is kept,
    and two of them are kept if they meet before the cut.
    """
    unit = probe.unit
    assert unit.block is not None
    assert unit.scale_format is not None
    top = 2 * min(powers(unit.scale_format)[1], 20)
    low, last = top - fraction + 1, group // unit.block - 1
    scales = dict.fromkeys(range(last), (2.0 ** (low // 2), 2.0 ** (low - low // 2)))
    scales[last] = (2.0 ** (top // 2), 2.0 ** (top // 2))
    first, half = last * unit.block, (0.5, 0.5)
    others = range(1, first)
    cases = [Case({0: half, k: half, first: ONE, first + 1: MINUS}, scales=scales) for k in others]
    return 1 + sum(value != 0 for value in probe.values(cases))


def _subnormal_lost(probe: Probe) -> bool:
    return probe.values([Case(c=2.0**probe.smallest_c)]) == [0.0]


def zero_exponent(probe: Probe, bits: int, fraction: int, grouped: bool) -> int | None:
    """The exponent below which the window stops following the terms; None where it cannot be seen.

    Beside a product of the smallest result (float32, truncated) or half of it (float16, a tie), the smallest product
    that still changes the result lies at 2^(e_zero - fraction). They lie in the last group: nothing is cut behind it.
    """
    base = -25 if probe.half else -126 - bits
    cases = {n: case for n in range(1, fraction + 8) if (case := _tiny(probe, base, base - n, grouped)) is not None}
    if not cases:
        return None
    changed = [(1.0 if probe.half else 0.0) * 2.0**-24] * len(cases)
    got = probe.values(list(cases.values()))
    seen = [n for n, value, want in zip(cases, got, changed, strict=True) if value == want]
    last = max(seen, default=0)
    if last >= fraction or last == max(cases):
        return None
    return base - last + fraction


def _tiny(probe: Probe, base: int, tiny: int, grouped: bool) -> Case | None:
    """2^base plus (float16) or minus (float32) 2^tiny as products; None if the formats do not hold them."""
    unit = probe.unit
    if unit.block is None or unit.scale_format is None:
        big, small = probe.product(base), probe.product(tiny)
        if big is None or small is None:
            return None
        return Case({probe.k - 2: big, probe.k - 1: small if probe.half else negative(small)})
    if unit.scale_format != "e8m0":
        return None

    def scales(exponent: int) -> Pair | None:
        first = exponent // 2
        return (2.0**first, 2.0 ** (exponent - first)) if exponent >= -254 else None

    if grouped:
        pair, own = scales(tiny), scales(base)
        if pair is None or own is None:
            return None
        others = dict.fromkeys(range(probe.k // unit.block), own)
        return Case({0: ONE, unit.block: MINUS}, scales=others | {1: pair})
    big, small = probe.product(probe.largest), probe.product(probe.largest + tiny - base)
    shared = scales(base - probe.largest)
    if big is None or small is None or shared is None:
        return None
    everywhere = dict.fromkeys(range(probe.k // unit.block), shared)
    return Case({probe.k - 2: big, probe.k - 1: negative(small)}, scales=everywhere)


def _split_groups(probe: Probe) -> list[int]:
    """Positions of the first step of a unit that starts from zero and adds c outside.

    A pair that cancels wipes out a tiny product of its own group or of one before, and none that comes later.
    """
    big, small = probe.product(probe.largest), probe.product(probe.largest - 30)
    assert big is not None
    assert small is not None
    others = list(range(2, probe.k))
    got = probe.values([Case({0: big, 1: negative(big), k: small}) for k in others])
    return [0, 1, *(k for k, value in zip(others, got, strict=True) if value == 0)]


def _split_fraction(probe: Probe, position: int) -> int | None:
    widths = [n for n in range(1, 40) if probe.product(probe.largest - n)]
    big = probe.product(probe.largest)
    assert big is not None
    cases = []
    for n in widths:
        small = probe.product(probe.largest - n)
        assert small is not None
        cases.append(Case({0: big, 1: negative(big), position: small}))
    got = probe.values(cases)
    lost = [n for n, value in zip(widths, got, strict=True) if value == 0]
    return min(lost) - 1 if lost else None


def _whole(probe: Probe) -> Parameters | None:
    """A unit that cuts nothing of a small c: exact, a tree of float32, or FP16 steps with c added outside."""
    bits = precision(probe)
    mode = rounding(probe, bits)
    unit = probe.unit
    if mode != "rne":
        return None
    big, below = probe.product(min(probe.largest, 14)), probe.product(min(probe.largest, 14) - 28)
    assert big is not None
    assert below is not None
    c = -big[0] * big[1]
    (joint,) = probe.values([Case({0: big, 1: below}, c)])
    acc = ACCUMULATORS.get((bits, "rne"))
    if acc is None:
        return None
    if joint:
        group = len(same_group(probe, bits, None))
        return Parameters(unit.a_format, unit.b_format, acc, "exact", group, 0, "rne")
    if _subnormal_lost(probe):
        group = len(same_group(probe, bits, None))
        return Parameters(unit.a_format, unit.b_format, acc, "flushed", group, 0, "rne")
    first = _split_groups(probe)
    fraction = _split_fraction(probe, first[2]) if len(first) > 2 else None
    if fraction is None:
        return None
    inner = "rne" if probe.half else "rz"
    return Parameters(unit.a_format, unit.b_format, acc, "fused", len(first), fraction, inner, rewrite=True)


def measure(probe: Probe) -> Parameters | None:
    """The parameters that the answers give; None where they fit no known kind of unit."""
    unit, bits = probe.unit, precision(probe)
    partner, fraction = window(probe)
    if fraction is None:
        return _whole(probe)
    below = kept(probe, partner, -1.0)
    mode = rounding(probe, bits)
    if bits == fraction and probe.values([Case({probe.k - 1: (2.0, 1.0)}, 2.0 ** (bits + 1) - 1)]) == [
        2.0 ** (bits + 1) + 1
    ]:
        bits, mode = 10 if probe.half else 23, "rne" if probe.half else "rz"  # the window hides the rounding
    acc = ACCUMULATORS.get((bits, mode))
    if acc is None:
        return None
    group = same_group(probe, bits, fraction)
    if group != list(range(len(group))):
        return None
    if len(group) < probe.k and not ascending(probe, bits, fraction, len(group)):
        return None
    align = "fused"
    if below[fraction + 1] == -(2.0**-fraction):  # toward minus infinity: AMD's; c far below is dropped or is not
        align = "rounded" if below[fraction + 2] == below[fraction + 1] else "interleaved"
    elif probe.product(4) and not probe.half and last_kept(kept(probe, partner, base=4)) != fraction:
        align = "grouped"  # larger products of the same scale did not move the window
    found = Parameters(
        unit.a_format, unit.b_format, acc, align, len(group), fraction, mode, None, unit.block, unit.scale_format
    )
    if align == "grouped" and sub_group(probe, len(group), fraction) != SUB_GROUP:
        return None
    if align in ("fused", "grouped"):
        found = replace(found, e_zero=zero_exponent(probe, bits, fraction, align == "grouped"))
    return found


def discover(unit: DotUnit, k: int, count: int = 2000, seed: int = 0) -> Discovery:
    """Ask a unit about dot products of `k` elements and compare the answer with it on `count` of every kind.

    Args:
        unit: an emulator, or an instruction of a device (`hwsim.verify.cuda.unit.DeviceUnit`).
        k: elements of one instruction.
        count: dot products of every kind of operands in the comparison.
        seed: of the operands.
    """
    probe = Probe(unit, k)
    parameters = measure(probe)
    described = describe(probe)
    checked = Difference(0)
    model = None if parameters is None else build(parameters)
    if model is None:
        parameters = None  # answers that no unit here gives
    else:
        checked = search(
            unit, lambda batch: batch.run(model), lambda batch: batch.run(unit), batches(unit, seed, count, k)
        )
    return Discovery(unit.name, parameters, described, checked, probe.asked)

"""What the tables of the study ``luq`` say, in sentences whose numbers are read from them."""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.studies.page import Table, percent

PAPER_GATES = {
    "standard": 264, "multiplier-free": 49, "fp32": 2453, "fp16": 731,
    "casts": 30, "FP7 multiplier": 234, "its significand multiplier": 99,
}  # fmt: skip
"""Gates by the appendix of arXiv 2112.10769: both products, the two accumulators, and parts of the standard path."""


def findings(tables: Mapping[str, Table]) -> tuple[str, ...]:
    """Sentences, the most important first."""
    claims = {row["instead of"]: row for row in tables["claims"].select({})}
    standard = claims["paper's path: casts, then FP7 multiplier"]
    together = claims["the same, synthesised together"]
    plain = claims["INT4 multiplier, two's complement"]
    size = "no larger than" if standard["GE after"] <= PAPER_GATES["multiplier-free"] else "larger than"
    return (
        f"{standard['ratio']:.1f} times, not {standard['published']:.1f}: that is what the paper's own comparison, "
        "casts and an FP7 multiplier against an exponent addition, comes to after synthesis "
        f"({standard['GE before']:.0f} and "
        f"{standard['GE after']:.0f} gate equivalents; published: {PAPER_GATES['standard']} and "
        f"{PAPER_GATES['multiplier-free']} gates). The multiplier-free product is {size} the paper says; its "
        f"baseline is not as large: {_parts(tables['parts'])}.",
        "A synthesis that sees casts and multiplier together makes nearly the multiplier-free circuit of them by "
        f"itself: {together['ratio']:.2f} times remain.",
        f"Against INT4 multipliers, which the published {standard['published']:.1f} times are not about and which "
        "the unit would replace in an integer array: "
        f"{claims['INT4 multiplier, sign and magnitude']['ratio']:.2f} times in sign and magnitude, "
        f"{plain['ratio']:.2f} in two's complement, "
        f"{claims['INT4 multiplier, shift in sign and magnitude']['ratio']:.2f} if only the shift changes to sign "
        "and magnitude.",
        _accumulators(tables["accumulated"]),
        _energy(tables["energy"]),
        _whole(tables["energy_accumulated"]),
    )


def _parts(table: Table) -> str:
    rows = {row["part"]: row for row in table.select({})}
    whole, inner = rows["FP7 multiplier"], rows["its significand multiplier"]
    return (
        f"the FP7 multiplier takes {whole['GE']:.0f} gate equivalents for {whole['published gates']} gates, a "
        f"significand multiplier for all operands {inner['GE']:.0f} for {inner['published gates']}. The paper adds "
        "up textbook blocks; synthesis shares their terms and drops what leading bits that are always one do not need"
    )


def _accumulators(table: Table) -> str:
    parts = [
        f"{percent(row['saved'])} with {row['unit'].split()[-1]} (published {percent(row['published'])})"
        for row in table.select({})
        if row["published"] is not None
    ]
    rows = table.select({})
    integer = next(row for row in rows if row["unit"].startswith("INT4"))
    held = {row["unit"].split()[-1]: row["accumulator"] for row in rows if row["published"] is not None}
    return (
        f"With a float accumulator the area saved is {', '.join(parts)}. The accumulators here have "
        f"{held['fp32']:.0f} and {held['fp16']:.0f} gate equivalents with their registers, the paper's "
        f"{PAPER_GATES['fp32']} and {PAPER_GATES['fp16']} gates; it is the product's saving that is smaller. Into a "
        f"fixed-point accumulator the shift {'saves' if integer['saved'] > 0 else 'costs'} "
        f"{percent(abs(integer['saved']))} against the INT4 "
        "multiplier, whose products are three bits narrower."
    )


def _energy(table: Table) -> str:
    def of(name: str) -> str:
        row = table.select({"operands": "gpt gradients", "circuit": name})[0]
        return f"{row['to shift zero']:.2f} and {row['to shift unit']:.2f}"

    plain = "INT4 × INT4, two's complement, array"
    free = "multiplier-free to FP7"
    zeros = {row["circuit"]: row["zero products"] for row in table.select({"operands": "gpt gradients"})}
    uniform = table.select({"operands": "uniform codes", "circuit": plain})[0]
    return (
        "Energy on the GPT's gradients, over the shift in sign and magnitude (zero and unit delay): casts and FP7 "
        f"multiplier {of('casts and FP7 multiplier')}, INT4 multiplier in sign and magnitude "
        f"{of('INT4 × INT4, sign and magnitude')}, in two's complement "
        f"{of(plain)}, multiplier-free to FP7 {of(free)}. The INT4 figures flatter: rounded to nearest in INT4, "
        f"{percent(zeros[plain])} of the products are zero ({percent(zeros[free])} with LUQ's powers), and zeros do "
        f"not switch; on uniform codes the two's complement multiplier takes {uniform['to shift zero']:.2f} and "
        f"{uniform['to shift unit']:.2f}."
    )


def _whole(table: Table) -> str:
    rows = {row["unit"]: row for row in table.select({"operands": "gpt gradients"})}
    integer = next(row for name, row in rows.items() if name.startswith("INT4"))
    fixed = next(row for name, row in rows.items() if name.startswith("shift into") and "bits" in name)

    def ratio(delay: str) -> float:
        return float(fixed[f"logic {delay} fJ"] / integer[f"logic {delay} fJ"])

    saved = {
        fmt: 1 - rows[f"multiplier-free, {fmt} adder"]["logic zero fJ"]
        / rows[f"casts and FP7 multiplier, {fmt} adder"]["logic zero fJ"]
        for fmt in ("fp16", "fp32")
    }  # fmt: skip
    return (
        f"With the accumulator: a shift into fixed point takes {ratio('zero'):.2f} (zero delay) and "
        f"{ratio('unit'):.2f} (unit delay) of the INT4 MAC's logic energy on the same gradients; under float adders "
        f"the product saves {percent(saved['fp16'])} (fp16) and {percent(saved['fp32'])} (fp32), zero delay."
    )

"""What the tables of the study ``pann`` say, in sentences whose numbers are read from them."""

from __future__ import annotations

from collections.abc import Mapping

from hwsim.studies.page import Table, percent

Tables = Mapping[str, Table]
WIDER = "multiplying, weights of one bit more"


def findings(tables: Tables, differing: int) -> tuple[str, ...]:
    """Sentences, the most important first; `differing` dot products changed when weights were split by sign."""
    return (
        _accuracy(tables["accuracy"]),
        _add_only(tables["add_only"], tables["accuracy"]),
        _pair(tables["add_only"]),
        _unsigned(tables["conversion"], tables["formulas"], tables["gates"]),
        _clock(tables["conversion"]),
        _growth(tables["growth"]),
        _flips(tables["counted"]),
        _real(tables["counted"], tables["gates"]),
        _widths(tables["narrow"]),
        "W+ and W- give the dot products of the signed unit bit for bit"
        + ("." if differing == 0 else f", except for {differing}."),
    )


def best_choice(accuracy: Table, bits: int) -> dict[str, float]:
    """The add-only row of a budget that loses least."""
    return min(accuracy.select({"budget bits": bits, "unit": "add-only"}), key=lambda row: float(row["lost"]))


def _accuracy(accuracy: Table) -> str:
    parts, wins, wider = [], [], []
    for row in accuracy.select({"unit": "multiplying"}):
        bits, best = row["budget bits"], best_choice(accuracy, row["budget bits"])
        parts.append(
            f"{bits} bits {best['lost']:.3f} (b_x = {best['b_x']}, R = {best['R']:.2f}) and {row['lost']:.3f}"
        )
        strong = accuracy.select({"unit": WIDER, "budget bits": bits})[0]
        wider.append(f"{strong['lost']:.3f}")
        if best["lost"] < min(row["lost"], strong["lost"]):
            wins.append(bits)
    base = accuracy.select({"unit": "float32"})[0]["bits per byte"]
    held = f"holds at budgets of {_list(wins)} bits" if wins else "does not hold at any budget"
    return (
        f"Accuracy at equal formula power, what additions lose and what multiplications, of {base:.3f} bits per "
        f"byte: {'; '.join(parts)}. A multiplying unit behind W+ and W- may have one bit more in its weights at the "
        f"same formula power; it loses {', '.join(wider)}. Against both the paper's advantage {held}"
        + ("" if len(wins) == len(parts) else ", and not above")
        + "; its minor degradation at the 2-bit budget is the first of these numbers here, without retraining."
    )


def _add_only(table: Table, accuracy: Table) -> str:
    rows = []
    for bits in sorted(set(table.column("budget bits"))):
        x_bits = best_choice(accuracy, bits)["b_x"]
        rows += table.select({"operands": "half-normal", "budget bits": bits, "b_x": x_bits})
    parts = [
        f"{row['budget bits']} bits, b_x = {row['b_x']}: {row['to unsigned zero']:.1f} × "
        f"({row['to unsigned unit']:.1f} × with glitches, {row['to unsigned with clock']:.1f} × with clock; "
        f"{row['to signed zero']:.2f} × the signed unit's, {row['to signed with clock']:.1f} × with clock)"
        for row in rows
    ]

    def counted(column: str) -> str:
        return _span([row[column] / row["formula flips"] - 1 for row in rows], "+.0f", 100) + " %"

    narrow = ", ".join(f"{row['to narrow zero']:.1f}" for row in rows)
    return (
        "Equal power by the formula is not equal energy in gates. Logic energy of the add-only unit over that of the "
        "unsigned multiplying one with magnitudes of as many bits as the budget has, half-normal operands: "
        f"{'; '.join(parts)}. The formula is nearly right for additions (counted flips {counted('counted flips')}) "
        f"and too high for the multiplication (counted {counted('counted flips of the MAC')}), as an AND flips less "
        "often than its inputs; a sum carries past the b_x bits that the formula counts; and every addition is a "
        "cycle of the clock. Fed weights that have these bits with their sign, as networks are usually quantised, "
        f"the ratio is {narrow}: at 2 bits a magnitude is then 0 or 1, and the multiplying unit itself adds once at "
        "most."
    )


def _pair(table: Table) -> str:
    rows = table.select({"operands": "half-normal"})
    own = [row["paired zero fJ"] / row["alone zero fJ"] for row in rows]
    ordered = [row["paired sorted zero fJ"] / row["alone zero fJ"] for row in rows]
    return (
        "What the formula leaves out of the add-only unit: a second accumulator and one subtraction a dot product "
        f"take the logic energy to {_span(ordered, '.1f')} times that of one accumulator behind weights sorted by "
        f"sign (half-normal, zero delay), and with the weights in their own order to {_span(own, '.1f')} times, as "
        "the one adder then changes between two sums."
    )


def _unsigned(conversion: Table, formulas: Table, gates: Table) -> str:
    parts, equal = [], []
    for row in gates.select({"style": "array", "operands": "uniform", "unit": "signed"}):
        known = formulas.select({"bits": row["bits"]})
        if known:
            same = {name: row[name] for name in ("style", "bits", "operands")}
            other = gates.select(same | {"unit": "unsigned"})[0]
            equal.append(
                f"{row['bits']} bits {percent(known[0]['saving'])} → {percent(known[0]['counted saving'])} → "
                f"{percent(1 - other['logic zero fJ'] / row['logic zero fJ'])}"
            )
    for row in conversion.select({"operands": "half-normal", "way": "sorted by sign"}):
        known = formulas.select({"bits": row["bits"]})
        if known:
            parts.append(
                f"{row['bits']} bits {percent(known[0]['saving'])} → {percent(row['saves zero'])} "
                f"({percent(row['saves unit'])} with glitches, {percent(row['saves zero with clock'])} with clock)"
            )
    return (
        "What dropping the sign saves. At equal widths, uniform operands, by the formula → in counted bits → in "
        f"logic energy without glitches: {'; '.join(equal)}. For the same inputs it is more, as there a signed unit "
        "is one bit wider, the magnitudes of weights are one bit narrower and no sign runs through the accumulator; "
        f"the clock takes part of it back (formula → logic energy, half-normal operands, weights sorted by "
        f"sign): {'; '.join(parts)}."
    )


def _clock(conversion: Table) -> str:
    rows = conversion.select({"way": "W+, then W-"})
    return (
        "In two passes, W+ and then W-, the accumulator is clocked twice an element: with the clock every width "
        f"{'costs more than' if all(r['saves zero with clock'] < 0 for r in rows) else 'comes near'} the signed unit "
        f"(savings {percent(min(r['saves zero with clock'] for r in rows))} to "
        f"{percent(max(r['saves zero with clock'] for r in rows))}). The conversion pays only with weights sorted by "
        "sign, or with clocks that stop."
    )


def _growth(growth: Table) -> str:
    def span(delay: str, column: str) -> str:
        values = [row[column] for row in growth.select({"delay": delay})]
        return f"{min(values):.1f} to {max(values):.1f}"

    def worst(delay: str, **where: str) -> str:
        rows = growth.select({"delay": delay, **where})
        return percent(max(row["worst error of the fit"] for row in rows))

    return (
        f"b² holds for multipliers without glitches (toggles grow with an exponent of {span('zero', 'exponent')}; "
        f"a b² + c b fits the array within {worst('zero', style='array')}, every style within {worst('zero')}) "
        f"and fails with them (exponent {span('unit', 'exponent')}; the array within "
        f"{worst('unit', style='array')} only)."
    )


def _flips(counted: Table) -> str:
    rows = [row for row in counted.select({"operands": "uniform"}) if row["bits"] >= 4]
    worst = max(abs(row[name] / row[f"{name} formula"] - 1) for row in rows for name in ("adder input", "register"))
    partial = [row["partial products"] / row["bits"] ** 2 for row in rows]
    return (
        "Counted bits confirm the accumulator's terms on uniform operands of 4 bits and more within "
        f"{percent(worst)}; partial products flip {min(partial):.2f} to {max(partial):.2f} b² where the formula has "
        "0.5 b² for all that happens inside a multiplier."
    )


def _real(counted: Table, gates: Table) -> str:
    zeros = [row["zero inputs"] for row in counted.select({"operands": "gpt down", "unit": "unsigned"})]
    clock = [
        row["clock fJ"] / (row["clock fJ"] + row["logic zero fJ"])
        for row in gates.select({"operands": "gpt down", "unit": "unsigned"})
    ]
    ratios = {
        name: [row["total"] / row["total formula"] for row in counted.select({"operands": name})]
        for name in ("gpt up", "gpt down")
    }
    return (
        "Real operands are not uniform: inputs behind a norm flip "
        f"{percent(min(ratios['gpt up']))} to {percent(max(ratios['gpt up']))} of the formula's bits, squared ReLUs "
        f"{percent(min(ratios['gpt down']))} to {percent(max(ratios['gpt down']))}, as {percent(min(zeros))} to "
        f"{percent(max(zeros))} of them are zero. On these the accumulator's clock takes {percent(min(clock))} to "
        f"{percent(max(clock))} of the energy (unsigned, zero delay)."
    )


def _widths(narrow: Table) -> str:
    def halves(**where: str) -> list[float]:
        rows = narrow.select(where)
        return [row["saves zero"] for row in rows if sorted((row["a bits"], row["b bits"])) == [4, 8]]

    signed, unsigned = halves(style="array", unit="signed"), halves(style="array", unit="unsigned")
    rule = narrow.select({"a bits": 4, "b bits": 8})[0]["formula saves"]
    text = (
        "That the wider operand decides holds for a signed array (halving one operand of an 8 × 8 multiplier saves "
        f"{percent(min(signed))} to {percent(max(signed))}, formula {percent(rule)}) and not for an unsigned one "
        f"({percent(min(unsigned))} to {percent(max(unsigned))})"
    )
    booth = halves(style="booth", unit="signed")
    recoded = (
        f"; in a signed Booth multiplier it fails for the recoded operand ({percent(max(booth))})" if booth else ""
    )
    return f"{text}{recoded}."


def _span(values: list[float], digits: str, factor: float = 1.0) -> str:
    """``least to greatest``, or the one number that both round to."""
    ends = [format(factor * end, digits) for end in (min(values), max(values))]
    return " to ".join(dict.fromkeys(ends))


def _list(values: list[int]) -> str:
    return ", ".join(map(str, values[:-1])) + (" and " if len(values) > 1 else "") + str(values[-1])

"""What the tables of the study ``ternary_lut`` say, in sentences whose numbers are read from them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from hwsim.studies.page import Table, percent

PUBLISHED_RATIO = 2.2  # area against multiplier-based designs, abstract of arXiv 2604.25183


def findings(tables: Mapping[str, Table]) -> tuple[str, ...]:
    """Sentences, the most important first."""
    best = tables["best"]
    return (
        _activation(best),
        _ratio(best),
        *_density(tables["cores"]),
        _energy(tables["energy"]),
        f"A shared tree takes {percent(tables['adders'].select({'µ': 4})[0]['fewer'])} fewer adders at µ = 4 than "
        "separate sums; published: up to 82 %.",
    )


def _activation(best: Table) -> str:
    def row_of(activation: str) -> str:
        steps: dict[int, int] = {}
        for row in best.select({"activation": activation}):
            steps.setdefault(row["best µ"], row["K"])
        return ", ".join(f"{group} from K = {readers}" for group, readers in steps.items())

    last = _last(best)
    floats = [name for name in last if name != "int8"]
    decides = min(last[name]["add tree"] for name in floats) > last["int8"]["add tree"]
    sizes = ", ".join(f"the best {name.upper()} core {last[name]['add tree']:.2f} times" for name in floats)
    groups = "; ".join(f"for {name.upper()}: {row_of(name)}" for name in last)
    inside = all(row["best µ"] < row["largest µ"] for row in best.select({}))
    tried = ", ".join(f"{last[name]['largest µ']} ({name.upper()})" for name in last)
    return (
        f"The activation type {'decides' if decides else 'does not decide'}, with the reuse K. At K = "
        f"{last['int8']['K']} the best INT8 table core is {last['int8']['add tree']:.2f} times smaller than adders "
        f"without tables, {sizes}: a floating-point adder is dear, so that adding once for many weights pays for the "
        f"table. Best µ {groups}. µ was tried up to {tried}, and the optimum lies "
        f"{'inside that range everywhere' if inside else 'at its end somewhere'}. µ = 1 is no table, only a register "
        "and a selection."
    )


def _ratio(best: Table) -> str:
    last = _last(best)
    int8, fp16 = last["int8"], last["fp16"]
    bare = int8["multiply wide"] / int8["add tree"], fp16["multiply wide"] / fp16["add tree"]
    floats = ", ".join(
        f"{name.upper()} {row['multiply narrow']:.2f} times or more" for name, row in last.items() if name != "int8"
    )
    between = int8["multiply narrow"] < PUBLISHED_RATIO < int8["multiply wide"]
    return (
        f"Against multipliers at K = {int8['K']}: INT8 {int8['multiply narrow']:.2f} times smaller than multipliers "
        f"by 2-bit weights ({int8['bare']:.2f} without the accumulators, which both have) and "
        f"{int8['multiply wide']:.2f} times than by 8-bit weights, {floats}; published: {PUBLISHED_RATIO}, for a "
        f"baseline that could not be read; it {'lies' if between else 'does not lie'} between the two of INT8. So "
        "the ratio says as much about the baseline as about tables: adders that select, without tables, already get "
        f"{bare[0]:.2f} (INT8, 8-bit weights) and {bare[1]:.2f} (FP16)."
    )


def _last(best: Table) -> dict[str, dict[str, Any]]:
    """The row of the largest K by activation."""
    return {row["activation"]: row for row in best.select({})}


def _density(cores: Table) -> tuple[str, str]:
    steps, denser = 0, 0
    groups: dict[tuple[object, ...], list[tuple[int, float]]] = {}
    for row in cores.select({}):
        fixed = (row["activation"], row["µ"])
        groups.setdefault((*fixed, "L", row["L"]), []).append((row["K"], row["µm² a weight"]))
        groups.setdefault((*fixed, "K", row["K"]), []).append((row["L"], row["µm² a weight"]))
    for sizes in groups.values():
        ordered = [area for _, area in sorted(sizes)]
        steps += len(ordered) - 1
        denser += sum(after < before for before, after in itertools.pairwise(ordered))
    areas = cores.column("µm² a weight")
    errors = [abs(value) for value in cores.column("error of the parts")]
    return (
        f"Larger cores are denser in {denser} of {steps} steps of K or L, each synthesised whole "
        f"({areas[0]:.0f} µm² a weight for the first of the table).",
        f"Areas put together from parts differ from {len(areas)} whole cores by at most {percent(max(errors))}.",
    )


def _energy(energy: Table) -> str:
    held, first = energy.column("cycles held")[-1], energy.column("cycles held")[0]
    longest = energy.select({"cycles held": held})
    parts = [
        f"µ = {row['µ']}: {row['ratio zero']:.2f} (zero delay) and {row['ratio unit']:.2f} (unit delay)"
        for row in longest
    ]
    once = ", ".join(f"{row['ratio zero']:.2f}" for row in energy.select({"cycles held": first}))
    least = []
    for delay in ("zero", "unit"):
        whole = {row["µ"]: row[f"table {delay} fJ"] + row["clock gated fJ"] + row[f"accumulate {delay} fJ"]
                 for row in longest}  # fmt: skip
        group = min(whole, key=lambda each: whole[each])
        edge = " (the largest tried)" if group == max(whole) else ""
        least.append(f"µ = {group}{edge} with {delay} delay ({whole[group]:.0f} fJ a weight)")
    favoured = [row["µ"] for row in longest if row["ratio unit"] < row["ratio zero"]]
    glitches = (
        f"; glitches favour tables of µ = {', '.join(map(str, favoured))}, as a tree of adders is deep"
        if favoured
        else ""
    )
    return (
        f"Energy on BitNet's operands, table over adders without tables, a group held for {held} cycles: "
        f"{'; '.join(parts)}{glitches}. Held for {first}: {once} (zero delay, in the order of µ): reuse is what "
        "tables live on. With the accumulator, which adds once for µ weights, least is taken by "
        f"{' and by '.join(least)}."
    )

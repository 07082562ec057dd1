"""What the tables of the study ``ternary_lut`` say, in sentences whose numbers are read from them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

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

    last = {name: best.select({"activation": name})[-1] for name in ("int8", "fp16")}
    decides = last["fp16"]["add tree"] > last["int8"]["add tree"]
    return (
        f"The activation type {'decides' if decides else 'does not decide'}, with the reuse K. At K = "
        f"{last['int8']['K']} the best INT8 table core is {last['int8']['add tree']:.2f} times smaller than adders "
        f"without tables, the best FP16 core {last['fp16']['add tree']:.2f} times. Best µ for INT8: "
        f"{row_of('int8')}; for FP16: {row_of('fp16')}. µ = 1 is no table, only a register and a selection."
    )


def _ratio(best: Table) -> str:
    int8, fp16 = (best.select({"activation": name})[-1] for name in ("int8", "fp16"))
    bare = int8["multiply wide"] / int8["add tree"], fp16["multiply wide"] / fp16["add tree"]
    return (
        f"Against multipliers at the same K: INT8 {int8['multiply narrow']:.2f} times smaller than multipliers by "
        f"2-bit weights and {int8['multiply wide']:.2f} times than by 8-bit weights, FP16 "
        f"{fp16['multiply narrow']:.2f} times or more; published: {PUBLISHED_RATIO}, for which baseline could not be "
        "read. So the ratio says as much about the baseline as about tables: adders that select, without any table, "
        f"already get {bare[0]:.2f} (INT8, 8-bit weights) and {bare[1]:.2f} (FP16)."
    )


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
        f"Areas put together from parts differ from whole cores by at most {percent(max(errors))}.",
    )


def _energy(energy: Table) -> str:
    parts = []
    for group in sorted(set(energy.column("µ"))):
        row = energy.select({"µ": group})[-1]
        parts.append(f"µ = {group}: {row['ratio zero']:.2f} (zero delay) and {row['ratio unit']:.2f} (unit delay)")
    held = energy.select({})[-1]["cycles held"]
    first = energy.select({})[0]["cycles held"]
    whole = {
        row["µ"]: row["table zero fJ"] + row["clock gated fJ"] + row["accumulate zero fJ"]
        for row in energy.select({"cycles held": held})
    }
    least = min(whole, key=lambda group: whole[group])
    once = ", ".join(f"{row['ratio zero']:.2f}" for row in energy.select({"cycles held": first}))
    return (
        f"Energy on BitNet's operands, table over adders without tables, a group held for {held} cycles: "
        f"{'; '.join(parts)}. Held for {first}: {once} (zero delay, in the order of µ): reuse is what tables "
        f"live on. With the accumulator, which adds once for µ weights, µ = {least} takes least "
        f"({whole[least]:.0f} fJ a weight)."
    )

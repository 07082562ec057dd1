"""The page of a comparison of trainings, from the tables that it left in its folder."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwsim.errors import ArgumentError
from hwsim.report.style import INK, PALETTE, refusing, styled, to_svg
from hwsim.storage import Record, Rows, Table, Text, Whole, checked, parse_json, read_bytes, read_table, write_whole

FIGURE, PAGE = "curves.svg", "training.md"
FLOAT32 = "float32"
WINDOW = 0.02
"""The fraction of the steps that a point of a curve is the mean of."""

Curves = dict[str, dict[int, list[float]]]
"""recipe -> seed -> losses."""

_RECIPE = Record({"version": Whole(1), "paper": Text(), "claims": Rows(Text())}, open=True)
_MANIFEST = Record(
    {"model": Text(), "steps": Whole(1), "seeds": Rows(Whole(), 1), "recipes": Table(_RECIPE)}, open=True
)


def draw(folder: str | Path) -> Path:
    """Write the page and the figure of the comparison in `folder`; returns the page.

    Raises:
        ArgumentError: the folder holds no finished comparison, or a file is not what the comparison wrote.
    """
    where = Path(folder)
    if not (where / "losses.csv").is_file() or not (where / "manifest.json").is_file():
        raise ArgumentError("folder must hold a finished comparison of trainings", got=str(folder))
    path = where / "manifest.json"
    stored = parse_json(read_bytes(path, "manifest", ArgumentError), "manifest", str(path), ArgumentError)
    manifest = checked(stored, _MANIFEST, "manifest of a comparison", str(path), ArgumentError)
    curves: Curves = {}
    for recipe, seed, loss in _numbers(where / "losses.csv", "loss"):
        curves.setdefault(recipe, {}).setdefault(seed, []).append(loss)
    last: dict[str, dict[int, float]] = {}
    for recipe, seed, loss in _numbers(where / "summary.csv", "last_loss"):
        last.setdefault(recipe, {})[seed] = loss
    lengths = {len(losses) for seeds in curves.values() for losses in seeds.values()}
    seeds = [set(found) for table in (curves, last) for found in table.values()]
    if len(lengths) != 1 or FLOAT32 not in curves or any(found != set(last.get(FLOAT32, {})) for found in seeds):
        raise ArgumentError("every recipe must have the seeds and steps of float32", where=str(where))
    gradients, sqnr = (_rows(where / f"{name}.csv") for name in ("gradients", "sqnr"))
    try:
        with refusing():
            figure = _figure(curves, last, _cosines(gradients))
        page = _page(manifest, last, gradients, sqnr)
    except (LookupError, ValueError, ArithmeticError) as error:
        rule = f"tables of a comparison must be what it wrote ({type(error).__name__}: {error})"
        raise ArgumentError(rule, where=str(where)) from None
    write_whole(where / FIGURE, figure)
    write_whole(where / PAGE, page)
    return where / PAGE


def _numbers(path: Path, column: str) -> Iterator[tuple[str, int, float]]:
    """Recipe, seed and a number of every row."""
    columns = ("recipe", "seed", column)
    for line, row in read_table(path, "table", ArgumentError, columns=columns):
        try:
            seed, number = int(row["seed"]), float(row[column])
        except ValueError:
            raise ArgumentError("must be numbers", got=row, where=f"{path}:{line}") from None
        yield row["recipe"], seed, number


def _rows(path: Path) -> list[dict[str, str]]:
    """Rows of a table, none where there is none."""
    return [row for _, row in read_table(path, "table", ArgumentError)] if path.is_file() else []


def _cosines(rows: list[dict[str, str]]) -> dict[str, dict[int, float]]:
    """recipe -> step -> cosine of the gradient to float32's, the mean over seeds."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        found.setdefault(row["recipe"], {}).setdefault(int(row["step"]), []).append(float(row["cosine"]))
    return {name: {step: statistics.fmean(values) for step, values in steps.items()} for name, steps in found.items()}


def _smooth(losses: list[float]) -> tuple[list[int], list[float]]:
    width = max(1, round(WINDOW * len(losses)))
    ends = range(width, len(losses) + 1, width)
    return list(ends), [statistics.fmean(losses[end - width : end]) for end in ends]


def _figure(curves: Curves, last: dict[str, dict[int, float]], cosines: dict[str, dict[int, float]]) -> str:
    """Mean loss over seeds, each recipe's distance to float32 with the band of float32's seeds, and the cosine of its
    gradient."""
    with styled():
        import matplotlib.pyplot as plt

        figure, panels = plt.subplots(1, 3 if cosines else 2, figsize=(14.6 if cosines else 10.4, 3.8))
        left, right = panels[0], panels[1]
        colours = {name: INK if name == FLOAT32 else PALETTE[place - 1] for place, name in enumerate(curves)}
        means: dict[str, tuple[list[int], list[float]]] = {}
        for name, seeds in curves.items():
            smooth = [_smooth(losses) for losses in seeds.values()]
            steps = smooth[0][0]
            rows = list(zip(*(values for _, values in smooth), strict=True))
            means[name] = steps, [statistics.fmean(row) for row in rows]
            left.plot(steps, means[name][1], color=colours[name], label=name, linewidth=1.4)
            if len(seeds) > 1:
                low, high = [min(row) for row in rows], [max(row) for row in rows]
                left.fill_between(steps, low, high, color=colours[name], alpha=0.12, linewidth=0)
        left.set(title="Training loss", xlabel="step", ylabel="nats, mean and range of seeds")
        left.legend()
        for name, (steps, values) in means.items():
            if name != FLOAT32:
                gap = [value - base for value, base in zip(values, means[FLOAT32][1], strict=True)]
                right.plot(steps, gap, color=colours[name], linewidth=1.4)
        floor = _deviation(list(last[FLOAT32].values()))
        if not math.isnan(floor):
            right.axhspan(-floor, floor, color=INK, alpha=0.1, linewidth=0)
        right.axhline(0, color=INK, linewidth=0.8)
        right.set(title="Above float32 of the same seeds", xlabel="step", ylabel="nats; band: float32's seeds, ±1 σ")
        for name, seen in cosines.items():
            panels[2].plot(
                list(seen), list(seen.values()), color=colours[name], marker="o", markersize=3, linewidth=1.2
            )
        if cosines:
            panels[2].set(title="Gradient beside float32's", xlabel="step", ylabel="cosine, mean of seeds")
        figure.tight_layout()
        return to_svg(figure)


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else math.nan


def _looked(gradients: list[dict[str, str]], sqnr: list[dict[str, str]]) -> list[str]:
    """What single steps showed: the gradient over the training, and operands at the last look."""
    if not gradients:
        return []
    cosines = _cosines(gradients)
    steps = list(next(iter(cosines.values())))
    shown = [steps[round(place * (len(steps) - 1) / 4)] for place in range(5)] if len(steps) > 5 else steps
    lines = [
        "",
        "## Gradients",
        "",
        "Cosine of the gradient of all parameters to the one in float32 at the same weights, batch and random "
        "numbers, the mean of seeds.",
        "",
        f"| recipe | {' | '.join(f'step {step}' for step in shown)} |",
        f"|---|{'---:|' * len(shown)}",
    ]
    for name, seen in cosines.items():
        lines.append(f"| {name} | {' | '.join(f'{seen[step]:.4f}' for step in shown)} |")
    found: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for row in sqnr:
        if int(row["step"]) == steps[-1] and row["sqnr_db"]:
            key = row["recipe"], row["gemm"], row["operand"]
            found.setdefault(key, {}).setdefault(row["layer"], []).append(float(row["sqnr_db"]))
    lines += [
        "",
        "## Operands",
        "",
        f"Signal to quantization noise of what each GEMM reads at step {steps[-1]}, dB, the mean of seeds. In dgrad "
        "and wgrad operand a is the gradient. All layers and steps: `sqnr.csv`.",
        "",
        "| recipe | GEMM | operand | median layer | worst layer | which |",
        "|---|---|---|---:|---:|---|",
    ]
    for (name, gemm, operand), layers in sorted(found.items()):
        means = {layer: statistics.fmean(values) for layer, values in layers.items()}
        worst = min(means, key=lambda layer: means[layer])
        middle = statistics.median(means.values())
        lines.append(f"| {name} | {gemm} | {operand} | {middle:.1f} | {means[worst]:.1f} | {worst} |")
    return lines


def _page(
    manifest: dict[str, Any],
    last: dict[str, dict[int, float]],
    gradients: list[dict[str, str]],
    sqnr: list[dict[str, str]],
) -> str:
    base = last[FLOAT32]
    floor = _deviation(list(base.values()))
    lines = [
        f"# {manifest['model']}: {len(manifest['recipes'])} recipes beside float32",
        "",
        f"{manifest['steps']} steps, seeds {', '.join(map(str, manifest['seeds']))}; each seed has the same initial "
        "weights and batches under every recipe. The last loss is the mean of the last tenth of the steps.",
        "",
        f"![]({FIGURE})",
        "",
        "| recipe | last loss, nats | above float32, mean of seeds | standard error | in float32's σ |",
        "|---|---|---|---|---|",
    ]
    for name, values in last.items():
        gaps = [value - base[seed] for seed, value in values.items()]
        mean = statistics.fmean(gaps)
        error = _deviation(gaps) / math.sqrt(len(gaps))
        cells = [name, f"{statistics.fmean(values.values()):.4f}"]
        cells += ["", "", ""] if name == FLOAT32 else [f"{mean:+.4f}", _number(error), _number(mean / floor)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Noise floor, σ of float32's last loss over seeds: {_number(floor)} nats."]
    if len(base) < 3:
        lines += ["", "Fewer than three seeds: differences of the size of the noise floor mean nothing."]
    lines += _looked(gradients, sqnr)
    claims = [f"- {name}: {claim}." for name, facts in manifest["recipes"].items() for claim in facts["claims"]]
    lines += ["", "What is known of the recipes:", *claims] if claims else []
    papers = [
        f"- {name}, version {facts['version']}: {facts['paper']}" for name, facts in manifest["recipes"].items()
    ]
    return "\n".join([*lines, "", "Sources:", *papers, ""])


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:.4f}"

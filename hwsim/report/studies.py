"""The figure of a study, drawn from the tables that the study left in its folder.

A study computes and writes tables; what is drawn is decided here, from the files alone, so that a figure can be drawn
again without computing anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.errors import ArgumentError, HwsimError
from hwsim.report.style import MUTED, PALETTE, colours, refusing, styled, to_svg
from hwsim.storage import read_table, read_text, write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = Mapping[str, str]
FIGURE = "figure.svg"
_BASELINES = {
    "int8": {
        "add tree": "adders that select",
        "multiply narrow": "multipliers by 2 bits",
        "multiply wide": "multipliers by 8 bits",
    },
    "fp16": {"add tree": "adders that select", "multiply wide": "multipliers, without exponents"},
    "bf16": {"add tree": "adders that select", "multiply wide": "multipliers, without exponents"},
}


def draw(folder: str | Path) -> Path:
    """Draw the figure of the study in `folder` into it, show it on the study's page, and return its path.

    Raises:
        ArgumentError: the folder holds no study that has a figure, or its tables are not what the study wrote.
    """
    where = Path(folder)
    known = [name for name, panels in _PANELS.items() if all((where / f"{t}.csv").is_file() for t, _ in panels)]
    if not known or not (where / "study.md").is_file():
        raise ArgumentError("folder must hold a study", got=str(folder))
    panels = _PANELS[known[0]]
    with styled():
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, len(panels), figsize=(max(7.0, 5.2 * len(panels)), 3.6), squeeze=False)
        try:
            with refusing():
                for (table, panel), each in zip(panels, axes[0], strict=True):
                    panel(each, _read(where / f"{table}.csv"))
                figure.tight_layout()
                drawn = to_svg(figure)
        except (LookupError, ValueError, ArithmeticError) as error:
            if isinstance(error, HwsimError):
                raise
            rule = f"tables of a study must be what the study wrote ({type(error).__name__}: {error})"
            raise ArgumentError(rule.replace("\n", " "), where=str(where)) from None
        write_whole(where / FIGURE, drawn)
    page = where / "study.md"
    text = read_text(page, "page", ArgumentError)
    if FIGURE not in text:
        write_whole(page, text.replace("\n## Found", f"\n![]({FIGURE})\n\n## Found", 1))
    return where / FIGURE


def _read(path: Path) -> list[Row]:
    return [row for _, row in read_table(path, "table", ArgumentError)]


def _lines(axes: Axes, rows: Sequence[Row], by: str, x: str, y: str) -> None:
    """A line of `y` over `x` for each value of the column `by`."""
    names = list(dict.fromkeys(row[by] for row in rows))
    for name, colour in colours(names).items():
        points = [(float(row[x]), float(row[y])) for row in rows if row[by] == name]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour, label=name)


def _pann_accuracy(axes: Axes, rows: Sequence[Row]) -> None:
    adding = [row for row in rows if row["unit"] == "add-only"]
    _lines(axes, adding, "budget bits", "b_x", "lost")
    names = list(dict.fromkeys(row["budget bits"] for row in adding))
    for name, colour in colours(names).items():
        level = next(
            float(row["lost"]) for row in rows if row["unit"] == "multiplying" and row["budget bits"] == name
        )
        axes.axhline(level, color=colour, linestyle=":", linewidth=1)
    axes.set(yscale="log", xlabel="bits of the activation, b_x", ylabel="bits per byte lost")
    axes.set_title("Additions (lines) and multiplications (dotted)")
    axes.legend(title="power of an unsigned MAC of … bits", fontsize=8, title_fontsize=8)


def _pann_energy(axes: Axes, rows: Sequence[Row]) -> None:
    _lines(axes, [row for row in rows if row["operands"] == "half-normal"], "budget bits", "b_x", "to unsigned zero")
    axes.axhline(1, color=MUTED, linewidth=1)
    axes.text(1, 1.03, "equal", fontsize=8, color=MUTED, ha="right", transform=axes.get_yaxis_transform())
    axes.set(xlabel="bits of the activation, b_x", ylabel="logic energy, unsigned MAC = 1")
    axes.set_ylim(bottom=0)
    axes.set_title("Additions as gates, at power equal by the formula")
    axes.legend(title="power of an unsigned MAC of … bits", fontsize=8, title_fontsize=8, loc="upper right", ncols=2)


def _area_over_tree(activation: str) -> Callable[[Axes, Sequence[Row]], None]:
    def panel(axes: Axes, rows: Sequence[Row]) -> None:
        own = [row for row in rows if row["activation"] == activation]
        for (column, name), colour in zip(_BASELINES[activation].items(), PALETTE, strict=False):
            points = [(float(row["K"]), float(row[column])) for row in own]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour, label=name)
        for row in own:
            axes.annotate(f"µ={row['best µ']}", (float(row["K"]), float(row["add tree"])), xytext=(0, -12),
                          textcoords="offset points", ha="center", fontsize=8, color=MUTED)  # fmt: skip
        axes.axhline(2.2, color=MUTED, linestyle=":", linewidth=1, label="published: 2.2")
        axes.set(xlabel="readers K", ylabel="times smaller")
        axes.set_xscale("log", base=2)
        axes.set_xticks([int(row["K"]) for row in own], [row["K"] for row in own])
        axes.set_ylim(0, 1.4 * max(float(row["multiply wide"]) for row in rows))  # one scale; room for the legend
        axes.set_title(f"Best table core, {activation.upper()} activations")
        axes.legend(title="than", fontsize=8, title_fontsize=8, loc="upper left", ncols=2)

    return panel


def _luq_ratios(axes: Axes, rows: Sequence[Row]) -> None:
    for place, row in enumerate(reversed(rows)):
        axes.barh(place, float(row["ratio"]), color=colours(["found"])["found"], height=0.6)
        if row["published"]:
            axes.plot(float(row["published"]), place, marker="D", color=colours(["found", "published"])["published"])
            axes.text(float(row["published"]), place + 0.25, "published", fontsize=8, color=MUTED, ha="right")
    axes.set_yticks(range(len(rows)), [row["instead of"] for row in reversed(rows)])
    axes.axvline(1, color=MUTED, linewidth=1)
    axes.set(xlabel="times smaller without a multiplier")
    axes.set_title("Area of a product")


def _chip_ratios(axes: Axes, rows: Sequence[Row]) -> None:
    seen = [row for row in rows if row["ours / published"]]
    for chip, colour in colours(list(dict.fromkeys(row["chip"] for row in seen))).items():
        own = [(place, row) for place, row in enumerate(reversed(seen)) if row["chip"] == chip]
        axes.plot([float(row["ours / published"]) for _, row in own], [place for place, _ in own], "o",
                  markersize=4, color=colour, label=chip)  # fmt: skip
    for factor in (0.5, 1.0, 2.0):
        axes.axvline(factor, color=MUTED, linewidth=1, linestyle="-" if factor == 1 else ":")
    axes.set_xscale("log", base=2)
    axes.set_xticks([0.5, 1, 2], ["½", "1", "2"])
    axes.set_yticks([])
    axes.set(xlabel="ours over published")
    axes.set_title("Quantities of published chips")
    axes.legend(fontsize=8)


def _muon_cosines(axes: Axes, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(row["arithmetic"] for row in rows))
    spectra = list(dict.fromkeys(row["spectrum"] for row in rows))
    for spectrum, colour in colours(spectra).items():
        points = [
            (names.index(row["arithmetic"]), float(row["cosine"])) for row in rows if row["spectrum"] == spectrum
        ]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour, label=spectrum)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set(ylabel="cosine to UVᵀ", ylim=(0, 1.05))
    axes.set_title("Newton–Schulz in few bits")
    axes.legend(title="singular values", fontsize=8, title_fontsize=8)


def _muon_last(axes: Axes, rows: Sequence[Row]) -> None:
    own = [row for row in rows if row["arithmetic"] == "nvfp4.te"]
    for spectrum, colour in colours([row["spectrum"] for row in own]).items():
        row = next(row for row in own if row["spectrum"] == spectrum)
        axes.plot(range(6), [float(row[f"{last} of 5"]) for last in range(6)], marker="o", markersize=4,
                  color=colour, label=spectrum)  # fmt: skip
    axes.set(xlabel="last iterations in float32", ylabel="cosine to UVᵀ", ylim=(0, 1.05))
    axes.set_title("NVFP4 in the first iterations alone")


def _training_costs(axes: Axes, rows: Sequence[Row]) -> None:
    names = list(dict.fromkeys(row["recipe"] for row in rows if row["cost"]))
    models = list(dict.fromkeys(row["model"] for row in rows))
    for place, (model, colour) in enumerate(colours(models).items()):
        own = [row for row in rows if row["model"] == model and row["cost"]]
        places = [names.index(row["recipe"]) + 0.2 * place - 0.1 for row in own]
        errors = [2 * float(row["standard error"]) for row in own]
        axes.errorbar(places, [float(row["cost"]) for row in own], errors, fmt="o", markersize=4, color=colour,
                      label=f"{model}, seeds differ by {float(own[0]['noise floor']):.3f}")  # fmt: skip
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set(ylabel="nats a byte above float32")
    axes.set_title("Cost of a recipe, two standard errors")
    axes.legend(fontsize=8)


def _training_cosines(axes: Axes, rows: Sequence[Row]) -> None:
    """Cosine of the gradient over the steps, one line a recipe of the GPT."""
    own = [row for row in rows if row["model"] == "gpt" and not row["recipe"].startswith("block")]
    for name, colour in colours(list(dict.fromkeys(row["recipe"] for row in own))).items():
        seen = [(int(row["step"]), float(row["cosine"])) for row in own if row["recipe"] == name]
        axes.plot(*zip(*seen, strict=True), marker="o", markersize=3, color=colour, label=name)
    axes.set(xlabel="step", ylabel="cosine to float32's gradient")
    axes.set_title("Gradients of the GPT")
    axes.legend(fontsize=7)


def _pretrained_costs(axes: Axes, rows: Sequence[Row]) -> None:
    """Cost of each arithmetic, dearest first, two standard errors."""
    own = sorted((row for row in rows if row["cost"]), key=lambda row: -float(row["cost"]))
    errors = [2 * float(row["standard error"]) for row in own]
    axes.errorbar([float(row["cost"]) for row in own], range(len(own)), xerr=errors, fmt="o", markersize=4,
                  color=PALETTE[0])  # fmt: skip
    axes.set_yticks(range(len(own)), [row["arithmetic"] for row in own], fontsize=8)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set(xlabel="bits per byte above float32")
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_title("SmolLM2-135M, two standard errors")


def _agents(axes: Axes, rows: Sequence[Row]) -> None:
    """Runs of each kind of agent from the worst to the best, quartiles as a box, at every budget."""
    budgets = list(dict.fromkeys(row["budget"] for row in rows))
    agents = list(dict.fromkeys(row["agent"] for row in rows))
    for shift, (name, colour) in enumerate(colours(budgets).items()):
        for row in rows:
            if row["budget"] == name:
                at = agents.index(row["agent"]) + 0.25 * (shift - (len(budgets) - 1) / 2)
                low, middle, high = (float(row[key]) for key in ("lower quartile", "median", "upper quartile"))
                axes.plot([at, at], [float(row["worst run"]), float(row["best run"])], color=colour, linewidth=1)
                axes.plot([at, at], [low, high], color=colour, linewidth=5, solid_capstyle="butt")
                axes.plot(at, middle, "o", color="white", markersize=3)
        axes.plot([], [], color=colour, linewidth=5, label=f"{name} of the space")
    axes.set_xticks(range(len(agents)), agents, rotation=20, ha="right")
    axes.set(ylabel="part of the hypervolume found")
    axes.set_ylim(top=1)
    axes.set_title("Runs over draws of hyperparameters and seeds")
    axes.legend(fontsize=8, loc="lower right")


def _searches(axes: Axes, rows: Sequence[Row]) -> None:
    """Part of the hypervolume that each search misses on each space: the median of its seeds, and the worst."""
    names = list(dict.fromkeys(row["search"] for row in rows))
    spaces = list(dict.fromkeys(row["space"] for row in rows))
    for shift, (space, colour) in enumerate(colours(spaces).items()):
        for row in rows:
            if row["space"] == space:
                at = names.index(row["search"]) + 0.25 * (shift - (len(spaces) - 1) / 2)
                median, worst = (max(1e-4, 1 - float(row[key])) for key in ("median", "worst"))
                axes.plot([at, at], [median, worst], color=colour, linewidth=1)
                axes.plot(at, median, "o", color=colour, markersize=5)
        axes.plot([], [], "o", color=colour, label=space)
    axes.axhline(0.01, color=MUTED, linewidth=1, linestyle=":")
    axes.set_xticks(range(len(names)), names, rotation=20, ha="right")
    axes.set(ylabel="part of the hypervolume missed", yscale="log")
    axes.set_title("What searches miss: median of seeds, and the worst")
    axes.legend(fontsize=8)


def _decode_energy(axes: Axes, rows: Sequence[Row]) -> None:
    """Energy a token over that of INT8 of the same model and batch, arithmetics in the order of the study."""
    own = [row for row in rows if row["sized by"] == "products"]
    names = list(dict.fromkeys(row["arithmetic"] for row in own))
    series = {f"{row['model']}, {row['batch']}": (row["model"], row["batch"]) for row in own}
    for (label, chosen), colour in zip(series.items(), colours(list(series)).values(), strict=True):
        values = {row["arithmetic"]: float(row["µJ/token"]) for row in own if (row["model"], row["batch"]) == chosen}
        axes.plot(range(len(names)), [values[name] / values["int8"] for name in names], marker="o", markersize=4,
                  color=colour, label=label)  # fmt: skip
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set(ylabel="energy a token, INT8 = 1")
    axes.set_ylim(bottom=0)
    axes.set_title("Decode at batches of equal products a cycle")
    axes.legend(fontsize=7, ncols=3)


def _caat_times(axes: Axes, rows: Sequence[Row]) -> None:
    own = [row for row in rows if row["chips"] == rows[-1]["chips"]]
    series = [{**row, "series": f"{row['phase']}, {row['link']}"} for row in own]
    _lines(axes, series, "series", "p", "speed-up")
    axes.set(xlabel="share of the channels that are added, p", ylabel="speed-up over p = 1")
    axes.set_title(f"Time on {rows[-1]['chips']} chips")
    axes.legend(fontsize=8)


def _caat_costs(axes: Axes, rows: Sequence[Row]) -> None:
    own = [row for row in rows if row["p"] != "1"]
    for ranks, colour in colours(list(dict.fromkeys(row["ranks"] for row in own))).items():
        some = [row for row in own if row["ranks"] == ranks]
        axes.errorbar([float(row["p"]) for row in some], [float(row["cost"]) for row in some],
                      [2 * float(row["standard error"]) for row in some], fmt="o-", markersize=4, color=colour,
                      label=f"{ranks} ranks")  # fmt: skip
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.set(xlabel="share of the channels that are added, p", ylabel="nats a byte above p = 1")
    axes.set_title("Loss after a short training, two standard errors")
    axes.legend(fontsize=8)


def _drop_curve(axes: Axes, rows: Sequence[Row]) -> None:
    for name, colour in colours(("preempt", "finish", "before", "formula")).items():
        axes.plot([float(row["τ s"]) for row in rows], [float(row[name]) for row in rows], color=colour, label=name,
                  linestyle=":" if name == "formula" else "-")  # fmt: skip
    axes.axhline(1, color=MUTED, linewidth=1)
    axes.set(xlabel="threshold τ, s", ylabel="micro-batches a second, none = 1")
    axes.set_title("Three meanings of a threshold")
    axes.legend(fontsize=8)


def _drop_costs(axes: Axes, rows: Sequence[Row]) -> None:
    for column, error, colour in (("cost", "standard error", PALETTE[0]),
                                  ("cost at equal time", "its standard error", PALETTE[1])):  # fmt: skip
        axes.errorbar([1 - float(row["kept"]) for row in rows], [float(row[column]) for row in rows],
                      [2 * float(row[error]) for row in rows], fmt="o", markersize=4, color=colour,
                      label=column)  # fmt: skip
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.set(xlabel="part of the micro-batches dropped", ylabel="nats a byte above none")
    axes.set_title("Loss of a short training, two standard errors")
    axes.legend(fontsize=8)


def _recurrent_rows(axes: Axes, rows: Sequence[Row]) -> None:
    for name, colour in colours(("row by row", "tiled", "16 rows on chip", "256 rows on chip")).items():
        own = [row for row in rows if row[name]]
        axes.plot([float(row["N"]) for row in own], [float(row[name]) for row in own], marker="o", markersize=4,
                  color=colour, label=name)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="tokens N", ylabel="rows moved")
    axes.set_title("A layer that attends to its own outputs")
    axes.legend(fontsize=8)


def _measured_factors(axes: Axes, rows: Sequence[Row]) -> None:
    seen = [row for row in rows if row["ours ÷ published"]]
    for tier, colour in colours(("A", "B", "C")).items():
        own = [row for row in seen if row["tier"] == tier]
        axes.plot([int(row["row"]) for row in own], [float(row["ours ÷ published"]) for row in own], "o",
                  markersize=4, color=colour, label=f"tier {tier}")  # fmt: skip
    for factor in (1 / 1.35, 1 / 1.2, 1, 1.2, 1.35):
        axes.axhline(factor, color=MUTED, linewidth=1, linestyle="-" if factor == 1 else ":")
    axes.set(xlabel="row of the table", ylabel="ours over published", yscale="log")
    axes.set_title("Published times and rates beside the roofline")
    axes.legend(fontsize=8)


def _stages(axes: Axes, rows: Sequence[Row]) -> None:
    """What a replay says of each arithmetic, and what the model does."""
    found = [[float(row[column]) for row in rows] for column in ("sqnr dB", "bits a byte")]
    axes.plot(*found, "o", markersize=3, color=PALETTE[0])
    axes.set(xlabel="SQNR of the replay, dB", ylabel="bits per byte of the rerun")
    axes.set_title("A cheap measure and a dear one")


def _kept_fronts(axes: Axes, rows: Sequence[Row]) -> None:
    """Part of the true front that refinement keeps, over the time that it saves."""
    for row in rows:
        x, y = float(row["time saved"]), float(row["share of the true front"])
        axes.plot(x, y, "o", markersize=5, color=PALETTE[1])
        axes.annotate(f"{row['kept by replay']}, {row['kept by few']}", (x, y), fontsize=7,
                      xytext=(4, 4), textcoords="offset points")  # fmt: skip
    axes.set(xlabel="time saved", ylabel="part of the true front kept", ylim=(0, 1.05))
    axes.set_title("Parts that replay and few keep")


_PANELS: dict[str, tuple[tuple[str, Callable[[Any, Sequence[Row]], None]], ...]] = {
    "caat": (("times", _caat_times), ("costs", _caat_costs)),
    "dropcompute": (("curve", _drop_curve), ("costs", _drop_costs)),
    "recurrent": (("tiling", _recurrent_rows),),
    "measured": (("measured", _measured_factors),),
    "pann": (("accuracy", _pann_accuracy), ("add_only", _pann_energy)),
    "ternary_lut": tuple(("best", _area_over_tree(activation)) for activation in _BASELINES),
    "luq": (("claims", _luq_ratios),),
    "chips": (("summary", _chip_ratios),),
    "fp4_training": (("costs", _training_costs), ("gradients", _training_cosines)),
    "pretrained": (("arithmetics", _pretrained_costs),),
    "decode": (("decode", _decode_energy),),
    "muon": (("spectra", _muon_cosines), ("last", _muon_last)),
    "lottery": (("agents", _agents),),
    "seeds": (("searches", _searches),),
    "refinement": (("drawn", _stages), ("kept", _kept_fronts)),
}
"""Study -> the panels of its figure, each with the table that it shows; a folder is the first one's whose tables it
has."""

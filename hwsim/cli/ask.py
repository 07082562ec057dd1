"""Commands that ask: a study for its best design under limits, two designs for what separates them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwsim.cli.app import app
from hwsim.cli.output import give
from hwsim.cli.terminal import show_table

if TYPE_CHECKING:
    from hwsim.search import Answer, Comparison, Point
    from hwsim.search.differences import Measured
    from hwsim.trace import Trace

SIGMAS = 2.0
"""Errors that would turn two designs are told up to so many standard deviations."""
NAMED = 8
"""Designs that are as good, by number, and knobs that a line has room for."""


@app.command()
def query(
    folder: Annotated[Path, typer.Argument(help="folder of a study")],
    minimize: Annotated[str | None, typer.Option(help="energy, area, latency, power, accuracy ...")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help='a condition, repeatable: "area_mm2<=0.5", "tokens_s>=200", "unit=nvfp4"')
    ] = None,
    maximize: Annotated[str | None, typer.Option(help="in place of --minimize: tokens, efficiency, density")] = None,
) -> None:
    """Ask a study for its best design under conditions, and how far the answer can be trusted."""
    import hwsim

    answer = hwsim.load_study(folder).query(minimize, where or (), maximize)
    give(answer.to_dict())
    for line in answer_lines(answer):
        typer.echo(line)


def answer_lines(answer: Answer) -> Iterator[str]:
    """An answer in sentences."""
    from hwsim.report import short_name, significant

    unit, best = answer.column, answer.best
    asked = " and ".join(map(str, (*answer.asked.limits, *answer.asked.settings))) or "no condition"
    yield f"{'least' if answer.goal == 'min' else 'most'} {unit} of {answer.candidates} designs with {asked}"
    yield f"best       {short_name(best)}: {unit} {significant(best.values[unit])}"
    yield "           " + ", ".join(f"{name} {significant(value)}" for name, value in best.point)
    yield "           " + ", ".join(
        f"{name} {significant(value)}" for name, value in best.values.items() if name != unit
    )
    for limit, sure in answer.kept:
        yield f"           really keeps {limit}: {sure:.0%}"
    for name, one in (("runner-up", answer.runner_up), ("other unit", answer.rival)):
        if one is not None:
            yield from _comparison(name, unit, one)
    if answer.alike:
        numbers = ", ".join(f"#{point.number}" for point in answer.alike[:NAMED])
        more = f" and {len(answer.alike) - NAMED} more" if len(answer.alike) > NAMED else ""
        yield f"as good    {numbers}{more}: the model's error does not tell them from the best"
    for loose in answer.loosened:
        yield (
            f"limit      {loose.limit} is in the way: at {loose.needed:.4g}, {short_name(loose.design)} is better by "
            f"{loose.gain - 1:.1%}"
        )


def _comparison(name: str, unit: str, one: Comparison) -> Iterator[str]:
    from hwsim.report import short_name, significant

    other: Point = one.other
    yield f"{name:<10} {short_name(other)}: {unit} {significant(other.values[unit])}, ×{one.ratio:.4g}"
    if one.chance is None:
        yield "           no error: computed exactly" if one.ratio != 1 else "           equal"
    else:
        told = "the model tells them apart" if one.apart else "the model cannot tell them apart"
        yield f"           the best is really better: {one.chance:.0%}; {told}"
    near = [flip for flip in one.flips if flip.sigmas <= SIGMAS]
    if near:
        shown = ", ".join(f"all {flip.group} prices ×{flip.factor:.3g} ({flip.sigmas:.1f} σ)" for flip in near)
        yield f"           equal if {shown}"
    elif one.flips:
        least = one.flips[0]
        yield (
            f"           no one group turns them within {SIGMAS:g} σ; the nearest is all {least.group} prices "
            f"×{least.factor:.3g}"
        )
    elif one.chance is not None:
        yield "           no price of any one group turns them"
    knobs = [f"{knob} {a} → {b}" for knob, (a, b) in one.knobs.items()]
    more = f" and {len(knobs) - NAMED} more" if len(knobs) > NAMED else ""
    yield f"           knobs: {', '.join(knobs[:NAMED])}{more}"
    if one.alone and len(one.knobs) > 1:
        each = ", ".join(f"{knob} {one.knobs[knob][1]} {significant(value)}" for knob, value in one.alone.items())
        yield f"           of these alone, as far as priced: {each}"


@app.command()
def diff(
    first: Annotated[str, typer.Argument(help="a design, STUDY_FOLDER:NUMBER, or a machine: its name or TOML file")],
    second: Annotated[str, typer.Argument(help="another one")],
    trace: Annotated[Path | None, typer.Option(help="folder of a trace, to price two machines on")] = None,
) -> None:
    """Say what separates two designs: knob by knob, measure by measure, component by component."""
    import hwsim
    from hwsim.search import difference

    opened = None if trace is None else hwsim.load_trace(trace)
    found = difference(_design(first, opened), _design(second, opened))
    give(found.to_dict())
    show_table(
        ("knob", "first", "second"),
        [(name, *("–" if one is None else str(one) for one in values)) for name, values in found.knobs.items()],
        left=("first", "second"),
    )
    if found.measures:
        show_table(("measure", "first", "second", "ratio", "first is better"), map(_measured, found.measures))
    for unit, rows in found.parts.items():
        if rows:
            show_table((unit, "first", "second", "ratio"), (_measured(row)[:-1] for row in rows))


def _design(name: str, trace: Trace | None) -> Point:
    """``FOLDER:NUMBER`` of a study, or a machine, priced where there is a trace."""
    import hwsim
    from hwsim.search import as_point

    folder, _, number = name.rpartition(":")
    if folder and number.isdigit():
        return hwsim.load_study(folder).point(int(number))
    machine = hwsim.load_accelerator(name)
    return as_point(machine, None if trace is None else hwsim.evaluate(trace, machine))


def _measured(row: Measured) -> tuple[str, ...]:
    from hwsim.notebook import significant

    ratio = "–" if row.ratio is None else f"×{row.ratio:.3g}"
    sure = "" if row.chance is None else f"{row.chance:.0%}"
    return row.column, *map(significant, row.values), ratio, sure

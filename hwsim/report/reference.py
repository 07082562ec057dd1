"""The reference under ``docs/reference``: a page for each catalogue, written from its entries and nothing else.

``python -m hwsim.report.reference docs/reference`` makes it anew; the tests compare it with what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from hwsim.report import equations
from hwsim.report.catalogues import Entry, entries
from hwsim.storage import write_whole

HEADS = {
    "formats": (
        "Formats",
        "Sets of numbers and the words that stand for them. `s`, `E` and `M` are the fields of a word; "
        "`hwsim.formats.get(NAME)` decodes and encodes.",
    ),
    "schemes": ("Schemes", ""),
    "units": (
        "Units",
        "What multiplies and adds: a `datapath` table of a machine, or `hwsim.datapaths.from_spec`. Families first, "
        "then the tensor cores, which are named values of `dot`; emax is the largest exponent of a group, F its "
        "fraction bits.",
    ),
    "recipes": (
        "Training recipes",
        "How a paper trains in few bits, as data: `hwsim train MODEL --recipe NAME`, or "
        "`hwsim.emulate(model, NAME)`.",
    ),
    "machines": (
        "Machines",
        "Files of `dse/machines`, by name: `hwsim evaluate gpt-small NAME`. Published chips carry their source.",
    ),
    "spaces": ("Design spaces", "Files of `dse`, by name: `hwsim explore NAME`."),
}


def pages() -> dict[str, str]:
    """The text of every page by its file name."""
    return {f"{kind}.md": "\n".join(_page(kind)) + "\n" for kind in HEADS}


def write(folder: str | Path) -> list[Path]:
    """Write every page into `folder`; returns the paths."""
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    return [write_whole(where / name, text) for name, text in pages().items()]


def _page(kind: str) -> Iterator[str]:
    title, lead = HEADS[kind]
    if kind == "schemes":
        lead = (
            "How a tensor becomes codes: `hwsim.quantize(x, NAME)`. "
            + " ".join((equations.__doc__ or "").partition("Letters: ")[2].split()).removesuffix(".")
            + ". Each scheme's code is compared with its source bit by bit."
        )
        lead = f"{lead[0].upper()}{lead[1:]}"
    made = "This page is made by `python -m hwsim.report.reference docs/reference`; change the catalogue, not it."
    yield from (f"# {title}", "", lead, "", made, "")
    if kind in ("formats", "schemes"):
        yield from ("| name | what it is | value | source |", "|---|---|---|---|")
        for one in entries(kind):
            more = "".join(f"; {fact}" for fact in one.facts)
            yield f"| `{one.name}` | {_cell(one.title + more)} | {_code(one.equation)} | {_cell(one.source)} |"
        return
    for one in entries(kind):
        yield from _section(one, kind)


def _section(one: Entry, kind: str) -> Iterator[str]:
    yield from (f"## {one.name}", "", f"{one.title}.".replace("..", "."), "")
    if one.equation and kind != "recipes":
        yield f"- computes {_code(one.equation, in_table=False)}"
    for fact in one.facts:
        yield f"- {_code(fact, in_table=False) if kind == 'units' else fact.removeprefix('- ')}"
    if one.source:
        yield f"- {one.source if one.source.startswith('Source') else f'source: {one.source}'}"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str, in_table: bool = True) -> str:
    return f"`{_cell(text) if in_table else text}`" if text else ""


if __name__ == "__main__":
    write(sys.argv[1])

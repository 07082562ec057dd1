"""The report: one self-contained HTML file, written from a study and nothing else.

No server, no network, no script from elsewhere: the page can be mailed and opens in ten years. What can be asked of
it (filter, brush, pin, compare, sort) is a script of our own over the study's numbers (`hwsim.report.data`).
Rejected: Plotly, whose library alone is 4.8 MB a page, and smaller ones, which draw on a canvas that neither prints
well nor speaks to a screen reader.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.errors import ArgumentError
from hwsim.notebook import significant
from hwsim.report import figures
from hwsim.report.data import page_data
from hwsim.report.sections import SECTIONS
from hwsim.report.words import short_name
from hwsim.storage import owned, write_whole

if TYPE_CHECKING:
    from hwsim.search.study import Study

_TEMPLATES = Path(__file__).parent / "templates"


def write_report(study: Study | str | Path, out: str | Path, force: bool = False) -> Path:
    """Write ``report.html`` and its picture ``front.png`` into the folder `out`; return the page's path.

    Args:
        study: a study, or the folder of one (finished or not).
        out: the study's folder, an empty one, or one to make.
        force: also write into a folder that holds something else.

    Raises:
        ArgumentError: the study has no feasible design, so there is nothing to show, or the folder holds something
            else.
        StorageError: the folder cannot be written.
    """
    if isinstance(study, str | Path):
        from hwsim.search import load_study

        study = load_study(study)
    _check_front(study)
    with owned(out, "study", force=force, beside=("report.html", "front.png")) as folder:
        return put(study, folder)


def put(study: Study, folder: Path, every_s: float | None = None) -> Path:
    """Write page and picture, each whole, into a folder whoever works in it; arguments as of `render`.

    Raises:
        ArgumentError: the study has no feasible design.
        StorageError: the folder cannot be written.
    """
    _check_front(study)
    write_whole(folder / "front.png", figures.overview(study))
    return write_whole(folder / "report.html", render(study, every_s))


def _check_front(study: Study) -> None:
    if not study.front:
        from hwsim.search.limits import why_no_front

        raise ArgumentError(
            f"a report needs at least one feasible design: {why_no_front(study)}",
            where=f"study {study.manifest['space']}",
        )


def render(study: Study, every_s: float | None = None) -> str:
    """The page as text; the same study gives the same bytes.

    Args:
        study: with at least one feasible design.
        every_s: the open page reads its own file again so often, until somebody works on it; never without it.
    """
    import jinja2
    import markupsafe

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure3"] = significant
    environment.globals.update(study=study, manifest=study.manifest, label=figures.label, short_name=short_name)
    sections, picks = [], []
    for section in SECTIONS:
        context = section.context(study)
        if context is not None:
            picks += [(question.title, question.answer.best) for question in context.get("questions", ())]
            body = environment.get_template(f"{section.id}.html.j2").render(**context)
            sections.append((section, markupsafe.Markup(body)))
    data = json.dumps(page_data(study, picks), separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        sections=sections, data=markupsafe.Markup(data), script=markupsafe.Markup(script), every_s=every_s
    )

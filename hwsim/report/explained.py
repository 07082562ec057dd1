"""The page of one design: where its cycles, bytes, picojoules and µm² go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hwsim.notebook import significant
from hwsim.storage import write_whole

if TYPE_CHECKING:
    from hwsim.evaluation.explanation import Table

_TEMPLATE = Path(__file__).parent / "templates" / "explained.html.j2"


def write_explanation(tables: Sequence[Table], title: str, path: str | Path) -> Path:
    """Write the tables as one self-contained HTML file; return its path.

    Raises:
        StorageError: the file cannot be written.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE.parent), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["figure"] = significant
    return write_whole(path, environment.get_template(_TEMPLATE.name).render(title=title, tables=tables))

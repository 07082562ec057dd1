"""How figures look: one place for sizes, fonts and colours, so that every figure of a report is of one hand."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), the palette that the colour-blind can tell apart, then extensions that differ in lightness.
PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7A5195",
    "#8C6D31",
    "#5F6B7A",
    "#A31621",
    "#2F4B3C",
    "#B8C4CE",
)
INK, MUTED, GRID = "#1f2933", "#6b7885", "#e3e8ee"

_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Inter", "Helvetica Neue", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "text.parse_math": False,  # names of layers are no formulas
    "svg.fonttype": "none",  # text stays text: searchable, and the file stays small
    "svg.hashsalt": "hwsim",  # the same study gives the same bytes
}


@contextmanager
def settings() -> Iterator[None]:
    """Matplotlib with this module's settings, on whatever screen there is."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield
        shows = matplotlib.is_interactive()  # a notebook turns it on when it makes its first figure
    matplotlib.interactive(shows)


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib with this module's settings, and without a screen."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    with settings():
        yield


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each name, in the order given."""
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(names)}


@contextmanager
def refusing() -> Iterator[None]:
    """Raise ValueError for what Matplotlib warns of, such as words that leave the axes no room, or a legend of none:
    the block draws a table that somebody may have changed. A font without a letter is no reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.filterwarnings("default", message="Glyph")
        try:
            yield
        except UserWarning as problem:
            raise ValueError(str(problem)) from None


def to_svg(figure: Figure) -> str:
    """The figure as an ``<svg>`` element for a page, without the date and the XML prologue."""
    import matplotlib.pyplot as plt

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    svg = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG for a screen, the same bytes for the same figure."""
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()

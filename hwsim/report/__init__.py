"""Reports: one self-contained HTML page from a study.

Names are loaded when they are first used: a terminal that shortens a design's name draws no figure.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim.notebook import significant
    from hwsim.report.following import follow_report
    from hwsim.report.page import render, write_report
    from hwsim.report.plots import plot_breakdown, plot_layers, plot_pareto, write_figures
    from hwsim.report.words import short_name

_HOME = {
    "follow_report": "hwsim.report.following",
    "plot_breakdown": "hwsim.report.plots",
    "plot_layers": "hwsim.report.plots",
    "plot_pareto": "hwsim.report.plots",
    "render": "hwsim.report.page",
    "short_name": "hwsim.report.words",
    "significant": "hwsim.notebook",
    "write_figures": "hwsim.report.plots",
    "write_report": "hwsim.report.page",
}

__all__ = [
    "follow_report",
    "plot_breakdown",
    "plot_layers",
    "plot_pareto",
    "render",
    "short_name",
    "significant",
    "write_figures",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)

"""Reports: one self-contained HTML page from a study."""

from hwsim.notebook import significant
from hwsim.report.following import follow_report
from hwsim.report.page import render, write_report
from hwsim.report.plots import plot_breakdown, plot_layers, plot_pareto, write_figures
from hwsim.report.words import short_name

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

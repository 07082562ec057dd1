"""Reports: one self-contained HTML page from a study."""

from hwsim.report.page import render, write_report
from hwsim.report.words import short_name, significant

__all__ = ["render", "short_name", "significant", "write_report"]

"""Reports: one self-contained HTML page from a study."""

from hwsim.report.page import render, short_name, significant, write_report

__all__ = ["render", "short_name", "significant", "write_report"]

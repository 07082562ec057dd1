"""Reports: one self-contained HTML page from a study."""

from hwsim.report.page import render, significant, write_report

__all__ = ["render", "significant", "write_report"]

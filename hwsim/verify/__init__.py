"""Oracles: emulators, formats and schemes against silicon, recordings, vendors' code and other people's emulators."""

from hwsim.verify.run import SECTIONS, run
from hwsim.verify.table import Row, Table

__all__ = ["SECTIONS", "Row", "Table", "run"]

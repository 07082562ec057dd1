"""Files and folders: one reader and one writer for everything that hwsim takes in or leaves behind.

Reading: regular files only, limits of size and depth, finite numbers, one line of complaint. Writing: the whole file
or none, or a line with its checksum. Folders: each carries its kind and a lock.
"""

from hwsim.storage.folders import KINDS, is_held, owned
from hwsim.storage.lines import format_line, line_body, parse_body, parse_line, seal, unseal
from hwsim.storage.reading import parse_json, parse_toml, read_bytes, read_text, seed_checked
from hwsim.storage.shapes import Either, Flag, OneOf, Real, Record, Rows, Shape, Table, Text, Whole, checked
from hwsim.storage.tables import Digits, read_table, table_text, without_formulas
from hwsim.storage.writing import write_whole

__all__ = [
    "KINDS",
    "Digits",
    "Either",
    "Flag",
    "OneOf",
    "Real",
    "Record",
    "Rows",
    "Shape",
    "Table",
    "Text",
    "Whole",
    "checked",
    "format_line",
    "is_held",
    "line_body",
    "owned",
    "parse_body",
    "parse_json",
    "parse_line",
    "parse_toml",
    "read_bytes",
    "read_table",
    "read_text",
    "seal",
    "seed_checked",
    "table_text",
    "unseal",
    "without_formulas",
    "write_whole",
]

"""Machines by name or by file; what a file may say: `hwsim.arch.machine_tables`."""

from __future__ import annotations

from pathlib import Path

from hwsim import workbench
from hwsim.arch.accelerator import Accelerator
from hwsim.arch.places import placed
from hwsim.errors import DesignError, UnknownName
from hwsim.storage import parse_toml, read_text
from hwsim.storage.reading import LARGEST_TOML


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """A machine by name (``dse/machines/NAME.toml`` of the workbench, or ``published/NAME.toml`` there) or by path.

    Raises:
        UnknownName: no machine of that name, or a scheme or datapath that no catalogue holds.
        ArgumentError: no file at that path.
        DesignError: the file is not TOML, or describes no machine; the message holds the field's path and its line.
    """
    published = workbench.names("dse/machines/published", ".toml")
    folder = "dse/machines/published" if str(name_or_path) in published else "dse/machines"
    try:
        path = workbench.find(folder, name_or_path, ".toml")
    except UnknownName as error:
        raise UnknownName("machine", error.name, [*error.known, *published]) from None
    text = read_text(path, "a machine", DesignError, LARGEST_TOML)
    tables = parse_toml(text, "a machine", str(path), DesignError)
    try:
        return Accelerator.from_dict(tables, path.stem)
    except (DesignError, UnknownName) as error:
        raise placed(error, text, path.stem, workbench.shown(path)) from None

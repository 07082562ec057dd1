"""The manifest of a study: how its designs were found, closed by its checksum; and what a study's folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwsim.errors import TraceError
from hwsim.search.confirmation import GATES
from hwsim.search.parts import clear_parts
from hwsim.search.points import LOG, PACKED
from hwsim.search.watching import SO_FAR
from hwsim.storage import (
    Either,
    Flag,
    OneOf,
    Real,
    Record,
    Rows,
    Table,
    Text,
    Whole,
    checked,
    read_bytes,
    seal,
    unseal,
    write_whole,
)

MANIFEST = "manifest.json"

_VALUE = Either((Flag(), Whole(-(2**53)), Text(), Real()))
_MANIFEST = Record(
    {
        "space": Text(), "objectives": Rows(Text(), 1), "goals": Table(OneOf(("min", "max"))),
    },
    {
        "title": Text(), "space_digest": Text(64), "metric": Text(), "trials": Whole(), "seed": Whole(),
        "finished": Flag(), "parameters": Table(Rows(_VALUE)), "constraints": Rows(Text()),
        "left_out": Rows(Text()), "traces": Table(Record({}, open=True)), "certificate": Record({}, open=True),
        "sources": Text(), "environment": Text(),
        "baseline": Table(Either((OneOf((None,)), Real()))), "sampler": Text(), "accuracy": Text(), "energy": Text(),
        "hwsim": Text(), "python": Text(), "space_size": Whole(0, 2**2000), "designs": Whole(),
    },
    open=True,
)  # fmt: skip


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a study; `TraceError` names what is wrong with it."""
    path = folder / MANIFEST
    manifest = unseal(read_bytes(path, "manifest", TraceError, 1 << 26), "manifest", str(path), TraceError)
    checked(manifest, _MANIFEST, "manifest of a study", str(path), TraceError)
    if missing := [name for name in manifest["objectives"] if name not in manifest["goals"]]:
        raise TraceError("every objective must have a goal", got=missing, where=str(path))
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The whole file or none, closed by its checksum."""
    write_whole(folder / MANIFEST, seal(manifest))


def clear_study(folder: str | Path) -> None:
    """Remove the log, the manifest and the parts of the study in `folder`, if there is one; other files stay."""
    clear_parts(Path(folder))
    for name in (MANIFEST, LOG, PACKED, GATES, SO_FAR):
        (Path(folder) / name).unlink(missing_ok=True)

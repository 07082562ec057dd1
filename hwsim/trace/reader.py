"""Reading: a stored trace as products, their operands mapped into memory and checked once."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, TraceError
from hwsim.notebook import heading, table
from hwsim.storage import read_bytes
from hwsim.trace.files import DTYPES, GRAPH, parse_entry, read_manifest, segment_name, widen
from hwsim.trace.gemm import PHASES, Gemm, GemmShape, Operand, Phase, Workload
from hwsim.trace.graph import Graph
from hwsim.trace.graph_file import read_graph

SHOWN = 40
"""Products that a notebook shows."""


class Trace:
    """A stored trace, opened for reading; see `load_trace`.

    Attributes:
        path: its folder.
        manifest: where the numbers come from.
        torn: what the writer left unfinished, in words, "" if nothing.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], entries: list[dict[str, Any]], torn: str) -> None:
        self.path, self.manifest, self.torn = path, manifest, torn
        self._entries = entries
        self.prefix = str(manifest.get("prefix", ""))
        self._causal = frozenset(manifest.get("causal", ()))
        self._maps: dict[int, NDArray[np.uint8]] = {}
        self._checked: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Trace({str(self.path)!r}, {len(self)} products)"

    def _repr_html_(self) -> str:
        """What a notebook shows: the products by layer, with their shapes and multiply-accumulates."""
        work = self.workload
        note = f"{len(self)} products, {work.macs:,} MACs" + ("" if self.complete else ", torn")
        rows = [(one.layer, one.op, one.phase, one.batch, one.m, one.n, one.k, one.macs) for one in work.gemms]
        columns = ("layer", "operator", "phase", "batch", "m", "n", "k", "MACs")
        more = f"<div>and {len(rows) - SHOWN} more</div>" if len(rows) > SHOWN else ""
        return heading(f"Trace of {self.name}", note) + table(columns, rows[:SHOWN], left=3) + more

    @property
    def name(self) -> str:
        """The model's name, the folder's where the manifest has none."""
        return str(self.manifest.get("model") or self.path.name)

    @property
    def model_spec(self) -> str | None:
        """What `hwsim.nn.load_model` finds the model by, None if the model was no file's."""
        spec = self.manifest.get("model_spec")
        return None if spec is None else str(spec)

    @property
    def complete(self) -> bool:
        """Whether the capture came to its end."""
        return bool(self.manifest.get("complete"))

    @functools.cached_property
    def digest(self) -> str:
        """16 digits that two traces share exactly if they hold the same products with the same bits."""
        digest = hashlib.sha256()
        for entry in self._entries:
            held = {side: {**entry[side], "segment": 0, "offset": 0} for side in ("a", "b")}
            digest.update(json.dumps({**entry, **held}, sort_keys=True).encode())
        return digest.hexdigest()[:16]

    @functools.cached_property
    def graph(self) -> Graph | None:
        """All operators of the first step, None in a trace of the first schema or one that is not complete.

        Raises:
            TraceError: the file is not what was written.
        """
        check, path = self.manifest.get("graph"), self.path / (self.prefix + GRAPH)
        if check is None:
            return None
        data = read_bytes(path, "graph", TraceError)
        if f"{zlib.crc32(data):08x}" != check:
            raise TraceError(f"CRC-32 of the graph must be {check}", got=f"{zlib.crc32(data):08x}", where=str(path))
        return read_graph(data, str(path))

    def _shape(self, entry: dict[str, Any]) -> GemmShape:
        fields = {name: entry[name] for name in ("layer", "op", "phase", "batch", "m", "n", "k")}
        b = entry["b"]
        shared = b["role"] == "weight" and entry["op"] != "convolution"  # the first schema does not say
        groups = entry.get("groups", 1 if shared else entry["batch"])
        return GemmShape(**fields, b_role=b["role"], groups=groups, causal=entry["record"] in self._causal)

    @property
    def workload(self) -> Workload:
        """The shapes of all products, and the graph of the first step."""
        return Workload(self.name, tuple(self._shape(entry) for entry in self._entries), self.graph)

    def gemms(self, phase: Phase | None = None) -> Iterator[Gemm]:
        """The products in the order of the run, or those of one phase. Each operand's CRC is checked once.

        Raises:
            TraceError: an operand is not what was written.
        """
        if phase is not None and phase not in PHASES:
            raise ArgumentError(f"phase must be one of {', '.join(PHASES)}", got=phase)
        return (self[place] for place, entry in enumerate(self._entries) if phase in (None, entry["phase"]))

    def __getitem__(self, place: int) -> Gemm:
        entry = self._entries[place]
        shape = self._shape(entry)
        return Gemm(
            shape.layer,
            shape.op,
            shape.phase,
            entry["step"],
            shape.batch,
            shape.m,
            shape.n,
            shape.k,
            self._operand(entry, "a"),
            self._operand(entry, "b"),
            shape.groups,
            shape.causal,
        )

    def verify(self) -> None:
        """Read every operand and check it against its CRC; raises `TraceError` at the first wrong one."""
        self._checked.clear()
        for place in range(len(self)):
            self[place]

    @property
    def entries(self) -> tuple[Mapping[str, Any], ...]:
        """The lines of the index: layer, shape, and for each operand its place, dtype and CRC."""
        return tuple(self._entries)

    def raw_operands(self) -> Iterator[tuple[Mapping[str, Any], str, NDArray[Any]]]:
        """(line of the index, ``"a"`` or ``"b"``, stored words) of every operand, checked like `gemms`."""
        for entry in self._entries:
            for side in ("a", "b"):
                yield entry, side, self._raw(entry["record"], entry[side])

    def _operand(self, entry: dict[str, Any], side: str) -> Operand:
        held = entry[side]
        raw = self._raw(entry["record"], held)
        return Operand(widen(raw, held["dtype"]), held["role"], held["rows_total"])

    def _raw(self, record: int, held: dict[str, Any]) -> NDArray[Any]:
        segment, offset, shape = held["segment"], held["offset"], tuple(held["shape"])
        dtype = DTYPES[held["dtype"]]
        path = self.path / segment_name(segment, "bin", self.prefix)
        if segment not in self._maps:
            if path.exists() and not path.is_file():
                raise TraceError("segment must be a regular file", where=str(path))
            try:
                self._maps[segment] = np.memmap(path, np.uint8, "r")
            except (OSError, ValueError) as error:  # ValueError: an empty file
                raise TraceError(f"segment must be readable, {error}", where=str(path)) from error
        end = offset + dtype.itemsize * math.prod(shape)
        data = self._maps[segment][offset:end]
        if data.size < end - offset:
            raise TraceError(
                f"segment must hold {end} bytes for record {record}", got=self._maps[segment].size, where=str(path)
            )
        if (segment, offset) not in self._checked:
            found = zlib.crc32(data.data)
            if found != held["crc32"]:
                raise TraceError(
                    f"CRC-32 of record {record}, bytes {offset} to {end}, must be {held['crc32']:08x}",
                    got=f"{found:08x}",
                    where=str(path),
                )
            self._checked.add((segment, offset))
        return data.view(dtype).reshape(shape)


def load_trace(path: str | Path) -> Trace:
    """Open the trace in the folder `path`, or of that name in the workbench.

    A torn end, which a killed capture leaves, is skipped with a `RuntimeWarning`; every product before it is whole.

    Raises:
        TraceError: there is no trace, or a part of it other than its very end is damaged.
    """
    from hwsim.workbench import find

    folder = Path(path)
    if not os.path.isdir(folder):  # also where the name is none
        try:
            folder = find("traces", path)
        except (ArgumentError, OSError) as error:
            raise TraceError("folder of a trace must exist", where=str(path)) from error
    manifest = read_manifest(folder)
    entries: list[dict[str, Any]] = []
    torn = ""
    prefix = str(manifest.get("prefix", ""))
    indices = sorted(folder.glob(f"{prefix}seg-*.jsonl"))
    for place, index in enumerate(indices):
        torn = _read_index(index, segment_name(place, "jsonl", prefix), entries, last=place == len(indices) - 1)
    wanted = manifest.get("records")
    if manifest["complete"] and (torn or wanted != len(entries)):
        raise TraceError(f"trace must hold {wanted} products", got=len(entries), where=str(folder))
    if not manifest["complete"]:
        torn = torn or "the capture did not come to its end"
        warnings.warn(f"{folder}: {torn}; {len(entries)} whole products are read", RuntimeWarning, stacklevel=2)
    return Trace(folder, manifest, entries, torn)


def _read_index(path: Path, name: str, entries: list[dict[str, Any]], *, last: bool) -> str:
    """Append the entries of one index file; returns what is torn at its end, which only the last file may be."""
    if path.name != name:
        raise TraceError(f"segment must be {name}", got=path.name, where=str(path.parent))
    text = read_bytes(path, "index", TraceError)
    *lines, rest = text.split(b"\n")
    for number, line in enumerate(lines, start=1):
        entry = parse_entry(line, f"{path}:{number}")
        if entry["record"] != len(entries):
            raise TraceError(f"record must be {len(entries)}", got=entry["record"], where=f"{path}:{number}")
        entries.append(entry)
    if not rest:
        return ""
    if not last:
        raise TraceError("line must be whole, as others follow it", where=f"{path}:{len(lines) + 1}")
    return f"the last line of {path.name} is torn"

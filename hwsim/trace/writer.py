"""Recording: products are appended, and one that is on disk stays whole whatever happens to the process."""

from __future__ import annotations

import contextlib
import hashlib
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np

from hwsim.errors import ArgumentError, TraceError
from hwsim.storage import format_line, owned, write_whole
from hwsim.trace.files import (
    ALIGNMENT,
    GRAPH,
    MANIFEST,
    SCHEMA,
    narrow,
    read_manifest,
    refused,
    segment_name,
    write_manifest,
)
from hwsim.trace.gemm import Gemm, Operand
from hwsim.trace.graph import Graph
from hwsim.trace.graph_file import write_graph

_FILE = re.compile(r"(?P<prefix>|[ab]-)(?:seg-\d{5}\.(?:bin|jsonl)|graph\.json)")


class TraceWriter:
    """Appends products to a new trace in the folder `path`.

    A context manager: leaving it without an error marks the trace as complete, and lets others work in the folder.

    Args:
        path: a folder that holds no trace yet, or, to `replace` it once the new one is whole, one that does; it is
            made.
        manifest: facts about the origin of the numbers, in JSON's types; ``"model"`` is the trace's name.
        segment_bytes: size at which a new segment begins.
        replace: whether the folder may hold a trace.
        force: also write into a folder that holds something else.

    Attributes:
        graph: of the first step, to be set before the end; None to store none.

    Raises:
        ArgumentError: the folder holds a trace already, or something else, or another process works in it.
        StorageError: a file cannot be written; all earlier products stay readable.
    """

    def __init__(
        self,
        path: str | Path,
        manifest: Mapping[str, Any],
        *,
        segment_bytes: int = 1 << 30,
        replace: bool = False,
        force: bool = False,
    ) -> None:
        self.path = Path(path)
        self.manifest = {"schema": SCHEMA, "complete": False, **manifest}
        self.count = 0
        self.graph: Graph | None = None
        self._causal: set[int] = set()
        self._segment_bytes = segment_bytes
        self._segment = -1
        self._offset = 0
        self._data: BinaryIO | None = None
        self._index: BinaryIO | None = None
        self._stored: dict[bytes, dict[str, Any]] = {}
        self._kept = ""
        self._claim = contextlib.ExitStack()
        self._claim.enter_context(owned(self.path, "trace", force=force, where="trace"))
        try:
            self._prefix = self._free_prefix(replace)
            if not self._prefix:
                write_manifest(self.path, self.manifest)
        except BaseException:
            self._claim.close()
            raise

    def _free_prefix(self, replace: bool) -> str:
        """A prefix that no file of the trace in the folder has; what a killed writer left is removed."""
        if not (self.path / MANIFEST).exists():
            self._remove_others(None)
            return ""
        if not replace:
            raise ArgumentError("folder must hold no trace yet", got=str(self.path), where="trace")
        try:
            taken = str(read_manifest(self.path).get("prefix", ""))
        except TraceError:  # damaged, or what is to be replaced by force
            taken = ""
        self._remove_others(taken)
        self._kept = taken
        prefix = "b-" if taken == "a-" else "a-"
        self.manifest["prefix"] = prefix
        return prefix

    def _remove_others(self, kept: str | None) -> None:
        """Remove the files of traces in the folder but those of one prefix."""
        for path in self.path.iterdir():
            match = _FILE.fullmatch(path.name)
            if match and match["prefix"] != kept:
                with contextlib.suppress(OSError):
                    path.unlink()

    def append(self, gemm: Gemm, *, dtype: Literal["float32", "bfloat16", "float16"] = "float32") -> None:
        """Store one product. Its operands, float32, are kept as `dtype`, which must hold their values exactly."""
        _check_shapes(gemm)
        entry = {
            "record": self.count,
            "layer": gemm.layer,
            "op": gemm.op,
            "phase": gemm.phase,
            "step": gemm.step,
            "batch": gemm.batch,
            "m": gemm.m,
            "n": gemm.n,
            "k": gemm.k,
            "groups": gemm.groups,
            "a": self._store(gemm.a, dtype),
            "b": self._store(gemm.b, dtype),
        }
        index = self._index
        assert index is not None  # `_store` opened the segment
        _write_all(index, format_line(entry), self.path / segment_name(self._segment, "jsonl", self._prefix))
        self.count += 1

    def _store(self, operand: Operand, dtype: str) -> dict[str, Any]:
        raw = narrow(np.ascontiguousarray(operand.values, np.float32), dtype)
        if self._data is None or self._offset >= self._segment_bytes:
            self._next_segment()
        data = raw.tobytes()
        key = hashlib.blake2b(data, digest_size=16, key=f"{dtype}{raw.shape}".encode()[:64]).digest()
        place = self._stored.get(key)  # weights come back with every batch
        if place is None:
            path = self.path / segment_name(self._segment, "bin", self._prefix)
            assert self._data is not None
            padding = -self._offset % ALIGNMENT
            _write_all(self._data, bytes(padding), path)
            self._offset += padding
            place = {
                "segment": self._segment,
                "offset": self._offset,
                "dtype": dtype,
                "shape": list(raw.shape),
                "crc32": zlib.crc32(data),
            }
            _write_all(self._data, data, path)
            self._offset += len(data)
            self._stored[key] = place
        return {**place, "role": operand.role, "rows_total": operand.rows_total}

    def _next_segment(self) -> None:
        self._close_files()
        self._segment, self._offset = self._segment + 1, 0
        try:
            names = (segment_name(self._segment, suffix, self._prefix) for suffix in ("bin", "jsonl"))
            self._data, self._index = ((self.path / name).open("xb", buffering=0) for name in names)
        except OSError as error:
            raise refused(self.path, error) from error

    def _close_files(self) -> None:
        for file in (self._data, self._index):
            if file is not None:
                file.close()
        self._data = self._index = None

    def add_causal(self, graph: Graph) -> None:
        """Note which products of a step are causal, which only its whole graph tells."""
        for operator in graph.operators:
            if operator.gemm is not None and operator.gemm.causal and operator.record is not None:
                self._causal.add(operator.record)

    def close(self, **facts: Any) -> None:
        """Mark the trace as complete and add `facts` to its manifest."""
        try:
            self._close_files()
            if self.graph is not None:
                data = write_graph(self.graph)
                write_whole(self.path / (self._prefix + GRAPH), data)
                facts |= {"graph": f"{zlib.crc32(data):08x}", "causal": sorted(self._causal)}
            self.manifest |= {"complete": True, "records": self.count, **facts}
            write_manifest(self.path, self.manifest)
            self._remove_others(self._prefix)
        finally:
            self._claim.close()

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        self._close_files()
        if self._prefix:  # the trace that was to be replaced stays
            self._remove_others(self._kept)
        self._claim.close()


def _check_shapes(gemm: Gemm) -> None:
    a, b = gemm.a.values, gemm.b.values
    if a.ndim != 3 or b.ndim != 3 or a.shape[2] != gemm.k or b.shape[2] != gemm.k or b.shape[0] not in (1, len(a)):
        raise ArgumentError(
            f"operands must be [batch, m, {gemm.k}] and [batch or 1, n, {gemm.k}]",
            got=(a.shape, b.shape),
            where=gemm.layer,
        )


def _write_all(file: BinaryIO, data: Any, path: Path) -> None:
    view = memoryview(data)
    try:
        while len(view):
            view = view[file.write(view) :]
    except OSError as error:
        raise refused(path, error) from error

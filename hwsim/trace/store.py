"""The files of a trace: append-only segments of raw operands, and an index that says what is whole.

A folder ``manifest.json`` (where the numbers come from), ``seg-00000.bin`` (operands, little-endian, each at a
multiple of 64 bytes) and ``seg-00000.jsonl`` (one line a product, written after its operands, with a CRC-32 of every
operand and of the line itself). A process that dies loses the product in flight and nothing before it: what has no
whole line does not exist. Reading maps the segments into memory.

HDF5 and Parquet were rejected, as a killed writer leaves a file that no one can read; Zarr is three to seven times
slower; safetensors wants its header before its data, so it is an export (`hwsim.trace.export`).
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, StorageError, TraceError
from hwsim.trace.gemm import PHASES, ROLES, Gemm, GemmShape, Operand, Phase, Workload

SCHEMA = 1
MANIFEST = "manifest.json"
ALIGNMENT = 64

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "bfloat16": np.dtype("<u2"),  # NumPy has no bfloat16: the upper halves of float32 words
    "float16": np.dtype("<u2"),
}


def _bits_to_float32(raw: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    if dtype == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if dtype == "float16":
        return raw.view(np.float16).astype(np.float32)
    return raw.view(np.float32)


class TraceWriter:
    """Appends products to a new trace in the folder `path`.

    A context manager: leaving it without an error marks the trace as complete.

    Args:
        path: a folder that holds no trace yet; it is made.
        manifest: facts about the origin of the numbers, in JSON's types; ``"model"`` is the trace's name.
        segment_bytes: size at which a new segment begins.

    Raises:
        ArgumentError: the folder holds a trace already.
        StorageError: a file cannot be written; all earlier products stay readable.
    """

    def __init__(self, path: str | Path, manifest: Mapping[str, Any], *, segment_bytes: int = 1 << 30) -> None:
        self.path = Path(path)
        self.manifest = {"schema": SCHEMA, "complete": False, **manifest}
        self.count = 0
        self._segment_bytes = segment_bytes
        self._segment = -1
        self._offset = 0
        self._data: BinaryIO | None = None
        self._index: BinaryIO | None = None
        self._stored: dict[bytes, dict[str, Any]] = {}
        if (self.path / MANIFEST).exists():
            raise ArgumentError("folder must hold no trace yet", got=str(path), where="trace")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _storage(self.path, error) from error
        _write_manifest(self.path, self.manifest)

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
            "a": self._store(gemm.a, dtype),
            "b": self._store(gemm.b, dtype),
        }
        line = json.dumps(entry, separators=(",", ":"))
        index = self._index
        assert index is not None  # `_store` opened the segment
        _write_all(index, f"{line[:-1]},{_check(line)}\n".encode(), self.path / _segment_name(self._segment, "jsonl"))
        self.count += 1

    def _store(self, operand: Operand, dtype: str) -> dict[str, Any]:
        raw = _narrow(np.ascontiguousarray(operand.values, np.float32), dtype)
        if self._data is None or self._offset >= self._segment_bytes:
            self._next_segment()
        data = raw.tobytes()
        key = hashlib.blake2b(data, digest_size=16, key=f"{dtype}{raw.shape}".encode()[:64]).digest()
        place = self._stored.get(key)  # weights come back with every batch
        if place is None:
            path = self.path / _segment_name(self._segment, "bin")
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
            self._data = (self.path / _segment_name(self._segment, "bin")).open("xb", buffering=0)
            self._index = (self.path / _segment_name(self._segment, "jsonl")).open("xb", buffering=0)
        except OSError as error:
            raise _storage(self.path, error) from error

    def _close_files(self) -> None:
        for file in (self._data, self._index):
            if file is not None:
                file.close()
        self._data = self._index = None

    def close(self, **facts: Any) -> None:
        """Mark the trace as complete and add `facts` to its manifest."""
        self._close_files()
        self.manifest |= {"complete": True, "records": self.count, **facts}
        _write_manifest(self.path, self.manifest)

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._close_files()


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
        self._maps: dict[int, NDArray[np.uint8]] = {}
        self._checked: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"Trace({str(self.path)!r}, {len(self)} products)"

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

    @property
    def digest(self) -> str:
        """16 digits that two traces share exactly if they hold the same products with the same bits."""
        digest = hashlib.sha256()
        for entry in self._entries:
            held = {side: {**entry[side], "segment": 0, "offset": 0} for side in ("a", "b")}
            digest.update(json.dumps({**entry, **held}, sort_keys=True).encode())
        return digest.hexdigest()[:16]

    @property
    def workload(self) -> Workload:
        """The shapes of all products."""
        return Workload(self.name, tuple(_shape(entry) for entry in self._entries))

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
        shape = _shape(entry)
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
        return Operand(_bits_to_float32(raw, held["dtype"]), held["role"], held["rows_total"])

    def _raw(self, record: int, held: dict[str, Any]) -> NDArray[Any]:
        segment, offset, shape = held["segment"], held["offset"], tuple(held["shape"])
        dtype = DTYPES[held["dtype"]]
        path = self.path / _segment_name(segment, "bin")
        if segment not in self._maps:
            try:
                self._maps[segment] = np.memmap(path, np.uint8, "r")
            except (OSError, ValueError) as error:  # ValueError: an empty file
                raise TraceError(f"segment must be readable, {error}", where=str(path)) from error
        end = offset + dtype.itemsize * int(np.prod(shape))
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
    if not folder.is_dir():
        try:
            folder = find("traces", path)
        except ArgumentError as error:
            raise TraceError("folder of a trace must exist", where=str(path)) from error
    manifest = _read_manifest(folder)
    entries: list[dict[str, Any]] = []
    torn = ""
    indices = sorted(folder.glob("seg-*.jsonl"))
    for place, index in enumerate(indices):
        torn = _read_index(index, place, entries, last=place == len(indices) - 1)
    wanted = manifest.get("records")
    if manifest["complete"] and (torn or wanted != len(entries)):
        raise TraceError(f"trace must hold {wanted} products", got=len(entries), where=str(folder))
    if not manifest["complete"]:
        torn = torn or "the capture did not come to its end"
        warnings.warn(f"{folder}: {torn}; {len(entries)} whole products are read", RuntimeWarning, stacklevel=2)
    return Trace(folder, manifest, entries, torn)


def holds_trace(path: str | Path) -> bool:
    """Whether the folder `path` holds a trace, finished or not."""
    return (Path(path) / MANIFEST).is_file()


def _read_index(path: Path, segment: int, entries: list[dict[str, Any]], *, last: bool) -> str:
    """Append the entries of one index file; returns what is torn at its end, which only the last file may be."""
    if path.name != _segment_name(segment, "jsonl"):
        raise TraceError(f"segment must be {_segment_name(segment, 'jsonl')}", got=path.name, where=str(path.parent))
    text = path.read_bytes()
    *lines, rest = text.split(b"\n")
    for number, line in enumerate(lines, start=1):
        entry = _parse(line, f"{path}:{number}")
        if entry["record"] != len(entries):
            raise TraceError(f"record must be {len(entries)}", got=entry["record"], where=f"{path}:{number}")
        entries.append(entry)
    if not rest:
        return ""
    if not last:
        raise TraceError("line must be whole, as others follow it", where=f"{path}:{len(lines) + 1}")
    return f"the last line of {path.name} is torn"


def _parse(line: bytes, where: str) -> dict[str, Any]:
    text = line.decode("utf-8", errors="replace")
    body, _, check = text.rpartition(",")
    if check != _check(body + "}"):
        raise TraceError("line must match its CRC-32", where=where)
    entry: dict[str, Any] = json.loads(body + "}")
    if entry["phase"] not in PHASES or any(entry[side]["role"] not in ROLES for side in ("a", "b")):
        raise TraceError("phase and roles must be known ones, the trace is of a later version", where=where)
    return entry


def _check(line: str) -> str:
    return f'"crc32":"{zlib.crc32(line.encode()):08x}"}}'


def _shape(entry: dict[str, Any]) -> GemmShape:
    fields = {name: entry[name] for name in ("layer", "op", "phase", "batch", "m", "n", "k")}
    return GemmShape(**fields, b_role=entry["b"]["role"])


def _check_shapes(gemm: Gemm) -> None:
    a, b = gemm.a.values, gemm.b.values
    if a.ndim != 3 or b.ndim != 3 or a.shape[2] != gemm.k or b.shape[2] != gemm.k or b.shape[0] not in (1, len(a)):
        raise ArgumentError(
            f"operands must be [batch, m, {gemm.k}] and [batch or 1, n, {gemm.k}]",
            got=(a.shape, b.shape),
            where=gemm.layer,
        )


def _narrow(values: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    """The words that are stored; `ArgumentError` if they lose a bit of `values`."""
    if dtype == "float32":
        return values.astype("<f4", copy=False)
    if dtype == "bfloat16":
        raw = (values.view(np.uint32) >> 16).astype("<u2")
    elif dtype == "float16":
        with np.errstate(over="ignore"):
            raw = values.astype(np.float16).view("<u2")
    else:
        raise ArgumentError(f"dtype must be one of {', '.join(DTYPES)}", got=dtype)
    if not np.array_equal(_bits_to_float32(raw, dtype), values, equal_nan=True):
        raise ArgumentError(f"operand must hold {dtype} values only", where="trace")
    return raw


def _segment_name(segment: int, suffix: str) -> str:
    return f"seg-{segment:05d}.{suffix}"


def _write_all(file: BinaryIO, data: Any, path: Path) -> None:
    view = memoryview(data)
    try:
        while len(view):
            view = view[file.write(view) :]
    except OSError as error:
        raise _storage(path, error) from error


def _storage(path: Path, error: OSError) -> StorageError:
    return StorageError(f"file must be writable, {error.strerror}", where=str(path))


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    temporary = folder / f".{MANIFEST}.{os.getpid()}"
    try:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, folder / MANIFEST)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _storage(folder / MANIFEST, error) from error


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TraceError(f"folder of a trace must hold {MANIFEST}", where=str(folder)) from error
    except (OSError, ValueError) as error:
        raise TraceError(f"manifest must be JSON, {error}", where=str(path)) from error
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        raise TraceError(f"schema must be {SCHEMA}", got=found, where=str(path))
    return manifest

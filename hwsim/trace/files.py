"""The files of a trace: append-only segments of raw operands, and an index that says what is whole.

A folder holds ``manifest.json`` (where the numbers come from), ``graph.json`` (the operators of the first step, with
the CRC-32 that the manifest holds), ``seg-00000.bin`` (operands, little-endian, each at a
multiple of 64 bytes) and ``seg-00000.jsonl`` (one line a product, written after its operands, with a CRC-32 of every
operand and of the line itself). A process that dies loses the product in flight and nothing before it: what has no
whole line does not exist. Reading maps the segments into memory.

HDF5 and Parquet were rejected, as a killed writer leaves a file that no one can read; Zarr is three to seven times
slower; safetensors wants its header before its data, so it is an export (`hwsim.trace.export`).
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, StorageError, TraceError
from hwsim.trace.gemm import PHASES, ROLES

SCHEMA = 2
READABLE = (1, 2)
"""Schemas that are read: the first one had no graph, and no groups of operand b."""

MANIFEST = "manifest.json"
GRAPH = "graph.json"
ALIGNMENT = 64

DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "bfloat16": np.dtype("<u2"),  # NumPy has no bfloat16: the upper halves of float32 words
    "float16": np.dtype("<u2"),
}


def holds_trace(path: str | Path) -> bool:
    """Whether the folder `path` holds a trace, finished or not."""
    return (Path(path) / MANIFEST).is_file()


def segment_name(segment: int, suffix: str) -> str:
    """The file of a segment, ``bin`` or ``jsonl``."""
    return f"seg-{segment:05d}.{suffix}"


def widen(raw: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """The values of stored words."""
    if dtype == "bfloat16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if dtype == "float16":
        return raw.view(np.float16).astype(np.float32)
    return raw.view(np.float32)


def narrow(values: NDArray[np.float32], dtype: str) -> NDArray[Any]:
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
    if not np.array_equal(widen(raw, dtype), values, equal_nan=True):
        raise ArgumentError(f"operand must hold {dtype} values only", where="trace")
    return raw


def format_line(entry: Mapping[str, Any]) -> bytes:
    """A line of the index, closed by its own CRC-32."""
    line = json.dumps(entry, separators=(",", ":"))
    return f"{line[:-1]},{_check(line)}\n".encode()


def parse_line(line: bytes, where: str) -> dict[str, Any]:
    """What `format_line` wrote; `TraceError` if a bit of it changed."""
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


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The whole file or none."""
    write_whole(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())


def write_whole(path: Path, data: bytes) -> None:
    """The whole file or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise refused(path, error) from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `write_manifest` wrote, of this schema."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TraceError(f"folder of a trace must hold {MANIFEST}", where=str(folder)) from error
    except (OSError, ValueError) as error:
        raise TraceError(f"manifest must be JSON, {error}", where=str(path)) from error
    if not isinstance(manifest, dict) or manifest.get("schema") not in READABLE:
        found = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        raise TraceError(f"schema must be one of {', '.join(map(str, READABLE))}", got=found, where=str(path))
    return manifest


def refused(path: Path, error: OSError) -> StorageError:
    """The error to raise where the system refuses a write."""
    return StorageError(f"file must be writable, {error.strerror}", where=str(path))

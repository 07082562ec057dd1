"""The files of a trace: append-only segments of raw operands, and an index that says what is whole.

A folder holds ``manifest.json`` (where the numbers come from, closed by its CRC-32), ``graph.json`` (the operators of
the first step, with the CRC-32 that the manifest holds), ``seg-00000.bin`` (operands, little-endian, each at a
multiple of 64 bytes) and ``seg-00000.jsonl`` (one line a product, written after its operands, with a CRC-32 of every
operand and of the line itself). A process that dies loses the product in flight and nothing before it: what has no
whole line does not exist. Reading maps the segments into memory.

A trace that takes the place of another in its folder has another prefix before the names of its files; the manifest
says which, and is written last, so that either trace is whole at every moment.

HDF5 and Parquet were rejected, as a killed writer leaves a file that no one can read; Zarr is three to seven times
slower; safetensors wants its header before its data, so it is an export (`hwsim.trace.export`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, StorageError, TraceError
from hwsim.storage import (
    Either,
    Flag,
    OneOf,
    Record,
    Rows,
    Text,
    Whole,
    checked,
    parse_line,
    read_bytes,
    seal,
    unseal,
    write_whole,
)
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


def segment_name(segment: int, suffix: str, prefix: str = "") -> str:
    """The file of a segment, ``bin`` or ``jsonl``."""
    return f"{prefix}seg-{segment:05d}.{suffix}"


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


_NAME = Text(4096)
_COUNT = Whole(1, 2**48)
_OPERAND = Record(
    {
        "segment": Whole(0, 99_999), "offset": Whole(0, 2**48), "dtype": OneOf(tuple(DTYPES)),
        "shape": Rows(Whole(1, 2**40), 3, 3), "crc32": Whole(0, 2**32 - 1), "role": OneOf(ROLES),
        "rows_total": _COUNT,
    }
)  # fmt: skip
_ENTRY = Record(
    {
        "record": Whole(0, 2**32), "layer": _NAME, "op": _NAME, "phase": OneOf(PHASES), "step": Whole(0, 2**40),
        "batch": _COUNT, "m": _COUNT, "n": _COUNT, "k": _COUNT, "a": _OPERAND, "b": _OPERAND,
    },
    {"groups": _COUNT},
)  # fmt: skip
_HASH = Text(64)
_MANIFEST = Record(
    {"schema": OneOf(READABLE), "complete": Flag()},
    {
        "model": _NAME, "weights": _HASH, "backward": Flag(),
        "model_spec": Either((OneOf((None,)), _NAME)),
        "max_rows": Either((OneOf((None,)), Whole(1))), "seed": Whole(0, 2**63), "batches": Whole(1),
        "records": Whole(0, 2**32), "graph": _HASH, "causal": Rows(Whole(0, 2**32)),
        "prefix": OneOf(("", "a-", "b-")),
    },
    open=True,
)  # fmt: skip


def parse_entry(line: bytes, where: str) -> dict[str, Any]:
    """A line of the index; `TraceError` if a bit of it changed, or it is no product."""
    entry: dict[str, Any] = checked(parse_line(line, where, TraceError), _ENTRY, "line", where, TraceError)
    batch, groups = entry["batch"], entry.get("groups", 1)
    if batch % groups:
        raise TraceError("groups must divide the batch", got=groups, where=where)
    for side, rows in (("a", "m"), ("b", "n")):
        held = entry[side]
        first, second, k = held["shape"]
        if k != entry["k"] or second > entry[rows] or first > batch or held["offset"] % ALIGNMENT:
            rule = (
                f"operand {side} must be of at most {batch} x {entry[rows]} rows of {entry['k']}, at a multiple of 64"
            )
            raise TraceError(rule, got=(held["shape"], held["offset"]), where=where)
        if held["rows_total"] < first * second or held["rows_total"] > batch * entry[rows]:
            raise TraceError(f"rows_total of operand {side} must fit its shape", got=held["rows_total"], where=where)
    if entry["b"]["shape"][0] not in (1, entry["a"]["shape"][0]):
        raise TraceError("operand b must have one batch or those of a", got=entry["b"]["shape"], where=where)
    return entry


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The whole file or none."""
    write_whole(folder / MANIFEST, seal(manifest))


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `write_manifest` wrote, of this schema."""
    path = folder / MANIFEST
    if not path.exists():
        raise TraceError(f"folder of a trace must hold {MANIFEST}", where=str(folder))
    manifest = unseal(read_bytes(path, "manifest", TraceError, 1 << 26), "manifest", str(path), TraceError)
    if manifest.get("schema") not in READABLE:
        rule = f"schema must be one of {', '.join(map(str, READABLE))}"
        raise TraceError(rule, got=manifest.get("schema"), where=str(path))
    checked(manifest, _MANIFEST, "manifest", str(path), TraceError)
    return manifest


def refused(path: Path, error: OSError) -> StorageError:
    """The error to raise where the system refuses a write."""
    return StorageError(f"file must be writable, {error.strerror}", where=str(path))

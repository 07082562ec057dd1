"""A trace as one safetensors file, for other tools: immutable, and readable without hwsim.

The file is written here, not by the safetensors package, which wants all tensors in memory: eight bytes of length, a
JSON header, the raw operands.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hwsim.errors import StorageError
from hwsim.trace.reader import Trace

_NAMES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


def export(trace: Trace, path: str | Path) -> Path:
    """Write all operands of `trace` to the safetensors file `path`, replacing it once it is whole.

    Product number i gives the tensors ``"00000.a"`` and ``"00000.b"``, in their stored dtype; layer, phase and shape
    are in the header's metadata under ``"gemms"``, as JSON, and the manifest under ``"manifest"``.

    Raises:
        TraceError: an operand is damaged.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise StorageError("file to write must be a regular one", where=str(path))
    temporary = path.with_name(f".hwsim-{os.getpid()}-export")
    try:
        with temporary.open("xb") as file:
            file.write(_header(trace))
            for _, _, raw in trace.raw_operands():
                file.write(raw.data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(f"file must be writable, {error.strerror}", where=str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _header(trace: Trace) -> bytes:
    notes = {"gemms": json.dumps(trace.entries), "manifest": json.dumps(trace.manifest)}
    tensors: dict[str, Any] = {"__metadata__": notes}
    start = 0
    for entry, side, raw in trace.raw_operands():
        tensors[f"{entry['record']:05d}.{side}"] = {
            "dtype": _NAMES[entry[side]["dtype"]],
            "shape": list(raw.shape),
            "data_offsets": [start, start := start + raw.nbytes],
        }
    text = json.dumps(tensors).encode()
    text += b" " * (-len(text) % 8)  # the format asks for data at a multiple of eight
    return len(text).to_bytes(8, "little") + text

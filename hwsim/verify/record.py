"""Recordings of devices: one npz a kernel, replayed on any machine.

A recording holds the inputs, the device's results, and where they come from: GPU, driver, target, opcodes, compiler,
date. The sets of F. A. Khattak and M. Mikaitis (north-numerical-computing/MATLAB-tensor-core, BSD-2; repacked as
``GPU_FORMAT_OUT.npz``) are read in place: operands as float32 words, exact in their formats.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.errors import ArgumentError
from hwsim.storage import Either, Record, Rows, Text, checked, parse_json, read_bytes
from hwsim.verify.cuda import get
from hwsim.verify.operands import Batch, words
from hwsim.verify.subject import Subject
from hwsim.verify.table import Row, skipped

LEEDS = "Khattak and Mikaitis, BSD-2"
LEEDS_ARCH = {"v100": "volta", "a100": "ampere", "l40s": "ada", "h100": "hopper"}


@dataclass(frozen=True)
class Origin:
    """Where a recording comes from."""

    kernel: str
    arch: str
    operand: str | tuple[str, str]
    out: str
    gpu: str
    target: str
    driver: str
    compiler: str
    opcodes: tuple[str, ...]
    date: str


@dataclass(frozen=True)
class Recording:
    """Dot products and what a device made of them, words ``[n]``."""

    origin: Origin
    batch: Batch
    d: NDArray[Any]

    def save(self, path: Path) -> None:
        """Write an npz without pickles."""
        arrays = {"a": self.batch.a, "b": self.batch.b, "c": words(self.batch.c), "d": self.d}
        if self.batch.scale_a is not None and self.batch.scale_b is not None:
            arrays |= {"scale_a": self.batch.scale_a, "scale_b": self.batch.scale_b}
        arrays["origin"] = np.array(json.dumps(asdict(self.origin)))
        np.savez_compressed(path, allow_pickle=False, **arrays)

    def replay(self, subject: Subject) -> Row:
        """Compare the subject with the recording."""
        origin = self.origin
        got = self.batch.run(subject.unit(origin.arch, origin.operand, origin.out))
        wrong = np.flatnonzero(got != self.d)
        notes = [origin.driver, " ".join(dict.fromkeys(origin.opcodes))]
        if wrong.size:
            first = int(wrong[0])
            notes.insert(0, f"case {first}: {int(got[first]):#x}, not {int(self.d[first]):#x}")
        operation = f"{origin.arch} {_operand(origin.operand)}, {origin.out} result"
        note = ", ".join(text for text in notes if text)
        return Row(operation, f"recorded on {origin.gpu}", len(self.d), int(wrong.size), origin.date, note)


@dataclass(frozen=True)
class Elementwise:
    """Words x, y, z ``[n]`` and what an elementwise instruction of a device made of them."""

    origin: Origin
    x: NDArray[np.uint32]
    y: NDArray[np.uint32]
    z: NDArray[np.uint32]
    d: NDArray[np.uint32]

    def save(self, path: Path) -> None:
        """Write an npz without pickles."""
        _save(path, self.origin, {name: getattr(self, name) for name in "xyzd"})

    def replay(self, subject: Subject) -> Row:
        """Compare the subject with the recording."""
        from hwsim.verify.checks.conversions import judge

        wrong, note = judge(subject, get(self.origin.kernel), self.x, self.y, self.z, self.d)
        notes = ", ".join(text for text in (self.origin.driver, " ".join(self.origin.opcodes), note) if text)
        oracle = f"recorded on {self.origin.gpu}"
        within = self.origin.kernel == "rcp.approx"
        return Row(self.origin.kernel, oracle, len(self.d), wrong, self.origin.date, notes, bound=within)


def _save(path: Path, origin: Origin, arrays: dict[str, NDArray[Any]]) -> None:
    arrays["origin"] = np.array(json.dumps(asdict(origin)))
    np.savez_compressed(path, allow_pickle=False, **arrays)


def _operand(operand: str | tuple[str, str]) -> str:
    return operand if isinstance(operand, str) else "*".join(operand)


_ORIGIN = Record(
    dict.fromkeys(("kernel", "arch", "out", "gpu", "target", "driver", "compiler", "date"), Text())
    | {"operand": Either((Text(), Rows(Text(), 2, 2))), "opcodes": Rows(Text())}
)
_DAMAGE = (
    OSError, ValueError, EOFError, LookupError, AttributeError, RuntimeError, SyntaxError, TypeError, OverflowError,
    MemoryError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What NumPy raises at a damaged archive, or at a header that is no literal of Python."""


def load(path: Path) -> Recording | Elementwise:
    """Read a recording of ours or one of the repacked sets.

    Raises:
        ArgumentError: the file is no recording.
    """
    raw = io.BytesIO(read_bytes(path, "a recording", ArgumentError))
    try:
        with np.load(raw, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except _DAMAGE as error:
        got = f"{type(error).__name__}: {error}"
        raise ArgumentError("a recording must be an npz file", got=got, where=str(path)) from None
    words_too = {"x", "y", "z", "d", "origin"} <= set(arrays)
    if not words_too and not {"a", "b", "c", "d"} <= set(arrays):
        raise ArgumentError("a recording must hold a, b, c, d or x, y, z, d", got=sorted(arrays), where=str(path))
    if "origin" not in arrays:
        return _leeds(path, arrays)
    fields = parse_json(str(arrays["origin"]), "origin", str(path), ArgumentError)
    checked(fields, _ORIGIN, "origin", str(path), ArgumentError)
    operand = fields["operand"]
    fields["operand"] = operand if isinstance(operand, str) else tuple(operand)
    fields["opcodes"] = tuple(fields["opcodes"])
    if words_too:
        return Elementwise(Origin(**fields), *(arrays[name] for name in "xyzd"))
    start = arrays["c"].view(np.float16 if arrays["c"].dtype == np.uint16 else np.float32)
    batch = Batch(arrays["a"], arrays["b"], start, arrays.get("scale_a"), arrays.get("scale_b"))
    return Recording(Origin(**fields), batch, arrays["d"])


def _leeds(path: Path, arrays: dict[str, NDArray[Any]]) -> Recording:
    try:
        gpu, form, out = path.stem.split("_")
        arch = LEEDS_ARCH[gpu]
    except (ValueError, KeyError):
        rule = f"a recording without origin must be called GPU_FORMAT_OUT.npz, GPU one of {', '.join(LEEDS_ARCH)}"
        raise ArgumentError(rule, got=path.name, where=str(path)) from None
    a, b = (formats.get(form).encode(arrays[key].view(np.float32)) for key in "ab")
    c, operand = arrays["c"].view(np.float32), form
    if gpu == "h100" and form in ("e4m3", "e5m2"):
        # fp16 results were made by mma.sync, which is two FP16 steps there; fp32 results by the FP8 unit, with c = 0
        operand, c = (f"{form}.mma_sync", c) if out == "fp16" else (form, np.zeros_like(c))
    start = c.astype(np.float16) if out == "fp16" else c
    origin = Origin("", arch, operand, out, f"{gpu.upper()} ({LEEDS})", "", "", "", (), "2025")
    return Recording(origin, Batch(a, b, start), arrays["d"])


def replay(folder: Path, subject: Subject) -> Iterator[Row]:
    """One row a recording of a folder.

    Raises:
        ArgumentError: no folder, or a file in it is no recording.
    """
    if not folder.is_dir():
        raise ArgumentError("recordings must lie in a folder", got=str(folder), where="verify --replay")
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        yield skipped("tensor cores", "recorded silicon", f"no recording in {folder}")
    for path in paths:
        yield load(path).replay(subject)

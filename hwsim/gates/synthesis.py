"""Units as gates, from the user's cache where Yosys made them before.

Decides what a kept netlist depends on, all of it in the record's key: the Verilog text, the top module, the library's
bytes, Yosys' version, the script that it runs, and the form of the record. A store without one of these would hand
out stale areas. A record whose checksum, key or types are wrong is made again. Yosys uses one core and works beside
us, so that `synth_all` runs several of it side by side.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from hwsim import cache
from hwsim.errors import StorageError
from hwsim.gates.liberty import DEFAULT_LIBERTY, Library, read_liberty
from hwsim.gates.netlist import build_netlist
from hwsim.gates.synth_report import SynthReport
from hwsim.jit import thread_count
from hwsim.rtl.tools import SynthResult, end_all, synth_script, synthesize, yosys_version
from hwsim.rtl.unit import Unit
from hwsim.storage import Either, OneOf, Real, Record, Rows, Table, Text, Whole, checked, parse_json

Progress = Callable[[int, int, str], None]
"""Called with (circuits done, circuits in all, the name of the last one)."""


def synth(unit: Unit, liberty: str | Path = DEFAULT_LIBERTY, fast: bool = False) -> SynthReport:
    """`unit` as gates of a Liberty file, mapped for area, or for depth where `fast`.

    Raises:
        MissingExtra: Yosys is not installed; its version is part of the key, so the cache alone is not enough.
        ToolError: Yosys refused the text. ArgumentError, LibertyError: the library does not fit.
    """
    parameters = json.dumps(dict(unit.parameters))
    return _report(unit.verilog, unit.top, unit.family, parameters, str(Path(liberty).resolve()), fast)


def synth_all(
    modules: Iterable[tuple[str, str]],
    liberty: str | Path = DEFAULT_LIBERTY,
    progress: Progress = lambda done, total, name: None,
) -> None:
    """Bring modules, (text, top module), into the cache: one Yosys a core. A refusal of one ends the whole.

    Args:
        modules: known ones cost nothing.
        liberty: the library.
        progress: called after every circuit.
    """
    path = str(Path(liberty).resolve())
    missing = [(text, top) for text, top in dict.fromkeys(modules) if _load(_key(text, top, path)) is None]
    missing.sort(key=lambda module: -len(module[0]))  # the long ones first, so that no core waits for one at the end
    pool = ThreadPoolExecutor(thread_count())
    jobs = [pool.submit(_result, text, top, path) for text, top in missing]
    try:
        for done, job in enumerate(jobs, 1):
            progress(done, len(jobs), job.result().top)
    except BaseException:
        end_all(jobs)  # nobody waits for circuits after an interruption or a refusal
        raise
    finally:
        pool.shutdown()


def module_area_um2(verilog: str, top: str, liberty: str | Path = DEFAULT_LIBERTY) -> float:
    """Area of one module of a text, without its netlist; cached and failing as `synth`."""
    return _result(verilog, top, str(Path(liberty).resolve())).area_um2


@functools.lru_cache(maxsize=8)
def library_of(liberty: str) -> Library:
    """The library at a path, read once a process."""
    return read_liberty(liberty)


@functools.lru_cache(maxsize=64)
def _report(verilog: str, top: str, family: str, parameters: str, liberty: str, fast: bool) -> SynthReport:
    result = _result(verilog, top, liberty, fast)
    netlist = build_netlist(result.netlist, library_of(liberty), top)
    return SynthReport(top, family, json.loads(parameters), result, netlist)


def _result(verilog: str, top: str, liberty: str, fast: bool = False) -> SynthResult:
    key = _key(verilog, top, liberty, fast)
    result = _load(key)
    if result is None:
        result = synthesize(verilog, top, liberty, fast=fast)
        _write(key, asdict(result) | {"netlist": _reduced(result.netlist)})
    return result


def _key(verilog: str, top: str, liberty: str, fast: bool = False) -> str:
    form = " ".join(field.name for field in fields(SynthResult))
    key = hashlib.sha256()
    for part in (verilog, top, _library_digest(liberty), yosys_version(), synth_script(top, fast=fast), form):
        key.update(hashlib.sha256(part.encode()).digest())
    return key.hexdigest()[:32]


def _library_digest(liberty: str) -> str:
    path = Path(liberty)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


_BITS = Rows(Either((Whole(), OneOf(("0", "1", "x", "z")))))
_RESULT = Record(
    {
        "top": Text(), "area_um2": Real(0.0), "cells": Table(Whole()), "flip_flops": Whole(), "levels": Whole(),
        "netlist": Record(
            {
                "ports": Table(Record({"direction": OneOf(("input", "output")), "bits": _BITS}, open=True)),
                "cells": Table(Record({"type": Text(), "connections": Table(_BITS)})),
                "netnames": Table(Record({"bits": _BITS, "hide_name": Whole(0, 1)})),
            }
        ),
        "liberty": Text(), "tool": Text(), "wall_s": Real(0.0),
    }
)  # fmt: skip


def _load(key: str) -> SynthResult | None:
    """What was kept; a damaged record counts as none."""
    found = cache.folder("synth")
    payload = None if found is None else cache.load(found / f"{key}.netlist", key)
    if payload is None:
        return None
    with contextlib.suppress(OSError, EOFError, zlib.error, StorageError):
        record = parse_json(gzip.decompress(payload), "netlist", key, StorageError)
        return SynthResult(**checked(record, _RESULT, "netlist", key, StorageError))
    return None


def _reduced(module: Mapping[str, Any]) -> dict[str, Any]:
    """What a netlist is built from; attributes name source lines and are most of Yosys' text."""
    return {
        "ports": module["ports"],
        "cells": {
            name: {"type": cell["type"], "connections": cell["connections"]} for name, cell in module["cells"].items()
        },
        "netnames": {
            name: {"bits": net["bits"], "hide_name": net["hide_name"]} for name, net in module["netnames"].items()
        },
    }


def _write(key: str, record: dict[str, Any]) -> None:
    if (found := cache.folder("synth")) is not None:
        cache.store(found / f"{key}.netlist", key, gzip.compress(json.dumps(record).encode(), 3, mtime=0))

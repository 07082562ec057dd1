"""Synthesised circuits, kept on disk: a sweep of hundreds of designs runs Yosys once a design and machine.

Decides what a kept netlist depends on, all of it in the file's name: the Verilog text, the top module, the library's
bytes, Yosys' version and the script that it runs. A store without one of these would hand out stale areas, which is
why `hwsim.gates.synth_report` keeps none; calibration, whose sweep takes minutes, is worth this key.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hwsim.gates.liberty import DEFAULT_LIBERTY, Library, read_liberty
from hwsim.gates.netlist import build_netlist
from hwsim.gates.synth_report import SynthReport
from hwsim.jit import cache_root
from hwsim.rtl.tools import SynthResult, synth_script, synthesize, yosys_version
from hwsim.rtl.unit import Unit


def synthesized(unit: Unit, liberty: str | Path = DEFAULT_LIBERTY) -> SynthReport:
    """`unit` as gates of a Liberty file, from the user's cache where it was made before.

    Raises:
        MissingExtra: Yosys is not installed; its version is part of the key, so the cache alone is not enough.
        ToolError: Yosys refused the text. ArgumentError, LibertyError: the library does not fit.
    """
    return _report(
        unit.verilog, unit.top, unit.family, json.dumps(dict(unit.parameters)), str(Path(liberty).resolve())
    )


def module_area_um2(verilog: str, top: str, liberty: str | Path = DEFAULT_LIBERTY) -> float:
    """Area of one module of a text, without its netlist; cached and failing as `synthesized`."""
    return _result(verilog, top, str(Path(liberty).resolve())).area_um2


@functools.lru_cache(maxsize=64)
def _report(verilog: str, top: str, family: str, parameters: str, liberty: str) -> SynthReport:
    result = _result(verilog, top, liberty)
    netlist = build_netlist(result.netlist, library_of(liberty), top)
    return SynthReport(top, family, json.loads(parameters), result, netlist)


@functools.lru_cache(maxsize=8)
def library_of(liberty: str) -> Library:
    """The library at a path, read once a process."""
    return read_liberty(liberty)


def _result(verilog: str, top: str, liberty: str) -> SynthResult:
    key = hashlib.sha256()
    for part in (verilog.encode(), top.encode(), _library_digest(liberty), yosys_version().encode()):
        key.update(hashlib.sha256(part).digest())
    key.update(synth_script(top).encode())
    path = cache_root() / "synth" / f"{key.hexdigest()[:32]}.json.gz"
    if path.is_file():
        return SynthResult(**json.loads(gzip.decompress(path.read_bytes())))
    result = synthesize(verilog, top, liberty)
    _write(path, asdict(result) | {"netlist": _reduced(result.netlist)})
    return result


def _library_digest(liberty: str) -> bytes:
    path = Path(liberty)
    return hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""


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


def _write(path: Path, record: dict[str, Any]) -> None:
    """The whole file or none; a cache that cannot be written is only slower."""
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(gzip.compress(json.dumps(record).encode(), 3, mtime=0))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)

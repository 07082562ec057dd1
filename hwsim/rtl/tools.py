"""The door to Yosys and Icarus Verilog: synthesis to a cell library, and simulation of the same text.

Decides how a unit becomes gates. Every module of the text is synthesised alone down to generic gates, then the
hierarchy is flattened and mapped by ABC: Yosys otherwise fuses ``acc + a * b`` into one macro with a sign-extended
operand, which makes a signed 8-bit MAC half as large again. A unit that keeps its product and its accumulator in
separate modules thus keeps that boundary. The rejected alternative, one flat synthesis, is ``keep_modules=False``.

Each call runs in a temporary folder of its own that is removed afterwards, under a time limit that also ends the
tools' children, and without any random choice: the same text gives the same netlist. Yosys' own ``booth`` pass is not
used, as versions before 0.34 do not have it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.errors import ArgumentError, HwsimError, MissingExtra

TIMEOUT_S = 300.0

_PACKAGES = {"yosys": "yosys", "yosys-abc": "yosys", "iverilog": "iverilog", "vvp": "iverilog"}
_NAMES = {"yosys": "Yosys", "yosys-abc": "Yosys' ABC", "iverilog": "Icarus Verilog", "vvp": "Icarus Verilog"}


class ToolError(HwsimError):
    """A system tool refused its input or ran out of time; the message carries its first line of complaint."""


@dataclass(frozen=True, slots=True)
class SynthResult:
    """A unit mapped to the cells of one library.

    Attributes:
        area_um2: sum of the cells' ``area`` in the library's unit, which is square micrometres by convention.
        cells: number of cells by type, flip-flops included.
        levels: cells on the longest path between ports and flip-flops.
        netlist: the top module of Yosys' JSON: ``ports``, ``cells``, ``netnames``.
        tool: Yosys' version line.
        wall_s: seconds that Yosys took.
    """

    top: str
    area_um2: float
    cells: Mapping[str, int]
    flip_flops: int
    levels: int
    netlist: Mapping[str, Any]
    liberty: str
    tool: str
    wall_s: float

    @property
    def cell_count(self) -> int:
        """Number of cells of all types."""
        return sum(self.cells.values())


def find_tool(name: str) -> str:
    """The path of `name` on PATH; `MissingExtra` names the Debian package otherwise."""
    if path := shutil.which(name):
        return path
    raise MissingExtra(_NAMES[name], install=f"apt install {_PACKAGES[name]}", where=name)


def available(*names: str) -> bool:
    """Whether all tools `names` (default: Yosys, its ABC and Icarus Verilog) are on PATH."""
    return all(shutil.which(name) for name in names or tuple(_PACKAGES))


@functools.cache
def yosys_version() -> str:
    """Yosys' version line, as every synthesised number carries it."""
    return _run([find_tool("yosys"), "-V"], cwd=Path.cwd(), timeout_s=TIMEOUT_S).strip()


def synthesize(
    verilog: str,
    top: str,
    liberty: str | Path,
    *,
    keep_modules: bool = True,
    timeout_s: float = TIMEOUT_S,
) -> SynthResult:
    """Map module `top` of the Verilog-2005 text to the cells of a Liberty file.

    Args:
        verilog: text of `top` and of every module below it.
        top: name of the module.
        liberty: path of the library; sequential cells for every flip-flop of the text must exist in it.
        keep_modules: optimise arithmetic inside each module only (see the module's docstring).
        timeout_s: wall-clock limit of the run.

    Raises:
        MissingExtra: Yosys is not installed. ToolError: Yosys or ABC refused the text, or the limit passed.
        ArgumentError: the library does not exist, or a cell has no mapping in it.
    """
    yosys = find_tool("yosys")
    find_tool("yosys-abc")
    library = Path(liberty).resolve()
    if not library.is_file():
        raise ArgumentError("liberty must be a file", got=str(liberty), where="liberty")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="hwsim-synth-") as folder:
        here = Path(folder)
        (here / "design.v").write_text(verilog)
        (here / "cells.lib").symlink_to(library)
        (here / "synth.ys").write_text(synth_script(top, keep_modules))
        try:
            _run([yosys, "-q", "-s", "synth.ys"], cwd=here, timeout_s=timeout_s)
        except ToolError as refusal:
            if "ABC" not in refusal.rule:
                raise
            raise ToolError(_abc_complaint(here, refusal), where=f"{_NAMES['yosys-abc']}: {library.name}") from None
        netlist = json.loads((here / "netlist.json").read_text())["modules"][top]
    wall_s = time.perf_counter() - start
    facts = _cell_facts(library, library.stat().st_mtime_ns)
    counts: dict[str, int] = {}
    for cell in netlist["cells"].values():
        if cell["type"] not in facts:
            raise ArgumentError(
                "every cell must map to the library: a latch, a tristate or a flip-flop that it lacks does not",
                got=cell["type"],
                where=f"{top} in {library.name}",
            )
        counts[cell["type"]] = counts.get(cell["type"], 0) + 1
    sequential = {name for name, (_, is_sequential) in facts.items() if is_sequential}
    return SynthResult(
        top=top,
        area_um2=sum(facts[name][0] * count for name, count in sorted(counts.items())),
        cells=dict(sorted(counts.items())),
        flip_flops=sum(count for name, count in counts.items() if name in sequential),
        levels=_levels(netlist, sequential),
        netlist=netlist,
        liberty=library.name,
        tool=yosys_version(),
        wall_s=wall_s,
    )


def simulate(
    verilog: str, testbench: str, *, files: Mapping[str, str] | None = None, timeout_s: float = TIMEOUT_S
) -> str:
    """What a test bench prints when Icarus Verilog runs it; `files` (e.g. for ``$readmemh``) lie in its folder.

    Raises:
        MissingExtra: Icarus Verilog is not installed. ToolError: the text does not compile, or the limit passed.
    """
    return _simulate(verilog, testbench, files or {}, timeout_s)[0]


def count_toggles(
    verilog: str,
    testbench: str,
    scope: str,
    *,
    start: int = 0,
    files: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, int]:
    """Value changes of every net directly inside instance `scope` (``"tb.dut"``), by name, from Icarus' VCD.

    A bit of a vector is named ``name[index]``. Changes from and to x do not count, nor do changes that are undone
    within one time step: without gate delays these are the functional toggles, with ``#1`` gates the glitches count.
    Counting begins at time `start`, where the circuit should have settled on its first vector.
    """
    dump = (
        f'\nmodule hwsim_dump;\ninitial begin #{start} $dumpfile("dump.vcd"); $dumpvars(1, {scope}); end\nendmodule\n'
    )
    return _vcd_toggles(_simulate(verilog, testbench + dump, files or {}, timeout_s)[1])


def _simulate(verilog: str, testbench: str, files: Mapping[str, str], timeout_s: float) -> tuple[str, str]:
    iverilog, vvp = find_tool("iverilog"), find_tool("vvp")
    with tempfile.TemporaryDirectory(prefix="hwsim-icarus-") as folder:
        here = Path(folder)
        (here / "design.v").write_text(verilog)
        (here / "testbench.v").write_text(testbench)
        for name, text in files.items():
            (here / name).write_text(text)
        compiled = [iverilog, "-g2005", "-o", "simulation.vvp", "design.v", "testbench.v"]
        _run(compiled, cwd=here, timeout_s=timeout_s)
        stdout = _run([vvp, "-n", "simulation.vvp"], cwd=here, timeout_s=timeout_s)
        dump = here / "dump.vcd"
        return stdout, dump.read_text() if dump.exists() else ""


# Yosys' own script but for its first sweep, &fraig -x, which does not end on deep circuits such as float dot units.
_ABC = "+strash;ifraig;scorr;dc2;strash;&get,-n;&dch,-f;&nf;&put"


def synth_script(top: str, keep_modules: bool = True) -> str:
    """What Yosys runs for `synthesize`: with the text, the library and the version, all that a netlist depends on."""
    return "\n".join(
        [
            "read_verilog design.v",
            f"hierarchy -check -top {top}",
            f"synth {'' if keep_modules else '-flatten '}-top {top}",
            "flatten",
            "opt",  # not -full: its opt_share of Yosys 0.23 makes wrong gates of shared operands
            "techmap",  # of the word-level multiplexers that opt makes
            "dfflibmap -liberty cells.lib",
            f"abc -liberty cells.lib -script {_ABC}",
            "setundef -zero",
            "opt_clean -purge",
            "read_liberty -lib -ignore_miss_func cells.lib",  # gives the cells of the JSON their port directions
            "write_json netlist.json",
        ]
    )


def _abc_complaint(here: Path, refusal: ToolError) -> str:
    """What ABC says of the library: when it stops, Yosys only tells that ABC's output is absent."""
    command = [find_tool("yosys-abc"), "-c", "read_lib cells.lib; print_genlib"]
    try:
        lines = _run(command, cwd=here, timeout_s=TIMEOUT_S, stderr=subprocess.STDOUT).splitlines()
    except ToolError as own:
        return own.rule
    said = [line.strip() for line in lines if re.search(r"cannot|error|not available", line, re.IGNORECASE)]
    return said[0] if said else refusal.rule


def _run(command: list[str], *, cwd: Path, timeout_s: float, stderr: int = subprocess.PIPE) -> str:
    """Standard output of a tool; a session of its own, so that the limit ends Yosys' ABC too.

    What the tool leaves behind when it is ended lies in `cwd`, which is removed.
    """
    environment = os.environ | {"TMPDIR": str(cwd)}
    with subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
    ) as process:
        try:
            stdout, complaints = process.communicate(timeout=timeout_s)
        except BaseException as reason:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(reason, subprocess.TimeoutExpired):
                raise ToolError("must end within its limit in seconds", got=timeout_s, where=_name(command)) from None
            raise
    if process.returncode:
        raise ToolError(_first_error(stdout, complaints or "", process.returncode), where=_name(command))
    return stdout


def _name(command: list[str]) -> str:
    return _NAMES[Path(command[0]).name]


def _first_error(stdout: str, stderr: str, code: int) -> str:
    lines = [line.strip() for line in (stderr + "\n" + stdout).splitlines() if line.strip()]
    marked = [line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)]
    return (marked or lines or [f"ended with status {code}"])[0]


@functools.lru_cache(maxsize=8)
def _cell_facts(library: Path, modified_ns: int) -> dict[str, tuple[float, bool]]:
    """Area and whether it stores a bit, of every cell of a Liberty file (`modified_ns` only keys the cache)."""
    text = re.sub(r"/\*.*?\*/", " ", library.read_text(errors="replace"), flags=re.DOTALL)
    parts = re.split(r'\bcell\s*\(\s*"?([^")\s]+)"?\s*\)\s*\{', text)[1:]
    facts = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        area = re.search(r'\barea\s*:\s*"?([-+.\deE]+)', body)
        stores = re.search(r"\b(?:ff|latch|ff_bank|latch_bank|statetable)\s*\(", body)
        facts[name] = float(area[1]) if area else 0.0, stores is not None
    return facts


def _levels(netlist: Mapping[str, Any], sequential: set[str]) -> int:
    """Cells on the longest combinational path; a loop raises."""
    drivers: dict[int, str] = {}
    inputs: dict[str, list[int]] = {}
    for name, cell in netlist["cells"].items():
        if cell["type"] in sequential:
            continue
        directions = cell["port_directions"]
        inputs[name] = [
            bit
            for pin, bits in cell["connections"].items()
            for bit in bits
            if directions[pin] == "input" and isinstance(bit, int)
        ]
        drivers |= {
            bits[0]: name for pin, bits in cell["connections"].items() if directions[pin] == "output" and bits
        }
    depth: dict[str, int] = {}
    for root in inputs:
        stack = [root]
        while stack:
            name = stack[-1]
            before = [drivers[bit] for bit in inputs[name] if bit in drivers]
            waiting = [source for source in before if source not in depth]
            if not waiting:
                depth[name] = 1 + max((depth[source] for source in before), default=0)
                stack.pop()
            elif len(stack) > len(inputs):
                raise ArgumentError("gates must not form a loop", got=name, where="netlist")
            else:
                stack.append(waiting[0])
    return max(depth.values(), default=0)


def _vcd_toggles(vcd: str) -> dict[str, int]:
    """Changes between 0 and 1 by net; identifiers of one net under several names count under each."""
    header, _, changes = vcd.partition("$enddefinitions $end")
    names: dict[str, list[tuple[str, int, int]]] = {}
    for width, code, name, bounds in re.findall(r"\$var \w+ (\d+) (\S+) (\S+)(?: \[(\d+)(?::\d+)?\])? \$end", header):
        names.setdefault(code, []).append((name, int(width), int(bounds) if bounds else -1))
    values: dict[str, str] = {}
    counts = {code: [0] * entries[0][1] for code, entries in names.items()}
    for line in changes.split("\n"):
        if line[:1] in ("0", "1", "x", "z"):
            value, code = line[0], line[1:]
        elif line[:1] == "b":
            value, _, code = line[1:].partition(" ")
        else:
            continue
        width = len(counts[code])
        value = value.rjust(width, "0" if value[0] in "01" else value[0])
        before = values.get(code, "x" * width)
        for index in range(width):
            counts[code][index] += before[index] + value[index] in ("01", "10")
        values[code] = value
    return {
        name if width == 1 and top < 0 else f"{name}[{(top if top >= 0 else width - 1) - index}]": counts[code][index]
        for code, entries in names.items()
        for name, width, top in entries
        for index in range(width)
    }

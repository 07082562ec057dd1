"""Synthesis: a unit's text to the cells of one library.

Decides how a unit becomes gates. Every module of the text is synthesised alone down to generic gates, then the
hierarchy is flattened and mapped by ABC: Yosys otherwise fuses ``acc + a * b`` into one macro with a sign-extended
operand, which makes a signed 8-bit MAC half as large again. A unit that keeps its product and its accumulator in
separate modules thus keeps that boundary. The rejected alternative, one flat synthesis, is ``keep_modules=False``.

There is no random choice: the same text gives the same netlist. Yosys' own ``booth`` pass is not used, as versions
before 0.34 do not have it.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwsim.errors import ArgumentError
from hwsim.guard import temporary_folder
from hwsim.rtl.tools.process import NAMES, TIMEOUT_S, ToolError, find_tool, run


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


@functools.cache
def yosys_version() -> str:
    """Yosys' version line, as every synthesised number carries it."""
    return run([find_tool("yosys"), "-V"], cwd=Path.cwd(), timeout_s=TIMEOUT_S).strip()


def synthesize(
    verilog: str,
    top: str,
    liberty: str | Path,
    *,
    keep_modules: bool = True,
    fast: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> SynthResult:
    """Map module `top` of the Verilog-2005 text to the cells of a Liberty file.

    Args:
        verilog: text of `top` and of every module below it.
        top: name of the module.
        liberty: path of the library; sequential cells for every flip-flop of the text must exist in it.
        keep_modules: optimise arithmetic inside each module only (see the module's docstring).
        fast: map for depth instead of area (see `synth_script`).
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
    with temporary_folder("hwsim-synth-") as here:
        (here / "design.v").write_text(verilog, encoding="utf-8")
        (here / "cells.lib").symlink_to(library)
        (here / "synth.ys").write_text(synth_script(top, keep_modules, fast), encoding="utf-8")
        try:
            run([yosys, "-q", "-s", "synth.ys"], cwd=here, timeout_s=timeout_s)
        except ToolError as refusal:
            if "ABC" not in refusal.rule:
                raise
            raise ToolError(_abc_complaint(here, refusal), where=f"{NAMES['yosys-abc']}: {library.name}") from None
        try:
            netlist = json.loads((here / "netlist.json").read_bytes())["modules"][top]
        except (FileNotFoundError, ValueError, LookupError):
            rule = "must write the whole netlist; is there room for it in the temporary folder?"
            raise ToolError(rule, where=NAMES["yosys"]) from None
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


# Yosys' own script but for its first sweep, &fraig -x, which does not end on deep circuits such as float dot units.
_ABC = "+strash;ifraig;scorr;dc2;strash;&get,-n;&dch,-f;&nf;&put"
_ABC_FAST = "+strash;ifraig;scorr;strash;&get,-n;&dch,-f;&nf;&put"


def synth_script(top: str, keep_modules: bool = True, fast: bool = False) -> str:
    """What Yosys runs for `synthesize`: with the text, the library and the version, all that a netlist depends on.

    ABC's ``dc2`` saves area by folding the carry look-ahead of adders back into ripples, which more than doubles the
    depth of a 32-bit one. A `fast` netlist leaves it out: half of the catalogue becomes 0 to 7 % larger,
    its extremes are 15 % smaller and a third larger.
    """
    return "\n".join(
        [
            "read_verilog design.v",
            f"hierarchy -check -top {top}",
            f"synth {'' if keep_modules else '-flatten '}-top {top}",
            "flatten",
            "opt",  # not -full: its opt_share of Yosys 0.23 makes wrong gates of shared operands
            "techmap",  # of the word-level multiplexers that opt makes
            "dfflibmap -liberty cells.lib",
            f"abc -liberty cells.lib -script {_ABC_FAST if fast else _ABC}",
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
        lines = run(command, cwd=here, timeout_s=TIMEOUT_S, stderr=subprocess.STDOUT).splitlines()
    except ToolError as own:
        return own.rule
    said = [line.strip() for line in lines if re.search(r"cannot|error|not available", line, re.IGNORECASE)]
    return said[0] if said else refusal.rule


@functools.lru_cache(maxsize=8)
def _cell_facts(library: Path, modified_ns: int) -> dict[str, tuple[float, bool]]:
    """Area and whether it stores a bit, of every cell of a Liberty file (`modified_ns` only keys the cache)."""
    text = re.sub(r"/\*.*?\*/", " ", library.read_text(encoding="utf-8", errors="replace"), flags=re.DOTALL)
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

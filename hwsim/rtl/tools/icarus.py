"""Simulation of a unit's text: what its bench prints, and how often its nets change."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hwsim.guard import temporary_folder
from hwsim.rtl.tools.process import TIMEOUT_S, find_tool, run


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
    with temporary_folder("hwsim-icarus-") as here:
        (here / "design.v").write_text(verilog, encoding="utf-8")
        (here / "testbench.v").write_text(testbench, encoding="utf-8")
        for name, text in files.items():
            (here / name).write_text(text, encoding="utf-8")
        compiled = [iverilog, "-g2005", "-o", "simulation.vvp", "design.v", "testbench.v"]
        run(compiled, cwd=here, timeout_s=timeout_s)
        stdout = run([vvp, "-n", "simulation.vvp"], cwd=here, timeout_s=timeout_s)
        dump = here / "dump.vcd"
        return stdout, dump.read_text(encoding="utf-8", errors="replace") if dump.exists() else ""


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

"""The Verilog of a combinational circuit as Yosys reads it, row by row: every cell once.

Icarus evaluates a chain again whenever a link of it changes: 0.3 s a row for 64 products beside 0.02 s here.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from hwsim.rtl.bench import port_bits
from hwsim.rtl.unit import Unit, Values


def eval_mismatches(unit: Unit, inputs: Values, folder: Path) -> int:
    """Rows in which the text differs from the unit's golden values, before any mapping to gates."""
    (output,) = unit.outputs
    (folder / "unit.v").write_text(unit.verilog)
    lines = [f"read_verilog unit.v; hierarchy -top {unit.top}; proc; flatten; opt_clean"]
    ports = [(port.name, port_bits(port, inputs[port.name])[:, ::-1]) for port in unit.inputs]
    wanted = unit.golden(inputs)[output.name]
    for row in range(len(wanted)):
        sets = (f"-set {name} {bits.shape[1]}'b{''.join(map(str, bits[row]))}" for name, bits in ports)
        lines.append(f"eval {' '.join(sets)} -show {output.name}")
    (folder / "unit.ys").write_text("\n".join(lines))
    text = subprocess.run(["yosys", "unit.ys"], cwd=folder, capture_output=True, text=True, check=True).stdout
    found = re.findall(rf"Eval result: \\{output.name} = (?:\d+'([01x]+)|(\d+))\.", text)
    assert len(found) == len(wanted), text[-500:]
    values = [number or ("x" if "x" in word else str(int(word, 2))) for word, number in found]
    return sum(value != str(int(word)) for value, word in zip(values, wanted, strict=True))

"""The library that hwsim ships, computed from transistor counts and logical effort.

Decides the technology of every number for which the user names no Liberty file. Ratios between designs transfer
between real libraries within about 12 %; absolute values do not, so no vendor's file is copied: each cell follows
from its schematic by five rules and a few constants, both printed at the head of the file. Shipping a digest of a
vendor's file was rejected for its licence. ``python -m hwsim.gates.hwsim45 FILE`` writes the file anew.

Sources: Sutherland, Sproull, Harris, "Logical Effort" (1999), for delay and parasitic capacitance; Weste, Harris,
"CMOS VLSI Design" (4th ed., 2011), for the schematics and for gate capacitance by width; the public FreePDK45 design
rules for the pitches. The published open libraries of 45 nm agree with the areas cell by cell (NAND2 0.798 µm²).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwsim.gates.boolean import Function, parse

VOLTAGE = 1.1
POLY_PITCH_UM = 0.19
CELL_HEIGHT_UM = 1.4
PAIR_FF = 1.6  # gate of one n (0.415 µm) and one p (0.630 µm) transistor at 1.5 fF/µm
TAU_PS = 4.0  # an inverter that drives four of itself takes (1 + 4) tau = 20 ps
PAIR_LEAKAGE_NW = 8.0
LOADS_FF = (0.0, 64.0)
SLEWS_PS = (1.0, 100.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """One complementary stage: parasitic delay (inverter = 1), n and p transistors in series."""

    parasitic: float
    n_stack: int
    p_stack: int


INV = Stage(1.0, 1, 1)
NAND = {count: Stage(count, count, 1) for count in (2, 3, 4)}
NOR = {count: Stage(count, 1, count) for count in (2, 3, 4)}
AOI21, AOI22, AOI211 = Stage(7 / 3, 2, 2), Stage(4.0, 2, 2), Stage(10 / 3, 2, 3)
OAI21, OAI22, OAI211 = Stage(8 / 3, 2, 2), Stage(4.0, 2, 2), Stage(11 / 3, 3, 2)
CARRY, SUM = Stage(4.0, 2, 2), Stage(6.0, 3, 3)  # of the mirror adder


@dataclass(frozen=True, slots=True)
class Output:
    """An output: its function, its stages from input to output, and the gate pairs that lie between the stages."""

    function: str
    stages: tuple[Stage, ...]
    inner_pairs: float = 0.0

    @property
    def internal_pairs(self) -> float:
        """Capacitance that one transition of the output charges inside the cell, in gate pairs."""
        return self.inner_pairs + sum(stage.parasitic for stage in self.stages)

    def delay_tau(self, load_pairs: float, *, rising: bool) -> float:
        """Delay with `load_pairs` at the output; the inner load is shared by the stages before the last one."""
        *before, last = self.stages
        inner = sum(s.parasitic + max(s.n_stack, s.p_stack) * self.inner_pairs / len(before) for s in before)
        return inner + last.parasitic + (last.p_stack if rising else last.n_stack) * load_pairs


@dataclass(frozen=True, slots=True)
class Schematic:
    """A cell: input pins with the gate pairs that each drives, transistor pairs, diffusion breaks, outputs."""

    name: str
    pins: Mapping[str, float]
    pairs: int
    outputs: Mapping[str, Output]
    breaks: int = 0
    pin_internal_pairs: Mapping[str, float] = field(default_factory=dict)
    storage: Mapping[str, str] = field(default_factory=dict)

    @property
    def area_um2(self) -> float:
        """One poly pitch a transistor pair and a break, and one more between neighbours."""
        return (self.pairs + self.breaks + 1) * POLY_PITCH_UM * CELL_HEIGHT_UM


def _gate(name: str, pins: str, pairs: int, function: str, *stages: Stage, inner: float = 0.0) -> Schematic:
    return Schematic(name, dict.fromkeys(pins, 1.0), pairs, {"Y": Output(function, stages, inner)})


# The master and the slave latch each hold a forward and a feedback inverter (2 pairs and 2 parasitics of 1).
_LATCH_PAIRS = 4.0
_CLOCK_PAIRS = 7.0  # two clock inverters: parasitics 1 + 1, the second one's gate, 8 clocked transistors (4 pairs)


def _flip_flop(name: str, reset: Mapping[str, str]) -> Schematic:
    pins = {"D": 1.0, "CK": 1.0}
    if reset:
        pins["RN" if "clear" in reset else "SN"] = 2.0
    return Schematic(
        name,
        pins,
        pairs=14 if reset else 12,
        breaks=4,  # where clock and inverted clock cross, between the two transmission gates of either latch
        outputs={"Q": Output("IQ", (INV,), _LATCH_PAIRS + 1)},
        pin_internal_pairs={"D": 1 + _LATCH_PAIRS, "CK": _CLOCK_PAIRS},
        storage={"clocked_on": "CK", "next_state": "D", **reset},
    )


CELLS: tuple[Schematic, ...] = (
    _gate("INV", "A", 1, "!A", INV),
    _gate("BUF", "A", 2, "A", INV, INV, inner=1),
    *(_gate(f"NAND{n}", "ABCD"[:n], n, f"!({'*'.join('ABCD'[:n])})", NAND[n]) for n in (2, 3, 4)),
    *(_gate(f"NOR{n}", "ABCD"[:n], n, f"!({'+'.join('ABCD'[:n])})", NOR[n]) for n in (2, 3, 4)),
    *(_gate(f"AND{n}", "ABCD"[:n], n + 1, "*".join("ABCD"[:n]), NAND[n], INV, inner=1) for n in (2, 3, 4)),
    *(_gate(f"OR{n}", "ABCD"[:n], n + 1, "+".join("ABCD"[:n]), NOR[n], INV, inner=1) for n in (2, 3, 4)),
    _gate("AOI21", "ABC", 3, "!((A*B)+C)", AOI21),
    _gate("AOI22", "ABCD", 4, "!((A*B)+(C*D))", AOI22),
    _gate("AOI211", "ABCD", 4, "!((A*B)+C+D)", AOI211),
    _gate("OAI21", "ABC", 3, "!((A+B)*C)", OAI21),
    _gate("OAI22", "ABCD", 4, "!((A+B)*(C+D))", OAI22),
    _gate("OAI211", "ABCD", 4, "!((A+B)*C*D)", OAI211),
    Schematic("XOR2", {"A": 2.0, "B": 2.0}, 5, {"Y": Output("A^B", (NOR[2], AOI21), 1)}),
    Schematic("XNOR2", {"A": 2.0, "B": 2.0}, 5, {"Y": Output("!(A^B)", (NAND[2], OAI21), 1)}),
    # AOI22 and output inverter, with an inverter of one load at S
    Schematic(
        "MUX2",
        {"A": 1.0, "B": 1.0, "S": 2.0},
        6,
        {"Y": Output("(A*!S)+(B*S)", (AOI22, INV), 1)},
        pin_internal_pairs={"S": 2.0},
    ),
    Schematic(
        "HA",
        {"A": 3.0, "B": 3.0},
        8,
        {"CO": Output("A*B", (NAND[2], INV), 1), "S": Output("A^B", (NOR[2], AOI21), 1)},
        breaks=1,
    ),
    # mirror adder of 28 transistors: the inverted carry drives its inverter and the sum stage
    Schematic(
        "FA",
        {"A": 4.0, "B": 4.0, "CI": 3.0},
        14,
        {"CO": Output("(A*B)+(CI*(A+B))", (CARRY, INV), 2), "S": Output("A^B^CI", (SUM, INV), 1)},
        breaks=1,
    ),
    _flip_flop("DFF", {}),
    _flip_flop("DFFR", {"clear": "!RN"}),
    _flip_flop("DFFS", {"preset": "!SN"}),
)

_HEAD = """/*
 * hwsim45: a cell library computed by hwsim/gates/hwsim45.py. It describes no vendor's cells.
 *
 * One unit, the pair, is an n and a p transistor of fixed width under one gate, as in the smallest drive of row
 * libraries, which do not widen stacked transistors. Rules:
 *   area         (pairs + diffusion breaks + 1) x {POLY_PITCH_UM} um poly pitch x {CELL_HEIGHT_UM} um height;
 *                NAND2 = 1 GE = {ge:.3f} um2
 *   input        pairs driven x {PAIR_FF} fF (1.045 um of gate at 1.5 fF/um; Weste and Harris give 1 to 2)
 *   internal     1/2 C V2 a transition, C = parasitics of the stages (Sutherland: inverter 1, NANDn and NORn n,
 *                AOI21 7/3, ...; unit: a pair) + pairs between the stages. Short-circuit current is left out.
 *   delay        tau (parasitic + stack x load), tau = {TAU_PS} ps (fan-out of four: 20 ps). No dependence on slew.
 *   leakage      {PAIR_LEAKAGE_NW} nW a pair, an order of magnitude for standard thresholds at 25 C
 * Node: 45 nm, {VOLTAGE} V. Ratios between designs agree with real libraries within about 12 %; absolute area is
 * uncertain by a third, energy by a factor of two, leakage by a factor of ten. Wires are not included.
 * Sources: Sutherland, Sproull, Harris, "Logical Effort" (1999); Weste, Harris, "CMOS VLSI Design" (2011); the
 * pitches of the public FreePDK45 rules.
 * Flip-flop: two transmission-gate latches, 24 transistors, 4 breaks; an edge of CK charges {clock} pairs inside.
 */
"""


def liberty_text() -> str:
    """The text of the Liberty file."""
    ge = 3 * POLY_PITCH_UM * CELL_HEIGHT_UM
    lines = [
        _HEAD.format(**globals(), ge=ge, clock=_CLOCK_PAIRS).rstrip(),
        "library (hwsim45) {",
        '  delay_model : table_lookup;\n  time_unit : "1ps";\n  voltage_unit : "1V";\n  current_unit : "1uA";',
        '  leakage_power_unit : "1nW";\n  capacitive_load_unit (1, ff);',
        f"  nom_process : 1;\n  nom_temperature : 25;\n  nom_voltage : {VOLTAGE};",
        "  lu_table_template (delay) {",
        "    variable_1 : input_net_transition;\n    variable_2 : total_output_net_capacitance;",
        f'    index_1 ("{SLEWS_PS[0]}, {SLEWS_PS[1]}");\n    index_2 ("{LOADS_FF[0]}, {LOADS_FF[1]}");\n  }}',
    ]
    for cell in CELLS:
        lines += _cell_lines(cell)
    return "\n".join([*lines, "}", ""])


def _cell_lines(cell: Schematic) -> list[str]:
    lines = [
        f"  cell ({cell.name}) {{",
        f"    area : {cell.area_um2:.4f};",
        f"    cell_leakage_power : {cell.pairs * PAIR_LEAKAGE_NW:.1f};",
    ]
    if cell.storage:
        body = " ".join(f'{name} : "{value}";' for name, value in cell.storage.items())
        lines.append(f"    ff (IQ, IQN) {{ {body} }}")
    for pin, pairs in cell.pins.items():
        clock = " clock : true;" if cell.storage.get("clocked_on") == pin else ""
        line = f"    pin ({pin}) {{ direction : input; capacitance : {pairs * PAIR_FF:.2f};{clock}"
        internal = cell.pin_internal_pairs.get(pin)
        lines.append(line + (f" {_internal(internal)} }}" if internal else " }"))
    for pin, output in cell.outputs.items():
        lines += _output_lines(cell, pin, output)
    return [*lines, "  }"]


def _output_lines(cell: Schematic, pin: str, output: Output) -> list[str]:
    lines = [
        f'    pin ({pin}) {{ direction : output; function : "{output.function}"; max_capacitance : {LOADS_FF[1]};',
        f"      {_internal(output.internal_pairs)}",
    ]
    if cell.storage:
        lines.append(f'      timing () {{ related_pin : "CK"; timing_type : rising_edge; {_delays(output)} }}')
    else:
        function = parse(output.function)
        lines += [
            f'      timing () {{ related_pin : "{name}"; timing_sense : {sense}; {_delays(output)} }}'
            for name, sense in ((name, _sense(function, index)) for index, name in enumerate(function.inputs))
        ]
    return [*lines, "    }"]


def _internal(pairs: float) -> str:
    energy = 0.5 * pairs * PAIR_FF * VOLTAGE**2
    table = f'(scalar) {{ values ("{energy:.4f}"); }}'
    return f"internal_power () {{ rise_power {table} fall_power {table} }}"


def _delays(output: Output) -> str:
    parts = []
    for edge in ("rise", "fall"):
        delays = ", ".join(
            f"{TAU_PS * output.delay_tau(load / PAIR_FF, rising=edge == 'rise'):.2f}" for load in LOADS_FF
        )
        parts.append(f'cell_{edge} (delay) {{ values ("{delays}", "{delays}"); }}')
        parts.append(f'{edge}_transition (delay) {{ values ("{delays}", "{delays}"); }}')
    return " ".join(parts)


def _sense(function: Function, index: int) -> str:
    patterns = [pattern for pattern in range(1 << len(function.inputs)) if not pattern >> index & 1]
    rises = any(function(pattern) < function(pattern | 1 << index) for pattern in patterns)
    falls = any(function(pattern) > function(pattern | 1 << index) for pattern in patterns)
    return "non_unate" if rises and falls else "positive_unate" if rises else "negative_unate"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(liberty_text())

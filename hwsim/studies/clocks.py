"""Published clocks beside the highest clocks of our units, as a table.

Synthesis results of a unit alone compare with the unit. A chip's clock is a lower bound: its memories, its control
and its sign-off are in it. ``python -m hwsim.studies.clocks [FILE]`` writes ``reports/clocks.md``, or a file of one's
own.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwsim.cost.clocking import Corner, unit_f_max_ghz
from hwsim.cost.depths import depth
from hwsim.cost.technology import fo4_ps, supply

Kind = Literal["unit", "chip"]


@dataclass(frozen=True, slots=True)
class Published:
    """A clock of a publication and the unit of ours that is comparable.

    Args:
        unit, stages: ours.
        node_nm, voltage, corner: conditions of the publication.
        clock_ghz: its clock.
        kind: ``"unit"`` where arithmetic alone was synthesised, ``"chip"`` where it is a bound from below.
        source: what it is.
    """

    unit: str
    stages: int
    node_nm: int
    voltage: float
    corner: Corner
    clock_ghz: float
    kind: Kind
    source: str


PUBLISHED = (
    Published(
        "mac_s8x8_acc20_saturate_booth", 1, 22, 0.8, "typical", 1.8, "unit",
        "KU Leuven MX MAC, 22FDX, synthesised TT (arXiv 2511.06313)",
    ),
    Published(
        "mac_s8x8_acc32_wrap_array", 1, 22, 0.8, "typical", 1.1, "unit",
        "the same, long-integer accumulation (arXiv 2511.06313)",
    ),
    Published(
        "mac_s8x8_acc20_saturate_booth", 1, 22, 0.8, "typical", 1.89, "unit",
        "Gemmini mesh, a register after every PE, 22FFL, corner not stated",
    ),
    Published(
        "chain16_s8x8_acc20_booth", 1, 22, 0.8, "typical", 0.69, "unit",
        "Gemmini mesh, 16 PEs between registers, 22FFL, corner not stated",
    ),
    Published("mac_s8x8_acc32_wrap_array", 1, 28, 0.9, "slow", 0.70, "chip", "TPUv1 matrix unit, 28 nm (ISCA 2017)"),
    Published("mul_s8x8_booth", 1, 28, 0.9, "slow", 1.0, "chip", "NVDLA multipliers, 28 nm (primer)"),
    Published("mul_s16x16_booth", 2, 65, 1.0, "slow", 0.25, "chip", "Eyeriss PE, 16 b, two stages, 65 nm (JSSC'17)"),
    Published("dot_ampere_fp16", 4, 7, 0.75, "slow", 1.05, "chip", "TPUv4i matrix unit, bf16, 7 nm (ISCA 2021)"),
    Published("dot_blackwell_mxfp4", 6, 12, 0.8, "slow", 1.0, "chip", "MXDotP, 12 nm, 0.8 V"),
)  # fmt: skip

UNITS = (
    ("mul_s4x4_booth", 1), ("mac_s4x4_acc16_wrap_array", 1), ("mac_s8x8_acc32_wrap_array", 1),
    ("mac_s8x8_acc20_saturate_booth", 1), ("chain16_s8x8_acc20_booth", 1), ("e2m1_dot16", 1),
    ("pann_u6_acc32", 1), ("ternary_dot_mu3_int8_l1_k4", 1), ("add_fp32", 1), ("add_fp32", 4),
    ("dot_blackwell_nvfp4", 1), ("dot_blackwell_nvfp4", 8), ("dot_ampere_fp16", 4),
)  # fmt: skip
NODES = (45, 22, 7)


def text() -> str:
    """Markdown: highest clocks of units by node, and published clocks beside ours."""
    lines = [
        "# Highest clocks of units",
        "",
        "Slow corner, nominal supply, GHz; made by `python -m hwsim.studies.clocks`. Every figure is within a",
        "factor of 1.5: 1.4 of the node's FO4 and 1.25 of the depth.",
        "",
        "| unit | stages | FO4 of a stage | registers added | " + " | ".join(f"{node} nm" for node in NODES) + " |",
        "|---" * (4 + len(NODES)) + "|",
    ]
    for unit, stages in UNITS:
        own = depth(unit, stages)
        clocks = " | ".join(f"{unit_f_max_ghz(unit, node, None, stages).value:.2f}" for node in NODES)
        lines.append(f"| {unit} | {stages} | {own.depth_fo4:.1f} | {own.register_bits} | {clocks} |")
    lines += [
        "",
        "| published | node, V, corner | GHz | our unit (stages) | GHz | ours / theirs |",
        "|---" * 6 + "|",
    ]
    for one in PUBLISHED:
        ours = unit_f_max_ghz(one.unit, one.node_nm, one.voltage, one.stages, one.corner).value
        bound = "at least " if one.kind == "chip" else ""
        lines.append(
            f"| {one.source} | {one.node_nm} nm, {one.voltage:g} V, {one.corner} | {bound}{one.clock_ghz:g} "
            f"| {one.unit} ({one.stages}) | {ours:.2f} | {ours / one.clock_ghz:.2f} |"
        )
    ratios = [
        unit_f_max_ghz(one.unit, one.node_nm, one.voltage, one.stages, one.corner).value / one.clock_ghz
        for one in PUBLISHED
        if one.kind == "unit"
    ]
    lines += [
        "",
        f"Units alone: ours over theirs {min(ratios):.2f} to {max(ratios):.2f}. No constant was fitted to them;",
        "which width and style of ours stands beside a publication is a choice, and styles differ by up to 1.5.",
        "FO4: "
        + ", ".join(f"{node} nm {fo4_ps(node).value:.3g} ps at {supply(node, None):g} V" for node in NODES)
        + ".",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1] if len(sys.argv) > 1 else "reports/clocks.md").write_text(text())

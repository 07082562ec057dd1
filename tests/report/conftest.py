"""A small study with everything that a page shows, and a browser to open it in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwsim.search.points import Point
from hwsim.search.study import Study

GOALS = {"bits_per_byte": "min", "energy_uj": "min", "area_mm2": "min", "latency_ms": "min"}
ROOT = Path(__file__).resolve().parents[2]


def make_point(number, family, loss, energy, **kwargs):
    values = {
        "bits_per_byte": loss,
        "energy_uj": energy,
        "area_mm2": 1.0 + number,
        "latency_ms": 5.0,
        "power_mw": 2.0,
    }
    detail = {
        "family": family,
        "numerics": f"{family}.te" + (" twin" if number == 2 else ""),
        "array": "8×8 ws",
        "energy_pj": {
            "multipliers": energy * 6e5, "dram": energy * 3.9e5,
            "vector.add": energy * 4e3, "vector.mul": energy * 6e3,
        },
        "area_um2": {"array": 5e5, "sram": 5e5 + number * 1e6},
        "causes": {
            "energy_pj": {
                "multipliers": {"logic 45 to 16 nm": 0.3}, "dram": {"dram": 0.4},
                "vector.add": {"glitches": 0.4}, "vector.mul": {"glitches": 0.4},
            },
            "area_um2": {"array": {"gates": 0.2}, "sram": {"sram table": 0.3}},
        },
        "energy_error": 1.3, "area_error": 1.2,
        "by_layer_pj": {"machine": energy * 1e5, "head": energy * 9e5},
        "by_level_pj": {"dram": energy * 3.9e5, "array": energy * 6.1e5},
        "traffic_bits": [["weights", "dram", 2_000_000, 0], ["activations", "activation", 3_000_000, 1_000_000]],
        "steps": [["embed", 100, "dram", 0, 50, 100], ["head", 300, "compute", 290, 30, 150]],
        "sqnr_db": {"blocks.0.qkv": 21.0 if family == "nvfp4" else 41.0, "head": 18.5},
        "sources": {"energy: multipliers": "Source of <multipliers> & co, ±10 %"},
    }  # fmt: skip
    return Point(number, (("unit", family), ("rows", 8 * 2 ** (number % 3))), "gpt", values, {}, detail)


@pytest.fixture
def study():
    points = [
        make_point(number, ["nvfp4", "int8"][number % 2], 1.4 + 0.01 * number, 30.0 - number) for number in range(9)
    ]
    points.append(Point(9, (("unit", "broken"),), None, {}, reason="rows: must be positive, got 0"))
    manifest = {
        "title": "A test", "space": "t", "space_size": 1000, "left_out": ["unit=ternary (model bitnet)"],
        "parameters": {"unit": ["nvfp4", "int8"], "rows": [8, 16, 32]}, "constraints": ["area_mm2 ≤ 8"],
        "objectives": list(GOALS), "goals": GOALS, "accuracy": "rerun", "energy": "trace",
        "metric": "bits_per_byte",
        "traces": {"gpt": {"digest": "abc", "macs": 1000, "weights": "0"}}, "baseline": {"gpt": 1.39},
        "sampler": "NSGA-II, population 50",
        "trials": 10, "seed": 0, "hwsim": "0", "python": "3", "finished": True,
    }  # fmt: skip
    return Study(tuple(points), manifest)


@pytest.fixture(scope="session")
def axe():
    """The text of axe-core, which looks for what a screen reader or a keyboard cannot use."""
    path = Path(os.environ.get("HWSIM_AXE", ROOT / "node_modules/axe-core/axe.min.js"))
    if not path.is_file():
        pytest.skip("axe-core is needed: npm install --no-save axe-core")
    return path.read_text(encoding="utf-8")

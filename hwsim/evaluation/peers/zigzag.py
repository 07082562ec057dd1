"""A design as ZigZag 3 reads it (Mei et al., IEEE TC 2021; package ``zigzag-dse``): accelerator, mapping, workload.

The unit register has no price, as `Shared.product_pj` holds it. An access of a memory is as wide as its port, and
ports come in steps of one bit, so that what fills no word is charged for what it moves, as in hwsim.
"""

from __future__ import annotations

import math
from typing import Any

from hwsim.evaluation.peers.shared import Level, Product, Shared
from hwsim.evaluation.peers.yaml import yaml_text

OPERANDS = {"input": "I1", "weight": "I2", "output": "O"}
DIMENSIONS = {"m": "D", "n": "K", "k": "C"}
LARGEST = 10**15
"""Bits of the DRAM."""

STATIONARY = {"ws": "weight", "is": "input", "os": "output"}


def files(design: Shared, comment: str) -> dict[str, str]:
    """Texts by name of file."""
    return {
        "accelerator.yaml": yaml_text(_accelerator(design), comment),
        "mapping.yaml": yaml_text(_mapping(design), comment),
        "workload.yaml": yaml_text([_layer(place, one) for place, one in enumerate(design.products)], comment),
    }


def _accelerator(design: Shared) -> dict[str, Any]:
    sizes = [design.rows, design.cols, *([design.lanes] if design.lanes > 1 else [])]
    dimensions = [f"D{place + 1}" for place in range(len(sizes))]
    first = design.products[0]
    memories = {"unit_register": _register(design)}
    for level in reversed(design.levels):  # the innermost first
        memories[level.name] = _memory(level, dimensions)
    return {
        "name": design.name,
        "memories": memories,
        "operational_array": {
            "input_precision": [first.a_bits, first.b_bits],
            "unit_energy": design.product_pj,
            "unit_area": 1.0,
            "dimensions": dimensions,
            "sizes": sizes,
        },
    }


def _register(design: Shared) -> dict[str, Any]:
    """What stays in a unit: one element a lane, or one running sum, of the widest product."""
    stays = STATIONARY[design.dataflow]
    widths = {
        "weight": [one.b_bits for one in design.products],
        "input": [one.a_bits for one in design.products],
        "output": [one.sum_bits for one in design.products],
    }
    bits = max(widths[stays])
    name = OPERANDS[stays]
    ways = ("fh", "tl", "fl", "th") if stays == "output" else ("fh", "tl")
    ports = []
    for place, way in enumerate(ways):
        kind = "write" if way in ("fh", "fl") else "read"
        ports.append(
            {
                "name": f"{kind[0]}_port_{place + 1}", "type": kind, "bandwidth_min": bits, "bandwidth_max": bits,
                "allocation": [f"{name}, {way}"],
            }
        )  # fmt: skip
    lanes = ["D3"] if stays == "output" and design.lanes > 1 else []
    return {
        "size": bits, "r_cost": 0.0, "w_cost": 0.0, "area": 0.0, "latency": 1, "operands": [name], "ports": ports,
        "served_dimensions": lanes,
    }  # fmt: skip


def _memory(level: Level, dimensions: list[str]) -> dict[str, Any]:
    reads = [f"{OPERANDS[one]}, tl" for one in level.holds]
    writes = [f"{OPERANDS[one]}, fh" for one in level.holds]
    if "output" in level.holds:
        reads.append("O, th")
        writes.append("O, fl")
    wide = {"read": level.read_bits, "write": level.write_bits}
    allocations = {"read": reads, "write": writes}
    if level.one_port:
        wide, allocations = {"read_write": level.read_bits}, {"read_write": [*reads, *writes]}
    ports = [
        {
            "name": f"{'rw' if kind == 'read_write' else kind[0]}_port_{place + 1}", "type": kind,
            "bandwidth_min": 1, "bandwidth_max": bits, "allocation": allocations[kind],
        }
        for place, (kind, bits) in enumerate(wide.items())
    ]  # fmt: skip
    return {
        "size": LARGEST if math.isinf(level.bits) else int(level.bits),
        "r_cost": level.read_pj * level.read_bits, "w_cost": level.write_pj * level.write_bits, "area": 0.0,
        "latency": 1, "operands": [OPERANDS[one] for one in level.holds], "ports": ports,
        "served_dimensions": dimensions,
    }  # fmt: skip


def _mapping(design: Shared) -> list[dict[str, Any]]:
    rows, cols = design.along
    spatial = {
        "D1": [f"{DIMENSIONS[rows]}, {design.rows}"],
        "D2": [f"{DIMENSIONS[cols]}, {design.cols}"],
        **({"D3": [f"C, {design.lanes}"]} if design.lanes > 1 else {}),
    }
    return [{"name": "default", "spatial_mapping": spatial, "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"}}]


def _layer(place: int, product: Product) -> dict[str, Any]:
    ours = "[k][c]" if product.shared or product.batch == 1 else "[b][k][c]"
    return {
        "id": place,
        "name": product.name,
        "operator_type": "Gemm",
        "equation": f"O[b][d][k]+=I[b][d][c]*W{ours}",
        "loop_dims": ["B", "D", "K", "C"],
        "loop_sizes": [product.batch, product.m, product.n, product.k],
        "operand_precision": {
            "O": product.sum_bits, "O_final": product.out_bits, "I": product.a_bits,
            "W": product.b_bits,
        },
        "operand_source": {"I": place, "W": place},
    }  # fmt: skip

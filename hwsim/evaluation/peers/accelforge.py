"""A design as AccelForge 1 reads it (successor of Timeloop and Accelergy; package ``accelforge``, Python 3.12): one
architecture, and one workload a product, as its ranks have one size in a workload.

Energies in joules a bit, capacities in bits, throughputs in bits a second. A tensor has one width: results have that
of their place in DRAM, running sums too. Memories carry the suffix ``_memory``: a node's name is a set of tensors in
AccelForge's expressions, and ``output`` is one already. Loops along the array are the dataflow's, all others free.
"""

from __future__ import annotations

from typing import Any

from hwsim.evaluation.peers.shared import Level, Product, Shared
from hwsim.evaluation.peers.yaml import Tagged, yaml_text
from hwsim.evaluation.peers.zigzag import STATIONARY

REUSED = {"m": "weight", "n": "input", "k": "output"}
"""The operand that units along a dimension have in common."""


def files(design: Shared, comment: str) -> dict[str, str]:
    """Texts by name of file."""
    texts = {"arch.yaml": yaml_text({"arch": {"nodes": _nodes(design)}}, comment)}
    for place, product in enumerate(design.products):
        texts[f"workload-{place:02d}.yaml"] = yaml_text({"workload": _workload(product)}, comment)
    return texts


def _nodes(design: Shared) -> list[Tagged]:
    stays = STATIONARY[design.dataflow]
    rows, cols = design.along
    spatial = [_along("rows", design.rows, rows), _along("cols", design.cols, cols)]
    if design.lanes > 1:
        spatial.append(_along("lanes", design.lanes, "k"))
    return [
        *(_memory(design, level) for level in design.levels),
        Tagged("!Container", {"name": "Array", "spatial": spatial}),
        Tagged(
            "!Memory",
            {
                "name": "UnitRegister", "size": _widest(design, stays), "leak_power": 0, "area": 0,
                "tensors": {"keep": stays}, "actions": _actions(0.0, 0.0, float("inf"), float("inf")),
            },
        ),
        Tagged(
            "!Compute",
            {
                "name": "Unit", "leak_power": 0, "area": 0,
                "actions": [
                    {"name": "compute", "energy": design.product_pj * 1e-12, "throughput": design.clock_ghz * 1e9}
                ],
            },
        ),
    ]  # fmt: skip


def _along(name: str, units: int, dimension: str) -> dict[str, Any]:
    return {
        "name": name, "fanout": units, "reuse": REUSED[dimension],
        "loop_bounds": [{"expression": f"~{dimension}", "operator": "==", "value": 1}],
    }  # fmt: skip


def _memory(design: Shared, level: Level) -> Tagged:
    hertz = design.clock_ghz * 1e9
    table: dict[str, Any] = {"name": f"{level.name}_memory", "size": level.bits, "leak_power": 0, "area": 0}
    if not level.one_port:
        table["total_latency"] = "max(a.n_calls / a.throughput for a in actions)"
    table["tensors"] = {"keep": " | ".join(level.holds)}
    table["actions"] = _actions(level.read_pj, level.write_pj, level.read_bits * hertz, level.write_bits * hertz)
    return Tagged("!Memory", table)


def _actions(read_pj: float, write_pj: float, reads: float, writes: float) -> list[dict[str, Any]]:
    return [
        {"name": "read", "energy": read_pj * 1e-12, "throughput": reads},
        {"name": "write", "energy": write_pj * 1e-12, "throughput": writes},
    ]


def _workload(product: Product) -> dict[str, Any]:
    several = product.batch > 1
    batch = ["b"] if several else []
    ours = batch if several and not product.shared else []
    accesses = [
        {"name": "A", "projection": [*batch, "m", "k"], "bits_per_value": product.a_bits},
        {"name": "B", "projection": [*ours, "n", "k"], "bits_per_value": product.b_bits},
        {"name": "C", "projection": [*batch, "m", "n"], "output": True, "bits_per_value": product.out_bits},
    ]
    renames = {"input": "A", "weight": "B", "output": "C"}
    sizes = {"M": product.m, "N": product.n, "K": product.k} | ({"B": product.batch} if several else {})
    return {
        "rank_sizes": sizes,
        "einsums": [{"name": "Product", "tensor_accesses": accesses, "renames": renames}],
    }


def _widest(design: Shared, operand: str) -> int:
    """Bits of an element that stays in a unit, of the widest product."""
    return max(
        {"input": one.a_bits, "weight": one.b_bits, "output": one.out_bits}[operand] for one in design.products
    )

"""A space of eight small INT4 machines."""

from __future__ import annotations

import copy

import pytest

SPACE = {
    "name": "small",
    "search": {"population": 6, "accuracy": "replay"},
    "machine": {
        "array": {"rows": 8, "cols": 8, "dataflow": "ws", "overlap": "fill"},
        "memory": {
            "activation_kib": 128, "weight_kib": 128, "output_kib": 128, "port_bits": 256, "output_bits": 32,
            "dram": "lpddr4", "dram_gbyte_s": 12.8,
        },
        "technology": {"clock_ghz": 0.5, "node_nm": 16},
        "numerics": {
            "activation": "int4.channel", "weight": "int4.channel",
            "datapath": {"family": "integer", "a_bits": 4, "b_bits": 4, "acc_bits": 16},
        },
    },
    "parameters": {
        "bits": {"choice": [12, 16], "sets": "numerics.datapath.acc_bits"},
        "rows": {"choice": [4, 8], "sets": "array.rows"},
        "dataflow": {"choice": ["ws", "os"], "sets": "array.dataflow"},
    },
}  # fmt: skip


@pytest.fixture
def small():
    """The table of the space, free to change."""
    return copy.deepcopy(SPACE)

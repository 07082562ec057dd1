"""Dataflows: what is derived from a record, by hand and against a walk that deals planes out to units."""

from __future__ import annotations

from math import ceil

import pytest

from hwsim.arch.dataflow import DATAFLOWS, dataflow
from hwsim.errors import UnknownName

ALEXNET = {  # filters, channels a group, filter rows, output rows, active units that JSSC 2017 publishes
    "conv1": (96, 3, 11, 55, 154),
    "conv2": (256, 48, 5, 27, 135),
    "conv3": (384, 256, 3, 13, 156),
    "conv4": (384, 192, 3, 13, 156),
    "conv5": (256, 192, 3, 13, 156),
}


def test_what_streams_and_what_stays() -> None:
    assert {flow.name: (flow.streams, flow.stationary) for flow in DATAFLOWS} == {
        "ws": ("m", "weight"), "os": ("k", "output"), "is": ("n", "input"), "rs": ("n", "input"),
    }  # fmt: skip
    with pytest.raises(UnknownName, match=r"^array.dataflow: dataflow must be one of .*, got 'sr'$"):
        dataflow("sr")


@pytest.mark.parametrize("name", ["ws", "os", "is"])
@pytest.mark.parametrize("size", [(100, 70, 50), (1, 1, 1), (16, 32, 16), (17, 33, 65)])
def test_folds_are_those_of_the_closed_forms(name: str, size: tuple[int, int, int]) -> None:
    """SCALE-Sim: ceil-products of the stationary sides, steps of the third; 2R + C - 2, or R + C - 2 for os."""
    m, n, k = size
    expected = {
        "ws": (ceil(k / 16) * ceil(n / 32), m, 2 * 16 + 32 - 2),
        "is": (ceil(k / 16) * ceil(m / 32), n, 2 * 16 + 32 - 2),
        "os": (ceil(m / 16) * ceil(n / 32), k, 16 + 32 - 2),
    }
    assert dataflow(name).fold({"m": m, "n": n, "k": k}, 16, 32) == expected[name]


@pytest.mark.parametrize("layer", ALEXNET)
def test_active_units_of_eyeriss(layer: str) -> None:
    filters, channels, rows, outputs, active = ALEXNET[layer]
    sizes = {"m": outputs**2, "n": filters, "k": channels * rows**2, "filter_rows": rows, "output_rows": outputs}
    assert dataflow("rs").pack(sizes, 12, 14).active == active


def test_row_stationary_cycles_by_hand() -> None:
    flow = dataflow("rs")
    # 13 output rows, 3 filter rows: four planes abreast; 384 * 256 planes, each 13 outputs * 3 products
    sizes = {"m": 169, "n": 384, "k": 256 * 9, "filter_rows": 3, "output_rows": 13}
    assert flow.fold(sizes, 12, 14) == (1, 384 * 256 * 39 // 4, 12 + 14 - 2)
    # 27 output rows are two strips, of which both run at once
    sizes = {"m": 27**2, "n": 256, "k": 48 * 25, "filter_rows": 5, "output_rows": 27}
    assert flow.pack(sizes, 12, 14) == (2, 2, 1, 5 * 27)
    assert flow.fold(sizes, 12, 14)[:2] == (1, 256 * 48 * 27 * 5)
    # 55 output rows are four strips, one after the other
    sizes = {"m": 55**2, "n": 96, "k": 3 * 121, "filter_rows": 11, "output_rows": 55}
    assert flow.fold(sizes, 12, 14)[:2] == (4, 96 * 3 * 55 * 11)
    # a filter taller than the array is folded too, and nothing runs beside it
    sizes = {"m": 14, "n": 2, "k": 13, "filter_rows": 13, "output_rows": 14}
    assert flow.pack(sizes, 12, 14) == (2, 1, 1, 12 * 14)
    # a product without a window is one filter row high
    assert flow.pack({"m": 10, "n": 8, "k": 24}, 12, 14) == (1, 1, 12, 120)
    assert flow.fold({"m": 10, "n": 8, "k": 24}, 12, 14)[:2] == (1, 16)

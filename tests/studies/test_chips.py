"""The study of published chips: networks of the published sizes, values by hand, and what must lie within limits."""

from __future__ import annotations

import csv

import pytest

from hwsim import studies
from hwsim.arch import load_accelerator
from hwsim.arch.row_stationary import passes
from hwsim.cost import load_coefficients
from hwsim.cost.memory import sram
from hwsim.cost.technology import energy_factor
from hwsim.report.studies import draw
from hwsim.studies import chips_eyeriss, chips_prices, chips_tpu
from hwsim.studies import chips_networks as networks


def test_networks_have_the_published_sizes() -> None:
    resnet = networks.resnet50()
    assert round(resnet.macs / 1e9, 2) == 3.86
    assert resnet.graph is not None
    weights = [tensor for tensor in resnet.graph.tensors if tensor.source == "weight"]
    assert len(weights) == 54
    assert sum(tensor.elements for tensor in weights) == 25_502_912  # the published total less batch norms and bias
    alexnet = networks.alexnet_convolutions()
    assert [round(gemm.macs / 1e9, 2) for gemm in alexnet.gemms] == [0.42, 0.90, 0.60, 0.45, 0.30]
    assert [gemm.groups for gemm in alexnet.gemms] == [1, 2, 1, 2, 2]


def test_a_graph_is_one_run() -> None:
    """Every tensor is written before it is read, and only the results leave."""
    for workload in (
        networks.resnet50(),
        networks.alexnet_convolutions(),
        networks.production(networks.PRODUCTION[0]),
    ):
        graph = workload.graph
        assert graph is not None
        known = {tensor.name for tensor in graph.tensors if tensor.source != "computed"}
        for operator in graph.operators:
            assert {access.tensor for access in operator.inputs} <= known
            known.add(operator.output)
        assert known == set(graph.by_name)
        assert [operator.record for operator in graph.operators if operator.gemm] == list(range(len(workload.gemms)))
    assert [tensor.name for tensor in networks.resnet50().graph.tensors if tensor.is_output] == ["fc:out.0"]  # type: ignore[union-attr]


@pytest.mark.parametrize("net", networks.PRODUCTION, ids=lambda net: net.name)
def test_production_networks_keep_what_is_published(net: networks.Production) -> None:
    workload = networks.production(net)
    assert len(workload.gemms) == net.layers
    assert sum(gemm.n * gemm.k for gemm in workload.gemms) == pytest.approx(net.weights, rel=0.005)
    assert workload.macs == pytest.approx(net.weights * net.intensity, rel=0.005)


def test_a_tile_of_weights() -> None:
    """65,536 bytes at 34 GB/s and 0.7 GHz: 1,349 cycles, as the paper's ridge point says; 256 rows to shift."""
    assert chips_tpu.tile_cycles(load_accelerator("tpu-v1")) == (1349, 256)


def test_shares_by_hand() -> None:
    """MLP0: 5 layers of 2,000 x 2,000 are 320 tiles; 200 rows each, and 400,000 bytes from the host at first."""
    machine = load_accelerator("tpu-v1")
    net = networks.PRODUCTION[0]
    found = chips_tpu.shares(machine, net)
    fed = 400_000 / 14 * 0.7
    drains = 2 * 256 + 256 - 2 - 256  # of the last layer; those between layers are hidden behind the next tile
    total = fed + 320 * 1349 + 256 + 200
    assert found.active == pytest.approx(320 * 200 / total, rel=2e-3)
    assert found.shift == pytest.approx(320 * 256 / total, rel=2e-3)
    assert found.tops == pytest.approx(2 * 200 * 20e6 / (total / 0.7e9) * 1e-12, rel=2e-3)
    assert found.active + found.stall + found.shift + found.other == pytest.approx(1)
    assert found.other * total == pytest.approx(fed + 5 * drains, rel=0.1)


@pytest.mark.parametrize("net", ["MLP0", "MLP1", "LSTM0", "LSTM1"])
def test_networks_that_wait_for_weights_spend_matrix_cycles_as_published(net: str) -> None:
    """Within 10 points of the counters, and of the published TOPS; Google's own model: 5 to 11 % of cycles."""
    found = chips_tpu.shares(load_accelerator("tpu-v1"), next(one for one in networks.PRODUCTION if one.name == net))
    active, stall, shift, _, tops = chips_tpu.PUBLISHED[net]
    whole = active + stall + shift
    theirs = (active / whole, stall / whole, shift / whole)
    assert found.of_matrix == pytest.approx(theirs, abs=0.05)
    assert found.tops / 92 == pytest.approx(tops / 92, abs=0.05)


def test_run_lengths() -> None:
    """Three of four values are zero: a quarter of them takes 64 bits for three of 16."""
    assert chips_eyeriss.run_length(0.75) == pytest.approx(0.25 * 64 / 48)
    assert chips_eyeriss.run_length(0.1) == 1.0


def test_eyeriss_lies_within_its_limits() -> None:
    table = chips_eyeriss.table()
    assert len(table.select({"quantity": "DRAM, MB"})) == 5
    assert all(row["within"] for row in table.select({}) if row["published"] is not None)
    assert [row["in published passes"] for row in table.select({"quantity": "buffer, MB"})] == pytest.approx(
        [1.0] * 5, abs=2e-3
    )


def test_the_study_from_end_to_end(tmp_path) -> None:  # type: ignore[no-untyped-def]
    page = studies.run("chips", tmp_path, quick=True)
    figure = draw(tmp_path)
    text = page.read_text()
    assert text.count(figure.name) == 1
    assert "Made by `hwsim study chips`." in text
    with (tmp_path / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["ours / published"]:
            assert float(row["ours / published"]) == pytest.approx(
                float(row["ours"]) / float(row["published"]), rel=1e-4
            )
        assert (row["within"] == "True") == (row["why not"] == "")
    large = next(row for row in rows if row["quantity"].startswith("2048 multipliers"))
    assert 1 / 1.25 < float(large["ours / published"]) < 1.25


def test_areas_of_memories_are_those_of_their_tables() -> None:
    """Gemmini's scratchpad: four banks of 128 bits, 256 KiB, 22 nm; within 1.4 of 0.544 mm²."""
    machine = load_accelerator("gemmini")
    alone = sram(256, 128, 22, None, banks=4, ports="1rw")
    assert chips_prices.price(machine, machine.memory("scratchpad")) == alone
    rows = {(row["chip"], row["quantity"]): row for row in chips_prices.areas().select({})}
    assert rows["Gemmini", "scratchpad"]["ours"] == pytest.approx(alone.area_um2.value * 1e-6)
    assert all(row["within"] or row["why not"] for row in rows.values())
    for within in (
        ("Gemmini", "scratchpad"),
        ("Eyeriss", "buffer and filters"),
        ("TPUv1", "unified"),
        ("TPUv4i", "cmem"),
    ):
        assert 1 / 1.4 <= rows[within]["ours / published"] <= 1.4


def test_power_of_eyeriss_by_hand() -> None:
    """conv1: 421,660,800 products in 15.4 ms; every one reads a filter word, none is zero but one in 10^4."""
    row = chips_prices.eyeriss_power().select({"layer": "conv1"})[0]
    machine = load_accelerator("eyeriss")
    spad = sram(73.5 / 168, 16, 65, 1.0, ports="1rw")
    seconds = passes(machine, chips_eyeriss.convolutions()["conv1"], chips_eyeriss.PASSES["conv1"]).cycles / 0.2e9
    expected = 421_660_800 * 0.9999 * spad.read_pj.value * 1e-9 / seconds
    assert row["filter spads"] == pytest.approx(expected, rel=1e-6)
    parts = ("products", "filter spads", "input spads", "sum spads", "buffer", "wires", "clock")
    assert row["ours"] == pytest.approx(sum(row[part] for part in parts))
    # 16 + 16 bits of operands, 32 of the product's stage, 32 of the sum, in 168 units every cycle
    held = load_coefficients("hwsim45")
    edge = held["flipflop.energy.clock"].value * energy_factor(45, 1.1, 65, 1.0)
    assert row["clock"] == pytest.approx(168 * 96 * edge * 1e-12 * 0.2e9, rel=1e-9)


def test_energies_are_within_their_limits_but_one_that_is_named() -> None:
    """The ratio of INT8 to INT4 is 2.28, published 2.33: with a sum of its own for each product it would be 1.77."""
    rows = {row["quantity"]: row for row in chips_prices.efficiencies().select({})}
    assert rows["INT8 over INT4"]["ours"] == pytest.approx(
        rows["INT8, 39.1 TOPS/W"]["ours"] / rows["INT4, 91.1 TOPS/W"]["ours"]
    )
    misses = {name for name, row in rows.items() if not row["within"]}
    assert misses == {"MXFP8 over MXFP4"}
    assert rows["INT8 over INT4"]["ours / published"] == pytest.approx(0.977, abs=1e-3)
    assert rows["INT8, 39.1 TOPS/W"]["published"] == pytest.approx(0.0512, abs=1e-4)
    assert all(row["within"] or row["why not"] for row in rows.values())

"""Designs as other cost models read them; where one is installed it is run, and its answer lies where it must."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import hwsim
from hwsim.cli import app
from hwsim.errors import DesignError, UnknownName
from hwsim.evaluation.peers import export, shared
from hwsim.evaluation.peers.yaml import Tagged, yaml_text
from hwsim.evaluation.prices import machine_prices
from hwsim.trace import GemmShape, Workload

ONE = Workload("one", (GemmShape("up", "linear", "forward", 1, 128, 128, 128, "weight"),))
HEADS = Workload("heads", (GemmShape("qk", "attention", "forward", 4, 64, 64, 64, "activation", 4),))

RUN_ZIGZAG = """
import json
from zigzag.api import get_hardware_performance_zigzag as run
energy, latency = run("workload.yaml", "accelerator.yaml", "mapping.yaml", opt="energy", lpf_limit=4,
                      dump_folder="out", loma_show_progress_bar=False)[:2]
print(json.dumps([float(energy), float(latency)]))
"""
RUN_ACCELFORGE = """
import json
import accelforge
spec = accelforge.Spec.from_yaml("arch.yaml", "workload-00.yaml")
spec.mapper.metrics = accelforge.Metrics.ENERGY
found = spec.map_workload_to_arch(print_progress=False)
print(json.dumps([float(found.energy()) * 1e12, float(found.latency()) * 0.5e9]))
"""


def _peer(name: str) -> str:
    """The Python that has a peer: this one, or the one that ``HWSIM_ZIGZAG_PYTHON`` names."""
    given = os.environ.get(f"HWSIM_{name.upper()}_PYTHON")
    if given is None and importlib.util.find_spec(name) is None:
        pytest.skip(f"needs {name} here, or in the Python that HWSIM_{name.upper()}_PYTHON names")
    return given or sys.executable


def test_peers_are_told_the_prices_and_shapes_of_the_machine():
    machine = hwsim.load_accelerator("edge-nvfp4")
    told = shared(machine, ONE)
    found = hwsim.evaluate(ONE, machine)
    parts = {name: one.value for name, one in found.breakdown("component").parts.items()}
    out = ("dram.standby", "leakage.memories", "leakage.logic", "clock tree")
    kept = sum(one for name, one in parts.items() if name not in out and not name.startswith("vector"))
    assert told.energy_pj == pytest.approx(kept)
    assert told.latency_cycles == found.latency_cycles
    assert told.product_pj * 128**3 == pytest.approx(found.breakdown("level").parts["array"].value)
    prices = machine_prices(machine).levels
    by_name = {level.name: level for level in told.levels}
    assert told.levels[0].name == "dram"
    assert by_name["dram"].read_pj == 7.0  # LPDDR4, `hwsim/cost/data/dram.csv`
    weight = prices["weight"]
    assert by_name["weight"].read_pj == weight.read_pj_per_bit.value + weight.wire_pj_per_bit.value
    assert (by_name["weight"].bits, by_name["weight"].read_bits, by_name["weight"].one_port) == (2**20, 1024, False)
    # E2M1 in blocks of 16 under 8 bits is 4 + 8 / 16 bits, and 32 bits a tensor: 5
    assert [(one.a_bits, one.b_bits, one.out_bits) for one in told.products] == [(5, 5, 32)]


@pytest.mark.parametrize(
    ("dataflow", "along", "stays"), [("ws", ("C", "K"), "I2"), ("is", ("C", "D"), "I1"), ("os", ("D", "K"), "O")]
)
def test_a_dataflow_says_what_lies_along_the_array_and_stays_in_it(tmp_path, dataflow, along, stays):
    machine = hwsim.load_accelerator("edge-int8").changed(**{"array.dataflow": dataflow, "array.rows": 16})
    export(machine, ONE, "zigzag", tmp_path)
    mapping = (tmp_path / "mapping.yaml").read_text()
    assert f'D1: ["{along[0]}, 16"]\n    D2: ["{along[1]}, 32"]\n' in mapping
    register = (tmp_path / "accelerator.yaml").read_text().split("unit_register:")[1].split("  output:")[0]
    assert f"operands: [{stays}]" in register
    assert ("size: 32\n" if stays == "O" else "size: 8\n") in register


def test_machines_that_peers_cannot_be_told_are_refused(tmp_path):
    with pytest.raises(UnknownName, match="peer"):
        export(hwsim.load_accelerator("edge-int8"), ONE, "timeloop", tmp_path)
    with pytest.raises(DesignError, match=r"edge-int8\.array\.count: must be one array for a peer"):
        shared(hwsim.load_accelerator("edge-int8").changed(**{"array.count": 2}), ONE)
    with pytest.raises(DesignError, match="must be ws, is or os for a peer"):
        shared(hwsim.load_accelerator("edge-int8").changed(**{"array.dataflow": "rs"}), ONE)


def test_the_command_writes_a_machine_and_says_what_hwsim_says(tmp_path):
    run = CliRunner().invoke
    given = ["export", "edge-int8", "--to", "accelforge", "--out", str(tmp_path / "a")]
    told = run(app, [*given, "--gemm", "128x128x128", "--gemm", "4x64x64x64"])
    assert (told.exit_code, "2 products" in told.output) == (0, True), told.output
    assert (tmp_path / "a" / "workload-01.yaml").is_file()
    answer = json.loads((tmp_path / "a" / "hwsim.json").read_text())
    both = Workload("both", (ONE.gemms[0], HEADS.gemms[0]))
    assert answer["latency_cycles"] == hwsim.evaluate(both, hwsim.load_accelerator("edge-int8")).latency_cycles
    assert "products must come from" in str(run(app, given).exception)
    assert "must be MxNxK or BxMxNxK" in str(run(app, [*given, "--gemm", "3x3"]).exception)


def test_yaml_is_what_every_reader_takes_for_it():
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    table = {
        "small": 1e-12, "many": 3e20, "n": 4, "off": "off", "text": "a: b", "rule": "~k", "set": "input | weight",
        "nested": [{"a": [1, 2], "b": {"c": True}}, {"a": [], "b": {}}], "rows": [[1.5, 2], ["x, y"]],
    }  # fmt: skip
    assert yaml.safe_load(yaml_text(table, "a comment\nof two lines")) == table
    assert "  - !Memory\n    name: x\n" in yaml_text({"nodes": [Tagged("!Memory", {"name": "x"})]})


@pytest.mark.slow
@pytest.mark.parametrize("workload", [ONE, HEADS], ids=["gemm", "attention"])
@pytest.mark.parametrize(("peer", "program"), [("zigzag", RUN_ZIGZAG), ("accelforge", RUN_ACCELFORGE)])
def test_a_peer_reads_the_files_and_agrees_where_no_mapping_can_differ(tmp_path, peer, program, workload):
    """No mapping takes fewer cycles than the units need, less energy than the products and one pass of every operand
    through the DRAM; with double the cycles and half as much energy again a peer would have read another machine."""
    python = _peer(peer)
    folder, told = export(hwsim.load_accelerator("edge-int8"), workload, peer, tmp_path / "x")
    found = subprocess.run([python, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
    energy_pj, cycles = json.loads(found.stdout.splitlines()[-1])
    one = told.products[0]
    macs = one.batch * one.m * one.n * one.k
    moved = one.batch * (one.m * one.k * one.a_bits + one.n * one.k * one.b_bits + one.m * one.n * one.out_bits)
    least_pj = macs * told.product_pj + moved * told.levels[0].read_pj
    assert macs / (32 * 32) * 0.999 <= cycles <= 2 * told.latency_cycles
    assert least_pj * 0.999 <= energy_pj <= 1.5 * told.energy_pj

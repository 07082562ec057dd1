"""Machine files: ours load, survive a round trip, and every mistake is one sentence with its place."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hwsim import datapaths, quant, workbench
from hwsim.arch import Accelerator, Numerics, Policy, load_accelerator
from hwsim.errors import ArgumentError, DesignError, UnknownName

MACHINES = ["edge-fp8-hopper", "edge-int4", "edge-int8", "edge-mxfp4", "edge-mxfp8", "edge-nvfp4", "edge-ternary"]
INT8 = Numerics(quant.get("int8.channel"), quant.get("int8.channel"), datapaths.integer(8, 8, 32))
TERNARY = Numerics(quant.get("int8.channel"), quant.get("ternary.absmean"), datapaths.ternary_lut(3))


def tables(name: str = "edge-int8") -> dict[str, Any]:
    return tomllib.loads(workbench.find("dse/machines", name, ".toml").read_text())


def test_all_machines_are_there() -> None:
    assert set(MACHINES) <= set(workbench.names("dse/machines", ".toml"))


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_survives_its_tables(name: str) -> None:
    machine = load_accelerator(name)
    assert machine.name == name
    assert Accelerator.from_dict(machine.to_dict()) == machine


def test_a_machine_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(workbench.find("dse/machines", "edge-int8", ".toml").read_text())
    assert load_accelerator(path) == load_accelerator("edge-int8")


def test_accuracy_depends_on_numerics_only() -> None:
    machine = load_accelerator("edge-nvfp4")
    fields = {"array.rows": 9, "array.cols": 3, "array.dataflow": "os", "memory.weight_kib": 256}
    other = machine.changed(**fields, **{"technology.clock_ghz": 1.0, "technology.node_nm": 7})
    assert other.numerics_key == machine.numerics_key
    assert load_accelerator("edge-mxfp4").numerics_key != machine.numerics_key


def test_policy_order() -> None:
    policy = Policy(TERNARY, INT8, (("head", None), ("blocks.0.*", INT8), ("blocks.*.up", TERNARY)))
    assert policy.for_gemm("head") is None
    assert policy.for_gemm("blocks.0.up") == INT8
    assert policy.for_gemm("blocks.1.up") == TERNARY
    assert policy.for_gemm("blocks.1.up", "activation") == INT8  # no ternary unit takes two activations
    assert policy.for_gemm("blocks.1.down") == TERNARY
    assert policy.for_gemm("blocks.1.attention", "activation") == INT8
    assert policy.numerics == (TERNARY, INT8)
    orders = (("blocks.0.*", INT8), ("head", None), ("blocks.*.up", TERNARY))  # the first that matches wins
    assert policy.key == Policy(TERNARY, INT8, policy.overrides).key != Policy(TERNARY, INT8, orders).key


def test_a_policy_in_a_file() -> None:
    mine = tables()
    mine["numerics"]["override"] = [
        {"layers": "head", "precision": "float32"},
        {
            "layers": "blocks.0.*",
            "activation": "int4.tensor",
            "weight": "int4.channel",
            "datapath": {"family": "integer", "a_bits": 4, "b_bits": 4, "acc_bits": 16},
        },
    ]
    machine = Accelerator.from_dict(mine)
    assert machine.policy.for_gemm("head") is None
    numerics = machine.policy.for_gemm("blocks.0.up")
    assert numerics is not None
    assert (numerics.label, numerics.datapath.name) == ("int4.channel×int4.tensor · acc16", "int4x4.acc16.wrap")
    assert Accelerator.from_dict(machine.to_dict()) == machine


def test_a_scheme_of_ones_own() -> None:
    mine = tables("edge-nvfp4")
    mine["numerics"]["weight"] = {
        "name": "mine",
        "element": "e2m1",
        "granularity": "block",
        "block": 16,
        "scale_format": "e4m3",
        "scale_rule": "torchao",
    }
    machine = Accelerator.from_dict(mine)
    assert machine.policy.default.weight.scale_rule == "torchao"
    assert Accelerator.from_dict(machine.to_dict()) == machine


def broken(path: str, value: object) -> dict[str, Any]:
    """The tables of a good machine with one field replaced, or taken away where `value` is None."""
    mine = copy.deepcopy(tables())
    *parents, last = path.split(".")
    place = mine
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return mine


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("array.rows", "many", "edge-int8.array.rows: must be an integer, got 'many'"),
        ("array.rows", 0, "edge-int8.array.rows: must lie in 1..4096, got 0"),
        ("array.rows", True, "edge-int8.array.rows: must be an integer, got True"),
        ("array.rows", None, "edge-int8.array.rows: must be given, as an integer"),
        ("array.row", 4, "edge-int8.array.row: is not a known key; 'rows' is the nearest key, got 4"),
        ("array.dataflow", "sw", "edge-int8.array.dataflow: must be one of ws, os, is, rs, got 'sw'"),
        ("array.overlap", "some", "edge-int8.array.overlap: must be one of none, fill, ideal, got 'some'"),
        ("memory.weight_kib", -48, "edge-int8.memory.weight_kib: must be above 0 and at most 1.07374e+09, got -48.0"),
        ("memory.port_bits", 0, "edge-int8.memory.port_bits: must lie in 1..1048576, got 0"),
        ("memory.output_bits", 12, "edge-int8.memory.output_bits: must be one of 8, 16, 32, got 12"),
        ("memory.dram_gbyte_s", 0.0, "edge-int8.memory.dram_gbyte_s: must be above 0 and at most 1e+06, got 0.0"),
        ("technology.voltage", -1.0, "edge-int8.technology.voltage: must be above 0 and at most 10, got -1.0"),
        (
            "technology.clock_ghz",
            float("inf"),
            "edge-int8.technology.clock_ghz: must be above 0 and at most 100, got inf",
        ),
        ("memory", 3, "edge-int8.memory: must be a table, or [[memory]] tables, got 3"),
        (
            "colour",
            "red",
            "edge-int8.colour: is not a known key; "
            "keys are array, description, fused, memory, name, numerics, objective, output_bits, technology, vector, "
            "got 'red'",
        ),
        (
            "numerics.weight",
            "fp8.e4m3.tensor",
            "edge-int8.numerics.weight: element must be int8, which port b of int8x8.acc32.wrap reads, got 'e4m3'",
        ),
        (
            "numerics.datapath",
            {"family": "ternary_lut", "group": 3},
            "edge-int8.numerics.weight: element must be int2, which port b of ternary_lut3.int8.x1 reads, got 'int8'",
        ),
        (
            "numerics.override",
            [{"layers": "head", "precision": "float16"}],
            "edge-int8.numerics.override[0].precision: must be 'float32', or be left out, got 'float16'",
        ),
    ],
)
def test_mistakes(path: str, value: object, message: str) -> None:
    mine = tables() | {path: value} if "." not in path else broken(path, value)
    with pytest.raises(DesignError) as caught:
        Accelerator.from_dict(mine)
    assert str(caught.value) == message


def test_a_missing_companion_for_attention() -> None:
    mine = tables("edge-ternary")
    del mine["numerics"]["attention"]
    with pytest.raises(DesignError) as caught:
        Accelerator.from_dict(mine, where="space edge-lm")
    assert str(caught.value) == (
        "space edge-lm.numerics.attention: must be given, or take activations on both ports: attention multiplies "
        "two activations, got 'ternary.absmax×int8.channel · ternary_lut3.int8.x1'"
    )


def test_unknown_names() -> None:
    with pytest.raises(
        UnknownName, match=r"^edge-int8.numerics.activation: .* must be one of int8.*, got 'int8.chanel'$"
    ):
        Accelerator.from_dict(broken("numerics.activation", "int8.chanel"))
    with pytest.raises(
        UnknownName, match=r"^edge-int8.numerics.datapath: family must be one of integer.*got 'intger'$"
    ):
        Accelerator.from_dict(broken("numerics.datapath", {"family": "intger"}))
    with pytest.raises(DesignError, match=r"^edge-int8.numerics.datapath: must describe a unit \("):
        Accelerator.from_dict(
            broken("numerics.datapath", {"family": "integer", "a_bits": 99, "b_bits": 8, "acc_bits": 32})
        )
    with pytest.raises(UnknownName, match=r"machine must be one of edge-nvfp4"):
        load_accelerator("edge-nvpf4")
    with pytest.raises(ArgumentError, match=r"^machine: file must exist, got '/nowhere/a.toml'$"):
        load_accelerator("/nowhere/a.toml")


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("name = \n")
    with pytest.raises(DesignError, match=r"bad.toml: a machine must be valid TOML \(Invalid value .*line 1"):
        load_accelerator(path)

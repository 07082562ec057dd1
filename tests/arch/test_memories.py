"""Memories as a graph: what the short form stands for, chains of operands, and every mistake with its place."""

from __future__ import annotations

import copy
import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.arch import Accelerator, Memory, Port, load_accelerator
from hwsim.arch.places import line_of
from hwsim.errors import DesignError, UnknownName

GRAPH = """\
name = "two-levels"
output_bits = 8
[array]
rows = 4
cols = 4
[numerics]
activation = "int8.channel"
weight = "int8.channel"
datapath = { family = "integer", a_bits = 8, b_bits = 8, acc_bits = 32 }
[[memory]]
name = "dram"
kind = "dram"
technology = "lpddr4"
gbyte_s = 12.8
[[memory]]
name = "buffer"
kib = 108.5
holds = ["input", "output"]
parent = "dram"
ports = [{ bits = 64, direction = "read" }, { bits = 48, direction = "write" }]
banks = 25
[[memory]]
name = "filters"
kind = "registers"
kib = 7.0
holds = ["weight"]
parent = "dram"
ports = [{ bits = 16 }]
copies = 16
double_buffered = false
[[memory]]
name = "sums"
kind = "registers"
kib = 0.75
holds = ["output"]
parent = "buffer"
ports = [{ bits = 16 }, { bits = 16, direction = "write" }]
copies = 16
[technology]
clock_ghz = 0.2
node_nm = 65
"""


def graph() -> dict[str, Any]:
    return tomllib.loads(GRAPH)


def test_a_graph_is_read_as_it_is_written() -> None:
    machine = Accelerator.from_dict(graph())
    assert [memory.name for memory in machine.levels("input")] == ["dram", "buffer"]
    assert [memory.name for memory in machine.levels("weight")] == ["dram", "filters"]
    assert [memory.name for memory in machine.levels("output")] == ["dram", "buffer", "sums"]
    buffer = machine.memory("buffer")
    assert buffer == Memory(
        "buffer", "sram", 108.5, ("input", "output"), "dram", (Port(64, "read"), Port(48, "write")), 25,
    )  # fmt: skip
    assert (buffer.bits, buffer.read_bits, buffer.write_bits, buffer.shares_ports) == (108.5 * 8192, 64, 48, False)
    sums = machine.memory("sums")
    assert (sums.read_bits, sums.write_bits, sums.shares_ports) == (16 * 16, 16 * 32, True)
    assert machine.dram.kib == math.inf
    assert machine.dram_bits_per_cycle == 12.8 * 8 / 0.2
    assert machine.output_bits == 8
    assert Accelerator.from_dict(machine.to_dict()) == machine
    with pytest.raises(UnknownName, match=r"^two-levels.memory: memory must be one of .*sums.*, got 'spad'$"):
        machine.memory("spad")


def test_copies_of_the_same_data_hold_it_once() -> None:
    same = Memory("x", "sram", 32.0, ("weight",), "dram", (Port(8),), copies=4, replicated=True)
    assert same.bits == 8 * 8192


def test_the_short_form_is_three_memories() -> None:
    machine = load_accelerator("edge-int8")
    ports = (Port(1024, "read"), Port(1024, "write"))
    assert machine.memories == (
        Memory("dram", "dram", math.inf, ("input", "weight", "output"), None, technology="lpddr4", gbyte_s=25.6),
        Memory("activation", "sram", 128.0, ("input",), "dram", ports),
        Memory("weight", "sram", 128.0, ("weight",), "dram", ports),
        Memory("output", "sram", 128.0, ("output",), "dram", ports),
    )
    assert machine.output_bits == 32


def test_a_unified_buffer() -> None:
    """One memory for all operands, whose one port reads or writes."""
    machine = load_accelerator("edge-unified")
    (buffer,) = (memory for memory in machine.memories if memory.kind != "dram")
    for operand in ("input", "weight", "output"):
        assert machine.levels(operand) == (machine.dram, buffer)  # type: ignore[arg-type]
    assert (buffer.read_bits, buffer.write_bits, buffer.shares_ports) == (256, 256, True)


def test_a_part_with_hbm() -> None:
    """Two levels of SRAM below an HBM: weights and sums have memories of their own in each of four arrays."""
    machine = load_accelerator("hbm-int8")
    assert (machine.dram.name, machine.dram.technology, machine.dram_bits_per_cycle) == ("hbm", "hbm2", 307 * 8)
    assert [level.name for level in machine.levels("weight")] == ["hbm", "shared", "weights"]
    assert [level.name for level in machine.levels("output")] == ["hbm", "shared", "sums"]
    assert [level.name for level in machine.levels("input")] == ["hbm", "shared"]
    assert machine.memory("weights").read_bits == 4 * 1024
    assert machine.array.units == 4 * 128 * 128


@pytest.mark.parametrize(
    ("name", "chains"),
    [
        ("tpu-v1", (["unified"], ["fifo"], ["unified", "accumulators"])),
        ("tpu-v4i", (["cmem", "vmem"], ["cmem", "vmem"], ["cmem", "vmem"])),
        ("eyeriss", (["buffer", "input-spad"], ["filters", "filter-spad"], ["buffer", "sum-spad"])),
        ("nvdla-2048", (["buffer"], ["buffer"], ["accumulators"])),
        ("simba", (["global", "inputs"], ["weights"], ["global", "sums"])),
        ("gemmini", (["scratchpad"], ["scratchpad"], ["accumulator"])),
        ("vs-quant-int4", (["inputs"], ["weights"], ["sums"])),
        ("mx-npu-mxfp4", (["scratchpad"], ["scratchpad"], ["scratchpad"])),
    ],
)
def test_published_chips_as_graphs(name: str, chains: tuple[list[str], ...]) -> None:
    machine = load_accelerator(name)
    for operand, chain in zip(("input", "weight", "output"), chains, strict=True):
        assert [level.name for level in machine.levels(operand)] == ["dram", *chain]  # type: ignore[arg-type]
    assert Accelerator.from_dict(machine.to_dict()) == machine


def test_fields_change_by_path() -> None:
    machine = load_accelerator("edge-int8")
    other = machine.changed(
        **{"array.rows": 7, "memory.weight_kib": 48.5, "memory.output_port_bits": 96, "memory.sram": "hp",
           "vector.lanes": 3, "objective": "time", "technology.voltage": None}
    )  # fmt: skip
    assert (other.array.rows, other.memory("weight").kib, other.memory("output").ports[1].bits) == (7, 48.5, 96)
    assert (other.memory("activation").technology, other.vector.lanes, other.objective) == ("hp", 3, "time")
    assert other.voltage is None
    assert Accelerator.from_dict(other.to_dict()) == other
    assert machine.changed() == machine
    graphed = Accelerator.from_dict(graph()).changed(**{"memory.buffer.banks": 1, "output_bits": 16})
    assert (graphed.memory("buffer").banks, graphed.output_bits) == (1, 16)
    with pytest.raises(
        DesignError, match=r"^two-levels.memory.spad.kib: must be the name of a memory: dram, buffer,"
    ):
        graphed.changed(**{"memory.spad.kib": 1})
    with pytest.raises(DesignError, match=r"^edge-int8.memory.weight_kb: is not a known key; 'weight_kib' is"):
        machine.changed(**{"memory.weight_kb": 1})


@pytest.mark.parametrize(
    ("level", "field", "value", "message"),
    [
        (1, "name", "dram", "memory.dram.name: must be a name that no other memory has, got 'dram'"),
        (3, "parent", "buf", "memory.sums.parent: must be another memory: dram, buffer, filters, sums, got 'buf'"),
        (1, "parent", "sums", "memory.sums.parent: must lead to the DRAM, not in a circle "
                              "(buffer <- sums <- buffer), got 'buffer'"),
        (3, "parent", "filters", "memory: must end in one memory on chip that holds 'output', "
                                 "got ['buffer', 'sums']"),
        (1, "holds", ["input"], "memory.buffer.holds: must name 'output', which 'sums' takes from it, got ['input']"),
        (2, "holds", ["input"], "memory: must end in one memory on chip that holds 'input', "
                                "got ['buffer', 'filters']"),
        (1, "holds", ["output"], "memory: must end in one memory on chip that holds 'input', got []"),
        (1, "holds", ["input", "input"], "memory.buffer.holds: must name each operand once, "
                                         "got ['input', 'input']"),
        (1, "holds", [], "memory.buffer.holds: must name each operand once, got []"),
        (1, "holds", ["scale"], "memory.buffer.holds: must be one of input, weight, output, got 'scale'"),
        (1, "kind", "dram", "memory.buffer.technology: must be given, as the kind of DRAM"),
        (1, "kib", 0, "memory.buffer.kib: must be above 0 and at most 1.07374e+09, got 0.0"),
        (1, "kib", -1.0, "memory.buffer.kib: must be above 0 and at most 1.07374e+09, got -1.0"),
        (1, "kib", math.nan, "memory.buffer.kib: must be above 0 and at most 1.07374e+09, got nan"),
        (1, "kib", math.inf, "memory.buffer.kib: must be above 0 and at most 1.07374e+09, got inf"),
        (1, "kib", None, "memory.buffer.kib: must be given, as a number"),
        (1, "parent", None, "memory.buffer.parent: must name the level that fills it"),
        (1, "banks", 0, "memory.buffer.banks: must lie in 1..65536, got 0"),
        (1, "ports", [{"bits": 0}], "memory.buffer.ports[0].bits: must lie in 1..1048576, got 0"),
        (1, "ports", [{"bits": 8, "direction": "read"}], "memory.buffer.ports: must have a port that can write, "
                                                        "got ['8 read']"),
        (1, "ports", [{"bits": 8, "way": "read"}], "memory.buffer.ports[0].way: is not a known key; keys are bits, "
                                                   "direction, got 'read'"),
        (1, "split", [0.5, 0.6], "memory.buffer.split: must be one share for each operand it holds, adding up to 1, "
                                 "got [0.5, 0.6]"),
        (1, "split", ["a", 1], "memory.buffer.split[0]: must be a number, got 'a'"),
        (1, "gbyte_s", 3.0, "memory.buffer.gbyte_s: must be left out: ports say it on chip, got 3.0"),
        (1, "technology", "ddr4", "memory.buffer.technology: must be one of lstp, lop, hp, got 'ddr4'"),
        (1, "clock_ghz", 1.0, "memory.buffer.clock_ghz: is not a known key here; it belongs to [technology], "
                              "got 1.0"),
        (1, "bank", 2, "memory.buffer.bank: is not a known key; 'banks' is the nearest key, got 2"),
        (0, "gbyte_s", None, "memory.dram.gbyte_s: must be given for a DRAM"),
        (0, "gbyte_s", 1e300, "memory.dram.gbyte_s: must be above 0 and at most 1e+06, got 1e+300"),
        (0, "holds", ["input", "weight"], "memory.dram.holds: must name 'output', which 'buffer' takes from it, "
                                          "got ['input', 'weight']"),
        (0, "parent", "buffer", "memory.dram.parent: must be left out: nothing fills a DRAM, got 'buffer'"),
    ],
)  # fmt: skip
def test_mistakes_in_a_graph(level: int, field: str, value: object, message: str) -> None:
    tables = copy.deepcopy(graph())
    if value is None:
        del tables["memory"][level][field]
    else:
        tables["memory"][level][field] = value
    with pytest.raises(DesignError) as caught:
        Accelerator.from_dict(tables)
    assert str(caught.value) == f"two-levels.{message}"


def test_one_dram() -> None:
    tables = graph()
    tables["memory"].append(tables["memory"][0] | {"name": "hbm"})
    with pytest.raises(DesignError, match=r"^two-levels.memory: must have exactly one DRAM, got \['dram', 'hbm'\]$"):
        Accelerator.from_dict(tables)
    del tables["memory"][0], tables["memory"][-1]
    with pytest.raises(DesignError, match=r"^two-levels.memory: must have exactly one DRAM, got \[\]$"):
        Accelerator.from_dict(tables)


sizes = st.floats(1e-3, 1e6)
widths = st.none() | st.integers(1, 1 << 20)


@settings(max_examples=60, deadline=None)
@given(
    kib=st.tuples(sizes, sizes, sizes),
    common=st.integers(1, 1 << 20),
    own=st.tuples(widths, widths, widths),
    device=st.sampled_from(["lstp", "lop", "hp"]),
    gbyte_s=st.floats(1e-3, 1e5),
)
def test_any_sizes_survive_a_file(
    kib: tuple[float, ...], common: int, own: tuple[int | None, ...], device: str, gbyte_s: float
) -> None:
    """Capacities and widths of any size, each memory its own; a machine equals what its tables make."""
    names = ("activation", "weight", "output")
    fields: dict[str, Any] = {f"memory.{name}_kib": one for name, one in zip(names, kib, strict=True)}
    fields |= {f"memory.{name}_port_bits": one for name, one in zip(names, own, strict=True)}
    machine = load_accelerator("edge-int8").changed(
        **fields, **{"memory.port_bits": common, "memory.sram": device, "memory.dram_gbyte_s": gbyte_s}
    )
    assert Accelerator.from_dict(machine.to_dict()) == machine
    for name, one, width in zip(names, kib, own, strict=True):
        assert (machine.memory(name).kib, machine.memory(name).ports[0].bits) == (one, width or common)


def test_a_message_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"

    def message(old: str, new: str) -> str:
        assert GRAPH.count(old) == 1
        path.write_text(GRAPH.replace(old, new))
        with pytest.raises((DesignError, UnknownName)) as caught:
            load_accelerator(path)
        return str(caught.value)

    file = re.escape(str(path))
    at = dict(enumerate(GRAPH.splitlines(), 1))
    assert (at[4], at[17], at[21], at[25]) == ("rows = 4", "kib = 108.5", "banks = 25", "kib = 7.0")
    assert re.match(
        rf"mine.array.row \({file}, line 4\): is not a known key; 'rows' is the nearest key, got 4$",
        message("rows = 4", "row = 4"),
    )
    assert re.match(rf"mine.memory.filters.kib \({file}, line 25\): must be above 0", message("kib = 7.0", "kib = 0"))
    assert re.match(rf"mine.memory.buffer.banks \({file}, line 21\): must lie in", message("banks = 25", "banks = 0"))
    # what is missing is placed at its table
    assert at[15] == "[[memory]]"
    assert re.match(rf"mine.memory.buffer.kib \({file}, line 15\): must be given", message("kib = 108.5\n", ""))
    assert re.match(
        rf"mine.numerics.weight \({file}, line 8\): .* got 'int8.chanel'$",
        message('weight = "int8.channel"', 'weight = "int8.chanel"'),
    )


def test_lines_of_paths() -> None:
    text = 'name = "x"\n[numerics]\nweight = 1\n' + '[[numerics.override]]\nlayers = "a"\n' * 2
    assert line_of(text, "name") == 1
    assert line_of(text, "numerics.weight") == 3
    assert line_of(text, "numerics.override[1].layers") == 7
    assert line_of(text, "numerics.override[1].precision") == 6
    assert line_of(text, "numerics.weight.name") == 3
    assert line_of(text, "numerics.weight.[[[") == 3  # of names that are none, as a damaged file has them
    assert line_of(text, "numerics.weight]") == line_of(text, "numerics")
    assert line_of(text, "[[[" * 999) is None
    assert line_of(text, "colour") is None

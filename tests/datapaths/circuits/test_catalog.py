"""Files of a unit, errors, adder counts, and that the comparison would notice a wrong circuit."""

from __future__ import annotations

import dataclasses
import re
import subprocess

import numpy as np
import pytest

from hwsim.datapaths import circuits as catalog
from hwsim.datapaths.ternary.verilog import adders
from hwsim.errors import ArgumentError, UnknownName
from hwsim.quant.sparsity import inclusion_chances
from hwsim.rtl.bench import port_bits, port_values, run_rtl
from hwsim.rtl.sparsity import draw_exact
from hwsim.rtl.tools import available, find_tool
from hwsim.rtl.unit import Port, fill, join

icarus = pytest.mark.skipif(not available("iverilog", "vvp"), reason="Icarus Verilog is not installed")


def test_a_table_has_the_least_number_of_adders():
    assert [adders(group) for group in range(1, 7)] == [0, 2, 10, 36, 116, 358]  # (3^µ - 1) / 2 - µ


@pytest.mark.parametrize("group", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("activation", ["fp16", "bf16"])
def test_the_text_has_as_many_adders_as_counted(group, activation):
    text = catalog.build("ternary_table", group=group, activation=activation).verilog
    assert len(re.findall(rf"^  add_{activation} add\d+ ", text, re.MULTILINE)) == adders(group)


@pytest.mark.parametrize("group", [2, 3, 4, 5, 6])
def test_the_integer_table_writes_no_other_addition(group):
    text = catalog.build("ternary_table", group=group).verilog
    assert len(re.findall(r"^  wire signed \S+ s\d+ = \w+ [+-] \w+;", text, re.MULTILINE)) == adders(group)
    assert len(re.findall(r" [+-] ", re.sub(r"//.*", "", text))) == adders(group)


@icarus
def test_the_written_files_check_themselves(tmp_path):
    module, bench, vectors = catalog.write("e2m1_product", tmp_path / "new", rows=64)
    assert [path.name for path in (module, bench, vectors)] == [
        "e2m1_product.v",
        "e2m1_product_tb.v",
        "e2m1_product.hex",
    ]
    folder = module.parent
    subprocess.run([find_tool("iverilog"), "-g2005", "-o", "t.vvp", module.name, bench.name], cwd=folder, check=True)
    run = subprocess.run([find_tool("vvp"), "-n", "t.vvp"], cwd=folder, check=True, capture_output=True, text=True)
    assert "PASS 64 vectors" in run.stdout


@icarus
def test_a_wrong_circuit_is_seen(rng):
    unit = catalog.build("e2m1_product")
    wrong = dataclasses.replace(unit, verilog=unit.verilog.replace("a[3] ^ b[3]", "a[3] | b[3]"))
    inputs = unit.operands(rng, 200)
    both_negative = (inputs["a"] >= 8) & (inputs["b"] >= 8)
    product_is_zero = (inputs["a"] % 8 == 0) | (inputs["b"] % 8 == 0)
    assert run_rtl(wrong, inputs) == int((both_negative & ~product_is_zero).sum()) > 0


def test_modules_are_apart_so_that_synthesis_cannot_fuse_them():
    text = catalog.build("mac", a_bits=8, b_bits=8, acc_bits=32).verilog
    assert re.findall(r"^module (\w+)", text, re.MULTILINE) == [
        "ripple_row_8",
        "mul_s8x8_array",
        "acc_s32_p16_wrap",
        "mac_s8x8_acc32_wrap_array",
    ]


@pytest.mark.parametrize("name", catalog.named_units())
def test_a_named_unit_is_built_by_its_family(name):
    unit = catalog.build(name)
    family, parameters = catalog.named_units()[name]
    assert unit.family == family
    assert parameters.items() <= dict(unit.parameters).items()
    assert catalog.build(family, **unit.parameters).verilog == unit.verilog
    assert "<" not in re.sub(r"<=|<<|< ", "", unit.verilog)  # nothing of a template is left


def test_unknown_names_are_refused():
    with pytest.raises(UnknownName, match=r"circuit must be one of mac, .*got 'mac1'"):
        catalog.build("mac1")
    with pytest.raises(UnknownName, match=r"mac: parameter of mac must be one of acc_bits, .*, got 'acc_bit'"):
        catalog.build("mac", acc_bit=3)
    with pytest.raises(ArgumentError, match=r"mul_s8x8_booth: a named unit takes no parameters, got \['style'\]"):
        catalog.build("mul_s8x8_booth", style="array")
    with pytest.raises(ArgumentError, match=r"multiplier: a_bits must be 2\.\.16, got 17"):
        catalog.build("multiplier", a_bits=17)
    with pytest.raises(ArgumentError, match=r"only fused and grouped units have a circuit, got 'cdna3.fp16'"):
        catalog.build("tensor_dot", arch="cdna3", operand="fp16")


def test_port_values_survive_their_bits(rng):
    port = Port("x", 13, 5)
    values = rng.integers(0, 1 << 13, size=(40, 5), dtype=np.uint64)
    np.testing.assert_array_equal(port_values(port, port_bits(port, values)), values)


def test_templates_are_filled_completely():
    assert fill("wire [<W>-1:0] x; wire [<W>+<W>-1:0] y;", W=4) == "wire [3:0] x; wire [7:0] y;"
    with pytest.raises(AssertionError, match="template keeps <B>"):
        fill("<A> <B>", A=1)
    assert join("module a;\nendmodule\n", "module b;\nendmodule", "module a;\nendmodule").count("module a;") == 1


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4)])
def test_a_selector_draws_without_bias(n, m, rng):
    """The mean over every random word is the input, to the resolution of the word."""
    numbers = rng.integers(-128, 128, size=(200, m))
    numbers[:60] = rng.integers(-3, 4, size=(60, m))
    numbers[60:80, 1:] //= 16  # one towers
    words = np.arange(256)
    every = np.repeat(numbers, 256, axis=0)
    estimates, stays = draw_exact(every, np.tile(words, 200), n, 8)
    assert stays.sum(axis=1).max() == n
    sizes = np.abs(numbers)
    np.testing.assert_allclose(
        stays.reshape(200, 256, m).mean(axis=1), inclusion_chances(sizes.astype(float), n), atol=1 / 256
    )
    # an estimate is at most the sum of the group, and its chance is off by less than one word
    means = estimates.reshape(200, 256, m).mean(axis=1) / 2
    assert (np.abs(means - numbers) <= sizes.sum(axis=1, keepdims=True) / 256).all()

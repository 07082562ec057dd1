"""The models that ship, and a user's own: their checkpoints, their metrics, their operands."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from hwsim import datapaths, load_trace, quant
from hwsim.arch import Numerics, Policy
from hwsim.nn import ModelFile, capture, emulate, load_model, measure, meta_workload, policy_of
from hwsim.nn.capturing import weights_digest
from hwsim.nn.corpus import stdlib

DIGITS = f"{Path(__file__).with_name('digits_cnn.py')}:build"
BOUND = {"gpt": 1.45, "bitnet": 1.55}


@pytest.mark.parametrize("name", BOUND)
def test_a_checkpoint_says_where_it_comes_from(name):
    path = ModelFile.find(name).path.with_suffix(".safetensors")
    assert path.stat().st_size < 8 << 20
    with safe_open(path, "pt") as file:
        notes = file.metadata()
    metric = json.loads(notes["metric"])
    assert (notes["model"], notes["seed"], notes["dtype"]) == (name, "0", "bfloat16")
    assert metric["bits_per_byte"] < BOUND[name]
    assert metric["bytes"] > 500_000
    assert len(metric["corpus"]) == 16


@pytest.mark.parametrize("name", BOUND)
def test_the_metric_on_a_part_of_the_text(name):
    found = measure(name, bytes=8192)
    assert (found.name, found.lower_is_better) == ("bits_per_byte", True)
    assert found.value < BOUND[name]
    assert found.details["bytes"] == 8192
    assert found == measure(name, bytes=8192)


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUND)
def test_the_metric_is_the_recorded_one_where_the_text_is(name):
    with safe_open(ModelFile.find(name).path.with_suffix(".safetensors"), "pt") as file:
        recorded = json.loads(file.metadata()["metric"])
    if recorded["corpus"] != stdlib().hash:
        pytest.skip(f"recorded on the sources of Python {recorded['python']}")
    assert measure(name).value == pytest.approx(recorded["bits_per_byte"], abs=1e-5)  # order of float32 sums


def test_emulated_formats_cost_what_their_bits_suggest():
    value = {name: measure("gpt", name, bytes=1024).value for name in ("int8", "nvfp4", "int4")}
    value["float32"] = measure("gpt", bytes=1024).value
    assert value["float32"] + 0.02 < value["nvfp4"] < value["int4"]
    assert abs(value["int8"] - value["float32"]) < 0.02


def test_a_ternary_unit_gives_the_logits_of_bitnet_bit_by_bit():
    model = load_model("bitnet")
    weights = quant.get("ternary.absmax")  # the model has made them ternary
    unit = Numerics(quant.get("int8.channel"), weights, datapaths.ternary_lut(group=3))
    attention = policy_of("int8").default
    policy = Policy(unit, attention=attention, overrides=(("*.qk", None), ("*.pv", None)))
    tokens = next(iter(ModelFile.find("bitnet").batches()))
    with torch.no_grad():
        with emulate(model, policy=_Nothing()):  # attention unfused
            wanted = model(tokens)
        with emulate(model, policy):
            found = model(tokens)
    assert torch.equal(found.view(torch.int32), wanted.view(torch.int32))


class _Nothing:
    def for_gemm(self, layer, b_role):
        return None


def test_operands_of_bitnet_are_whole_numbers(tmp_path):
    trace = capture("bitnet", tmp_path / "t", max_rows=64)
    linear = [gemm for gemm in trace.gemms() if gemm.op == "linear"]
    assert len(linear) == 17
    for gemm in linear:
        np.testing.assert_array_equal(np.unique(gemm.b.values), [-1, 0, 1])
        assert np.array_equal(gemm.a.values, np.round(gemm.a.values))
        assert np.abs(gemm.a.values).max() == 127
        assert gemm.b.role == "weight"


def test_the_small_trace_is_of_this_model():
    trace = load_trace(Path(__file__).parents[2] / "traces" / "gpt-small")
    trace.verify()
    assert sum(path.stat().st_size for path in trace.path.iterdir()) < 1 << 20
    assert trace.manifest["weights"] == weights_digest(load_model("gpt"))
    assert trace.model_spec == "gpt:build"
    workload = meta_workload("gpt", [torch.zeros(1, 64, dtype=torch.long)])
    assert trace.workload.gemms == workload.gemms
    assert trace.workload.macs == 64 * (4 * 12 * 192**2 + 192 * 256) + 4 * 2 * 64 * 64 * 192


def test_a_users_own_model(tmp_path):
    trace = capture(DIGITS, tmp_path / "t", backward=True)
    assert {gemm.layer for gemm in trace.gemms()} == {"conv1", "conv2", "fc1", "fc2"}
    assert trace.model_spec == DIGITS
    found = measure(DIGITS)
    assert found.value > 0.95
    assert not found.lower_is_better
    assert measure(DIGITS, "int8").value > found.value - 0.01
    assert measure(DIGITS, "nvfp4").value > found.value - 0.05

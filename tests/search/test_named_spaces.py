"""Spaces of one question each: ternary units, add-only units, training. Every knob of each has two sides."""

from __future__ import annotations

import copy

import pytest

import hwsim
from hwsim import workbench
from hwsim.errors import DesignError
from hwsim.evaluation import Evaluator, evaluate_phase
from hwsim.evaluation.deployment import deploy
from hwsim.nn import load_file
from hwsim.search import load_space, space_from_dict, sweep
from hwsim.timing.clusters.collectives import link
from hwsim.workloads import Parallel, load_model, training_step


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    """Captures a model once."""
    folder, known = tmp_path_factory.mktemp("traces"), {}

    def of(model):
        if model not in known:
            known[model] = hwsim.capture(model, out=folder / model, max_rows=64)
        return known[model]

    return of


@pytest.fixture(scope="module")
def gpt():
    return hwsim.load_trace("traces/gpt-small")


def _coarse(name, grid, **search):
    """A space with some values of its knobs; `grid` names every one of them."""
    table = load_space(name).to_dict()
    assert set(grid) == set(table["parameters"])
    for knob, values in grid.items():
        table["parameters"][knob] = {"choice": values} | {
            key: table["parameters"][knob][key] for key in ("sets", "when") if key in table["parameters"][knob]
        }
        if knob in table["options"]:
            table["options"][knob] = {str(one): table["options"][knob][str(one)] for one in values}
    for entry in table["parameters"].values():
        if "when" in entry:
            entry["when"] = {
                other: [one for one in allowed if one in grid[other]] for other, allowed in entry["when"].items()
            }
    table["search"] |= search
    return space_from_dict(table, "here")


def _sides(study):
    """Values of every knob on a front that is exact."""
    assert study.certificate["exhaustive"]
    found = {}
    for point in study.front:
        for knob, value in point.point:
            found.setdefault(knob, set()).add(value)
    return found


TERNARY = {
    "unit": ["lut", "w2a8", "w2a4", "int8"], "lut_group": [1, 3], "luts": [1, 4], "products": [1, 8], "rows": [4, 16],
    "cols": [8, 32], "dataflow": ["ws", "os"], "supply": ["low", "high"], "stages": [1, 2],
    "activation_kib": [32, 512], "weight_kib": [32, 128], "vector_lanes": [4, 64],
}  # fmt: skip
ADDING = {
    "unit": ["int", "pann"], "bits": ["w4a4", "w6a8"], "products": [1, 16], "pann_bits": [4, 8],
    "pann_additions": [0.5, 4], "rows": [4, 16], "cols": [4, 16], "dataflow": ["ws", "os"], "supply": ["low", "high"],
    "activation_kib": [8, 128], "weight_kib": [8, 128], "vector_lanes": [2, 8],
}  # fmt: skip


def test_ternary_lut_on_the_exact_front_of_a_coarse_grid(captured):
    """The metric is that of the replay: what activations of four bits lose shows in it as well."""
    study = sweep(_coarse("ternary-lut", TERNARY, accuracy="replay", metric={}), captured("bitnet"))
    assert _sides(study) == {knob: set(values) for knob, values in TERNARY.items()}


def test_pann_vision_on_the_exact_front_of_a_coarse_grid(captured):
    study = sweep(_coarse("pann-vision", ADDING), captured("cnn"))
    assert _sides(study) == {knob: set(values) for knob, values in ADDING.items()}


@pytest.mark.slow  # two minutes
@pytest.mark.parametrize("model", ["cnn", "vit"])
def test_every_knob_of_pann_vision_has_two_sides(model, captured):
    """On the front of all designs, of either network."""
    found = _sides(sweep(load_space("pann-vision"), captured(model)))
    assert set(found) == set(ADDING)
    assert all(len(values) > 1 for values in found.values())


@pytest.mark.slow  # five minutes
def test_every_knob_of_ternary_lut_has_two_sides(captured):
    space = load_space("ternary-lut")
    assert _sides(sweep(space, captured("bitnet"))) == {one.name: set(one.values) for one in space.parameters}


@pytest.mark.parametrize("model", ["cnn", "vit"])
def test_images_are_there_before_anything_is_emulated(model):
    """Made in the middle of an emulation they would count as constants, and all that follows of them as weights."""
    found = load_file(workbench.find("models", model, ".py"))
    assert found.digits.data.cache_info().currsize == 1


TRAINING = [
    {"unit": ["nvfp4", "bf16"], "gradients": ["same", "bf16"], "arrays": [1, 4], "dataflow": ["ws", "os"],
     "dram_gbyte_s": [1180.0, 4720.0], "data": [1], "saving": ["fused"], "optimizer": ["adamw"]},
    {"unit": ["nvfp4"], "gradients": ["same"], "arrays": [4], "dataflow": ["os"], "dram_gbyte_s": [1180.0],
     "data": [1, 4], "saving": ["fused", "inputs"], "optimizer": ["adamw", "muon"]},
]  # fmt: skip


@pytest.mark.parametrize("grid", TRAINING, ids=["arithmetic", "what is kept"])
def test_training_fp4_on_the_exact_front_of_a_coarse_grid(grid, gpt):
    study = sweep(_coarse("training-fp4", grid), gpt)
    assert _sides(study) == {knob: set(values) for knob, values in grid.items()}


@pytest.mark.slow  # four minutes
def test_every_value_of_training_fp4_is_on_the_front(gpt):
    space = load_space("training-fp4")
    assert _sides(sweep(space, gpt)) == {one.name: set(one.values) for one in space.parameters}


def test_a_training_step_by_hand(gpt):
    """BF16 on four arrays of 32 x 32 units of 16 products, AdamW: multiply-accumulates of three passes, bytes of a
    weight and of what is saved, and no less time than the units need."""
    space = load_space("training-fp4")
    draw = {
        "unit": "bf16", "arrays": 4, "dataflow": "os", "dram_gbyte_s": 1180.0, "data": 1, "saving": "fused",
        "optimizer": "adamw",
    }  # fmt: skip
    design = space.design(draw)
    values = deploy(design.deployment, design.accelerator, Evaluator(gpt, "replay", "pann")).values()
    tokens, width, layers = 16 * 2048, 2048, 16
    matrices = layers * (2 * width * width + 2 * width * 512 + 3 * width * 8192) + 128256 * width
    squares = layers * tokens * 2048 * width  # of one product of attention, masked pairs included: 2 forward, 5 back
    macs = values["tops_w"] * values["energy_uj"] * 1e6 / 2
    assert macs == pytest.approx(3 * tokens * matrices + 7 * squares, rel=1e-3)
    saved = training_step(load_model("llama3.2-1b"), 16, 2048).saved_bytes
    assert values["chip_gb"] == pytest.approx((16 * matrices + saved) * 1e-9, rel=1e-3)
    least_ms = macs / (4 * 32 * 32 * 16) / 1e6  # at 1 GHz
    assert least_ms < values["latency_ms"] < 3 * least_ms


def test_knobs_of_training_reach_the_step(gpt):
    space = load_space("training-fp4")
    draw = next(space.draws()) | {"data": 4, "saving": "inputs", "optimizer": "muon"}
    design = space.design(draw)
    found = deploy(design.deployment, design.accelerator, Evaluator(gpt, "replay", "pann"))
    one = evaluate_phase(
        load_model("llama3.2-1b"), design.accelerator, "training", 16, 2048, None, Parallel(data=4),
        link("2.0,225,9.0"), optimizer="muon", saving="inputs",
    )  # fmt: skip
    assert found.values()["energy_uj"] == one.energy_pj * 1e-6
    assert found.values()["latency_ms"] == one.latency_s * 1e3
    assert "no operands: flips of units follow from their widths" in found.note


def test_flips_of_gradients_are_lent_by_nobody():
    """A space of training with energies of a trace would refuse every design; its file says so first."""
    table = copy.deepcopy(load_space("training-fp4").to_dict())
    table["search"]["energy"] = "trace"
    with pytest.raises(DesignError, match="the energy of a training step must be pann, got 'trace'"):
        space_from_dict(table, "here")

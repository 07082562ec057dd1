"""Trainings side by side: same seeds and data, resumed to the bit, with a noise floor."""

import csv
import json
import math
import signal
import statistics
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from hwsim import recipes
from hwsim.errors import ArgumentError, UnknownName
from hwsim.nn import compare, training
from hwsim.report.training import draw

MODEL = """
import torch
from torch import nn
from hwsim.nn import Training

def build(checkpoint=True, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 32), nn.Linear(32, 16))

def batch(step, seed):
    return torch.randn(32, 16, generator=torch.Generator().manual_seed(1000 * seed + step))

def loss(model, x):
    {wait}
    return (model(x) - x).square().mean()

def training(model):
    return Training(
        steps=24, batch=batch, loss=loss, rate=lambda done: 1 - done,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=0.02)],
    )
"""

STOCHASTIC = recipes.Recipe("stochastic", "", "", recipes.get("nvidia-nvfp4").layer)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(MODEL.format(wait=""))
    return path


class Stop(KeyboardInterrupt):
    pass


def _all(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in (".csv", ".json")}


def test_an_interrupted_comparison_ends_in_the_same_bits(model, tmp_path):
    whole = compare(model, [STOCHASTIC, "mxfp8"], tmp_path / "whole", seeds=2)
    stops = {5, 17, 60, 61, 100}

    def stop(done, total, note):
        assert total == 24 * 6
        if done in stops:
            stops.remove(done)
            raise Stop

    while stops:
        with pytest.raises(Stop):
            compare(model, [STOCHASTIC, "mxfp8"], tmp_path / "parts", seeds=2, progress=stop)
    parts = compare(model, [STOCHASTIC, "mxfp8"], tmp_path / "parts", seeds=2, progress=stop)
    assert parts.losses == whole.losses
    assert _all(tmp_path / "parts") == _all(tmp_path / "whole")
    manifest = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    assert manifest["finished"]
    assert len(set(manifest["weights"].values())) == 6


def test_runs_of_a_seed_share_weights_and_batches_and_dropout(model, tmp_path):
    found = compare(model, ["mxfp8", recipes.get("mxfp8").keeping(recipes.Selection(names=("*",)), name="nothing")],
                    tmp_path / "out", seeds=[3, 4], steps=6)  # fmt: skip
    for seed in (3, 4):
        assert found.losses["nothing", seed] == found.losses["float32", seed]
        assert found.losses["mxfp8", seed] != found.losses["float32", seed]
        first = found.losses["mxfp8", seed][0], found.losses["float32", seed][0]
        assert first[0] == pytest.approx(first[1], rel=0.02)
    assert found.losses["float32", 3] != found.losses["float32", 4]
    assert found.cost("nothing") == (0.0, 0.0)


def test_the_noise_floor_and_the_cost_are_those_of_the_table(model, tmp_path):
    found = compare(model, ["mxfp8"], tmp_path / "out", seeds=3)
    with (tmp_path / "out" / "losses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 24
    last = {}
    for row in rows:
        if int(row["step"]) > 22:  # a tenth of 24 steps is two
            last.setdefault((row["recipe"], int(row["seed"])), []).append(float(row["loss"]))
    mean = {key: sum(values) / 2 for key, values in last.items()}
    floats = [mean["float32", seed] for seed in range(3)]
    gaps = [mean["mxfp8", seed] - mean["float32", seed] for seed in range(3)]
    assert found.noise_floor == pytest.approx(statistics.stdev(floats))
    assert found.cost("mxfp8") == pytest.approx((sum(gaps) / 3, statistics.stdev(gaps) / math.sqrt(3)))
    page = draw(tmp_path / "out").read_text()
    assert f"{found.noise_floor:.4f} nats" in page
    assert f"{found.cost('mxfp8')[0]:+.4f}" in page
    assert "arXiv 2506.08027" in page
    assert "float32" in (tmp_path / "out" / "curves.svg").read_text()


def test_a_comparison_of_other_arguments_is_not_continued(model, tmp_path):
    compare(model, ["mxfp8"], tmp_path / "out", seeds=1, steps=2)
    with pytest.raises(ArgumentError, match="steps must be that of the folder, 2, got 3"):
        compare(model, ["mxfp8"], tmp_path / "out", seeds=1, steps=3)
    assert len(compare(model, ["mxfp8"], tmp_path / "out", seeds=1, steps=3, resume=False).losses["mxfp8", 0]) == 3
    with pytest.raises(ArgumentError, match="recipes must differ, and float32 always runs"):
        compare(model, ["mxfp8", "mxfp8"], tmp_path)
    with pytest.raises(ArgumentError, match="there must be a recipe and a seed"):
        compare(model, [], tmp_path)
    with pytest.raises(UnknownName, match="recipe must be one of"):
        compare(model, ["mxfp9"], tmp_path)
    with pytest.raises(ArgumentError, match="folder must hold a finished comparison"):
        draw(tmp_path / "absent")


def _heeds_interruptions() -> None:
    """A shell's background ignores them, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("strength", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_the_command_can_be_interrupted_and_goes_on(strength, tmp_path):
    model = tmp_path / "toy.py"
    model.write_text(MODEL.format(wait="import time; time.sleep(0.02)"))
    line = [sys.executable, "-m", "hwsim", "train", str(model), "--recipe", "mxfp8", "--seeds", "1", "--steps", "24"]

    def run(folder, **options):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*line, "--out", str(folder)], preexec_fn=_heeds_interruptions, **pipes, **options)

    process, states = run(tmp_path / "parts"), tmp_path / "parts" / "runs"
    while not (tmp_path / "parts" / "manifest.json").exists():
        time.sleep(0.05)
        assert process.poll() is None, process.stderr.read()
    time.sleep(0.3)
    process.send_signal(strength)
    process.communicate()
    assert process.returncode != 0
    if strength == signal.SIGINT:
        assert {path.name for path in states.iterdir()} == {"float32-0.state", "mxfp8-0.state"}
    out, _ = run(tmp_path / "parts").communicate()
    assert "mxfp8: " in out
    assert "above float32" in out
    run(tmp_path / "whole").communicate()
    assert (tmp_path / "parts" / "losses.csv").read_bytes() == (tmp_path / "whole" / "losses.csv").read_bytes()


@pytest.mark.parametrize("shape", [(24, 24), (16, 48), (48, 16)])
def test_muon_orthogonalizes_in_float32_where_there_is_no_bfloat16(shape, monkeypatch):
    monkeypatch.setattr(training, "has_bf16", lambda: False)
    torch.manual_seed(0)
    gradient = torch.randn(shape)
    left, _, right = torch.linalg.svd(gradient, full_matrices=False)
    weight = nn.Parameter(torch.zeros(shape))
    optimizer = torch.optim.Muon([weight], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False)
    weight.grad = gradient.clone()
    theirs = torch.optim._muon._zeropower_via_newtonschulz
    with training.newton_schulz_in_float32():
        optimizer.step()
    assert torch.optim._muon._zeropower_via_newtonschulz is theirs
    made = training.orthogonalized(gradient, (3.4445, -4.775, 2.0315), 5, 1e-7)
    scale = max(1, shape[0] / shape[1]) ** 0.5  # Muon's own factor for tall matrices
    assert torch.equal(weight.detach(), -scale * made) or torch.allclose(weight.detach(), -scale * made)
    values = torch.linalg.svdvals(made)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    alike = float((made * (left @ right)).sum() / made.norm() / (left @ right).norm())
    assert alike > 0.97
    rough = theirs(gradient, (3.4445, -4.775, 2.0315), 5, 1e-7).float()
    assert float((rough - made).norm() / made.norm()) < 0.02  # bfloat16 has 8 bits

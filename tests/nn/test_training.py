"""Training: resumable to the bit, and never half a checkpoint."""

import io
import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors import safe_open

from hwsim.errors import ArgumentError, ModelError, StorageError
from hwsim.nn import train

MODEL = """
import torch
from pathlib import Path
from safetensors.torch import load_file
from torch import nn
from hwsim.nn import Training

def build(checkpoint=True, seed=0):
    torch.manual_seed(seed)
    model = nn.Linear(8, 8)
    if checkpoint:
        model.load_state_dict(load_file(Path(__file__).with_suffix(".safetensors")))
    return model

def batch(step, seed):
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(1000 * seed + step))

def loss(model, x):
    return (model(x) - x).square().mean() {fault}

def training(model):
    return Training(
        steps=40,
        batch=batch,
        loss=loss,
        optimizers=[torch.optim.AdamW(model.parameters(), lr=0.05)],
        rate=lambda done: 1 - done,
        metric=lambda model: float(model.weight.detach().trace()),
    )
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "toy.py"
    path.write_text(MODEL.format(fault=""))
    return path


def test_a_training_writes_a_checkpoint_that_says_where_it_comes_from(model):
    seen = []
    trained = train(model, progress=lambda *facts: seen.append(facts))
    assert [facts[0] for facts in seen] == list(range(1, 41))
    assert seen[-1][2] < 0.5 * seen[0][2]
    assert trained.path == model.with_suffix(".safetensors")
    with safe_open(trained.path, "pt") as file:
        notes = file.metadata()
        assert file.get_tensor("weight").dtype == torch.bfloat16
        assert float(file.get_tensor("weight").float().trace()) == trained.metric == json.loads(notes["metric"])
    assert (notes["model"], notes["steps"], notes["seed"]) == ("toy", "40", "0")
    assert not list(model.parent.glob("*.state"))


class Stop(KeyboardInterrupt):
    pass


def test_an_interrupted_training_ends_with_the_same_bits(model, tmp_path):
    whole = train(model, tmp_path / "whole.safetensors").path.read_bytes()
    out = tmp_path / "parts.safetensors"

    def stop(step, steps, loss):
        if step in (7, 23):
            raise Stop

    state = tmp_path / "parts.safetensors.state"  # behind a SHA-256
    for expected in (7, 23):
        with pytest.raises(Stop):
            train(model, out, progress=stop if expected == 7 else lambda s, n, loss: stop(s, n, loss))
        assert torch.load(io.BytesIO(state.read_bytes()[64:]), weights_only=True)["step"] == expected
    assert train(model, out).path.read_bytes() == whole
    assert train(model, out, seed=1).path.read_bytes() != whole


def test_kill_9_loses_the_steps_since_the_last_save(model, tmp_path):
    out = tmp_path / "killed.safetensors"
    program = f"""
import time
from hwsim.nn import train
def slow(step, steps, loss):
    print(step, flush=True)
    time.sleep(0.01)
train({str(model)!r}, {str(out)!r}, progress=slow, save_every_s=0.0)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline() != "5\n":
            pass
        time.sleep(0.03)
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    steps = []
    train(model, out, progress=lambda step, *_: steps.append(step))
    assert 5 <= steps[0] <= 20
    assert out.read_bytes() == train(model, tmp_path / "whole.safetensors").path.read_bytes()


def test_a_state_of_another_training_is_refused(model, tmp_path):
    def stop(step, steps, loss):
        raise Stop

    with pytest.raises(Stop):
        train(model, progress=stop)
    with pytest.raises(ArgumentError, match=r"toy\.safetensors\.state: state to resume must belong to .*'seed': 2"):
        train(model, seed=2)
    assert train(model, seed=2, resume=False).steps == 40


def test_mistakes_are_one_line(model, tmp_path):
    model.write_text(MODEL.format(fault="* float('nan')"))
    with pytest.raises(ModelError, match="step 0: loss must stay finite, got nan"):
        train(model)
    model.write_text("import torch\ndef build():\n    return torch.nn.Linear(2, 2)")
    with pytest.raises(ModelError, match=r"toy\.py: model file must define training\(model\) -> hwsim\.nn\.Training"):
        train(model)
    model.write_text(MODEL.format(fault=""))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="folder must be writable"):
        train(model, tmp_path / "file" / "x.safetensors")

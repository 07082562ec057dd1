"""``hf:CONFIG.json``: a network of transformers by its configuration."""

import json

import pytest
import torch

from hwsim.errors import ArgumentError, MissingExtra, ModelError
from hwsim.nn import hugging_face
from hwsim.nn.models import ModelFile, load_model
from hwsim.studies.coverage import CONFIGURATIONS

pytestmark = pytest.mark.filterwarnings("ignore")  # of the library, about itself


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIGURATIONS["GPT-2"]))
    return path


def test_without_the_library_it_says_what_to_install(config, monkeypatch):
    def refuse(name):
        raise ImportError(name)

    monkeypatch.setattr(hugging_face.importlib, "import_module", refuse)
    with pytest.raises(MissingExtra, match=r"transformers is needed, install it with: pip install 'hwsim\[hf\]'"):
        load_model(f"hf:{config}")


def test_a_configuration_is_a_model(config):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    file = ModelFile.find(f"hf:{config}")
    model = load_model(file.spec)
    assert isinstance(model, transformers.GPT2LMHeadModel)
    assert not model.training
    assert sum(value.numel() for value in model.parameters()) == (
        128 * 64 + 1024 * 64 + 2 * (12 * 64 * 64 + 13 * 64) + 2 * 64  # tied head; GPT-2's published 12 d² + 13 d
    )
    again = file.build()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    batch = next(iter(file.batches()))
    assert batch["input_ids"].shape == (2, 32)
    loss = file.get("loss")
    assert torch.isfinite(loss(model, batch))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"configuration must be JSON"),
        ("[1]", r"configuration must be an object with model_type"),
        ('{"model_type": "gpt2", "architectures": ["Gpt7"]}', r"architectures must name a class of transformers"),
        ('{"model_type": "gpt7"}', r"transformers must take the configuration"),
    ],
)
def test_other_files_are_refused(text, message, tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=message):
        load_model(f"hf:{path}")


def test_a_file_must_exist():
    with pytest.raises(ArgumentError, match=r"^hf: configuration must exist, got 'nowhere.json'$"):
        ModelFile.find("hf:nowhere.json")

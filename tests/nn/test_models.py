"""Model files: found by name or path, and refused in one clear line."""

import re
from collections import OrderedDict, UserDict
from types import MappingProxyType

import pytest
import torch
from torch import nn

from hwsim.errors import ArgumentError, ModelError, UnknownName
from hwsim.nn import Inputs, ModelFile, capture, load_file, load_model, measure
from hwsim.nn.corpus import stdlib
from hwsim.nn.models import run

GOOD = """
import torch
from dataclasses import dataclass
from torch import nn

@dataclass
class Config:
    width: int = 3

def build(checkpoint=True):
    return nn.Linear(Config().width, 2)

def other():
    return nn.Linear(1, 1)
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        return name

    return write


def test_a_file_is_found_by_path_and_function(write):
    name = write(GOOD)
    assert load_model(name).in_features == 3
    assert load_model(f"{name}:other").in_features == 1
    assert ModelFile.find(name).spec.endswith("/mine.py:build")
    assert not load_model(name).training


def test_a_file_of_the_workbench_is_found_by_name(write, tmp_path):
    (tmp_path / "models").mkdir()
    write(GOOD, "models/mine.py")
    assert load_model("mine").in_features == 3
    assert ModelFile.find("mine:other").spec == "mine:other"
    assert ModelFile.find("mine").name == "mine"


def test_a_changed_file_is_read_again(write):
    import os

    name = write(GOOD)
    first = load_file(ModelFile.find(name).path)
    assert load_file(ModelFile.find(name).path) is first
    write(GOOD.replace("width: int = 3", "width: int = 5"))
    os.utime(name, ns=(0, 0))  # even within the clock's resolution
    assert load_model(name).in_features == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build(:\n  pass", "mine.py:1: file must run, invalid syntax"),
        ("\nimport no_such_package", "mine.py:2: file must run, it raised ModuleNotFoundError: No module named"),
        ("x = 1", "mine.py: model file must define build() -> torch.nn.Module"),
        ("build = 3", "mine.py: build must be a function, got 'int'"),
        ("def build():\n    return 3", "mine.py: build() must return a torch.nn.Module, got 'int'"),
        (
            "def build():\n    x = 1\n    raise ValueError('no weights')",
            "mine.py:3: build() must return, it raised ValueError: no weights",
        ),
        (
            "import torch\ndef build():\n    m = torch.nn.Linear(2, 2)\n    m.bias.data[0] = torch.nan\n    return m",
            "mine.py: weights must be finite, bias holds 1 NaN or infinite values",
        ),
    ],
)
def test_what_a_user_can_get_wrong(write, text, message):
    name = write(text)
    with pytest.raises(ModelError, match=re.escape(message)):
        ModelFile.find(name).build()


def test_a_file_that_is_not_there(write):
    with pytest.raises(ArgumentError, match=re.escape("model: file must exist, got 'no/such.py'")):
        load_model("no/such.py:build")
    with pytest.raises(UnknownName, match=r"model must be one of .*gpt"):
        load_model("gpd")


def test_a_module_is_taken_as_it_is():
    model = nn.Linear(2, 2)
    assert load_model(model) is model


def test_the_forms_of_a_batch():
    model, x = nn.Linear(2, 3), torch.randn(4, 2)
    wanted = model(x)
    for batch in (x, (x, "labels"), [x, 1], {"input": x}):
        assert torch.equal(run(model, batch), wanted)
    with pytest.raises(
        ArgumentError, match=r"batch must be a tensor, a tuple that begins with one, a mapping, or hwsim\.nn\.Inputs"
    ):
        run(model, "text")


METRIC = "import torch\ndef build():\n    return torch.nn.Linear(2, 2)\n"


def test_metrics_of_either_form(write):
    found = measure(write(METRIC + "def metric(model):\n    return 0.25", "one.py"))
    assert (found.name, found.value, found.lower_is_better, found.details) == ("metric", 0.25, False, {})
    text = METRIC + "def metric(model, bytes=1):\n    return {'loss': bytes, 'lower_is_better': True, 'corpus': 'x'}"
    found = measure(write(text, "two.py"), bytes=7, unknown=3)
    assert (found.name, found.value, found.lower_is_better, found.details) == ("loss", 7.0, True, {"corpus": "x"})


@pytest.mark.parametrize("result", ["'good'", "{}", "float('nan')", "None"])
def test_a_metric_must_be_a_number(write, result):
    name = write(METRIC + f"def metric(model):\n    return {result}")
    with pytest.raises(ModelError, match=re.escape("mine.py: metric() must return a number, or a dict")):
        measure(name)


def test_a_file_without_a_metric(write):
    with pytest.raises(ModelError, match=re.escape("mine.py: model file must define metric(model)")):
        measure(write(METRIC))


def test_the_corpus_is_split_by_path(tmp_path):
    for folder in ("", "tests", "pkg", "config-3.99-x", "site-packages"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for index in range(40):
            (tmp_path / folder / f"m{index}.py").write_text(f"{folder} {index} " + "x" * 30_000)
    corpus = stdlib(tmp_path)
    text = corpus.train.tobytes() + b"\0" + corpus.validation.tobytes()
    assert sorted(text.split(b"x")[0] for text in text.split(b"\0")) == sorted(
        f"{folder} {index} ".encode() for folder in ("", "pkg") for index in range(40)
    )
    assert 0 < corpus.validation.size < 0.2 * corpus.train.size
    assert len(corpus.hash) == 16
    with pytest.raises(ModelError, match="at least 1 MiB of sources of the standard library, got 0"):
        stdlib(tmp_path / "tests" / "none")


def test_a_batch_is_a_mapping_of_any_kind_or_all_inputs(tmp_path):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
            self.linear = nn.Linear(4, 4)

        def forward(self, x, scale=1.0):
            return (self.linear(x) @ self.linear(x).T + self.mask).softmax(-1) * scale

    x = torch.randn(3, 4)
    for batch in (
        {"x": x},
        UserDict(x=x, scale=torch.tensor(2.0)),  # as the tokenizers of transformers give
        OrderedDict(scale=torch.ones(1), x=x),
        MappingProxyType({"x": x}),
        (x, torch.zeros(1)),  # a label
        Inputs((x, torch.tensor(2.0))),
        Inputs((x,), {"scale": torch.tensor(2.0)}),
    ):
        trace = capture(Both(), tmp_path / "t", [batch])
        assert trace.workload.macs == 2 * 3 * 4 * 4 + 3 * 4 * 3
    for wrong in (3, [], "x", (1, x)):
        with pytest.raises(ArgumentError, match="batch must be a tensor"):
            capture(Both(), tmp_path / "t", [wrong])
    broken = Both()
    broken.mask[0, 0] = torch.nan
    with pytest.raises(ModelError, match="weights must be finite, mask holds 1 NaN or infinite values"):
        capture(broken, tmp_path / "t", [x])

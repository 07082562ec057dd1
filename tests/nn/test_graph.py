"""Operator graphs of models by hand; a capture and shapes alone agree, and every graph can be planned."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import hwsim
from hwsim.errors import TraceError
from hwsim.evaluation import Evaluator, Memo
from hwsim.nn.workload import meta_workload
from hwsim.timing import plan
from hwsim.trace import load_trace
from hwsim.trace.graph import Graph
from hwsim.trace.graph_file import read_graph, write_graph

MODELS = Path(__file__).parents[1] / "models"


def graph_of(model: nn.Module, *inputs: torch.Tensor) -> Graph:
    graph = meta_workload(model, [inputs if len(inputs) > 1 else inputs[0]]).graph
    assert graph is not None
    return graph


def kinds(graph: Graph) -> list[str]:
    return [one.kind for one in graph.operators]


def products(graph: Graph) -> list[tuple[int, ...]]:
    """(batch, m, n, k, groups) of every product that runs."""
    gemms = [one.gemm for one in graph.operators if one.gemm is not None and not one.folded]
    return [(one.batch, one.m, one.n, one.k, one.groups) for one in gemms]


def runs(graph: Graph, machine: str = "edge-int8"):
    """A plan of the graph; its invariants are checked where it is made."""
    return plan(graph, hwsim.load_accelerator(machine))


class Attention(nn.Module):
    """Four heads of queries, two of keys and values, eight wide."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.q, self.o = nn.Linear(32, 32, bias=False), nn.Linear(32, 32, bias=False)
        self.k, self.v = nn.Linear(32, 16, bias=False), nn.Linear(32, 16, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, _ = x.shape
        q = self.q(x).view(batch, tokens, 4, 8).transpose(1, 2)
        k, v = (layer(x).view(batch, tokens, 2, 8).transpose(1, 2) for layer in (self.k, self.v))
        if self.how != "enable_gqa":
            k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
        if self.how == "mask":
            hidden = torch.triu(torch.full((tokens, tokens), -torch.inf), 1)
            y = (q @ k.mT * 8**-0.5 + hidden).softmax(-1) @ v
        else:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=self.how == "enable_gqa")
        return self.o(y.transpose(1, 2).reshape(batch, tokens, 32))


@pytest.mark.parametrize("how", ["repeat_interleave", "enable_gqa", "mask"])
def test_grouped_queries(how):
    graph = graph_of(Attention(how), torch.zeros(1, 6, 32))
    names = graph.by_name
    scores, mixed = (one for one in graph.operators if one.gemm is not None and one.gemm.b_role == "activation")
    assert (scores.gemm.batch, scores.gemm.m, scores.gemm.n, scores.gemm.k) == (4, 6, 6, 8)
    # two heads of keys and of values are read by four of queries, and stored once
    assert (scores.gemm.groups, mixed.gemm.groups) == (2, 2)
    assert (scores.inputs[1].elements, mixed.inputs[1].elements) == (6 * 16, 6 * 16)
    assert names[scores.inputs[1].tensor].elements == 6 * 16
    # where a kernel says that it is causal; a mask that is added may hold anything
    assert (scores.gemm.causal, mixed.gemm.causal) == ((False, False) if how == "mask" else (True, True))
    assert ("add" in kinds(graph)) == (how == "mask")
    assert kinds(graph).count("softmax") == 1
    assert "copy" not in kinds(graph)  # layouts and repetitions are views
    runs(graph)


def test_lstm():
    graph = graph_of(nn.LSTM(8, 6, batch_first=True), torch.zeros(2, 3, 8))
    # four gates of 6 each from the input and from the state; the first state is zero, its product a constant
    assert products(graph) == [(1, 2, 24, 8, 1), *[(1, 2, 24, 6, 1), (1, 2, 24, 8, 1)] * 2]
    (offline,) = (one for one in graph.operators if one.folded)
    assert (offline.folded, offline.gemm.n) == ("weight × weight", 24)
    found = kinds(graph)
    assert (found.count("sigmoid"), found.count("tanh"), found.count("other")) == (9, 6, 0)
    assert all(one.elements == 12 for one in graph.operators if one.kind in ("sigmoid", "tanh"))
    # the new cell is forget gate x old cell + input gate x candidate: each gate is read, not one four times
    made = graph.producers
    first = next(one for one in graph.operators if one.kind == "add" and one.elements == 12)
    gates = {access.tensor for name in first.inputs for access in graph.operators[made[name.tensor]].inputs}
    assert len(gates) == 4
    assert [tensor.shape for tensor in graph.tensors if tensor.is_output] == [(2, 6), (2, 6), (3, 2, 6)]
    runs(graph)


def test_transformer_encoder():
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
    graph = graph_of(nn.TransformerEncoder(layer, 1, enable_nested_tensor=False), torch.zeros(2, 5, 16))
    assert products(graph) == [
        (1, 10, 48, 16, 1), (4, 5, 5, 8, 4), (4, 5, 8, 5, 4),
        (1, 10, 16, 16, 1), (1, 10, 32, 16, 1), (1, 10, 16, 32, 1),
    ]  # fmt: skip
    found = kinds(graph)
    assert (found.count("layernorm"), found.count("softmax"), found.count("relu")) == (2, 1, 1)
    residuals = [one for one in graph.operators if one.kind == "add" and one.elements == 160]
    assert len(residuals) == 2
    assert {access.tensor for access in residuals[0].inputs} >= {"input.0"}
    runs(graph)


class Batched(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(8, 4, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.bmm(x, self.w)


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 6, bias=False) for _ in range(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([layer(one) for layer, one in zip(self.layers, x, strict=True)])


def test_eight_experts_in_three_ways():
    forms = (
        (Batched(), torch.zeros(8, 5, 4)),
        (Layers(), torch.zeros(8, 5, 4)),
        (nn.Conv1d(32, 48, 1, groups=8, bias=False), torch.zeros(1, 32, 5)),
    )
    for model, x in forms:
        graph = graph_of(model, x)
        weights = [tensor.elements for tensor in graph.tensors if tensor.source == "weight"]
        assert sum(weights) == 8 * 4 * 6
        shapes = products(graph)
        assert sum(batch * m * n * k for batch, m, n, k, _ in shapes) == 8 * 5 * 6 * 4
        assert sum(groups * n * k for _, _, n, k, groups in shapes) == 8 * 4 * 6  # each expert's own
        made = runs(graph)
        read = {row.tensor: row.read_bits for step in made.steps for row in step.traffic if row.level == "dram"}
        names = {tensor.name for tensor in graph.tensors if tensor.source == "weight"}
        # int8 with a float32 scale for each of the 48 rows
        assert sum(read[name] for name in names) == 8 * (8 * 4 * 6) + 32 * 48


@pytest.mark.parametrize(
    ("conv", "images", "shape"),
    [
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), 1, (8, 36, 1, 9, 8)),
        (nn.Conv2d(8, 16, 3, padding=1, stride=2, groups=2), 2, (2, 2 * 9, 8, 36, 2)),
        (nn.Conv2d(8, 16, (3, 1), dilation=2), 1, (1, 2 * 6, 16, 24, 1)),
    ],
)
def test_convolutions_look_at_their_input(conv, images, shape):
    graph = graph_of(conv, torch.zeros(images, 8, 6, 6))
    assert products(graph) == [shape]
    (one,) = graph.operators
    seen, weight, bias = one.inputs
    assert (seen.tensor, seen.kind, seen.elements) == ("input.0", "window", images * 8 * 36)
    assert (weight.elements, bias.elements) == (conv.weight.numel(), conv.out_channels)
    window = seen.window
    assert (window.images, window.channels, window.sizes) == (images, 8, (6, 6))
    assert (window.kernel, window.stride, window.padding) == (tuple(conv.kernel_size), conv.stride, conv.padding)
    assert images * window.outputs[0] * window.outputs[1] == shape[1]
    runs(graph)


def test_rows_of_a_window():
    conv = nn.Conv2d(1, 1, 3, stride=2, dilation=2, padding=1)
    window = graph_of(conv, torch.zeros(1, 1, 20, 20)).operators[0].inputs[0].window
    assert [window.input_rows(rows) for rows in (1, 2, 3, 99)] == [5, 7, 9, 20]


class Folded(nn.Module):
    def __init__(self, parametrize) -> None:
        super().__init__()
        self.layer = parametrize(nn.Linear(6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@pytest.mark.parametrize("parametrize", ["spectral_norm", "orthogonal"])
def test_products_of_weights_run_before_any_machine(parametrize):
    model = Folded(getattr(nn.utils.parametrizations, parametrize))
    workload = meta_workload(model, [torch.zeros(3, 6)])
    assert len(workload.gemms) > 1
    assert products(workload.graph) == [(1, 3, 6, 6, 1)]
    assert all(one.folded == "weight × weight" for one in workload.graph.operators if one.layer != "layer")
    made = runs(workload.graph)
    assert [product.macs for step in made.steps for product in step.products] == [3 * 6 * 6]


def test_flips_belong_to_the_product_that_they_were_counted_on(tmp_path):
    torch.manual_seed(0)
    model = Folded(nn.utils.parametrizations.spectral_norm)
    trace = hwsim.capture(model, tmp_path / "trace", [torch.randn(3, 6)])
    forward = [gemm for gemm in trace.workload.gemms if gemm.phase == "forward"]
    assert (forward[-1].layer, len(forward) > 1) == ("layer", True)
    evaluator = Evaluator(trace, memo=Memo(tmp_path / "memo.jsonl"))
    assert evaluator.work.macs == 3 * 6 * 6
    machine = hwsim.load_accelerator("edge-int8")
    own = evaluator.toggles(machine.policy, "ws")[-1]
    assert own.layer == "layer"
    charged = next(one for one in evaluator.price(machine).energy if one.component == "registers")
    (product,) = (one for step in evaluator.price(machine).plan.steps for one in step.products)
    flips = product.a_loads * own.a_element + product.b_loads * own.b_element + product.updates * own.sum
    assert charged.count == pytest.approx(flips)


class Norm(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.scale, self.out = how, nn.Parameter(torch.ones(16)), nn.Linear(16, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "rsqrt":
            x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        elif self.how == "divide":
            x = x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.scale
        else:
            x = F.rms_norm(x, (16,), self.scale)
        return self.out(x)


@pytest.mark.parametrize("how", ["rsqrt", "function"])
def test_rms_norms(how):
    graph = graph_of(Norm(how), torch.zeros(3, 16))
    assert kinds(graph) == ["rmsnorm", "gemm"]
    norm = graph.operators[0]
    assert [(access.tensor, access.elements) for access in norm.inputs] == [("input.0", 48), ("scale", 16)]
    assert norm.elements == 48
    runs(graph)


class Rotary(nn.Module):
    def __init__(self, halves: bool) -> None:
        super().__init__()
        self.halves, self.up, self.out = halves, nn.Linear(16, 16, bias=False), nn.Linear(16, 4, bias=False)
        angles = torch.arange(6.0)[:, None] * torch.arange(1.0, 9.0)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(x)
        if self.halves:
            one, other = x[..., :8], x[..., 8:]
            cos, sin = torch.cat([self.cos, self.cos], -1), torch.cat([self.sin, self.sin], -1)
            x = x * cos + torch.cat([-other, one], -1) * sin
        else:
            one, other = x[..., ::2], x[..., 1::2]
            x = torch.stack([one * self.cos - other * self.sin, one * self.sin + other * self.cos], -1).flatten(-2)
        return self.out(x)


@pytest.mark.parametrize("halves", [True, False])
def test_rotary_positions_of_both_conventions(halves):
    graph = graph_of(Rotary(halves), torch.zeros(6, 16))
    assert kinds(graph) == ["gemm", "rope", "gemm"]
    rope = graph.operators[1]
    assert (rope.elements, rope.inputs[0].elements) == (96, 96)
    runs(graph)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held = x + self.a(x).relu()
        held += self.b(held.view(-1, 8)).view_as(held)
        return held


def test_residuals_and_views():
    graph = graph_of(Residual(), torch.zeros(2, 3, 8))
    assert kinds(graph) == ["gemm", "relu", "add", "gemm", "add"]
    first, last = graph.operators[2], graph.operators[4]
    assert {access.tensor for access in first.inputs} == {"input.0", graph.operators[1].output}
    assert graph.operators[3].inputs[0].tensor == first.output  # a view of the sum
    assert {access.tensor for access in last.inputs} == {first.output, graph.operators[3].output}
    assert last.output != first.output  # a sum in place is another version
    assert [tensor.name for tensor in graph.tensors if tensor.is_output] == [last.output]
    assert graph.consumers[first.output] == (3, 4)
    runs(graph)


class Cached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.register_buffer("keys", torch.zeros(1, 12, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.keys[:, 5:6] = self.k(x)
        return (self.q(x) @ self.keys[:, :6].mT).softmax(-1)


def test_a_cache_keeps_what_was_written_before():
    graph = graph_of(Cached(), torch.zeros(1, 1, 8))
    cache = next(one for one in graph.operators if one.kind == "cache")
    assert cache.elements == 8  # one new row
    assert graph.by_name["keys"].source == "state"
    scores = next(one for one in graph.operators if one.gemm is not None and one.gemm.b_role == "activation")
    assert (scores.inputs[1].tensor, scores.inputs[1].elements) == (cache.output, 6 * 8)
    assert graph.by_name[cache.output].elements == 12 * 8
    runs(graph)


def digits() -> tuple[nn.Module, torch.Tensor]:
    spec = importlib.util.spec_from_file_location("digits_cnn_graph", MODELS / "digits_cnn.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DigitsCNN().eval(), torch.zeros(2, 1, 8, 8)


def test_digits():
    graph = graph_of(*digits())
    assert products(graph) == [
        (1, 128, 16, 9, 1), (2, 32, 16, 72, 2), (1, 2, 32, 512, 1), (1, 2, 10, 32, 1),
    ]  # fmt: skip
    assert kinds(graph) == ["gemm", "relu"] * 3 + ["gemm"]
    runs(graph)


def test_gpt_and_bitnet():
    for name, families in (("gpt", {"relu", "square"}), ("bitnet", {"requantize"})):
        workload = meta_workload(name, None)
        graph = workload.graph
        found = kinds(graph)
        assert families <= set(found), name
        assert "other" not in found
        assert "copy" not in found
        assert found[0] == "embedding"
        assert found.count("softmax") * 2 == sum(
            one.gemm is not None and one.gemm.b_role == "activation" for one in graph.operators
        )
        assert all(
            one.gemm.causal for one in graph.operators if one.gemm is not None and one.gemm.b_role == "activation"
        )
        assert found.count("rope") == 2 * found.count("softmax")
        # every product of the first batch is an operator, in the order of the run
        records = [one.record for one in graph.operators if one.gemm is not None]
        assert records == list(range(len(records)))
        assert [one.gemm.macs for one in graph.operators if one.gemm is not None] == [
            workload.gemms[record].macs for record in records
        ]
        for one in graph.operators:
            if one.gemm is not None and one.gemm.b_role == "weight":  # BitNet's ternary weights are made offline
                weight = graph.by_name[one.inputs[1].tensor]
                assert (weight.source, weight.elements) == ("weight", one.gemm.n * one.gemm.k)


def same(one: Graph, other: Graph) -> None:
    assert one.tensors == other.tensors
    for left, right in itertools.zip_longest(one.operators, other.operators):
        assert left == right


@pytest.mark.parametrize("name", ["residual", "attention", "digits"])
def test_a_capture_and_shapes_alone_agree(name, tmp_path):
    torch.manual_seed(0)
    model, x = {
        "residual": lambda: (Residual(), torch.randn(2, 3, 8)),
        "attention": lambda: (Attention("repeat_interleave"), torch.randn(1, 6, 32)),
        "digits": digits,
    }[name]()
    trace = hwsim.capture(model, tmp_path / "trace", [x])
    captured = trace.workload.graph
    shapes = meta_workload(model, [x])
    same(captured, shapes.graph)
    assert trace.workload.gemms == shapes.gemms
    same(load_trace(tmp_path / "trace").workload.graph, captured)


def test_a_captured_lstm_takes_its_inputs_at_once(tmp_path):
    torch.manual_seed(0)
    trace = hwsim.capture(nn.LSTM(8, 6, batch_first=True), tmp_path / "trace", [torch.randn(2, 3, 8)])
    graph = trace.workload.graph
    # torch projects the inputs of all steps together on a CPU, and one by one elsewhere: the same work
    assert products(graph) == [(1, 6, 24, 8, 1), *[(1, 2, 24, 6, 1)] * 2]
    assert "other" not in kinds(graph)
    runs(graph)


def test_graph_file(tmp_path):
    graph = graph_of(*digits())
    digest = write_graph(tmp_path, graph)
    same(read_graph(tmp_path, digest), graph)
    file = tmp_path / "graph.json"
    text = file.read_text()
    file.write_text(text.replace('"relu"', '"gelu"', 1))
    with pytest.raises(TraceError, match="SHA-256 of the graph must be"):
        read_graph(tmp_path, digest)
    file.unlink()
    with pytest.raises(TraceError, match="graph must be readable, got 'No such file or directory'"):
        read_graph(tmp_path, digest)


@pytest.mark.parametrize(
    "damage",
    [
        lambda plain: [],
        lambda plain: {"tensors": plain["tensors"]},
        lambda plain: plain | {"tensors": [1]},
        lambda plain: plain | {"operators": [plain["operators"][0] | {"colour": "red"}]},
        lambda plain: plain | {"operators": [{"layer": "x"}]},
        lambda plain: plain | {"operators": [plain["operators"][0] | {"inputs": 3}]},
        lambda plain: plain | {"operators": [plain["operators"][0] | {"inputs": [{"tensor": "x", "window": 7}]}]},
        lambda plain: plain | {"operators": [plain["operators"][0] | {"gemm": {"m": 1}}]},
    ],
)
def test_a_file_that_holds_no_graph(tmp_path, damage):
    import hashlib

    plain = dataclasses.asdict(graph_of(Residual(), torch.zeros(2, 3, 8)))
    text = json.dumps(damage(plain))
    (tmp_path / "graph.json").write_text(text)
    with pytest.raises(TraceError, match="file must hold a graph of operators"):
        read_graph(tmp_path, hashlib.sha256(text.encode()).hexdigest())

"""The graph of a run: operators as a machine is asked for them, tensors by the memory they lie in."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from hwsim.errors import TraceError
from hwsim.nn import capture, meta_workload
from hwsim.trace import Access, Window, load_trace

DIGITS = "tests/models/digits_cnn.py:build"


def graph_of(model, x, tmp_path):
    """The graph of a capture; that from shapes alone is the same.

    Shapes are equal up to the axes that torch joins or not, as some of its operators do on real numbers only.
    """
    torch.manual_seed(0)
    graph = capture(model, tmp_path / "t", [x]).graph
    shapes = meta_workload(model, [x]).graph
    assert shapes.operators == graph.operators
    for one, other in zip(shapes.tensors, graph.tensors, strict=True):
        assert replace(one, shape=(one.elements,)) == replace(other, shape=(other.elements,))
    return graph


def kinds(graph, *, folded=False):
    return Counter(operator.kind for operator in graph.operators if bool(operator.folded) == folded)


def one(graph, kind):
    (found,) = [operator for operator in graph.operators if operator.kind == kind and not operator.folded]
    return found


def test_the_gpt(tmp_path):
    trace = capture("gpt", tmp_path / "t", [torch.zeros(1, 64, dtype=torch.long)])
    graph = trace.graph
    # a block: 4 linear layers and 2 products; 2 norms and those of queries and keys; 2 rotations; 2 residuals
    wanted = {
        "gemm": 25,
        "rmsnorm": 4 * 4 + 2,
        "rope": 8,
        "add": 8,
        "softmax": 4,
        "relu": 4,
        "square": 4,
        "embedding": 1,
    }
    assert kinds(graph) == wanted
    assert kinds(graph, folded=True) == {"elementwise": 3, "copy": 2, "scale": 2, "mul": 1}  # tables of angles, once
    assert meta_workload("gpt", [torch.zeros(1, 64, dtype=torch.long)]).graph == graph
    assert trace.workload.graph is graph
    records = [o.record for o in graph.operators if o.gemm]
    assert records == list(range(25))
    assert [o.gemm for o in graph.operators if o.gemm] == list(trace.workload.gemms)
    weights = {t.name: t.elements for t in graph.tensors if t.source == "weight"}
    assert sum(weights.values()) == 2 * 256 * 192 + 4 * 12 * 192**2
    assert [(t.name, t.shape, t.dtype) for t in graph.tensors if t.source == "input"] == [
        ("input.0", (1, 64), "int64")
    ]
    assert [t.shape for t in graph.tensors if t.is_output] == [(64, 256)]
    embedding = one(graph, "embedding")
    assert embedding.inputs == (Access("embed.weight", 64 * 192, "gather"), Access("input.0", 64))
    qk, softmax, pv = (o for o in graph.operators[:20] if o.layer.endswith(("qk", "pv")) or o.kind == "softmax")
    assert (qk.gemm.batch, qk.gemm.groups, qk.gemm.causal, pv.gemm.causal) == (6, 6, True, True)
    assert [access.tensor for access in softmax.inputs] == [qk.output]
    # values are a third of the stored result of one layer, not a tensor of their own
    assert pv.inputs == (
        Access(softmax.output, 6 * 64 * 64),
        Access("blocks.0.attention.qkv:gemm.3", 64 * 192, "view"),
    )
    assert graph.producers[pv.inputs[1].tensor] == 3


def test_the_ternary_gpt_quantises_its_weights_before_it_runs(tmp_path):
    trace = capture("bitnet", tmp_path / "t", [torch.zeros(1, 64, dtype=torch.long)], max_rows=16)
    graph = trace.graph
    assert [o.gemm for o in graph.operators if o.gemm] == list(trace.workload.gemms)
    found = kinds(graph)
    assert found["requantize"] == found["reduce"] == found["elementwise"] == 17  # round, largest, magnitude a layer
    assert (found["rmsnorm"], found["softmax"], found["rope"]) == (18 + 17, 4, 8)
    by_name, folded = graph.by_name, {o.output for o in graph.operators if o.folded}
    linear = [o for o in graph.operators if o.gemm and o.gemm.op == "linear"]
    assert all(o.inputs[1].tensor in folded for o in linear)
    assert all(graph.operators[graph.producers[o.inputs[0].tensor]].kind == "requantize" for o in linear)
    assert by_name["blocks.0.up.weight"].elements == 4 * 192**2


def test_a_convolution_reads_its_input_once(tmp_path):
    graph = capture(DIGITS, tmp_path / "t").graph
    assert kinds(graph) == {"gemm": 4, "relu": 3}
    first, second = (o for o in graph.operators if o.gemm and o.gemm.op == "convolution")
    window = Window(32, 1, (8, 8), (3, 3), (1, 1), (1, 1), (1, 1), (8, 8))
    assert first.inputs[0] == Access("input.0", 32 * 64, "window", window)
    window = Window(32, 16, (8, 8), (3, 3), (2, 2), (1, 1), (1, 1), (4, 4))
    assert second.inputs[0].window == window
    assert second.inputs[0].elements == 32 * 16 * 64
    assert [access.tensor for access in second.inputs[1:]] == ["conv2.weight", "conv2.bias"]
    assert (second.gemm.batch, second.gemm.groups) == (2, 2)
    assert meta_workload(DIGITS).graph == graph


E, T, K, N = 4, 3, 8, 6


class Fused(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(E, K, N))

    def forward(self, x):
        return torch.bmm(x, self.w)


class Split(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Linear(K, N, bias=False) for _ in range(E))

    def forward(self, x):
        return torch.stack([expert(x[i]) for i, expert in enumerate(self.experts)])


class Grouped(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(E * K, E * N, 1, groups=E, bias=False)

    def forward(self, x):
        return self.conv(x.permute(0, 2, 1).reshape(1, E * K, T)).reshape(E, N, T)


class Einsum(Fused):
    def forward(self, x):
        return torch.einsum("etk,ekn->etn", x, self.w)


@pytest.mark.parametrize("model", [Fused, Split, Grouped, Einsum])
def test_experts_cost_the_same_however_they_are_written(model, tmp_path):
    graph = graph_of(model(), torch.randn(E, T, K), tmp_path)
    gemms = [o for o in graph.operators if o.gemm]
    assert sum(o.gemm.groups for o in gemms) == E
    assert sum(o.gemm.macs for o in gemms) == E * T * K * N
    assert sum(o.inputs[0].elements for o in gemms) == E * T * K
    assert sum(o.inputs[1].elements for o in gemms) == E * K * N
    assert all(o.inputs[0].kind != "window" for o in gemms)
    assert {(o.gemm.m, o.gemm.n, o.gemm.k) for o in gemms} == {(T, N, K)}


def test_a_depthwise_layer_has_a_weight_for_each_channel(tmp_path):
    graph = graph_of(nn.Conv2d(6, 6, 3, groups=6), torch.randn(2, 6, 7, 6), tmp_path)
    operator = one(graph, "gemm")
    assert (operator.gemm.batch, operator.gemm.groups, operator.gemm.m, operator.gemm.n, operator.gemm.k) == (
        6,
        6,
        40,
        1,
        9,
    )
    assert [access.elements for access in operator.inputs] == [2 * 6 * 7 * 6, 6 * 9, 6]


def test_a_weight_that_all_share_is_one(tmp_path):
    class Shared(nn.Linear):
        def forward(self, x):
            return torch.matmul(x[:, None], self.weight.T.expand(5, 1, 8, 6))

    graph = graph_of(Shared(8, 6), torch.randn(5, 3, 8), tmp_path)
    assert (one(graph, "gemm").gemm.groups, one(graph, "gemm").inputs[1].elements) == (1, 48)


def attention(q, k, v, **options):
    return functional.scaled_dot_product_attention(q, k, v, **options)


def by_hand(q, k, v, mask=None, fill=None, scale=0.25):
    scores = q @ k.transpose(-2, -1) * scale
    if fill is not None:
        scores = scores.masked_fill(fill, float("-inf"))
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1) @ v


UPPER = torch.ones(6, 6, dtype=torch.bool).triu(1)
BIAS = torch.zeros(6, 6).masked_fill(UPPER, float("-inf"))
BAND = UPPER | torch.ones(6, 6, dtype=torch.bool).tril(-3)


@pytest.mark.parametrize(
    ("run", "causal"),
    [
        (lambda x: attention(x, x, x), False),
        (lambda x: attention(x, x, x, is_causal=True), True),
        (lambda x: attention(x, x, x, attn_mask=BIAS), True),
        (lambda x: attention(x, x, x, attn_mask=~UPPER), True),
        (lambda x: attention(x, x, x, attn_mask=~BAND), False),
        (lambda x: by_hand(x, x, x), False),
        (lambda x: by_hand(x, x, x, fill=UPPER), True),
        (lambda x: by_hand(x, x, x, fill=BAND), False),
        (lambda x: by_hand(x, x, x, mask=BIAS), True),
        (lambda x: by_hand(x / 4, x, x, mask=BIAS[None, None], scale=1.0), True),
        (lambda x: by_hand(x[:, :, 3:], x, x, fill=UPPER[3:]), True),
    ],
)
def test_attention_is_two_products_and_a_softmax(run, causal, tmp_path):
    class Net(nn.Module):
        def forward(self, x):
            return run(x)

    x = torch.randn(2, 3, 6, 16)
    graph = capture(Net(), tmp_path / "t", [x]).graph
    assert kinds(graph) == {"gemm": 2, "softmax": 1}
    qk, softmax, pv = (o for o in graph.operators if not o.folded)
    assert (qk.gemm.causal, pv.gemm.causal) == (causal, causal)
    assert [access.tensor for access in qk.inputs] == ["input.0", "input.0"]
    assert softmax.inputs[0].tensor == qk.output
    assert pv.inputs[0].tensor == softmax.output
    shapes = load_trace(tmp_path / "t").workload.gemms
    assert [shape.causal for shape in shapes] == [causal, causal]


def test_queries_share_keys(tmp_path):
    class Net(nn.Module):
        def forward(self, x):
            return attention(x, x[:, :2], x[:, :2], enable_gqa=True)

    graph = graph_of(Net(), torch.randn(1, 8, 5, 4), tmp_path)
    qk, _, pv = graph.operators
    assert (qk.gemm.batch, qk.gemm.groups, pv.gemm.groups) == (8, 2, 2)
    assert qk.inputs == (Access("input.0", 160), Access("input.0", 40, "view"))


def test_a_transformer_layer_and_a_recurrent_one(tmp_path):
    model = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2, enable_nested_tensor=False
    )
    graph = graph_of(model, torch.randn(2, 5, 16), tmp_path)
    # a layer: projections in and out, scores, values, two linear layers
    assert kinds(graph) == {"gemm": 12, "softmax": 2, "add": 4, "layernorm": 4, "relu": 2}

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTM(4, 8, batch_first=True)

        def forward(self, x):
            return self.cell(x)[0]

    graph = capture(Net(), tmp_path / "u", [torch.randn(2, 3, 4)]).graph
    # three steps: gates of the state, their sum, three sigmoids, two tanh, two products, a sum, a product
    assert kinds(graph) == {"gemm": 1 + 3, "add": 6, "sigmoid": 9, "tanh": 6, "mul": 9, "copy": 1}
    assert sum(o.elements for o in graph.operators if o.kind == "sigmoid") == 3 * 3 * 2 * 8


@pytest.mark.parametrize(
    "norm",
    [
        lambda x, w: functional.rms_norm(x, (16,), w),
        lambda x, w: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w,
        lambda x, w: w * (x.float() * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6)).to(x.dtype),
        lambda x, w: x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * w,
    ],
)
def test_a_norm_written_out_is_a_norm(norm, tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(16))

        def forward(self, x):
            return norm(x, self.weight)

    graph = graph_of(Net(), torch.randn(3, 16), tmp_path)
    assert one(graph, "rmsnorm").inputs == (Access("input.0", 48), Access("weight", 16))
    assert kinds(graph) == {"rmsnorm": 1}


class Rotary(nn.Module):
    """Positions by a product with fixed frequencies, halves exchanged by a negation, as Llama writes it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("inv_freq", 1e4 ** -(torch.arange(4) / 4))

    def forward(self, x, position_ids):
        angles = (self.inv_freq[None, :, None].float() @ position_ids[:, None, :].float()).transpose(1, 2)
        both = torch.cat((angles, angles), dim=-1)
        cos, sin = both.cos()[:, None], both.sin()[:, None]
        return x * cos + torch.cat((-x[..., 4:], x[..., :4]), -1) * sin


def test_positions_are_no_arithmetic_of_the_network(tmp_path):
    batch = {"x": torch.randn(1, 2, 6, 8), "position_ids": torch.arange(6)[None]}
    trace = capture(Rotary(), tmp_path / "t", [batch])
    assert len(trace) == 0
    product = next(o for o in trace.graph.operators if o.gemm)
    assert (product.folded, product.record, product.gemm.macs) == ("positions", None, 24)
    assert one(trace.graph, "rope").elements == 96
    assert one(trace.graph, "rope").inputs[0] == Access("input.x", 96)


def test_weights_by_weights_are_folded(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        parametrizations.orthogonal(nn.Linear(4, 4), orthogonal_map="cayley"), nn.ReLU(), nn.Linear(4, 2)
    )
    model.append(parametrizations.spectral_norm(nn.Linear(2, 3)))
    trace = capture(model, tmp_path / "t", [torch.randn(5, 4)])
    assert [gemm.layer for gemm in trace.workload.gemms] == ["0", "2", "3"]
    live = [o for o in trace.graph.operators if not o.folded]
    assert [o.kind for o in live] == ["gemm", "relu", "gemm", "gemm"]
    assert {o.folded for o in trace.graph.operators if o.gemm and o.record is None} == {"weight × weight"}


def test_complex_and_whole_numbers_are_counted_apart(tmp_path):
    class Net(nn.Module):
        def forward(self, x):
            spectrum = torch.fft.rfft(x) @ torch.ones(5, 5, dtype=torch.complex64)
            places = (x > 0).long() @ torch.arange(8)
            return spectrum.real.sum() + places.sum()

    trace = capture(Net(), tmp_path / "t", [torch.randn(3, 8)])
    assert len(trace) == 0
    assert sorted(o.elements for o in trace.graph.operators if o.kind == "other" and o.elements in (75, 24)) == [
        24,
        75,
    ]


def test_a_cache_is_a_state_that_is_written(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("keys", torch.zeros(1, 2, 8, 4))

        def forward(self, x):
            self.keys[:, :, 5:6] = x
            return x @ self.keys.transpose(-2, -1)

    graph = capture(Net(), tmp_path / "t", [torch.randn(1, 2, 1, 4)]).graph
    cache = one(graph, "cache")
    assert graph.tensor("keys").source == "state"
    assert cache.inputs == (Access("keys", 64), Access("input.0", 8))
    assert one(graph, "gemm").inputs[1].tensor == cache.output


def test_an_old_trace_has_no_graph_and_a_damaged_one_is_said_so(tmp_path):
    import json

    path = tmp_path / "t"
    capture(nn.Linear(3, 4), path, [torch.randn(2, 3)])
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "graph.json").write_bytes((path / "graph.json").read_bytes().replace(b"gemm", b"germ"))
    with pytest.raises(TraceError, match=r"graph\.json: CRC-32 of the graph must be [0-9a-f]{8}, got '"):
        _ = load_trace(path).workload
    manifest = {key: value for key, value in manifest.items() if key not in ("graph", "causal", "crc32")} | {
        "schema": 1
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    assert load_trace(path).graph is None
    assert load_trace(path).workload.graph is None
    assert math.prod(load_trace(path)[0].a.values.shape) == 6

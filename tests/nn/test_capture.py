"""Capture: every product, with the operands that the model consumed, and the layer that asked for it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from hwsim.errors import ArgumentError, CaptureError, ModelError, StorageError
from hwsim.nn import capture
from hwsim.nn.capturing import spread
from hwsim.trace import load_trace


class Zoo(nn.Module):
    """One of each: linear with and without bias, convolution, attention three ways, batched and folded products."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(6, 8, 3, stride=2, padding=2, dilation=2, groups=2)
        self.linear = nn.Linear(8, 16)
        self.multihead = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 5, bias=False)

    def forward(self, x):
        x = functional.relu(self.conv(x)).transpose(1, 2)
        x = torch.tanh(self.linear(x))
        q = x.unflatten(-1, (4, 4)).transpose(1, 2)
        x = x + functional.scaled_dot_product_attention(q, q, q, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.multihead(x, x, x, need_weights=False)[0]
        x = x + torch.einsum("btc,bsc->bts", x, x).softmax(-1) @ x
        return self.head(x)


def zoo():
    torch.manual_seed(0)
    return Zoo()


def test_forward_is_whole_and_named(tmp_path):
    model, x = zoo(), torch.randn(2, 6, 11)
    trace = capture(model, tmp_path / "t", [x])
    # torch does not count the fused attention of CPUs
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert trace.workload.macs * 2 == counter.get_total_flops()
    found = [(g.layer, g.op, g.batch, g.m, g.n, g.k, g.b_role) for g in trace.workload.gemms]
    assert found == [
        ("conv", "convolution", 2, 12, 4, 9, "weight"),
        ("linear", "linear", 1, 12, 16, 8, "weight"),
        ("qk", "attention", 8, 6, 6, 4, "activation"),
        ("pv", "attention", 8, 6, 4, 6, "activation"),
        ("multihead", "linear", 1, 12, 48, 16, "weight"),
        ("multihead.qk", "attention", 4, 6, 6, 8, "activation"),
        ("multihead.pv", "attention", 4, 6, 8, 6, "activation"),
        ("multihead", "linear", 1, 12, 16, 16, "weight"),
        ("", "matmul", 2, 6, 6, 16, "activation"),
        ("", "matmul", 2, 6, 16, 6, "activation"),
        ("head", "linear", 1, 12, 5, 16, "weight"),
    ]


def test_operands_give_the_layers_results(tmp_path):
    model, x = zoo(), torch.randn(2, 6, 11)
    results = {}
    for name in ("conv", "linear", "head"):
        model.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: results.update({name: o}))
    trace = capture(model, tmp_path / "t", [x])
    first = {gemm.layer: gemm for gemm in reversed(list(trace.gemms()))}
    conv, linear, head = (
        torch.from_numpy(first[name].a.values.copy()) @ torch.from_numpy(first[name].b.values.copy()).mT
        for name in ("conv", "linear", "head")
    )
    conv = conv.reshape(2, 2, 6, 4).permute(1, 0, 3, 2).reshape(2, 8, 6) + model.conv.bias[:, None]
    # float32 sums in another order than the library's
    torch.testing.assert_close(conv, results["conv"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(linear[0].reshape(2, 6, 16) + model.linear.bias, results["linear"])
    torch.testing.assert_close(head[0].reshape(2, 6, 5), results["head"])
    np.testing.assert_array_equal(first["linear"].b.values[0], model.linear.weight.detach().numpy())


MODEL_FILE = """
import torch
from torch import nn
{body}
def build():
    torch.manual_seed(0)
    return {build}
def batches():
    torch.manual_seed(1)
    for _ in range({count}):
        yield {batch}
def loss(model, batch):
    return model(batch).square().mean()
"""


def model_file(folder: Path, build: str, batch: str, body: str = "", count: int = 1) -> str:
    path = folder / "model.py"
    path.write_text(MODEL_FILE.format(body=body, build=build, batch=batch, count=count))
    return str(path)


CONVOLUTIONS = {
    "plain": ("nn.Conv2d(3, 4, 3)", "torch.randn(2, 3, 7, 6)"),
    "strided": ("nn.Conv2d(3, 4, (3, 2), stride=(2, 3), padding=(1, 0))", "torch.randn(2, 3, 9, 8)"),
    "dilated": ("nn.Conv1d(3, 4, 3, dilation=3, padding=4)", "torch.randn(2, 3, 17)"),
    "same": ("nn.Conv1d(3, 4, 4, padding='same')", "torch.randn(2, 3, 17)"),
    "grouped": ("nn.Conv2d(6, 4, 3, groups=2)", "torch.randn(2, 6, 7, 6)"),
    "depthwise": ("nn.Conv2d(6, 6, 3, groups=6)", "torch.randn(2, 6, 7, 6)"),
    "volume": ("nn.Conv3d(2, 3, 2)", "torch.randn(2, 2, 4, 3, 5)"),
    "unbatched": ("nn.Conv1d(3, 4, 3)", "torch.randn(3, 17)"),
    "transposed": (
        "nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1)",
        "torch.randn(2, 4, 5, 4)",
    ),
    "transposed_grouped": ("nn.ConvTranspose1d(4, 6, 3, stride=2, groups=2, dilation=2)", "torch.randn(2, 4, 5)"),
}


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_convolutions_forward_and_backward(tmp_path, kind):
    build, batch = CONVOLUTIONS[kind]
    # two layers, so that the second has a gradient of its input too; the sum of both is what torch counts
    body = f"class Two(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.one = {build}\n"
    body += "        self.scale = nn.Parameter(torch.ones(1))\n"
    body += "    def forward(self, x):\n        return self.one(x * self.scale)\n"
    trace = capture(model_file(tmp_path, "Two()", batch, body), tmp_path / "t", backward=True)
    phases = {gemm.phase: gemm for gemm in trace.gemms()}
    assert sorted(phases) == ["dgrad", "forward", "wgrad"]
    assert all(gemm.layer == "one" and gemm.op == "convolution" for gemm in trace.gemms())
    assert len({gemm.macs for gemm in trace.gemms()}) == 1
    assert [phases[phase].a.role for phase in ("forward", "dgrad", "wgrad")] == ["activation", "gradient", "gradient"]
    assert [phases[phase].b.role for phase in ("forward", "dgrad", "wgrad")] == ["weight", "weight", "activation"]
    # the operands of wgrad give the weight's gradient
    namespace = {}
    exec(Path(tmp_path / "model.py").read_text(), namespace)
    model = namespace["build"]()
    namespace["loss"](model, next(iter(namespace["batches"]()))).backward()
    gemm = phases["wgrad"]
    product = torch.from_numpy(gemm.a.values @ gemm.b.values.transpose(0, 2, 1))
    wanted = model.one.weight.grad
    if "transposed" in kind:
        groups = gemm.batch
        product = product.reshape(groups, wanted.shape[1], *wanted.shape[2:], -1).movedim(-1, 1)
    torch.testing.assert_close(product.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5)  # order of addition


def test_backward_of_linear_and_attention(tmp_path):
    body = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(4, 6)
        self.two = nn.Linear(6, 3, bias=False)
    def forward(self, x):
        y = self.one(x).relu()
        y = nn.functional.scaled_dot_product_attention(y, y, y)
        return self.two(y @ y.transpose(1, 2) @ y)
"""
    path = model_file(tmp_path, "Net()", "torch.randn(2, 5, 4)", body, count=2)
    trace = capture(path, tmp_path / "t", backward=True)
    step = [gemm for gemm in trace.gemms() if gemm.step == 0]
    assert len(trace) == 2 * len(step)
    forward = [gemm for gemm in step if gemm.phase == "forward"]
    backward = [gemm for gemm in step if gemm.phase != "forward"]
    assert [(g.layer, g.op) for g in forward] == [
        ("one", "linear"),
        ("qk", "attention"),
        ("pv", "attention"),
        ("", "matmul"),
        ("", "matmul"),
        ("two", "linear"),
    ]
    found = sorted((g.layer, g.op, g.phase, g.a.role, g.b.role) for g in backward)
    assert found == sorted(
        [
            ("two", "linear", "dgrad", "gradient", "weight"),
            ("two", "linear", "wgrad", "gradient", "activation"),
            *[("", "matmul", "dgrad", "gradient", "activation")] * 4,
            *[("pv", "attention", "dgrad", "gradient", "activation")] * 2,
            *[("qk", "attention", "dgrad", "gradient", "activation")] * 2,
            ("one", "linear", "wgrad", "gradient", "activation"),
        ]
    )
    assert sum(g.macs for g in backward) == 2 * sum(g.macs for g in forward) - forward[0].macs  # no dgrad of data


@pytest.mark.parametrize(
    "run",
    [
        "with torch.inference_mode(): y = self.net(x)",
        "with torch.autocast('cpu', torch.bfloat16): y = self.net(x)",
        "y = torch.utils.checkpoint.checkpoint(self.net, x, use_reentrant=False)",
        "y = self.net(x)",
    ],
)
def test_other_ways_to_run_a_layer(tmp_path, run):
    body = f"""
import torch.utils.checkpoint
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    def forward(self, x):
        {run}
        return y
"""
    trace = capture(model_file(tmp_path, "Net()", "torch.randn(2, 5, 4)", body), tmp_path / "t")
    assert [(g.layer, g.macs, g.b.role) for g in trace.gemms()] == [
        ("net.0", 240, "weight"),
        ("net.2", 180, "weight"),
    ]
    if "autocast" in run:
        assert trace.entries[0]["a"]["dtype"] == "bfloat16"


def test_a_checkpointed_layer_runs_forward_twice(tmp_path):
    body = """
import torch.utils.checkpoint
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 4)
    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(lambda y: self.inner(y).tanh(), x, use_reentrant=False)
"""
    trace = capture(model_file(tmp_path, "Net()", "torch.randn(5, 4)", body), tmp_path / "t", backward=True)
    assert [(g.layer, g.phase) for g in trace.gemms()] == [
        ("inner", "forward"),
        ("inner", "forward"),
        ("inner", "wgrad"),
    ]


def test_a_custom_function_keeps_layer_and_phase(tmp_path):
    body = """
class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w.round().t()
    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w.round(), g.t() @ x
class Layer(nn.Linear):
    def forward(self, x):
        return Straight.apply(x, self.weight)
"""
    build = "nn.Sequential(nn.Linear(4, 4), Layer(4, 3))"
    trace = capture(model_file(tmp_path, build, "torch.randn(5, 4)", body), tmp_path / "t", backward=True)
    found = [(g.layer, g.phase, g.b.role) for g in trace.gemms()]
    assert found == [
        ("0", "forward", "weight"),
        ("1", "forward", "weight"),
        ("1", "dgrad", "weight"),
        ("1", "wgrad", "activation"),
        ("0", "wgrad", "activation"),
    ]


def test_recurrent_layers_are_unfolded(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTM(4, 8, batch_first=True)

        def forward(self, x):
            return self.cell(x)[0]

    trace = capture(Net(), tmp_path / "t", [torch.randn(2, 3, 4)])
    assert trace.workload.macs == 2 * 3 * (4 * 32 + 8 * 32)
    assert torch._C._get_mkldnn_enabled()


class Hidden(nn.Module):
    """A product that no table takes apart."""

    def __init__(self, product):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3))
        self.product = product

    def forward(self, x):
        return self.product(x, self.weight)


def _bytes(x, w):
    return torch._int_mm(x.to(torch.int8), w.to(torch.int8).T)


@pytest.mark.parametrize(
    ("product", "rule"),
    [
        (_bytes, "operator must be one whose matrix products can be seen, got 'aten._int_mm'"),
        (lambda x, w: torch._trilinear(x, w[:2], x, [], [], [], []), "got 'aten._trilinear'"),
        (lambda x, w: torch.sparse.mm(w.to_sparse(), x.T), "tensors must be dense, got 'torch.sparse_coo in"),
        (lambda x, w: torch.mm(x.to_sparse(), w.T), "tensors must be dense, got 'torch.sparse_coo in"),
    ],
)
def test_an_operator_that_hides_its_products_is_an_error(tmp_path, product, rule):
    with pytest.raises(CaptureError, match=re.escape(rule)):
        capture(Hidden(product), tmp_path / "t", [torch.randn(2, 3)])


TAKEN_APART = {  # function of x [6, 16] and a weight, its shape, shapes of the products
    "bilinear": (lambda x, w: nn.functional.bilinear(x, x, w), (5, 16, 16), [(1, 6, 80, 16), (6, 5, 1, 16)]),
    "addbmm": (lambda x, w: torch.addbmm(torch.zeros(3, 4), x.view(2, 3, 16), w), (2, 16, 4), [(1, 3, 4, 32)]),
    "addr": (lambda x, w: torch.addr(torch.zeros(16, 4), x[0], w), (4,), [(1, 16, 4, 1)]),
    "cdist": (torch.cdist, (40, 16), [(1, 6, 40, 16)]),
    "grouped": (
        lambda x, w: nn.functional.grouped_mm(x, w, offs=torch.tensor([2, 6], dtype=torch.int32)), (2, 16, 8),
        [(1, 2, 8, 16), (1, 4, 8, 16)],
    ),
    "conv_tbc": (lambda x, w: torch.conv_tbc(x.view(6, 1, 16), w, torch.zeros(4)), (1, 16, 4), [(1, 6, 4, 16)]),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN_APART)
def test_functions_that_hide_products_are_taken_apart(tmp_path, name):
    function, shape, products = TAKEN_APART[name]

    class Free(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(*shape))

        def forward(self, x):
            return function(x, self.weight)

    trace = capture(Free(), tmp_path / "t", [torch.randn(6, 16)])
    assert [(g.batch, g.m, g.n, g.k) for g in trace.workload.gemms] == products


def test_a_missed_product_is_an_error(tmp_path, monkeypatch):
    from hwsim.nn import products

    monkeypatch.delitem(products._TABLE, torch.ops.aten.bmm)
    rule = "recorded of those torch counts: aten.bmm: 0 of 75"
    with pytest.raises(CaptureError, match=re.escape(rule)):
        capture(Product(), tmp_path / "t", [torch.randn(1, 5, 3)])


class Product(nn.Module):
    def forward(self, x):
        return x @ x.transpose(1, 2)


def test_a_product_with_the_weight_first_is_turned(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(7, 4))

        def forward(self, x):
            return self.weight @ x

    model = Net()
    trace = capture(model, tmp_path / "t", [torch.randn(4, 5)])
    gemm = trace[0]
    assert (gemm.m, gemm.n, gemm.k, gemm.b.role) == (5, 7, 4, "weight")
    np.testing.assert_array_equal(gemm.b.values[0], model.weight.detach().numpy())


def test_the_model_is_as_it_was(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Dropout(), nn.Flatten(), nn.Linear(24, 3))
    model[2].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    batch, wrong = torch.randn(2, 2, 8), torch.randn(2, 2, 80)
    state = torch.get_rng_state()
    capture(model, tmp_path / "t", [batch])
    with pytest.raises(RuntimeError, match="shape"):
        capture(model, tmp_path / "u", [wrong])
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert model[4].weight.grad is None
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.equal(state, torch.get_rng_state())


def test_backward_leaves_buffers_and_gradients_alone(tmp_path):
    build = "nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Dropout(), nn.Flatten(), nn.Linear(24, 3))"
    path = model_file(tmp_path, build, "torch.randn(2, 2, 8)")
    one = capture(path, tmp_path / "one", backward=True, seed=3)
    two = capture(path, tmp_path / "two", backward=True, seed=3)
    assert one.digest == two.digest
    assert capture(path, tmp_path / "three", backward=True, seed=4).digest != one.digest  # dropout


def test_sampling_keeps_runs_of_neighbours(tmp_path):
    assert spread(10, None, 16).tolist() == list(range(10))
    assert spread(100, 32, 16).tolist() == [*range(16), *range(84, 100)]
    assert spread(100, 5, 16).tolist() == [0, 1, 2, 3, 4]
    assert spread(9, 3, 1).tolist() == [0, 4, 8]
    model = nn.Linear(6, 300)
    x = torch.randn(500, 6)
    gemm = capture(model, tmp_path / "t", [x], max_rows=64)[0]
    rows = spread(500, 64, 16)
    assert (gemm.m, gemm.n, gemm.a.rows_total, gemm.b.rows_total) == (500, 300, 500, 300)
    assert gemm.a.is_sampled
    np.testing.assert_array_equal(gemm.a.values[0], x[rows].numpy())
    assert gemm.b.values.shape == (1, 64, 6)
    sampled = capture(Product(), tmp_path / "u", [torch.randn(9, 40, 6)], max_rows=32)[0]
    assert sampled.a.values.shape == sampled.b.values.shape == (2, 16, 6)
    assert (sampled.batch, sampled.a.rows_total) == (9, 360)


def test_a_new_trace_replaces_the_old_one_when_it_is_whole(tmp_path):
    out = tmp_path / "t"
    old = capture(nn.Linear(3, 4), out, [torch.randn(2, 3)]).digest
    with pytest.raises(CaptureError):
        capture(Hidden(_bytes), out, [torch.randn(2, 3)])
    assert load_trace(out).digest == old
    new = capture(nn.Linear(3, 4), out, [torch.randn(2, 3)])
    assert new.digest != old
    assert sorted(path.name for path in tmp_path.rglob("*")) == [
        ".hwsim",
        "a-graph.json",
        "a-seg-00000.bin",
        "a-seg-00000.jsonl",
        "manifest.json",
        "t",
    ]


def test_a_compiled_model_and_a_cached_cast_are_seen_through(tmp_path):
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(5, 4)
    compiled = torch.compile(model, backend="eager")
    compiled(x)
    with torch.autocast("cpu", torch.bfloat16):
        model(x)  # leaves casts of the weights in autocast's cache
        trace = capture(compiled, tmp_path / "t", [x])
    assert [(gemm.layer, gemm.b.role) for gemm in trace.gemms()] == [
        ("0", "weight"),
        ("2", "weight"),
    ]


def test_mistakes_are_one_line(tmp_path):
    linear = nn.Linear(3, 4)
    with pytest.raises(ModelError, match="Linear: batches must be given with a module"):
        capture(linear, tmp_path / "t")
    with pytest.raises(CaptureError, match="Linear: there must be at least one batch"):
        capture(linear, tmp_path / "t", [])
    with pytest.raises(ArgumentError, match="max_rows must be at least 1, got 0"):
        capture(linear, tmp_path / "t", [], max_rows=0)
    with pytest.raises(ModelError, match="must define loss"):
        capture(linear, tmp_path / "t", [torch.randn(2, 3)], backward=True)
    with pytest.raises(CaptureError, match=r"float32, bfloat16 or float16, got 'torch\.float64'"):
        capture(nn.Linear(3, 4).double(), tmp_path / "v", [torch.randn(2, 3).double()])
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="folder must be writable"):
        capture(linear, tmp_path / "file" / "t", [torch.randn(2, 3)])
    with torch.no_grad():
        linear.weight[1, 2] = float("nan")
    with pytest.raises(ModelError, match="Linear: weights must be finite, weight holds 1 NaN or infinite values"):
        capture(linear, tmp_path / "w", [torch.randn(2, 3)])


class Angles(nn.Module):
    """Takes a sine of its input, then multiplies."""

    def __init__(self):
        super().__init__()
        self.up = nn.Linear(16, 8)

    def forward(self, x):
        return self.up(x.sin())


@pytest.mark.parametrize(("scale", "left"), [(1.0, None), (1e6, ["sin"])])
def test_a_trace_names_what_torch_computed_in_an_order_of_its_own(tmp_path, scale, left):
    x = torch.arange(32.0).reshape(2, 16) * scale  # angles beyond 10^5 are not reduced by hwsim
    trace = capture(Angles(), tmp_path / "t", [x])
    assert json.loads((trace.path / "manifest.json").read_text()).get("left_to_torch") == left

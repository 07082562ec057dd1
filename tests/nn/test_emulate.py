"""Emulation: each product of a forward on the policy's arithmetic, and nothing else changed."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils import checkpoint

from hwsim import load_accelerator, quant
from hwsim.arch import Policy
from hwsim.errors import ArgumentError, DesignError, UnknownName
from hwsim.nn import capture, emulate, meta_workload, policy_of


class Only:
    """A policy of one arithmetic for some layers, which notes what it was asked."""

    def __init__(self, numerics, layers=None):
        self.numerics, self.layers, self.asked = numerics, layers, []

    def for_gemm(self, layer, b_role):
        self.asked.append((layer, b_role))
        return self.numerics if self.layers is None or layer in self.layers else None


class Exact:
    """Numerics that multiply in float32: what remains is the plumbing."""

    key = "exact"

    def prepare_b(self, b, role):
        return b

    def gemm(self, a, b, b_role):
        assert a.dtype == b.dtype == np.float32
        return (torch.from_numpy(a) @ torch.from_numpy(np.ascontiguousarray(b)).mT).numpy()

    def gemms(self, a, b):
        return np.stack([self.gemm(one, other, "activation") for one, other in zip(a, b, strict=True)])


class Doubled(Exact):
    key = "doubled"

    def gemm(self, a, b, b_role):
        return 2 * super().gemm(a, b, b_role)


class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(6, 8, 3, stride=2, padding=2, dilation=2, groups=2)
        self.up = nn.ConvTranspose1d(8, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.linear = nn.Linear(4, 16)
        self.multihead = nn.MultiheadAttention(16, 2, batch_first=True)
        self.first = nn.Parameter(torch.randn(5, 16))

    def forward(self, x):
        x = self.up(functional.relu(self.conv(x))).transpose(1, 2)
        x = torch.tanh(self.linear(x))
        q = x.unflatten(-1, (4, 4)).transpose(1, 2)
        x = x + functional.scaled_dot_product_attention(q, q, q, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.multihead(x, x, x)[0]
        x = torch.einsum("btc,bsc->bts", x, x).softmax(-1) @ x
        y = torch.stack([self.first @ some.mT for some in x])
        return torch.baddbmm(y[:, :1, :1], y, x, beta=0.5, alpha=2)


CONVOLUTIONS = [
    (nn.Conv2d(3, 4, (3, 2), stride=(2, 3), padding=(1, 0)), (2, 3, 9, 8)),
    (nn.Conv2d(6, 6, 3, groups=6, dilation=2, bias=False), (2, 6, 9, 8)),
    (nn.Conv3d(2, 3, 2, padding=1), (2, 2, 4, 3, 5)),
    (nn.Conv1d(3, 4, 3), (3, 17)),
    (nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=1, output_padding=1, dilation=(1, 2)), (2, 4, 5, 4)),
    (nn.ConvTranspose2d(4, 6, 3, stride=(1, 3), groups=2, bias=False), (2, 4, 5, 4)),
    (nn.ConvTranspose3d(2, 3, 2, stride=2), (1, 2, 3, 2, 2)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS, ids=lambda value: str(value)[:60])
def test_a_convolution_is_put_together_again(layer, shape):
    torch.manual_seed(0)
    x = torch.randn(*shape)
    wanted = layer(x)
    with emulate(layer, policy=Only(Exact())):
        found = layer(x)
    assert found.dtype == wanted.dtype
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)  # float32 sums in another order


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_every_product_is_put_together_again(mode):
    torch.manual_seed(0)
    model, x = Everything().eval(), torch.randn(2, 6, 11)
    policy = Only(Exact())
    with mode():
        wanted = model(x)
        with emulate(model, policy=policy):
            found = model(x)
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)  # float32 sums in another order
    assert policy.asked == [
        ("conv", "weight"),
        ("up", "weight"),
        ("linear", "weight"),
        ("qk", "activation"),
        ("pv", "activation"),
        ("multihead", "weight"),
        ("multihead.qk", "activation"),
        ("multihead.pv", "activation"),
        ("multihead", "weight"),
        ("", "activation"),
        ("", "activation"),
        ("", "weight"),
        ("", "weight"),
        ("", "activation"),
    ]


def test_what_is_asked_is_what_a_capture_names(tmp_path):
    model, x = Everything(), torch.randn(2, 6, 11)
    policy = Only(None)
    with emulate(model, policy=policy), torch.no_grad():
        model(x)
    trace = capture(model, tmp_path / "t", [x])
    assert policy.asked == [
        (gemm.layer, "weight" if gemm.b_role == "weight" else "activation") for gemm in trace.workload.gemms
    ]


def test_a_layer_left_in_float32_keeps_its_bits():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 4)), torch.randn(3, 8)
    with torch.no_grad():
        inner, wanted = model[0](x), model(x)
        with emulate(model, policy=Only(Doubled(), {"1"})):
            found = model(x)
        with emulate(model, policy=Only(None)):
            assert torch.equal(model(x), wanted)
    torch.testing.assert_close(found, 2 * (inner @ model[1].weight.mT) + model[1].bias)


def test_a_linear_layer_is_the_numerics_of_its_operands_bit_by_bit():
    torch.manual_seed(0)
    layer, x = nn.Linear(64, 24), torch.randn(3, 5, 64)
    policy = policy_of("nvfp4")
    with torch.no_grad(), emulate(layer, "nvfp4"):
        found = layer(x)
    product = policy.default.gemm(x.reshape(15, 64).numpy(), layer.weight.detach().numpy(), "weight")
    wanted = torch.from_numpy(product) + layer.bias
    assert torch.equal(found.reshape(15, 24).view(torch.int32), wanted.detach().view(torch.int32))


def test_attention_products_are_quantized_head_by_head():
    torch.manual_seed(0)

    class Attend(nn.Module):
        def forward(self, q, k, v):
            return functional.scaled_dot_product_attention(q, k, v, scale=1.0)

    q, k, v = torch.randn(3, 2, 4, 16, 32)
    numerics = policy_of("mxfp4").default
    with emulate(Attend(), "mxfp4") as emulation:
        found = emulation.model(q, k, v)
    for batch in range(2):
        for head in range(4):
            place = batch, head
            scores = numerics.gemm(q[place].numpy(), k[place].numpy(), "activation")
            weights = torch.from_numpy(scores).softmax(-1)
            wanted = numerics.gemm(weights.numpy(), v[place].mT.contiguous().numpy(), "activation")
            np.testing.assert_array_equal(found[place].numpy(), wanted)


def test_gradients_are_products_of_the_same_unit_bit_by_bit():
    torch.manual_seed(0)
    model, x = nn.Linear(32, 8, bias=False), torch.randn(4, 32, requires_grad=True)
    g = torch.randn(4, 8)
    with emulate(model, "int4"):
        model(x).backward(g)
    numerics = policy_of("int4").default
    w, values = model.weight.detach().numpy(), x.detach().numpy()
    dx = numerics.gemm(g.numpy(), np.ascontiguousarray(w.T), "weight")
    dw = numerics.gemm(np.ascontiguousarray(g.numpy().T), np.ascontiguousarray(values.T), "activation")
    np.testing.assert_array_equal(x.grad.numpy(), dx)
    np.testing.assert_array_equal(model.weight.grad.numpy(), dw)


def test_a_model_trains_on_emulated_arithmetic():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))
    x = torch.randn(256, 16)
    y = (x[:, 0] * x[:, 1] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    with emulate(model, "int4"):
        for _ in range(60):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_weights_are_quantized_once_and_again_when_they_change():
    class Counting(Exact):
        prepared = 0

        def prepare_b(self, b, role):
            Counting.prepared += 1
            return super().prepare_b(b, role)

    model, x = nn.Linear(8, 4), torch.randn(3, 8)
    with torch.no_grad(), emulate(model, policy=Only(Counting())):
        model(x)
        model(x)
        assert Counting.prepared == 1
        model.weight.data[0, 0] += 1  # below the version counter
        torch.testing.assert_close(model(x), x @ model.weight.mT + model.bias)
        assert Counting.prepared == 2


def test_only_this_model_is_emulated():
    one, other = nn.Linear(8, 4), nn.Linear(8, 4)
    x = torch.randn(3, 8)
    with torch.no_grad():
        wanted, gram, doubled = other(x), x @ x.T, functional.linear(x, 2 * one.weight, one.bias)
        with emulate(one, policy=Only(Doubled())) as run:
            assert torch.equal(other(x), wanted)
            assert torch.equal(x @ x.T, gram)  # a loss
            assert run.coverage().asked == 0
            torch.testing.assert_close(one(x), doubled)
            torch.testing.assert_close(functional.linear(x, one.weight, one.bias), doubled)  # its weight elsewhere
            assert run.coverage().emulated == 2 * 3 * 8 * 4


def test_the_model_is_as_it_was_even_after_an_error():
    model, x = Everything().eval(), torch.randn(2, 6, 11)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wanted = model(x)
    with pytest.raises(RuntimeError), emulate(model, "int8"):
        model(torch.randn(2, 5, 11))
    assert torch.equal(model(x), wanted)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_half_precision_results_keep_their_type():
    model, x = nn.Linear(8, 4), torch.randn(3, 8)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted = model(x)
        with emulate(model, policy=Only(Exact())):
            found = model(x)
    assert found.dtype == wanted.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted)


REFUSED = {  # schemes of training that no unit multiplies as they are
    "nvfp4.fp4atw": r"scales must be factors, blackwell\.nvfp4 divides by none",
    "fp8.e4m3.tile128": r"hopper\.e4m3 multiplies no block scales",
    "fp8.e4m3.block128": r"hopper\.e4m3 multiplies no block scales",
}


@pytest.mark.parametrize("name", [n for n in quant.names() if not n.startswith("mxint8") and n != "fp32"])
def test_every_scheme_with_a_unit_has_a_policy(name):
    if name in REFUSED:
        with pytest.raises(DesignError, match=REFUSED[name]):
            policy_of(name)
        return
    policy = policy_of(name)
    assert quant.get(name) in (policy.default.weight, policy.default.activation)


def test_recipes():
    machine = load_accelerator("edge-nvfp4")
    assert policy_of(machine) is machine.policy
    assert policy_of(machine.policy) is machine.policy
    assert policy_of("edge-nvfp4").key == machine.policy.key
    assert policy_of("nvfp4").key == policy_of("nvfp4.te").key
    assert isinstance(policy_of("ternary"), Policy)
    with pytest.raises(UnknownName, match=re.escape("recipe must be one of nvfp4")):
        policy_of("nvpf4")
    with pytest.raises(
        ArgumentError, match=r"recipe must be a scheme's name, a Policy or an Accelerator, got 'int'$"
    ):
        policy_of(4)
    with pytest.raises(ArgumentError, match=r"recipe must be a scheme that a unit multiplies, got 'mxint8\.rceil'$"):
        policy_of("mxint8.rceil")
    with pytest.raises(ArgumentError, match=r"emulate: either recipe or policy must be given$"), emulate(nn.ReLU()):
        pass


def test_a_workload_is_the_shapes_of_a_capture(tmp_path):
    model, x = Everything().eval(), torch.randn(2, 6, 11)
    workload = meta_workload(model, [x])
    assert workload.gemms == capture(model, tmp_path / "t", [x]).workload.gemms
    assert workload.name == "Everything"
    assert not next(model.parameters()).is_meta


def test_a_model_larger_than_memory_has_a_workload():
    class Large(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(*[nn.Linear(65536, 65536, bias=False) for _ in range(16)])

        def forward(self, x):
            return self.layers(x)

    workload = meta_workload(Large, [torch.empty(2, 65536)])
    assert workload.macs == 2 * 16 * 65536**2  # 256 GiB of weights
    assert [gemm.layer for gemm in workload.gemms[:2]] == ["layers.0", "layers.1"]


class Into(nn.Module):
    """A product that is written into memory that exists."""

    def __init__(self, write):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 4))
        self.write = write

    def forward(self, x):
        return self.write(x, self.weight)


WRITES = {
    "mm": lambda x, w: torch.mm(x, w.T, out=torch.full((5, 6), torch.nan)),
    "matmul": lambda x, w: torch.matmul(x, w.T, out=torch.empty(0)),
    "addmm": lambda x, w: torch.addmm(torch.zeros(6), x, w.T, out=torch.full((5, 6), torch.nan)),
    "bmm": lambda x, w: torch.bmm(x[None], w.T[None], out=torch.full((1, 5, 6), torch.nan))[0],
    "addmm_": lambda x, w: torch.zeros(5, 6).addmm_(x, w.T),
    "baddbmm_": lambda x, w: torch.zeros(1, 5, 6).baddbmm_(x[None], w.T[None])[0],
    "addmv_": lambda x, w: torch.stack([torch.zeros(6).addmv_(w, row) for row in x]),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_product_that_is_written_in_place_is_emulated(name, tmp_path):
    torch.manual_seed(0)
    model, x = Into(WRITES[name]), torch.randn(5, 4)
    plain = Into(lambda x, w: torch.stack([row[None] @ w.T for row in x])[:, 0] if name == "addmv_" else x @ w.T)
    plain.weight = model.weight
    with torch.no_grad(), emulate(model, "nvfp4"):
        found = model(x)
    with torch.no_grad(), emulate(plain, "nvfp4"):
        wanted = plain(x)
    assert torch.equal(found, wanted)
    assert not torch.equal(found, plain(x))
    assert capture(model, tmp_path / "t", [x]).workload.macs == 5 * 6 * 4


@torch.library.custom_op("hwsim_tests::twice", mutates_args=())
def twice(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.mm(x, w.T) * 2


@torch.library.custom_op("hwsim_tests::both", mutates_args=())
def both(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.cat((twice(x, w), torch.nn.functional.linear(x, w)))


@torch.library.custom_op("hwsim_tests::batched", mutates_args=())
def batched(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    return torch.bmm(x[None], w.T[None])[0]


@pytest.mark.parametrize(("operator", "count"), [(twice, 1), (both, 2), (batched, 1)])
def test_products_inside_a_custom_operator_are_seen(operator, count, tmp_path):
    torch.manual_seed(0)
    model, x = Into(operator), torch.randn(5, 4)
    plain = Into(operator._init_fn if operator is not both else lambda x, w: torch.cat((x @ w.T * 2, x @ w.T)))
    plain.weight = model.weight
    with torch.no_grad(), emulate(model, "nvfp4"):
        found = model(x)
    with torch.no_grad(), emulate(plain, "nvfp4"):
        assert torch.equal(found, plain(x))
    assert not torch.equal(found, model(x))
    assert capture(model, tmp_path / "t", [x]).workload.macs == count * 5 * 6 * 4


COPIES = [copy.deepcopy, torch.optim.swa_utils.AveragedModel, lambda model: pickle.loads(pickle.dumps(model))]


@pytest.mark.parametrize("copied", COPIES)
def test_a_model_can_be_copied_in_the_block(copied, tmp_path):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(5, 4)
    with torch.no_grad(), emulate(model, "nvfp4"):
        model(x)
        other = copied(model)
        torch.save(model, tmp_path / "model")
        emulated = model(x)
    with torch.no_grad():
        assert torch.equal(other(x), model(x))
        assert not torch.equal(emulated, model(x))
        assert torch.equal(torch.load(tmp_path / "model", weights_only=False)(x), model(x))


def _reentrant(block, x):
    return checkpoint.checkpoint(block, x, use_reentrant=True)


def _preserved(block, x):
    return checkpoint.checkpoint(block, x, use_reentrant=False)


def _segments(block, x):
    return checkpoint.checkpoint_sequential(block, 2, x, use_reentrant=False)


@pytest.mark.parametrize("again", [_reentrant, _preserved, _segments])
def test_recomputation_is_emulated_like_the_forward(again):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(16, 16)
            self.block = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh())
            self.run = lambda block, x: block(x)

        def forward(self, x):
            return self.run(self.block, self.first(x)).square().mean()

    torch.manual_seed(0)
    model, x = Net(), torch.randn(5, 16)
    gradients = []
    for run in (lambda block, x: block(x), again):
        model.run = run
        model.zero_grad()
        with emulate(model, "nvfp4"):
            model(x).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    model.zero_grad()
    model(x).backward()
    assert not torch.equal(gradients[0][0], model.first.weight.grad)


class Beside(nn.Module):
    """A linear layer, and arithmetic that is not the network's."""

    def __init__(self, other):
        super().__init__()
        self.linear = nn.Linear(8, 8, bias=False)
        self.register_buffer("fixed", torch.randn(3, 8))
        self.other = other

    def forward(self, x):
        return self.linear(x), self.other(self, x)


NOT_THE_NETWORKS = {
    "complex matrix": (
        "complex",
        24,
        lambda m, x: torch.view_as_complex(x.reshape(3, 4, 2)) @ torch.ones(4, 2, dtype=torch.complex64),
    ),
    "complex vector": ("complex", 15, lambda m, x: torch.fft.rfft(x) @ torch.ones(5, dtype=torch.complex64)),
    "complex batch": ("complex", 45, lambda m, x: torch.bmm(torch.fft.rfft(x)[None], torch.fft.rfft(x)[None].mT)),
    "places": ("index", 24, lambda m, x: (x > 0).long() @ torch.arange(8)),
    "offsets": ("index", 32, lambda m, x: torch.arange(739, 743)[:, None].expand(4, 8) @ torch.arange(8)),
    "counts": ("index", 72, lambda m, x: (x > 0).int() @ (x < 1).int().T),
    "angles": ("positions", 600, lambda m, x: m.fixed[:, :1] @ torch.arange(200)[None].float()),
    "angles of vectors": ("positions", 24, lambda m, x: m.fixed @ torch.arange(8).float()),
    "decay": ("positions", 120, lambda m, x: torch.arange(15).reshape(5, 3).to(torch.float32) @ m.fixed),
    "mixed weights": ("weight × weight", 192, lambda m, x: m.fixed @ m.linear.weight),
    "norm": ("weight × weight", 64, lambda m, x: m.linear.weight @ m.linear.weight[0]),
    "gram": ("weight × weight", 512, lambda m, x: m.linear.weight.T @ m.linear.weight),
}


@pytest.mark.parametrize("name", NOT_THE_NETWORKS)
def test_what_is_not_the_networks_is_left_alone_and_counted(name):
    reason, macs, other = NOT_THE_NETWORKS[name]
    torch.manual_seed(0)
    model, x = Beside(other), torch.randn(3, 8)
    with torch.no_grad(), emulate(model, "nvfp4") as emulation:
        linear, found = model(x)
    assert torch.equal(found, model(x)[1])
    assert not torch.equal(linear, model(x)[0])
    assert emulation.model is model
    assert emulation.coverage().left == {("", reason): macs}
    assert (emulation.coverage().asked, emulation.coverage().emulated) == (macs + 192, 192)

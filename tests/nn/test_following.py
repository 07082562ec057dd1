"""Emulation follows execution: into backward passes, recomputation, threads, methods, copies and transforms."""

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils import checkpoint

from hwsim import quant, recipes
from hwsim.errors import ArgumentError, CaptureError
from hwsim.nn import emulate, policy_of
from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection

STOCHASTIC = Recipe("stochastic", "", "", recipes.get("nvidia-nvfp4").layer)
"""NVIDIA's three GEMMs on every layer, so that small models have something random."""


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 32), nn.Linear(32, 8)
    )


def gradients(run, recipe=STOCHASTIC, seed=3, after=False, model=None):
    """Gradients of all parameters and of the input for ``run(model, x)``, backward in the block or after it."""
    model = mlp() if model is None else model
    x = torch.linspace(-2, 2, 96).reshape(6, 16).requires_grad_()
    with emulate(model, recipe, seed=seed):
        loss = run(model, x).square().sum()
        if not after:
            loss.backward()
    if after:
        loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters()] + [x.grad]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _nested(model, x):
    def inner(y):
        return checkpoint.checkpoint(model[2:], model[:2](y), use_reentrant=False)

    return checkpoint.checkpoint(inner, x, use_reentrant=False)


RECOMPUTED = {
    "reentrant": lambda model, x: checkpoint.checkpoint(model, x, use_reentrant=True),
    "preserved": lambda model, x: checkpoint.checkpoint(model, x, use_reentrant=False),
    "segments": lambda model, x: checkpoint.checkpoint_sequential(model, 3, x, use_reentrant=False),
    "reentrant segments": lambda model, x: checkpoint.checkpoint_sequential(model, 2, x, use_reentrant=True),
    "one inside of another": _nested,
    "a part": lambda model, x: model[3:](checkpoint.checkpoint(model[:3], x, use_reentrant=True)),
}


@pytest.mark.parametrize("after", [False, True], ids=["in the block", "after it"])
@pytest.mark.parametrize("name", RECOMPUTED)
def test_recomputation_gives_the_same_bits_with_stochastic_rounding(name, after):
    plain = gradients(lambda model, x: model(x))
    assert same(plain, gradients(RECOMPUTED[name], after=after))
    assert not same(plain, gradients(lambda model, x: model(x), seed=4))


def test_two_micro_batches_recomputed_in_another_order_keep_their_noise():
    def run(again):
        def forward(model, x):
            first = again(model, x)
            second = again(model, 0.5 * x)  # its recomputation comes first
            return first + second

        return gradients(forward)

    plain = run(lambda model, x: model(x))
    assert same(plain, run(lambda model, x: checkpoint.checkpoint(model, x, use_reentrant=False)))
    assert same(plain, run(lambda model, x: checkpoint.checkpoint(model, x, use_reentrant=True)))


def test_steps_micro_batches_and_uses_of_a_layer_draw_different_noise():
    layer = nn.Linear(32, 32, bias=False)
    x, g = torch.randn(64, 32), torch.randn(64, 32)

    def grad(times):
        layer.zero_grad()
        for _ in range(times):
            layer(x).backward(g)
        return layer.weight.grad.clone()

    optimizer = torch.optim.SGD(layer.parameters(), lr=0.0)
    with emulate(layer, STOCHASTIC) as run:
        one = grad(1)
        assert not torch.equal(one, grad(1))  # the second micro-batch of the step
        optimizer.step()
        second = grad(1)
        assert run.step == 1
        run.step = 0
        assert torch.equal(one, grad(1))
        run.step = 1
        assert torch.equal(second, grad(1))
    assert not torch.equal(one, second)


def test_whatever_runs_a_part_of_the_model_runs_emulated():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(16, 16)
            self.free = nn.Parameter(torch.randn(16, 4))

        def encode(self, x):
            return self.inner(x) @ self.free

        def mixed(self, x):
            return torch.einsum("bi,bj->ij", self.encode(x), x)

        def forward(self, x):
            return self.encode(x)

    torch.manual_seed(0)
    model, x, found = Net(), torch.randn(6, 16), {}
    with torch.no_grad(), emulate(model, "nvfp4") as run:
        wanted = model(x)
        found["method"] = model.encode(x)
        found["forward itself"] = model.forward(x)
        found["its parts"] = model.inner(x) @ model.free
        thread = threading.Thread(target=lambda: found.update(thread=torch.no_grad()(model)(x)))
        thread.start()
        thread.join()
        found["copy"] = copy.deepcopy(model)(x)
        macs = 6 * 16 * 20
        assert (run.coverage().asked, run.coverage().emulated) == (6 * macs, 6 * macs)
        assert not torch.equal(model.mixed(x), wanted.T @ x)
        assert run.coverage().emulated == 7 * macs + 4 * 16 * 6
    for name, value in found.items():
        assert torch.equal(value, wanted), name
    assert not torch.equal(wanted, model(x))


def test_a_compiled_exported_or_mapped_model_gives_the_same_bits():
    model, x = mlp(), torch.randn(6, 16)
    exported, compiled = torch.export.export(model, (x,)).module(), torch.compile(model, backend="eager")
    with torch.no_grad(), emulate(model, "nvfp4"):
        wanted = model(x)
        assert torch.equal(compiled(x), wanted)
        assert torch.equal(torch.func.vmap(model)(x), wanted)
    for other in (exported, compiled, torch.optim.swa_utils.AveragedModel(model)):
        with torch.no_grad(), emulate(other, "nvfp4"):
            assert torch.equal(other(x), wanted)


def test_functional_gradients_are_those_of_the_tape():
    model, x = mlp(), torch.randn(6, 16)
    with emulate(model, STOCHASTIC) as run:
        model(x).square().sum().backward()
        run.step = 0
        loss = lambda weights: torch.func.functional_call(model, weights, (x,)).square().sum()  # noqa: E731
        found = torch.func.grad(loss)({name: value.detach() for name, value in model.named_parameters()})
    for name, parameter in model.named_parameters():
        assert torch.equal(found[name], parameter.grad), name


def test_gradients_of_each_sample_cover_every_product():
    model, x = mlp(), torch.randn(6, 16)
    weights = {name: value.detach() for name, value in model.named_parameters()}
    with emulate(model, STOCHASTIC) as run:
        loss = lambda weights, row: torch.func.functional_call(model, weights, (row[None],)).sum()  # noqa: E731
        found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    assert found["0.weight"].shape == (6, 32, 16)
    part = run.coverage().phases
    forward = 6 * (16 * 32 + 32 * 16 + 16 * 32 + 32 * 8)
    assert part["forward"].emulated == part["wgrad"].emulated == part["wgrad"].asked == forward
    assert part["dgrad"].emulated == forward - 6 * 16 * 32  # x needs no gradient


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w.T

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w, g.T @ x


class Turned(Own):
    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return (w.T @ g.T).T, (x.T @ g).T


class Late(Own):
    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return torch.mm(g, w), torch.einsum("bo,bi->oi", g, x)


@pytest.mark.parametrize("function", [Own, Turned, Late])
@pytest.mark.parametrize("recipe", [STOCHASTIC, "int8", recipes.get("mxfp8")], ids=["nvfp4", "int8", "mxfp8"])
def test_a_backward_of_the_models_own_is_followed(function, recipe):
    class Net(nn.Module):
        def __init__(self, product):
            super().__init__()
            torch.manual_seed(1)
            self.weight = nn.Parameter(torch.randn(32, 16))
            self.product = product

        def forward(self, x):
            return self.product(x, self.weight)

    plain = gradients(lambda model, x: model(x), recipe, model=Net(functional.linear))
    model = Net(function.apply)
    assert same(plain, gradients(lambda model, x: model(x), recipe, model=model))


def test_coverage_by_phase_names_what_is_left():
    model = nn.Sequential(mlp(), nn.Linear(8, 4))
    recipe = STOCHASTIC.keeping(Selection(names=("1",)))
    with emulate(model, recipe) as run:
        model(torch.randn(6, 16)).sum().backward()
    inner, head = 6 * (16 * 32 + 32 * 16 + 16 * 32 + 32 * 8), 6 * 8 * 4
    parts = run.coverage().phases
    assert {name: part.left for name, part in parts.items()} == {name: {("1", "recipe"): head} for name in parts}
    assert [part.emulated for part in parts.values()] == [inner, inner - 6 * 16 * 32, inner]
    assert [part.asked for part in parts.values()] == [inner + head, inner + head - 6 * 16 * 32, inner + head]
    assert run.coverage().left == {("1", "recipe"): 3 * head}


def test_a_layer_left_by_the_recipe_keeps_every_bit_forward_and_backward():
    x = torch.randn(6, 16)
    plain, left = mlp(), mlp()
    plain(x).sum().backward()
    with emulate(left, recipes.get("mxfp8").keeping(Selection(names=("*",)))) as run:
        left(x).sum().backward()
    assert same([p.grad for p in plain.parameters()], [p.grad for p in left.parameters()])
    assert run.coverage().emulated == 0
    assert run.coverage().asked == sum(part.asked for part in run.coverage().phases.values()) > 0


class Free(nn.Module):
    """A function of an input and a weight."""

    def __init__(self, function, *shape):
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(*shape))
        self.function = function

    def forward(self, x):
        return self.function(x, self.weight)


VISIBLE = {  # function of x [6, 16] and a weight, its shape, and multiply-accumulates
    "bilinear": (lambda x, w: functional.bilinear(x, x, w), (5, 16, 16), 6 * 16 * 80 + 6 * 5 * 16),
    "addbmm": (lambda x, w: torch.addbmm(torch.ones(3, 4), x.view(2, 3, 16), w, beta=2), (2, 16, 4), 6 * 16 * 4),
    "addbmm_": (lambda x, w: torch.ones(3, 4).addbmm_(x.view(2, 3, 16), w), (2, 16, 4), 6 * 16 * 4),
    "addr": (lambda x, w: torch.addr(torch.ones(16, 4), x[0], w, alpha=2), (4,), 64),
    "cdist": (torch.cdist, (40, 16), 6 * 40 * 16),
    "einsum of heads": (lambda x, w: torch.einsum("bi,hio->bho", x, w), (3, 16, 4), 6 * 16 * 12),
    "einsum with an ellipsis": (lambda x, w: torch.einsum("...i,oi", x.view(2, 3, 16), w), (4, 16), 6 * 16 * 4),
    "einsum of three": (lambda x, w: torch.einsum("bi,io,bo->b", x, w, x[:, :4]), (16, 4), 6 * 16 * 4 + 6 * 4),
    "tensordot": (lambda x, w: torch.tensordot(x.view(6, 4, 4), w, ([1, 2], [0, 1])), (4, 4, 5), 6 * 16 * 5),
    "inner": (torch.inner, (4, 16), 6 * 16 * 4),
    "multi_dot": (lambda x, w: torch.linalg.multi_dot([x, w, x[:, :4].T]), (16, 4), 6 * 16 * 4 + 6 * 4 * 6),
    "conv_tbc": (lambda x, w: torch.conv_tbc(x.view(6, 1, 16), w, torch.zeros(4), 1), (3, 16, 4), 6 * 48 * 4),
    "grouped": (
        lambda x, w: functional.grouped_mm(x, w, offs=torch.tensor([2, 2, 6], dtype=torch.int32)), (3, 16, 8),
        6 * 16 * 8,
    ),
    "gathered experts": (
        lambda x, w: torch.bmm(w[torch.tensor([0, 1, 1, 0, 2, 2])], x[..., None])[..., 0], (3, 4, 16), 6 * 16 * 4,
    ),
    "chosen experts": (
        lambda x, w: (x[:, None] @ w.index_select(0, torch.tensor([0, 1, 1, 0, 2, 2])))[:, 0], (3, 16, 4), 6 * 16 * 4,
    ),
    "rows of a vector": (lambda x, w: torch.mv(x, w), (16,), 96),
    "same padding": (lambda x, w: functional.conv1d(x.view(6, 4, 4), w, padding="same"), (8, 4, 3), 6 * 4 * 12 * 8),
    "grouped convolution": (
        lambda x, w: functional.conv2d(x.view(6, 4, 2, 2), w, groups=2, padding=1, stride=2), (8, 2, 2, 2),
        6 * 4 * 8 * 8,
    ),
    "three dimensions": (lambda x, w: functional.conv3d(x.view(6, 2, 2, 2, 2), w), (3, 2, 2, 1, 2), 6 * 2 * 8 * 3),
    "back again": (
        lambda x, w: functional.conv_transpose2d(x.view(6, 4, 2, 2), w, stride=2, output_padding=1), (4, 3, 3, 3),
        6 * 4 * 4 * 27,
    ),
}  # fmt: skip


class Float32:
    """Numerics that only multiply."""

    key = "float32"
    multiplies_activations = True

    def for_gemm(self, layer, b_role):
        return self

    def prepare_b(self, b, role):
        return b

    def gemm(self, a, b, b_role):
        return (torch.from_numpy(a) @ torch.from_numpy(np.ascontiguousarray(b)).mT).numpy()

    def gemms(self, a, b):
        return np.stack([self.gemm(one, other, "activation") for one, other in zip(a, b, strict=True)])


@pytest.mark.parametrize("name", VISIBLE)
def test_what_hides_products_is_put_together_again_with_its_gradients(name):
    function, shape, macs = VISIBLE[name]
    results = []
    for policy in (None, Float32()):
        model, x = Free(function, *shape), torch.linspace(-1, 1, 96).reshape(6, 16).sin().requires_grad_()
        if policy is None:
            y = model(x)
        else:
            with emulate(model, policy=policy) as run:
                y = model(x)
        y.square().sum().backward()
        results.append((y.detach(), model.weight.grad, x.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-5)  # float32 sums in another order
    parts = run.coverage().phases
    assert parts["forward"].asked == parts["forward"].emulated == macs
    assert run.coverage().asked == run.coverage().emulated == 3 * macs or name in ("bilinear", "einsum of three",
                                                                                   "multi_dot")  # fmt: skip


def test_experts_that_are_gathered_are_weights_and_rows_of_a_table_are_not():
    asked = []

    class Asking(Float32):
        def for_gemm(self, layer, b_role):
            asked.append(b_role)
            return self

    def rows(x, w):
        return w[(x[:3, 0] > 0).long()] @ x[:2].T

    def looked_up(x, w):
        return functional.embedding((x[:3] > 0).long(), w)[0] @ x.T

    cases = [VISIBLE["gathered experts"][:2], VISIBLE["chosen experts"][:2], (rows, (3, 16)), (looked_up, (3, 16))]
    for function, shape in cases:
        model = Free(function, *shape)
        with torch.no_grad(), emulate(model, policy=Asking()):
            model(torch.randn(6, 16))
    assert asked == ["weight", "weight", "activation", "activation"]


class Recurrent(nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        torch.manual_seed(0)
        self.net = kind(16, 8, **options)

    def forward(self, x):
        out = self.net(x.view(2, 3, 16) if isinstance(self.net, nn.RNNBase) else x)
        return out[0] if isinstance(out, tuple) else out


RECURRENT = [
    (nn.LSTM, {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    (nn.LSTM, {"proj_size": 4}),
    (nn.GRU, {"bias": False}),
    (nn.RNN, {"nonlinearity": "relu"}),
    (nn.LSTMCell, {}),
    (nn.GRUCell, {}),
    (nn.RNNCell, {"nonlinearity": "relu"}),
]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize(("kind", "options"), RECURRENT)
def test_recurrent_layers_are_put_together_again_with_their_gradients(kind, options):
    x, results = torch.linspace(-1, 1, 96).reshape(6, 16), []
    for policy in (None, Float32()):
        model = Recurrent(kind, **options)
        if policy is None:
            y = model(x)
        else:
            with emulate(model, policy=policy) as run:
                y = model(x)
        y.square().sum().backward()
        results.append([y.detach(), *(parameter.grad for parameter in model.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)  # float32 sums in another order
    assert run.coverage().asked == run.coverage().emulated > 0


def _dynamic(model):
    return torch.ao.quantization.quantize_dynamic(nn.Sequential(model), {nn.Linear})


REFUSED = {  # what is emulated, the input, part of the message
    "sparse weight": (lambda: Free(lambda x, w: torch.sparse.mm(w.to_sparse(), x.T), 4, 16), "aten._sparse_addmm"),
    "compressed weight": (lambda: Free(lambda x, w: functional.linear(x, w.to_sparse_csr()), 4, 16), "sparse_csr"),
    "sparse input": (lambda: Free(lambda x, w: torch.sparse.mm(x.to_sparse(), w.T), 4, 16), "aten._sparse_addmm"),
    "dynamic quantization": (lambda: _dynamic(nn.Linear(16, 4)), "quantized.linear_dynamic"),
    "traced": (lambda: torch.jit.trace(nn.Linear(16, 4), torch.zeros(1, 16)), "scripted or traced"),
    "traced with children": (lambda: torch.jit.trace(mlp(), torch.zeros(1, 16)), "scripted or traced"),
    "scripted": (lambda: torch.jit.script(nn.Linear(16, 4)), "scripted or traced"),
    "scores of one's own": (lambda: Flex(), "flex_attention"),
}


class Flex(nn.Module):
    def forward(self, x):
        from torch.nn.attention.flex_attention import flex_attention

        return flex_attention(*[x.view(1, 1, 6, 16)] * 3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_one_line_that_says_the_way_out(name):
    make, what = REFUSED[name]
    model, x = make(), torch.randn(6, 16)
    wanted = model(x)
    with torch.no_grad(), emulate(model, "nvfp4"), pytest.raises(CaptureError, match=f"leave its layer out.*{what}"):
        model(x)
    float32 = Recipe("none", "", "", Layer())
    with torch.no_grad(), emulate(model, float32) as run:
        torch.testing.assert_close(model(x), wanted)
    assert run.coverage().emulated == 0
    assert run.coverage().left


@pytest.mark.filterwarnings("ignore:`torch.jit.*:DeprecationWarning")
def test_a_copy_that_hides_its_products_and_a_trace_in_the_block_are_refused():
    model, x = mlp(), torch.randn(6, 16)
    traced = torch.jit.trace(model, x)
    with torch.no_grad(), emulate(model, "nvfp4"):
        with pytest.raises(CaptureError, match="scripted or traced module: emulate the one that it was made from"):
            traced(x)
        with pytest.raises(CaptureError, match="must be traced, scripted or exported outside of the block"):
            torch.jit.trace(model, x)
        with pytest.raises(CaptureError, match=r"emulation must have numbers; hwsim\.nn\.meta_workload"):
            model.to("meta")(x.to("meta"))


def test_what_torch_refuses_it_refuses_in_its_own_words():
    for layer, x in (
        (nn.Linear(16, 4), torch.randn(6, 15)),
        (nn.Linear(16, 4), torch.randn(6, 16).double()),
        (nn.Conv2d(3, 4, 3), torch.randn(1, 2, 8, 8)),
        (nn.Conv1d(3, 4, 3), torch.randn(1, 3, 2)),
    ):
        with pytest.raises(RuntimeError) as plain:
            layer(x)
        with pytest.raises(RuntimeError) as found, emulate(layer, "nvfp4"):
            layer(x)
        assert str(found.value) == str(plain.value)


def test_an_empty_batch_and_double_precision_keep_shape_and_type():
    for layer, x in ((nn.Conv2d(3, 4, 3), torch.randn(0, 3, 8, 8)), (nn.Linear(16, 4), torch.randn(0, 16))):
        with emulate(layer, "nvfp4") as run:
            layer(x).sum().backward()
        assert run.coverage().asked == 0
    double = nn.Linear(16, 4).double()
    x = torch.randn(6, 16).double()
    with emulate(double, "nvfp4"):
        y = double(x)
        y.sum().backward()
    assert y.dtype == double.weight.grad.dtype == torch.float64
    wanted = policy_of("nvfp4").default.gemm(x.float().numpy(), double.weight.detach().float().numpy(), "weight")
    torch.testing.assert_close(y - double.bias, torch.from_numpy(wanted).double(), rtol=1e-6, atol=1e-6)


def test_emulated_gradients_have_no_gradients():
    model = mlp()
    with emulate(model, STOCHASTIC):
        (grad,) = torch.autograd.grad(model(torch.randn(6, 16)).sum(), model[0].weight, create_graph=True)
        with pytest.raises(RuntimeError, match="emulated gradients are rounded and must not be differentiated again"):
            grad.sum().backward()


def test_autocast_rounds_operands_before_they_are_quantized():
    model, x = nn.Linear(16, 4), torch.randn(6, 16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), emulate(model, "nvfp4"):
        found = model(x)
    operands = x.bfloat16().float().numpy(), model.weight.detach().bfloat16().float().numpy()
    product = torch.from_numpy(policy_of("nvfp4").default.gemm(*operands, "weight"))
    assert torch.equal(found, (product + model.bias.bfloat16().float()).bfloat16())
    asked = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), emulate(model, STOCHASTIC) as run:
        model(x)
        asked.append((run.coverage().emulated, run.coverage().left))
    assert asked == [(6 * 16 * 4, {})]  # a weight that is cast is a weight


def test_the_unit_and_its_values_differ_only_in_how_sums_round():
    x = torch.randn(6, 64)
    for recipe in ("nvidia-nvfp4", "mxfp8"):
        found = {}
        for exact in ("float32", "unit", {"fprop": "unit"}):
            torch.manual_seed(0)
            model = nn.Sequential(nn.Linear(64, 32), nn.Linear(32, 32))
            with emulate(model, Recipe("all", "", "", recipes.get(recipe).layer), exact=exact):
                y = model(x)
                y.sum().backward()
            found[str(exact)] = y.detach(), model[0].weight.grad
        close, unit, mixed = found.values()
        for one, other in zip(close, unit, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
        assert torch.equal(unit[0], mixed[0])


def test_a_stochastic_scheme_has_its_seed():
    layer, x = nn.Linear(64, 8), torch.randn(5, 64)
    found = []
    for seed in (0, 0, 1):
        with torch.no_grad(), emulate(layer, "nvfp4.te_sr", seed=seed):
            found.append(layer(x))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_mistakes_in_the_call_are_told_before_anything_runs():
    unquantized = Recipe("half", "", "", Layer(Gemm(Operand("nvfp4.te"), Operand())))
    for rule, options in (
        ("both operands must be quantized for a unit", {"recipe": unquantized, "exact": "unit"}),
        ("exact must be None, float32, unit or a datapath", {"recipe": "nvidia-nvfp4", "exact": "units"}),
        ("either recipe or policy must be given", {}),
        ("seed must be a natural number", {"recipe": "nvfp4", "seed": -1}),
    ):
        with pytest.raises(ArgumentError, match=rule), emulate(mlp(), **options):
            pass


def test_a_schedule_lifts_gemms_at_its_step():
    layer = nn.Linear(32, 8, bias=False)
    x, optimizer = torch.randn(4, 32), torch.optim.SGD(layer.parameters(), lr=0.0)
    forward = []
    with emulate(layer, Recipe("r", "", "", STOCHASTIC.layer, schedule=(recipes.Change(0.5, ("fprop",)),)), steps=4):
        for _ in range(4):
            y = layer(x)
            y.sum().backward()
            optimizer.step()
            forward.append(y.detach())
    quantized = (
        quant.fake_quantize(x.numpy(), "nvfp4.te")
        @ quant.fake_quantize(layer.weight.detach().numpy(), "nvfp4.te_2d").T
    )
    for step, y in enumerate(forward):
        wanted = torch.from_numpy(quantized) if step < 2 else x @ layer.weight.detach().T
        torch.testing.assert_close(y, wanted)


def test_layers_are_selected_by_kind_and_place():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Linear(8, 8)
            self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)) for _ in range(4))
            self.norm = nn.LayerNorm(8)
            self.head = nn.Linear(8, 8)

        def forward(self, x):
            x = self.stem(x)
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    def left(where):
        recipe = Recipe("r", "", "", STOCHASTIC.layer, rules=(Rule(where),))
        with torch.no_grad(), emulate(model, recipe) as run:
            model(torch.randn(2, 8))
        return sorted(layer for layer, _ in run.coverage().left)

    model = Net()
    assert left(Selection(kinds=("head",))) == ["head"]
    assert left(Selection(kinds=("embedding", "head"))) == ["head", "stem"]
    assert left(Selection(first=1)) == ["blocks.0.0", "blocks.0.1"]
    assert left(Selection(last=2)) == [f"blocks.{i}.{j}" for i in (2, 3) for j in (0, 1)]
    assert left(Selection(last=0.15)) == ["blocks.3.1"]  # of eight layers
    assert left(Selection(names=("*.1",))) == [f"blocks.{i}.1" for i in range(4)]

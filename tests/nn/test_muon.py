"""Muon: bit for bit torch's in bfloat16, the definition in float64, and what low precision leaves of it."""

import pytest
import torch

from hwsim.arch import load_accelerator
from hwsim.errors import ArgumentError, UnknownName
from hwsim.nn import Muon, newton_schulz
from hwsim.nn.muon import products


def matrix(rows, columns, seed=0):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def test_in_bfloat16_every_bit_is_torchs():
    ours, theirs = (
        [torch.nn.Parameter(matrix(*shape)) for shape in ((32, 48), (48, 16), (16, 16))] for _ in range(2)
    )
    optimizers = (
        Muon(ours, lr=0.02, weight_decay=0.01, arithmetic="bfloat16"),
        torch.optim.Muon(theirs, lr=0.02, weight_decay=0.01),
    )
    for step in range(3):
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            for number, parameter in enumerate(parameters):
                parameter.grad = matrix(*parameter.shape, seed=10 * step + number)
            optimizer.step()
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24)])
def test_in_float32_it_is_the_polynomial_of_the_singular_values(shape):
    g = matrix(*shape)
    u, s, vt = torch.linalg.svd(g.double(), full_matrices=False)
    s = s / s.norm()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    torch.testing.assert_close(newton_schulz(g, "float32").double(), (u * s) @ vt, atol=2e-5, rtol=0)


def falling(size):
    """A matrix with the singular values 1 / i, and UVᵀ."""
    u, v = (torch.linalg.qr(matrix(size, size, seed).double())[0] for seed in (1, 2))
    return ((u / torch.arange(1, size + 1)) @ v.T).float(), (u @ v.T).float()


def test_fewer_bits_leave_what_a_first_look_had_left():
    """Cosines of one 256 x 256 matrix with σ = 1 / i, measured before this code was written; other singular vectors
    change the last digit."""
    g, wanted = falling(256)
    first = {"float32": 0.984, "bfloat16": 0.984, "int8.channel": 0.981, "mxfp8.e4m3.rceil": 0.979, "nvfp4.te": 0.939}
    for name, cosine in first.items():
        x = newton_schulz(g, name)
        assert float((x * wanted).sum() / x.norm() / wanted.norm()) == pytest.approx(cosine, abs=0.005), name


def test_the_last_iterations_in_float32_and_a_unit_bit_by_bit():
    g, _ = falling(64)
    exact, low = newton_schulz(g, "float32"), newton_schulz(g, "nvfp4.te")
    torch.testing.assert_close(newton_schulz(g, "nvfp4.te", last=5), exact, atol=1e-5, rtol=0)  # of sums' order
    assert (newton_schulz(g, "nvfp4.te", last=3) - exact).norm() < 0.2 * (low - exact).norm()
    once, on_unit = (
        newton_schulz(g, one, steps=1) for one in ("nvfp4.te", load_accelerator("edge-nvfp4").policy.default)
    )
    # the unit adds the same products in another order and cuts below its 35 fraction bits: a code here and there
    assert 0 < (on_unit - once).norm() < 0.02 * once.norm()
    assert torch.equal(newton_schulz(g, "nvfp4.te_sr", seed=3), newton_schulz(g, "nvfp4.te_sr", seed=3))
    assert not torch.equal(newton_schulz(g, "nvfp4.te_sr", seed=3), newton_schulz(g, "nvfp4.te_sr", seed=4))


def test_products_of_a_step():
    assert products(192, 576) == [(192, 192, 576), (192, 192, 192), (192, 576, 192)] * 5


def test_what_cannot_be_orthogonalized_is_refused():
    with pytest.raises(ArgumentError, match=r"newton_schulz: matrix must have two axes, got \(3,\)"):
        newton_schulz(torch.zeros(3))
    with pytest.raises(UnknownName, match="scheme"):
        newton_schulz(torch.zeros(3, 3), "fp3")

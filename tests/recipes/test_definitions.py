"""Each recipe's three GEMMs, bit by bit, against its definition written again: slow quantizers, plain transposes.

A definition takes x ``[M, K]``, w ``[N, K]``, g ``[M, N]`` and what was drawn, and gives the operands of y = x wᵀ,
dx = g w and dw = gᵀ x as ``(a, b)`` with the contraction last, or what they multiply to. Quantizers are the scalar
references; Hadamard matrices are `quant.hadamard`, which has tests of its own.
"""

import numpy as np
import pytest
import torch

from hwsim import quant, recipes
from hwsim.nn.arithmetic import ByRecipe, Seeds
from hwsim.nn.noise import Ticket
from hwsim.quant import reference, reference_training
from hwsim.quant.engine import noise_integers, random_noise
from hwsim.quant.layout import layout

F = np.float32
M, N, K = 64, 96, 128
TICKET = Ticket("blocks.0.up", 3, 0, 0)


def data():
    rng = np.random.default_rng(11)
    x = rng.standard_normal((M, K)).astype(F)
    x[:, 7] *= 20  # a hot channel
    w = (0.1 * rng.standard_normal((N, K))).astype(F)
    g = (1e-3 * rng.standard_normal((M, N)) * np.exp(rng.standard_normal((M, N)))).astype(F)
    return x, w, g


def drawn(gemm, operand):
    return Seeds(5).draw(TICKET, gemm, operand, 0)


def q(x, scheme, seed=None, amax=None):
    """The slow definition of a scheme, there and back."""
    scheme = quant.get(scheme)
    x = np.ascontiguousarray(x)
    noise = random_noise(scheme, seed, layout(x.shape, scheme, -1))
    noise = None if noise is None else noise_integers(noise, scheme)
    return reference.dequantize(reference.quantize(x, scheme, -1, None if amax is None else F(amax), noise))


def sr(scheme, bits=24, **fields):
    from dataclasses import replace

    return replace(quant.get(scheme), rounding="sr", sr_bits=bits, **fields)


def signs(gemm, size):
    words = quant.random_words(drawn(gemm, "a").shared, size)
    return np.where(words & 1, F(-1), F(1))


def padded(x, multiple):
    return np.pad(x, ((0, 0), (0, -x.shape[1] % multiple)))


def nvidia(x, w, g, gradient="nvfp4.te_sr", rotated="nvidia", taken=q):
    turn = (lambda t: quant.hadamard(t, 16)) if rotated else (lambda t: t)
    w_hat = taken(w, "nvfp4.te_2d")
    return (
        (taken(x, "nvfp4.te"), w_hat),
        (q(g, gradient, drawn("dgrad", "a").seed), w_hat.T),
        (q(turn(g.T), gradient, drawn("wgrad", "a").seed), taken(turn(x.T), "nvfp4.te")),
    )


def headroom(x, w, g):
    return nvidia(x, w, g, sr("nvfp4.te", element_bound=96 / 17))


def ngpt(x, w, g):
    return nvidia(x, w, g, rotated=None, taken=lambda t, scheme: q(t, scheme, amax=1.0))


def all_the_way(x, w, g):
    r, s = "nvfp4.fp4atw", sr("nvfp4.fp4atw")
    return (
        (q(x, r), q(w, r)),
        (q(g, s, drawn("dgrad", "a").seed), q(w.T, r)),
        (q(g.T, s, drawn("wgrad", "a").seed), q(x.T, s, drawn("wgrad", "b").seed)),
    )


def quartet(x, w, g):
    def h(t):
        return quant.hadamard(t, 32, None)

    (x_hat, x_kept), (w_hat, w_kept) = reference_training.quest(h(x)), reference_training.quest(h(w))

    def home(gemm, gradient, copy, kept):
        product = times(*(three_quarters(gemm, side, t, 32) for side, t in (("a", gradient), ("b", copy))))
        return quant.hadamard(np.where(kept, product, F(0)), 32, None, inverse=True)

    return (
        (x_hat, w_hat),
        home("dgrad", g, w_hat.T, x_kept),
        home("wgrad", g.T, x_hat.T, w_kept),
    )


def three_quarters(gemm, side, t, size):
    turned = quant.hadamard(padded(np.ascontiguousarray(t), size), size, signs(gemm, size))
    words = quant.random_words(drawn(gemm, side).seed, turned.size).reshape(turned.shape)
    return reference_training.three_quarters(turned, words)


def quartet2(x, w, g, scheme="nvfp4.te"):
    x_hat, w_hat = q(x, scheme), q(w, scheme)

    def eden(gemm, side, t):
        turned = quant.hadamard(np.ascontiguousarray(t), 32, signs(gemm, 32))
        words = quant.random_words(drawn(gemm, side).seed, turned.size // 16).reshape(len(turned), -1)
        return reference_training.eden(turned, words)

    return (
        (x_hat, w_hat),
        (eden("dgrad", "a", g), eden("dgrad", "b", w_hat.T)),
        (eden("wgrad", "a", g.T), eden("wgrad", "b", x_hat.T)),
    )


def tetrajet2(x, w, g):
    x_hat, w_hat = reference_training.double_block(x), reference_training.double_block(w)

    def back(gemm, side, t):
        turned = quant.hadamard(padded(np.ascontiguousarray(t), 128), 16)
        words = quant.random_words(drawn(gemm, side).seed, turned.size).reshape(turned.shape)
        return reference_training.double_block(turned, words)

    return (
        (x_hat, w_hat),
        (back("dgrad", "a", g), back("dgrad", "b", w_hat.T)),
        (back("wgrad", "a", g.T), back("wgrad", "b", x_hat.T)),
    )


def four_over_six(x, w, g):
    better, gradient = "nvfp4.te_4over6", "nvfp4.te_sr"
    turned = [quant.hadamard(np.ascontiguousarray(t.T), 16) for t in (g, x)]
    return (
        (q(x, better), q(w, better)),
        (q(g, gradient, drawn("dgrad", "a").seed), q(w.T, better)),
        (q(turned[0], gradient, drawn("wgrad", "a").seed), q(turned[1], "nvfp4.te")),
    )


def chon(x, w, g):
    (x_hat, w_hat), *backward = nvidia(x, w, g)
    lost = np.linalg.norm((x - x_hat).astype(np.float64), axis=0) * np.linalg.norm(w.astype(np.float64), axis=0)
    hot = np.sort(np.argsort(-lost)[: K // 16])
    assert 7 in hot
    left = np.concatenate([x_hat, (x - x_hat)[:, hot], x_hat[:, hot]], axis=1)
    right = np.concatenate([w_hat, w_hat[:, hot], (w - w_hat)[:, hot]], axis=1)
    return (left, right), *backward


def metis(x, w, g):
    def split(t, seed=None):
        t = np.ascontiguousarray(t)
        u, s, v = quant.leading(t, 16)
        base = "nvfp4.te" if seed is None else "nvfp4.te_sr"
        parts = [q(one, base, seed and (seed + n) % 2**64) for n, one in enumerate((u, v.T, t - (u * s) @ v.T), 1)]
        return (parts[0] * s) @ parts[1] + parts[2]

    return (
        (split(x), split(w)),
        (split(g, drawn("dgrad", "a").seed), split(w.T)),
        (split(g.T, drawn("wgrad", "a").seed), split(x.T)),
    )


def plain(forward, backward=None, weight=None):
    backward, weight = backward or forward, weight or forward
    return lambda x, w, g: (
        (q(x, forward), q(w, weight)),
        (q(g, backward), q(w.T, weight)),
        (q(g.T, backward), q(x.T, forward)),
    )


def tseng(x, w, g):
    return (
        (x, w),
        (three_quarters("dgrad", "a", g, 64), three_quarters("dgrad", "b", w.T, 64)),
        (three_quarters("wgrad", "a", g.T, 64), three_quarters("wgrad", "b", x.T, 64)),
    )


def power_of_two(t, seed):
    """LUQ with seven powers: stochastic on 0, α, 2α, ... 64 α = max |t|, one float64 division an element."""
    top = np.abs(t).max()
    alpha = np.float64(top) / 64
    ratio = np.abs(t).astype(np.float64) / F(alpha)
    low = np.where(ratio < 1, 0, 2.0 ** np.floor(np.log2(np.maximum(ratio, 1))))
    high = np.where(low == 0, 1, 2 * low)
    words = quant.random_words(seed, t.size).reshape(t.shape).astype(np.float64)
    up = words + np.floor((ratio - low) / (high - low) * 2**32) >= 2**32
    return (np.sign(t) * np.minimum(np.where(up, high, low), 64) * np.float64(F(alpha))).astype(F)


def int4(t):
    t64 = t.astype(np.float64)
    step = F((12.1 * np.sqrt((t64**2).mean()) - 12.2 * np.abs(t64).mean()) / 7)
    return np.clip(np.rint(t / step), F(-7), F(7)) * step


def luq(x, w, g):
    return (
        (int4(x), int4(w)),
        (power_of_two(g, drawn("dgrad", "a").seed), int4(w).T),
        (power_of_two(np.ascontiguousarray(g.T), drawn("wgrad", "a").seed), int4(x).T),
    )


def luq_smp2(x, w, g):
    forward, dgrad, (_, copy) = luq(x, w, g)
    seed, t = drawn("wgrad", "a").seed, np.ascontiguousarray(g.T)
    draws = [quant.quantize_luq(t, n_levels=7, seed=seed, stream=s).dequantize().astype(np.float64) for s in (0, 1)]
    return forward, dgrad, ((sum(draws) / 2).astype(F), copy)


def two_of_four(t, seed):
    """At most two of four stay, with p_i = min(1, c |t_i|), the p adding up to 2, as t_i / p_i; a sieve of
    distance 1 draws."""
    out = np.zeros_like(t)
    words = quant.random_words(seed, t.size // 4)
    for number, (group, kept) in enumerate(zip(t.reshape(-1, 4), out.reshape(-1, 4), strict=True)):
        size, p = np.abs(group).astype(np.float64), np.zeros(4)
        sure = size >= size.sum() - size  # one towers over the rest together: it stays, one more is drawn
        p[sure] = 1
        p[~sure] = (2 - sure.sum()) * size[~sure] / size[~sure].sum()
        line, point = np.concatenate([[0], np.cumsum(p)]), words[number] * 2.0**-32
        for i in range(4):
            if np.ceil(line[i + 1] - point) > np.ceil(line[i] - point) or p[i] == 1:
                kept[i] = group[i] / p[i]
    return out


def mvue(x, w, g):
    turned = np.ascontiguousarray(g.T)
    return (
        (x, w),
        (two_of_four(g, drawn("dgrad", "a mask").seed), w.T),
        (two_of_four(turned, drawn("wgrad", "a mask").seed), x.T),
    )


def mvue_combined(x, w, g):
    order = np.argsort(np.argsort(-np.abs(w.reshape(-1, 4)), axis=1, kind="stable"), axis=1)
    largest = np.where(order < 2, w.reshape(-1, 4), F(0)).reshape(w.shape)
    _, (masked, _), wgrad = mvue(x, w, g)
    return (x, largest), (masked, largest.T), wgrad


def straight_through(activation, weight):
    return lambda x, w, g: ((q(x, activation), q(w, weight)), (g, q(w, weight).T), (g.T, q(x, activation).T))


def pann(x, w, g):
    """5.5 additions a weight: the step of a row is its mean magnitude over 5.5."""
    step = (np.abs(w).astype(np.float64).mean(axis=1, keepdims=True) / 5.5).astype(F)
    w_hat = np.clip(np.rint(w / step), F(-127), F(127)) * step
    top = np.abs(x).max(axis=1, keepdims=True) / F(7)
    x_hat = np.rint(x / top) * top
    return (x_hat, w_hat), (g, w_hat.T), (g.T, x_hat.T)


def switch_back(x, w, g):
    rows, whole = "int8.channel", "int8.tensor"
    return (q(x, rows), q(w, whole)), (q(g, rows), q(w.T, whole)), (g.T, x.T)


def tiles(x, w, g):
    """A scale for 1 x 128 along the contraction, for 128 x 128 of weights."""

    def cast(t, scale):
        return torch.tensor(t / scale).to(torch.float8_e4m3fn).float().numpy() * scale

    def tile(t):
        top = [np.abs(t[:, at : at + 128]).max(axis=1, keepdims=True) for at in range(0, t.shape[1], 128)]
        return cast(t, np.repeat(np.concatenate(top, axis=1), 128, axis=1)[:, : t.shape[1]] / F(448))

    block = cast(w, np.abs(w).max() / F(448))  # 96 x 128 is one block
    return (tile(x), block), (tile(g), block.T), (tile(np.ascontiguousarray(g.T)), tile(np.ascontiguousarray(x.T)))


DEFINITIONS = {
    "nvidia-nvfp4": nvidia,
    "nvidia-nvfp4-headroom": headroom,
    "ngpt-nvfp4": ngpt,
    "fp4-all-the-way": all_the_way,
    "quartet": quartet,
    "quartet2": quartet2,
    "quartet2-4over6": lambda x, w, g: quartet2(x, w, g, "nvfp4.te_4over6"),
    "tetrajet2": tetrajet2,
    "4over6": four_over_six,
    "chon": chon,
    "metis": metis,
    "mxfp4": plain("mxfp4.floor"),
    "mxfp4-tseng": tseng,
    "mxfp8": plain("mxfp8.e4m3.rceil"),
    "fp8": plain("fp8.e4m3.tensor", "fp8.e5m2.tensor"),
    "fp8-tiles": tiles,
    "luq": luq,
    "luq-smp2": luq_smp2,
    "mvue": mvue,
    "mvue-combined": mvue_combined,
    "bitnet": straight_through("int8.channel", "ternary.absmean"),
    "pann-4-4": pann,
    "int8": switch_back,
}
"""Of each recipe with products of its own; those that differ by schedule, monitor or reset alone have the same."""


def times(a, b):
    """``a @ b.T``, as a float32 GEMM of one pair."""
    a, b = (torch.from_numpy(np.ascontiguousarray(t))[None] for t in (a, b))
    return torch.matmul(a, b.mT).numpy()[0]


def multiplied(made, wanted):
    return times(*made)[: wanted[0], : wanted[1]] if isinstance(made, tuple) else made[: wanted[0], : wanted[1]]


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_three_gemms_are_those_of_the_definition(name):
    x, w, g = data()
    arithmetic, kept = ByRecipe(recipes.get(name).layer, Seeds(5), None), {}
    b = g[None], x[None], w[None], TICKET, kept
    y = arithmetic.fprop(x[None], w[None], TICKET, kept) if arithmetic.emulates("fprop") else times(x, w)[None]
    found = y[0], arithmetic.dgrad(*b)[0], arithmetic.wgrad(*b)[0]
    for gemm, one, made, shape in zip(
        ("fprop", "dgrad", "wgrad"), found, DEFINITIONS[name](x, w, g), ((M, N), (M, K), (N, K)), strict=True
    ):
        assert one.shape == shape
        np.testing.assert_array_equal(one, multiplied(made, shape), err_msg=f"{name}, {gemm}")


def test_every_recipe_with_products_of_its_own_has_a_definition():
    layers = {recipes.get(name).layer: name for name in reversed(DEFINITIONS)}
    for name in recipes.names():
        layer = recipes.get(name).layer
        if layer == recipes.FLOAT32 or layer in layers:
            continue
        assert name.startswith("pann-4-") or name in ("luq-hindsight", "mvue-1-2", "mvue-luq", "int8-all"), name

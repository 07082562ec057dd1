"""Mamba-2: a state space as products of chunks in a prompt, and as an update of its state in decode."""

from __future__ import annotations

from math import ceil

from hwsim.trace import GemmShape
from hwsim.workloads.config import Mamba
from hwsim.workloads.network import Network


def mamba(net: Network, one: Mamba, width: int, batch: int, tokens: int, x: str, layer: str) -> str:
    """A mixer on ``[batch * tokens, width]``.

    A prompt is cut into chunks of `one.chunk` tokens, the last one padded: products within each (its mask is not
    taken off), one state a chunk, and a scan over the states. A single token updates the state, 2 operations an
    element, whatever the context.
    """
    rows, inner, channels = batch * tokens, one.heads * one.head, one.heads * one.head + 2 * one.groups * one.state
    projected = net.linear(f"{layer}.in", x, 2 * inner + 2 * one.groups * one.state + one.heads)
    taps = net.weight(f"{layer}.conv.weight", channels, one.taps)
    bias = net.weight(f"{layer}.conv.bias", channels)
    before = net.state(f"{layer}.conv.state", batch, channels, one.taps)
    mixed = net.vector(f"{layer}.conv", "silu", net.part(projected, rows * channels), taps, bias, before,
                       shape=(rows, channels), elements=rows * channels * one.taps)  # fmt: skip
    rates = [net.weight(f"{layer}.{name}", one.heads) for name in ("a_log", "d", "dt_bias")]
    decay = net.vector(f"{layer}.decay", "exp", net.part(projected, rows * one.heads), *rates,
                       shape=(rows, one.heads), elements=rows * one.heads)  # fmt: skip
    state = net.state(f"{layer}.state", batch, one.heads, one.head, one.state)
    size = batch * one.heads * one.head * one.state
    if tokens == 1:
        new = net.vector(f"{layer}.update", "elementwise", state, mixed, decay)
        _kept(net, layer, new, size)
        y = net.vector(f"{layer}.read", "reduce", new, mixed, shape=(rows, inner), elements=size)
    else:
        y = _chunks(net, one, batch, tokens, mixed, decay, state, layer)
    gate = net.part(projected, rows * inner)
    y = net.vector(f"{layer}.gate", "mul", y, gate, shape=(rows, inner), elements=rows * inner)
    y = net.vector(f"{layer}.inner_norm", "rmsnorm", y, net.weight(f"{layer}.inner_norm.weight", inner))
    return net.linear(f"{layer}.out", y, width)


def _kept(net: Network, layer: str, new: str, size: int) -> None:
    """The new state goes back to where the old one lay."""
    state = f"{layer}.state"
    net.vector(layer, "cache", state, net.part(new, size), shape=net.shape(state), elements=size)


def _chunks(net: Network, one: Mamba, batch: int, tokens: int, mixed: str, decay: str, state: str, layer: str) -> str:
    span = min(one.chunk, tokens)
    count = batch * ceil(tokens / span)
    rows, inner, shared = batch * tokens, one.heads * one.head, one.groups * one.state

    def multiply(name: str, times: int, m: int, n: int, k: int, a: object, b: object, groups: int) -> str:
        shape = GemmShape(f"{layer}.{name}", "matmul", "forward", times, m, n, k, "activation", groups)
        return net.product(shape, a, b)  # type: ignore[arg-type]

    heads, of_b = count * one.heads, net.part(mixed, rows * shared)
    values = net.part(mixed, rows * inner)
    scores = multiply("cb", count * one.groups, span, span, one.state, of_b, of_b, count * one.groups)
    masked = net.vector(
        f"{layer}.mask", "mul", scores, decay, shape=(heads, span, span), elements=heads * span * span
    )
    within = multiply("within", heads, span, one.head, span, net.part(masked, heads * span * span), values, heads)
    states = multiply("states", heads, one.head, one.state, span, values, of_b, count * one.groups)
    size = heads * one.head * one.state
    scanned = net.vector(f"{layer}.scan", "elementwise", states, state, decay, shape=net.shape(states), elements=size)
    _kept(net, layer, scanned, batch * one.heads * one.head * one.state)
    across = multiply("across", heads, span, one.head, one.state, of_b, net.part(scanned, size), heads)
    return net.vector(f"{layer}.sum", "add", within, across, shape=(rows, inner), elements=heads * span * one.head)

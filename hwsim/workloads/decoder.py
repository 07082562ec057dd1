"""Decoders: the operators of one step, prefill or decode, of any size.

A step brings `tokens` new tokens to each of `batch` sequences; `context` tokens of each are then in the cache, the
new ones included. Keys and values pass by the cache, which lies in DRAM, so that a step is charged for what it reads
and for the rows that it writes. A mixture of experts touches the number of different experts that uniform routing
gives in the mean, rounded up, and each of them runs on as many rows as a grouped product pads it to.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hwsim.errors import ArgumentError
from hwsim.trace import GemmShape, Workload
from hwsim.trace.graph import Access
from hwsim.workloads.config import Attention, Experts, Feed, Latent, ModelConfig
from hwsim.workloads.mamba import mamba
from hwsim.workloads.network import Network


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of a decoder runs on.

    Attributes:
        batch: sequences.
        tokens: new ones of each.
        context: tokens of each in the cache after the step.
        logits: rows of each sequence that the head runs on, the last ones.
        spread: chips among which the experts lie; each brings as many tokens, and this step is that of one of them.
    """

    batch: int
    tokens: int
    context: int
    logits: int = 1
    spread: int = 1

    def __post_init__(self) -> None:
        if min(self.batch, self.tokens, self.logits) < 1 or self.tokens > self.context or self.logits > self.tokens:
            raise ArgumentError(
                "must have 1 <= logits <= tokens <= context and batch >= 1",
                got=(self.batch, self.tokens, self.context, self.logits),
                where="Step(batch, tokens, context, logits)",
            )

    @property
    def rows(self) -> int:
        """New tokens of all sequences."""
        return self.batch * self.tokens

    @property
    def causal(self) -> bool:
        """Whether the mask of attention is a triangle; a chunk behind a cache is computed whole."""
        return self.tokens > 1 and self.tokens == self.context


def prefill(model: ModelConfig, tokens: int, batch: int = 1, cached: int = 0, logits: int = 1) -> Workload:
    """The step that brings in a prompt, or `tokens` of it behind `cached` that are in the cache."""
    return step_workload(model, Step(batch, tokens, cached + tokens, logits))


def decode(model: ModelConfig, context: int, batch: int = 1, tokens: int = 1) -> Workload:
    """The step that makes one token of each sequence, or checks `tokens` proposed ones; all get logits."""
    return step_workload(model, Step(batch, tokens, context, tokens))


def step_workload(model: ModelConfig, step: Step) -> Workload:
    """The whole step, from token numbers to logits.

    Raises:
        ArgumentError: the model is no decoder.
    """
    if model.kind != "decoder":
        raise ArgumentError("must be a decoder to have steps", got=model.kind, where=model.name)
    net = Network(model.name)
    x = _enter(net, model, step)
    for number, kind in enumerate(model.blocks):
        x = block(net, model, step, x, f"layers.{number}", kind, number)
    return net.finish(_leave(net, model, step, x))


def folded(model: ModelConfig, step: Step) -> tuple[tuple[Workload, int], ...]:
    """The step as different parts, and how often each runs: one block of each kind, and embedding with norm and head.

    Every part reads the residual stream from outside and leaves it there: what a plan of the whole step could keep
    on chip between blocks is `step.rows` by the width.

    Raises:
        ArgumentError: the model is no decoder.
    """
    if model.kind != "decoder":
        raise ArgumentError("must be a decoder to have steps", got=model.kind, where=model.name)
    found = []
    for (kind, _), numbers in _alike(model).items():
        layer = f"layers.{numbers[0]}"
        net = Network(f"{model.name}.{layer}")
        x = net.input(step.rows, model.width)
        found.append((net.finish(block(net, model, step, x, layer, kind, numbers[0])), len(numbers)))
    net = Network(f"{model.name}.ends")
    entered = _enter(net, model, step)
    found.append((net.finish(entered, _leave(net, model, step, net.input(step.rows, model.width))), 1))
    return tuple(found)


def stages(model: ModelConfig, count: int) -> tuple[tuple[int, ...], ...]:
    """How often each part of `folded` runs in each of `count` stages of equally many blocks, in the order of the run;
    embedding, norm and head run in the last one.

    Raises:
        ArgumentError: the stages do not divide the blocks.
    """
    blocks = len(model.blocks)
    if count < 1 or blocks % count:
        raise ArgumentError(f"stages must divide {blocks} blocks", got=count, where=model.name)
    size = blocks // count
    return tuple(
        (*(sum(number // size == stage for number in numbers) for numbers in _alike(model).values()),
         int(stage == count - 1))
        for stage in range(count)
    )  # fmt: skip


def _alike(model: ModelConfig) -> dict[tuple[str, bool], list[int]]:
    """Numbers of the blocks that are alike, by their kind and whether they hold experts."""
    kinds: dict[tuple[str, bool], list[int]] = {}
    for number, kind in enumerate(model.blocks):
        mixed = kind in "T-" and model.experts is not None and number >= model.experts.dense_layers
        kinds.setdefault((kind, mixed), []).append(number)
    return kinds


def _enter(net: Network, model: ModelConfig, step: Step) -> str:
    ids = net.input(step.batch, step.tokens, dtype="int64")
    table = net.weight("embedding.weight", model.vocabulary, model.width)
    gathered = Access(table, min(model.vocabulary, step.rows) * model.width, "gather")
    shape = step.rows, model.width
    x = net.vector("embedding", "embedding", gathered, ids, shape=shape, elements=step.rows * model.width)
    if model.positions:
        places = net.weight("positions.weight", model.positions, model.width)
        x = net.vector("positions", "add", x, net.part(places, min(model.positions, step.tokens) * model.width))
    return x


def _leave(net: Network, model: ModelConfig, step: Step, x: str) -> str:
    last = step.batch * step.logits
    table = net.weight("embedding.weight", model.vocabulary, model.width) if model.tied else None
    return net.linear("head", norm(net, "norm", model, x, rows=last), model.vocabulary, weight=table)


def block(net: Network, model: ModelConfig, step: Step, x: str, layer: str, kind: str, number: int) -> str:
    """One block; returns the residual stream behind it."""
    if kind == "M":
        assert model.mamba is not None
        y = mamba(net, model.mamba, model.width, step.batch, step.tokens, norm(net, f"{layer}.norm", model, x), layer)
        return net.vector(layer, "add", x, y)
    if kind in "T*":
        y = norm(net, f"{layer}.norm_1" if kind == "T" else f"{layer}.norm", model, x)
        if model.latent is not None:
            y = latent_attention(net, model.latent, model.width, step, y, f"{layer}.attention")
        else:
            assert model.attention is not None
            y = attention(net, model.attention, model.width, step, y, f"{layer}.attention")
        x = net.vector(layer, "add", x, y)
    if kind in "T-":
        y = norm(net, f"{layer}.norm_2" if kind == "T" else f"{layer}.norm", model, x)
        if model.experts is not None and number >= model.experts.dense_layers:
            y = mixture(net, model.experts, model.width, step, y, f"{layer}.experts")
        else:
            assert model.feed is not None
            y = feed(net, model.feed, model.width, y, f"{layer}.feed")
        x = net.vector(layer, "add", x, y)
    return x


def norm(net: Network, layer: str, model: ModelConfig, x: str, rows: int | None = None) -> str:
    """A norm over the width, of the last `rows` rows."""
    weights = [net.weight(f"{layer}.weight", model.width)]
    if model.norm == "layer":
        weights.append(net.weight(f"{layer}.bias", model.width))
    count = net.shape(x)[0] if rows is None else rows
    part = net.part(x, count * model.width)
    kind = "rmsnorm" if model.norm == "rms" else "layernorm"
    return net.vector(layer, kind, part, *weights, shape=(count, model.width), elements=count * model.width)


def attention(net: Network, one: Attention, width: int, step: Step, x: str, layer: str) -> str:
    """Attention with a cache; of a window, the cache holds what it reaches."""
    size, kept = one.head, one.kv_heads * one.head
    qkv = net.linear(f"{layer}.qkv", x, one.heads * size + 2 * kept, bias=one.bias)
    queries = net.part(qkv, step.rows * one.heads * size)
    keys = values = net.part(qkv, step.rows * kept)
    turned = [("q", queries, one.heads), ("k", keys, one.kv_heads)]
    ready = []
    for which, access, heads in turned:
        kinds = []
        if one.qk_norm:
            kinds.append("rmsnorm")
        if one.rotary:
            kinds.append("rope")
        for kind in kinds:
            more = [net.weight(f"{layer}.{which}_norm.weight", size)] if kind == "rmsnorm" else []
            name = net.vector(
                f"{layer}.{which}", kind, access, *more, shape=(step.rows, heads * size), elements=access.elements
            )
            access = net.part(name, access.elements)
        ready.append(access)
    queries, keys = ready
    held = min(step.context, max(one.window, step.tokens)) if one.window else step.context
    cache = step.batch, one.kv_heads, held, size
    k = _cached(net, f"{layer}.keys", cache, keys)
    v = _cached(net, f"{layer}.values", cache, values)
    batch, groups = step.batch * one.heads, step.batch * one.kv_heads
    shape = GemmShape(
        f"{layer}.qk", "attention", "forward", batch, step.tokens, held, size, "activation", groups, step.causal
    )
    scores = net.product(shape, queries, net.part(k, groups * held * size))
    weights = net.vector(layer, "softmax", scores)
    shape = GemmShape(
        f"{layer}.pv", "attention", "forward", batch, step.tokens, size, held, "activation", groups, step.causal
    )
    y = net.product(shape, net.part(weights, batch * step.tokens * held), net.part(v, groups * held * size),
                    (step.rows, one.heads * size))  # fmt: skip
    if one.sub_norm:
        y = net.vector(f"{layer}.norm", "rmsnorm", y, net.weight(f"{layer}.norm.weight", one.heads * size))
    return net.linear(f"{layer}.out", y, width, bias=one.out_bias)


def _cached(net: Network, layer: str, shape: tuple[int, ...], new: Access) -> str:
    """A cache of which the new rows are written; what it held before stays where it is."""
    state = net.state(f"{layer}.state", *shape)
    return net.vector(layer, "cache", state, new, shape=shape, elements=new.elements)


def latent_attention(net: Network, one: Latent, width: int, step: Step, x: str, layer: str) -> str:
    """Attention over a latent row a token: expanded to heads in a prompt, absorbed into the queries behind a cache.

    Absorbed, the cache's row is read once for all heads; expanded, scores cost a third of the products.
    """
    rows, heads, whole = step.rows, one.heads, one.nope + one.rope
    q = net.linear(f"{layer}.q_down", x, one.q_rank)
    q = net.vector(f"{layer}.q_norm", "rmsnorm", q, net.weight(f"{layer}.q_norm.weight", one.q_rank))
    q = net.linear(f"{layer}.q_up", q, heads * whole)
    turned = net.vector(f"{layer}.q", "rope", net.part(q, rows * heads * one.rope), shape=(rows, heads * one.rope),
                        elements=rows * heads * one.rope)  # fmt: skip
    down = net.linear(f"{layer}.kv_down", x, one.kv_rank + one.rope)
    latent = net.vector(f"{layer}.kv_norm", "rmsnorm", net.part(down, rows * one.kv_rank),
                        net.weight(f"{layer}.kv_norm.weight", one.kv_rank), shape=(rows, one.kv_rank),
                        elements=rows * one.kv_rank)  # fmt: skip
    key = net.vector(f"{layer}.k", "rope", net.part(down, rows * one.rope), shape=(rows, one.rope),
                     elements=rows * one.rope)  # fmt: skip
    row = one.kv_rank + one.rope
    joined = net.vector(f"{layer}.row", "copy", latent, key, shape=(rows, row), elements=rows * row)
    cache = _cached(net, f"{layer}.cache", (step.batch, step.context, row), net.part(joined, rows * row))
    up = net.weight(f"{layer}.kv_up.weight", heads * (one.nope + one.value), one.kv_rank)
    if step.causal or step.tokens == step.context:
        wide = net.linear(f"{layer}.kv_up", latent, heads * (one.nope + one.value), weight=up)
        batch = step.batch * heads
        queries = net.vector(f"{layer}.q", "copy", net.part(q, rows * heads * one.nope), turned,
                             shape=(rows, heads * whole), elements=rows * heads * whole)  # fmt: skip
        keys = net.vector(f"{layer}.k", "copy", net.part(wide, rows * heads * one.nope), key,
                          shape=(rows, heads * whole), elements=rows * heads * whole)  # fmt: skip
        shape = GemmShape(f"{layer}.qk", "attention", "forward", batch, step.tokens, step.tokens, whole,
                          "activation", batch, step.causal)  # fmt: skip
        scores = net.product(shape, net.part(queries, rows * heads * whole), net.part(keys, rows * heads * whole))
        weights = net.vector(layer, "softmax", scores)
        shape = GemmShape(f"{layer}.pv", "attention", "forward", batch, step.tokens, one.value, step.tokens,
                          "activation", batch, step.causal)  # fmt: skip
        y = net.product(shape, net.part(weights, batch * step.tokens * step.tokens),
                        net.part(wide, rows * heads * one.value), (rows, heads * one.value))  # fmt: skip
        return net.linear(f"{layer}.out", y, width)
    shape = GemmShape(f"{layer}.absorb", "matmul", "forward", heads, rows, one.kv_rank, one.nope, "weight", heads)
    absorbed = net.product(shape, net.part(q, rows * heads * one.nope), net.part(up, heads * one.nope * one.kv_rank))
    queries = net.vector(
        f"{layer}.q", "copy", absorbed, turned, shape=(rows, heads * row), elements=rows * heads * row
    )
    m = heads * step.tokens
    shape = GemmShape(
        f"{layer}.qk", "attention", "forward", step.batch, m, step.context, row, "activation", step.batch
    )
    scores = net.product(
        shape, net.part(queries, rows * heads * row), net.part(cache, step.batch * step.context * row)
    )
    weights = net.vector(layer, "softmax", scores)
    shape = GemmShape(f"{layer}.pv", "attention", "forward", step.batch, m, one.kv_rank, step.context, "activation",
                      step.batch)  # fmt: skip
    y = net.product(shape, net.part(weights, step.batch * m * step.context),
                    net.part(cache, step.batch * step.context * one.kv_rank))  # fmt: skip
    shape = GemmShape(f"{layer}.value", "matmul", "forward", heads, rows, one.value, one.kv_rank, "weight", heads)
    y = net.product(shape, net.part(y, rows * heads * one.kv_rank), net.part(up, heads * one.value * one.kv_rank),
                    (rows, heads * one.value))  # fmt: skip
    return net.linear(f"{layer}.out", y, width)


def feed(net: Network, one: Feed, width: int, x: str, layer: str) -> str:
    """A feed-forward network."""
    rows = net.shape(x)[0]
    hidden = net.linear(f"{layer}.up", x, one.hidden * (2 if one.gated else 1), bias=one.bias)
    y = activated(net, one, hidden, rows, layer)
    if one.sub_norm:
        y = net.vector(f"{layer}.norm", "rmsnorm", y, net.weight(f"{layer}.norm.weight", one.hidden))
    return net.linear(f"{layer}.down", y, width, bias=one.bias)


def activated(net: Network, one: Feed, hidden: str, rows: int, layer: str) -> str:
    """The activation, and the gate's product where there is one."""
    part, shape, count = net.part(hidden, rows * one.hidden), (rows, one.hidden), rows * one.hidden
    kinds = ("relu", "square") if one.activation == "relu2" else (one.activation,)
    y = part
    for kind in kinds:
        y = net.part(net.vector(layer, kind, y, shape=shape, elements=count), count)
    return net.vector(layer, "mul", y, part, shape=shape, elements=count) if one.gated else y.tensor


def distinct_experts(experts: int, per_token: int, tokens: int) -> float:
    """Different experts that `tokens` touch in the mean, each choosing `per_token` of `experts` at random."""
    return float(experts * (1.0 - (1.0 - per_token / experts) ** tokens))


def mixture(net: Network, one: Experts, width: int, step: Step, x: str, layer: str) -> str:
    """A mixture of gated experts, and the experts that all tokens visit."""
    rows, visits = step.rows, step.rows * step.spread * one.per_token
    scores = net.linear(f"{layer}.router", x, one.count, bias=one.router_bias)
    chosen = net.vector(f"{layer}.router", "softmax", scores)
    touched = min(one.count, visits, ceil(distinct_experts(one.count, one.per_token, rows * step.spread) - 1e-9))
    each = ceil(visits / touched)
    held, touched, sent = one.count // step.spread, ceil(touched / step.spread), x
    padded = touched * each
    if step.spread > 1:  # what chips send each other, a row a visit, gathered by number
        sent = net.vector(f"{layer}.dispatch", "embedding", x, shape=(padded, width), elements=padded * width)
    hidden = net.experts(f"{layer}.up", sent, 2 * one.hidden, held, touched, each)
    inner = activated(net, Feed(one.hidden), hidden, padded, layer)
    out = net.experts(f"{layer}.down", inner, width, held, touched, each)
    y = net.vector(f"{layer}.sum", "reduce", out, chosen, shape=(rows, width), elements=padded * width)
    if one.shared:
        always = feed(net, Feed(one.shared * one.hidden), width, x, f"{layer}.shared")
        y = net.vector(layer, "add", y, always)
    return y

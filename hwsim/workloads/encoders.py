"""Models that are no decoders: ViT, BERT, Whisper, ResNet-50 and recurrent cells, from the shapes of one call."""

from __future__ import annotations

from hwsim.errors import ArgumentError
from hwsim.trace import GemmShape, Workload
from hwsim.trace.graph import Access
from hwsim.workloads.config import Attention, Feed, Kind, ModelConfig
from hwsim.workloads.decoder import Step, feed, norm
from hwsim.workloads.network import Network


def _parts(model: ModelConfig, kind: Kind) -> tuple[Network, Attention, Feed]:
    _check(model, kind)
    assert model.attention is not None
    assert model.feed is not None
    return Network(model.name), model.attention, model.feed


def _check(model: ModelConfig, kind: Kind) -> None:
    if model.kind != kind:
        raise ArgumentError(f"must be a model of the kind {kind}", got=model.kind, where=model.name)


def vit(model: ModelConfig, images: int = 1) -> Workload:
    """A vision transformer on square images: patches, a class token, encoder layers, a head on the class token."""
    net, heads, inner = _parts(model, "vit")
    side = model.option("size") // model.option("patch")
    tokens, width = side * side + 1, model.width
    pixels = net.input(images, model.option("channels"), model.option("size"), model.option("size"))
    bias = net.weight("patches.bias", width)
    x = net.convolution("patches", pixels, width, model.option("patch"), model.option("patch"), added=bias)
    first = net.weight("class", width)
    x = net.vector("class", "copy", x, first, shape=(images * tokens, width), elements=images * tokens * width)
    x = net.vector("positions", "add", x, net.weight("positions.weight", tokens, width))
    for number in range(model.layers):
        layer = f"layers.{number}"
        y = _attend(net, heads, width, images, tokens, norm(net, f"{layer}.norm_1", model, x), f"{layer}.attention")
        x = net.vector(layer, "add", x, y)
        y = feed(net, inner, width, norm(net, f"{layer}.norm_2", model, x), f"{layer}.feed")
        x = net.vector(layer, "add", x, y)
    x = norm(net, "norm", model, x)
    return net.finish(net.linear("head", x, model.vocabulary, bias=True, rows=images))


def bert(model: ModelConfig, tokens: int, batch: int = 1) -> Workload:
    """An encoder with norms behind the residual additions, and a pooler on the first token; no head."""
    net, heads, inner = _parts(model, "bert")
    rows, width = batch * tokens, model.width
    ids = net.input(batch, tokens, dtype="int64")
    words = net.weight("embedding.weight", model.vocabulary, width)
    found = Access(words, min(rows, model.vocabulary) * width, "gather")
    x = net.vector("embedding", "embedding", found, ids, shape=(rows, width), elements=rows * width)
    places = net.weight("positions.weight", model.positions, width)
    x = net.vector("positions", "add", x, net.part(places, tokens * width))
    x = net.vector("types", "add", x, net.part(net.weight("types.weight", model.option("types"), width), width))
    x = norm(net, "embedding.norm", model, x)
    for number in range(model.layers):
        layer = f"layers.{number}"
        y = _attend(net, heads, width, batch, tokens, x, f"{layer}.attention")
        x = norm(net, f"{layer}.norm_1", model, net.vector(layer, "add", x, y))
        y = feed(net, inner, width, x, f"{layer}.feed")
        x = norm(net, f"{layer}.norm_2", model, net.vector(layer, "add", x, y))
    y = net.linear("pooler", x, width, bias=True, rows=batch)
    return net.finish(x, net.vector("pooler", "tanh", y))


def whisper_encode(model: ModelConfig, clips: int = 1) -> Workload:
    """The encoder of Whisper on whole clips, with the keys and values that the decoder will look at."""
    net, heads, inner = _parts(model, "whisper")
    frames, width = model.option("frames"), model.width
    sound = net.input(clips, model.option("mel"), frames)
    x = net.convolution("conv1", sound, width, 3, 1, 1, added=net.weight("conv1.bias", width))
    x = net.vector("conv1", "gelu", x)
    x = net.convolution("conv2", x, width, 3, 2, 1, added=net.weight("conv2.bias", width))
    tokens = frames // 2
    x = net.vector("conv2", "gelu", x, shape=(clips * tokens, width))
    for number in range(model.layers):
        layer = f"encoder.{number}"
        y = norm(net, f"{layer}.norm_1", model, x)
        y = _keyless(net, heads, width, clips, tokens, y, f"{layer}.attention")
        x = net.vector(layer, "add", x, y)
        y = feed(net, inner, width, norm(net, f"{layer}.norm_2", model, x), f"{layer}.feed")
        x = net.vector(layer, "add", x, y)
    x = norm(net, "encoder.norm", model, x)
    kept = []
    for number in range(model.layers):
        layer = f"decoder.{number}.cross"
        kept.append(net.linear(f"{layer}.k", x, width))
        kept.append(net.linear(f"{layer}.v", x, width, bias=True))
    return net.finish(*kept)


def whisper_decode(model: ModelConfig, context: int, clips: int = 1) -> Workload:
    """One token of Whisper's decoder, `context` tokens in its cache with it, beside the encoder's keys and values."""
    net, heads, inner = _parts(model, "whisper")
    width, seen = model.width, model.option("frames") // 2
    step = Step(clips, 1, context)
    ids = net.input(clips, 1, dtype="int64")
    words = net.weight("embedding.weight", model.vocabulary, width)
    found = Access(words, min(clips, model.vocabulary) * width, "gather")
    x = net.vector("embedding", "embedding", found, ids, shape=(clips, width), elements=clips * width)
    places = net.weight("positions.weight", model.positions, width)
    x = net.vector("positions", "add", x, net.part(places, width))
    for number in range(model.layers):
        layer = f"decoder.{number}"
        y = norm(net, f"{layer}.norm_1", model, x)
        y = _cached_keyless(net, heads, width, step, y, f"{layer}.attention")
        x = net.vector(layer, "add", x, y)
        y = net.linear(f"{layer}.cross.q", norm(net, f"{layer}.norm_2", model, x), width, bias=True)
        keys, values = (net.state(f"{layer}.cross.{name}", clips * seen, width) for name in ("k", "v"))
        y = _scored(net, heads, clips, 1, seen, (y, keys, values), f"{layer}.cross", causal=False)
        x = net.vector(layer, "add", x, net.linear(f"{layer}.cross.out", y, width, bias=True))
        y = feed(net, inner, width, norm(net, f"{layer}.norm_3", model, x), f"{layer}.feed")
        x = net.vector(layer, "add", x, y)
    x = norm(net, "norm", model, x)
    return net.finish(net.linear("head", x, model.vocabulary, weight=words))


def _attend(net: Network, one: Attention, width: int, batch: int, tokens: int, x: str, layer: str) -> str:
    """Attention of all tokens to all, without a cache."""
    qkv = net.linear(f"{layer}.qkv", x, 3 * one.heads * one.head, bias=one.bias)
    y = _scored(net, one, batch, tokens, tokens, (qkv, qkv, qkv), layer, causal=False)
    return net.linear(f"{layer}.out", y, width, bias=one.out_bias)


def _keyless(net: Network, one: Attention, width: int, batch: int, tokens: int, x: str, layer: str) -> str:
    """The same with three projections, of which that of the keys has no bias."""
    q, k, v = (net.linear(f"{layer}.{name}", x, width, bias=name != "k") for name in "qkv")
    y = _scored(net, one, batch, tokens, tokens, (q, k, v), layer, causal=False)
    return net.linear(f"{layer}.out", y, width, bias=True)


def _cached_keyless(net: Network, one: Attention, width: int, step: Step, x: str, layer: str) -> str:
    q, k, v = (net.linear(f"{layer}.{name}", x, width, bias=name != "k") for name in "qkv")
    cache = step.batch * step.context, width
    held = []
    for name, new in (("keys", k), ("values", v)):
        state = net.state(f"{layer}.{name}.state", *cache)
        held.append(net.vector(f"{layer}.{name}", "cache", state, new, shape=cache, elements=step.rows * width))
    y = _scored(net, one, step.batch, 1, step.context, (q, held[0], held[1]), layer, causal=False)
    return net.linear(f"{layer}.out", y, width, bias=True)


def _scored(
    net: Network,
    one: Attention,
    batch: int,
    queries: int,
    seen: int,
    of: tuple[str, str, str],
    layer: str,
    causal: bool,
) -> str:
    """Softmax of the scores, times the values; `of` hold queries, keys and values, or parts of it."""
    many, width = batch * one.heads, one.heads * one.head
    q, k, v = of
    shape = GemmShape(
        f"{layer}.qk", "attention", "forward", many, queries, seen, one.head, "activation", many, causal
    )
    scores = net.product(shape, net.part(q, batch * queries * width), net.part(k, batch * seen * width))
    weights = net.vector(layer, "softmax", scores)
    shape = GemmShape(
        f"{layer}.pv", "attention", "forward", many, queries, one.head, seen, "activation", many, causal
    )
    a, b = net.part(weights, many * queries * seen), net.part(v, batch * seen * width)
    return net.product(shape, a, b, (batch * queries, width))


def resnet(model: ModelConfig, images: int = 1, folded: bool = True) -> Workload:
    """ResNet-50 version 1.5, whose stages stride in their 3 x 3 convolutions.

    Args:
        model: of the catalogue.
        images: of the batch.
        folded: batch norms are part of their convolutions, as machines run them; else each is an operator.
    """
    _check(model, "resnet")
    net = Network(model.name)

    def convolution(layer: str, x: str, filters: int, kernel: int, stride: int, added: str | None = None) -> str:
        if folded:
            return net.convolution(layer, x, filters, kernel, stride, kernel // 2, added=added)
        y = net.convolution(layer, x, filters, kernel, stride, kernel // 2)
        y = net.vector(f"{layer}.norm", "batchnorm", y, *(net.weight(f"{layer}.norm.{n}", filters) for n in "wb"))
        return y if added is None else net.vector(layer, "add", y, added)

    x = convolution("conv1", net.input(images, 3, model.option("size"), model.option("size")), model.width, 7, 2)
    size = model.option("size") // 4
    x = net.vector("pool1", "pool", x, shape=(images, model.width, size, size))
    channels = model.width
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner = model.width << stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layer = f"stage{stage}.{block}"
            y = convolution(f"{layer}.b", convolution(f"{layer}.a", x, inner, 1, 1), inner, 3, stride)
            if channels != 4 * inner:
                x, channels = convolution(f"{layer}.skip", x, 4 * inner, 1, stride), 4 * inner
            x = convolution(f"{layer}.c", y, 4 * inner, 1, 1, added=x)
    x = net.vector("pool2", "pool", x, shape=(images, channels))
    return net.finish(net.linear("head", x, model.vocabulary, bias=True))


def recurrent(model: ModelConfig, batch: int, tokens: int) -> Workload:
    """A recurrent layer, one step behind the other: gates from the state, block by block, beside their inputs.

    The inputs' own product is a linear layer before it and no part of this; the states are those of the cell.
    """
    _check(model, "recurrent")
    net = Network(model.name)
    heads, size, gates = (model.option(name) for name in ("heads", "head", "gates"))
    width = heads * size
    if width != model.width:
        raise ArgumentError(f"width must be heads x head, {width}", got=model.width, where=model.name)
    weight = net.weight("recurrent.weight", heads, gates * size, size)
    bias = net.weight("recurrent.bias", gates * width)
    fed = net.input(tokens, batch, gates * width)
    states = [net.state(f"state.{number}", batch, width) for number in range(model.option("states"))]
    for step in range(tokens):
        shape = GemmShape(f"step.{step}", "matmul", "forward", heads, batch, gates * size, size, "weight", heads)
        made = net.product(shape, net.part(states[0], batch * width), net.part(weight, heads * gates * size * size))
        gate = net.vector(f"step.{step}", "sigmoid", made, net.part(fed, batch * gates * width), bias)
        states = [net.vector(f"step.{step}", "elementwise", gate, one, shape=(batch, width), elements=batch * width)
                  for one in states]  # fmt: skip
    return net.finish(*states)

"""What a model is, in the few numbers that its graph follows from: a TOML file each, or a config of Hugging Face.

A file is data: every key must be known, so that a number which nothing reads is never believed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

from hwsim.errors import ArgumentError, UnknownName
from hwsim.storage import parse_json, parse_toml, read_text

Kind = Literal["decoder", "vit", "bert", "whisper", "resnet", "recurrent"]
Activation = Literal["gelu", "silu", "relu2"]

DATA = Path(__file__).parent / "data"

MOST = 1 << 24
"""The largest number of a model: of elements of a row, layers, experts."""

LARGEST = 1 << 20
"""Bytes of a model's file."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention with heads that may share keys and values.

    Attributes:
        heads, kv_heads: of queries; of keys and values.
        head: elements of one.
        bias: whether queries, keys and values have one.
        out_bias: whether the output has one.
        qk_norm: whether queries and keys are normalised, head by head.
        sub_norm: whether the heads' results are normalised before the output.
        window: tokens that a token looks back at most, 0 without a limit.
        rotary: whether positions turn queries and keys.
    """

    heads: int
    kv_heads: int
    head: int
    bias: bool = False
    out_bias: bool = False
    qk_norm: bool = False
    sub_norm: bool = False
    window: int = 0
    rotary: bool = True


@dataclass(frozen=True, slots=True)
class Latent:
    """Multi-head latent attention: one row of ``kv_rank + rope`` elements a token serves all heads.

    Attributes:
        heads: of queries.
        q_rank, kv_rank: of the two projections down.
        nope, rope, value: elements of a head without positions, with them, and of its value.
    """

    heads: int
    q_rank: int
    kv_rank: int
    nope: int
    rope: int
    value: int


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed-forward network.

    Attributes:
        hidden: its inner width.
        gated: whether a second product multiplies the activation.
        activation: its name.
        bias: whether both products have one.
        sub_norm: whether what enters the second product is normalised.
    """

    hidden: int
    gated: bool = True
    activation: Activation = "silu"
    bias: bool = False
    sub_norm: bool = False


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts in the place of the feed-forward network.

    Attributes:
        count: experts of a layer.
        per_token: of them that a token visits.
        hidden: inner width of one.
        shared: experts of the same size that every token visits.
        dense_layers: first layers that keep the feed-forward network.
        router_bias: whether the router's scores have one.
    """

    count: int
    per_token: int
    hidden: int
    shared: int = 0
    dense_layers: int = 0
    router_bias: bool = False


@dataclass(frozen=True, slots=True)
class Mamba:
    """A Mamba-2 mixer.

    Attributes:
        heads, head: its inner width is their product.
        state: elements of the state for each element of a head.
        groups: of heads that share B and C.
        taps: of the convolution.
        chunk: tokens that are computed as products at a time.
    """

    heads: int
    head: int
    state: int
    groups: int = 1
    taps: int = 4
    chunk: int = 256


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A model of the catalogue.

    Attributes:
        name: of the model.
        source: where its numbers are from.
        kind: which family of graphs it has.
        layers: blocks; stages of a ResNet are fixed.
        width: of the residual stream; of a recurrent network, all heads together.
        vocabulary: rows of the embedding and of the head; classes of a vision model.
        tied: whether both are one matrix.
        norm: ``"rms"``, or ``"layer"`` with a bias.
        positions: learned ones, 0 without.
        pattern: of the blocks, ``M`` Mamba, ``-`` feed-forward, ``*`` attention; every block has attention and a
            feed-forward network without it.
        attention, latent, feed, experts, mamba: the parts that it has.
        options: numbers of one kind of graph alone, by name.
    """

    name: str
    source: str
    kind: Kind
    layers: int
    width: int
    vocabulary: int
    tied: bool = False
    norm: Literal["rms", "layer"] = "rms"
    positions: int = 0
    pattern: str = ""
    attention: Attention | None = None
    latent: Latent | None = None
    feed: Feed | None = None
    experts: Experts | None = None
    mamba: Mamba | None = None
    options: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if self.pattern and len(self.pattern) != self.layers:
            raise ArgumentError(f"pattern must name {self.layers} layers", got=len(self.pattern), where=self.name)
        if unknown := set(self.pattern) - set("M-*"):
            raise ArgumentError("pattern must be made of M, - and *", got="".join(sorted(unknown)), where=self.name)

    def option(self, name: str) -> int:
        """One of `options`; `UnknownName` if it is not there."""
        known = dict(self.options)
        if name not in known:
            raise UnknownName("option", name, known, where=self.name)
        return known[name]

    @property
    def blocks(self) -> str:
        """One letter a block: those of `pattern`, and ``T`` for attention followed by a feed-forward network."""
        return self.pattern or "T" * self.layers


def names() -> list[str]:
    """Models of the catalogue."""
    return sorted(path.stem for path in DATA.glob("*.toml"))


def load_model(model: str | Path) -> ModelConfig:
    """A model by its name in the catalogue, or by the path of a TOML file or of a Hugging Face ``config.json``.

    Raises:
        UnknownName: neither a name nor a file.
        ArgumentError: a key is missing, unknown, or of another type.
    """
    path = DATA / f"{model}.toml"
    if str(model) not in names():
        path = Path(model)
        if not os.path.exists(path):  # also where the name is none
            raise UnknownName("model", str(model), names())
    text = read_text(path, "a model", ArgumentError, LARGEST)
    if path.suffix == ".json":
        config = parse_json(text, "a model", str(model), ArgumentError)
        if not isinstance(config, dict):
            raise ArgumentError("must be a table", got=config, where=str(model))
        return from_hugging_face(config, path.stem if path.stem != "config" else path.absolute().parent.name)
    table = parse_toml(text, "a model", str(model), ArgumentError)
    made: ModelConfig = _read(ModelConfig, {"name": path.stem, **table}, str(model))
    return made


_PARTS = {"attention": Attention, "latent": Latent, "feed": Feed, "experts": Experts, "mamba": Mamba}


def _read(cls: Any, table: Mapping[str, Any], where: str) -> Any:
    hints, given = get_type_hints(cls), dict(table)
    known = [one.name for one in fields(cls)]
    for key, value in given.items():
        if key not in known:
            raise UnknownName("key", key, known, where=where)
        if key in _PARTS and cls is ModelConfig:
            if not isinstance(value, dict):
                raise ArgumentError("must be a table", got=value, where=f"{where}.{key}")
            given[key] = _read(_PARTS[key], value, f"{where}.{key}")
        elif key == "options":
            if not isinstance(value, dict):
                raise ArgumentError("must be a table", got=value, where=f"{where}.{key}")
            given[key] = tuple(value.items())
        elif hints[key] in (int, bool, str) and type(value) is not hints[key]:
            raise ArgumentError(f"must be a {hints[key].__name__}", got=value, where=f"{where}.{key}")
        elif hints[key] is int and not 0 <= value <= MOST:
            raise ArgumentError(f"must lie in 0..{MOST}", got=value, where=f"{where}.{key}")
    try:
        return cls(**given)
    except TypeError as error:
        raise ArgumentError(f"lacks a key, {error}", where=where) from error


_FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen3_moe")
"""Values of ``model_type`` whose graphs are known to the last parameter."""


def from_hugging_face(config: Mapping[str, Any], name: str) -> ModelConfig:
    """A decoder from the numbers of its ``config.json``.

    Raises:
        UnknownName: a ``model_type`` whose graph is not known. ArgumentError: a number is missing.
    """
    family = config.get("model_type")
    if family not in _FAMILIES:
        raise UnknownName("model_type", family, _FAMILIES, where=name)

    def number(key: str, default: int | None = None) -> int:
        value = config.get(key, default)
        if value is None:
            raise ArgumentError("lacks a key", got=key, where=name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
            raise ArgumentError(f"must be a whole number in 0..{MOST}", got=value, where=f"{name}.{key}")
        return value

    width, heads = number("hidden_size"), number("num_attention_heads")
    windowed = config.get("use_sliding_window", family in ("mistral", "mixtral"))
    attention = Attention(
        heads=heads,
        kv_heads=number("num_key_value_heads", heads),
        head=number("head_dim", width // max(1, heads)),
        bias=family == "qwen2" or bool(config.get("attention_bias", False)),
        out_bias=family != "qwen2" and bool(config.get("attention_bias", False)),
        qk_norm=family in ("qwen3", "qwen3_moe"),
        window=number("sliding_window", 0) if windowed and config.get("sliding_window") else 0,
    )
    experts = None
    if family == "mixtral":
        experts = Experts(number("num_local_experts"), number("num_experts_per_tok"), number("intermediate_size"))
    elif family == "qwen3_moe":
        experts = Experts(number("num_experts"), number("num_experts_per_tok"), number("moe_intermediate_size"))
    return ModelConfig(
        name=name,
        source=f"config of {name}",
        kind="decoder",
        layers=number("num_hidden_layers"),
        width=width,
        vocabulary=number("vocab_size"),
        tied=bool(config.get("tie_word_embeddings", False)),
        attention=attention,
        feed=None if experts else Feed(number("intermediate_size"), bias=bool(config.get("mlp_bias", False))),
        experts=experts,
    )

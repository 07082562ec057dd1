"""Networks of the transformers library from their configurations, with random weights: nothing is downloaded.

``hf:CONFIG.json`` names a model in `hwsim.nn.models`: the configuration as the library stores it beside its weights.
What such a model computes and costs is real, its metric would not be: it has none.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from hwsim.errors import ArgumentError, MissingExtra, ModelError
from hwsim.storage import parse_json, read_bytes

TOKENS, IMAGES, FRAMES = 32, 2, 2
"""Tokens of a text, images of a batch, and texts or recordings of a batch."""


def library() -> Any:
    """The package.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return importlib.import_module("transformers")
    except ImportError:
        raise MissingExtra("transformers", install="pip install 'hwsim[hf]'", where="hf") from None


def from_file(path: str | Path, seed: int = 0) -> nn.Module:
    """The model of a configuration file, initialised from `seed`, in evaluation mode.

    Raises:
        MissingExtra: the library is not installed.
        ModelError: the file is no configuration of a model that the library knows.
    """
    data = read_bytes(Path(path), "configuration", ModelError, 1 << 24)
    values = parse_json(data, "configuration", str(path), ModelError)
    if not isinstance(values, dict) or "model_type" not in values:
        raise ModelError("configuration must be an object with model_type", where=str(path))
    return from_config(values, seed, where=str(path))


def from_config(values: Mapping[str, Any], seed: int = 0, where: str = "hf") -> nn.Module:
    """The model of a configuration: of the first class that it names in ``architectures``, else the library's
    generic one without a head. It is initialised from `seed`, in evaluation mode.

    Raises:
        MissingExtra: the library is not installed.
        ModelError: a kind or a class of model that the library does not know, or values that it refuses.
    """
    known = library()
    given = dict(values)
    kind = given.pop("model_type", None)
    named = (given.get("architectures") or [None])[0]
    if named is not None and not hasattr(known, str(named)):
        raise ModelError("architectures must name a class of transformers", got=named, where=where)
    try:
        config = known.AutoConfig.for_model(kind, **given)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = getattr(known, named)(config) if named else known.AutoModel.from_config(config)
    except (
        ValueError, TypeError, LookupError, AttributeError, RuntimeError, ArithmeticError, ImportError,
        AssertionError,
    ) as error:  # fmt: skip
        raise ModelError(f"transformers must take the configuration, {error}", got=kind, where=where) from error
    if not isinstance(made, nn.Module):
        raise ModelError("architectures must name a torch module", got=named, where=where)
    return made.eval()


def as_model_file(path: Path) -> ModuleType:
    """A configuration as a model file: with ``build``, ``batches`` and ``loss``, which is the mean square of the
    outputs, as nothing is known that they should be.

    Raises:
        MissingExtra: the library is not installed.
    """
    library()
    made: Any = ModuleType(f"hwsim_hf_{path.stem}")

    def build(seed: int = 0) -> nn.Module:
        return from_file(path, seed)

    def batches(count: int = 1) -> Iterator[dict[str, Tensor]]:
        model = build()
        for seed in range(count):
            yield example(model, seed)

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return first_output(model(**batch)).square().mean()

    made.build, made.batches, made.loss = build, batches, loss
    found: ModuleType = made
    return found


def first_output(out: Any) -> Tensor:
    """The first tensor of numbers that a model returned: a tensor, or of a tuple or one of the library's outputs."""
    while not isinstance(out, Tensor):
        values = list(out.values()) if isinstance(out, Mapping) else list(out)
        out = next(value for value in values if value is not None)
    return out


def example(model: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    """Random inputs that a model of the library takes, by the name of its main input: texts, images, or recordings
    with texts.

    Raises:
        ArgumentError: a model with another main input.
    """
    config: Any = model.config
    draw = torch.Generator().manual_seed(seed)
    decoder: Any = getattr(config, "decoder", None) or config

    def texts(size: int) -> Tensor:
        return torch.randint(3, size, (FRAMES, TOKENS), generator=draw)

    name = str(getattr(model, "main_input_name", ""))
    if name == "input_ids":
        found = {"input_ids": texts(config.vocab_size)}
        if config.is_encoder_decoder:
            found["decoder_input_ids"] = texts(decoder.vocab_size)
        return found
    if name == "pixel_values":
        size = getattr(config, "image_size", 64)
        return {"pixel_values": torch.randn(IMAGES, config.num_channels, size, size, generator=draw)}
    if name == "input_features":
        frames = 2 * config.max_source_positions
        return {
            "input_features": torch.randn(FRAMES, config.num_mel_bins, frames, generator=draw),
            "decoder_input_ids": texts(config.vocab_size),
        }
    raise ArgumentError("model must take input_ids, pixel_values or input_features", got=name, where="hf")

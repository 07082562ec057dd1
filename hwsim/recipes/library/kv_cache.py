"""Quantized caches: keys and values of attention as they lie in memory; queries and probabilities are exact.

`kv-int4`: KIVI's layout (arXiv 2402.02750), keys with a scale for each channel, values with a scale for each token,
four bits. `kv-nvfp4`: NVFP4 in blocks of 16 channels of a token. `-sinks` keeps the first four tokens, on which
attention falls (arXiv 2309.17453). For inference; a training passes gradients straight through.
"""

from __future__ import annotations

from typing import Literal

from hwsim.recipes import Gemm, Layer, Operand, Recipe, Rule, Selection
from hwsim.recipes.quantizers import Cache

KIVI = "KIVI, arXiv 2402.02750"
SINKS = "NVFP4; attention sinks, arXiv 2309.17453"


def _recipe(
    name: str, title: str, paper: str, scheme: str, along: Literal["tokens", "channels"], sinks: int, *claims: str
) -> Recipe:
    keys = Layer(Gemm(Operand(), Operand(Cache(scheme, "rows", along, sinks))))
    values = Layer(Gemm(Operand(), Operand(Cache(scheme, "columns", "channels", sinks))))
    rules = (Rule(Selection(names=("*.qk", "qk")), keys), Rule(Selection(names=("*.pv", "pv")), values))
    return Recipe(name, title, paper, Layer(), rules=rules, claims=claims)


_KIVI = "symmetric codes, a scale a channel; KIVI has a zero point, groups of 32 tokens, and keeps recent tokens"
_BLOCKS = "the tensor scale is that of all tokens, which a growing cache does not know"

RECIPES = (
    _recipe("kv-int8", "8-bit cache: keys by channel, values by token", KIVI, "int8.channel", "tokens", 0, _KIVI),
    _recipe("kv-int4", "4-bit cache: keys by channel, values by token", KIVI, "int4.channel", "tokens", 0, _KIVI),
    _recipe("kv-int4-sinks", "kv-int4, the first four tokens kept", KIVI, "int4.channel", "tokens", 4, _KIVI),
    _recipe("kv-nvfp4", "NVFP4 cache along channels", "NVFP4", "nvfp4.te", "channels", 0, _BLOCKS),
    _recipe("kv-nvfp4-sinks", "kv-nvfp4, four tokens kept", SINKS, "nvfp4.te", "channels", 4, _BLOCKS),
)

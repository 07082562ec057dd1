"""All circuits of the vector unit by name, and a stream of realistic operands for each.

Decides what energies are measured on: rows of 64 scores with a deviation of two, activations of a unit deviation,
sums that run, scales that stay for a row. Uniform words would toggle every bit half of the time, which no layer does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hwsim.datapaths.vector import blocks, fixed
from hwsim.datapaths.vector.block_circuits import block_unit, block_units, exaq_clip_value
from hwsim.datapaths.vector.fixed_circuits import fixed_unit, fixed_units
from hwsim.datapaths.vector.float_circuits import BINARY, UNARY, UNROOT, float_unit, unroot_unit
from hwsim.errors import UnknownName
from hwsim.rtl.float_adders import WIDTHS
from hwsim.rtl.unit import Unit, Values, to_words

ROW = 64
"""Scores, or elements of a normalisation, in a row of the streams."""


@cache
def names() -> tuple[str, ...]:
    """Every circuit, the integer ones first."""
    real = tuple(f"{operator}_{fmt}" for fmt in WIDTHS for operator in BINARY + UNARY)
    return (*fixed_units(), *real, *_unroots(), *block_units())


def _unroots() -> dict[str, int]:
    return {f"unroot{size}_fp32": size for size in UNROOT}


@cache
def unit(name: str) -> Unit:
    """The circuit of a name.

    Raises:
        UnknownName: none of `names`.
    """
    if name in fixed_units():
        return fixed_unit(name)
    if name in block_units():
        return block_unit(name)
    if name in _unroots():
        return unroot_unit(_unroots()[name])
    operator, _, fmt = name.rpartition("_")
    if fmt in WIDTHS and operator in BINARY + UNARY:
        return float_unit(operator, fmt)
    raise UnknownName("circuit of the vector unit", name, names())


def stream(name: str, rng: np.random.Generator, steps: int) -> Values:
    """Operands of `steps` cycles as the layers of a transformer make them."""
    own = unit(name)
    operator, _, fmt = name.rpartition("_")
    if name in _unroots() or (fmt in WIDTHS and operator in BINARY + UNARY):
        return _real(operator, fmt, rng, steps)
    made = _whole(name, rng, steps) if name in fixed_units() else _block(name, rng, steps)
    return {port.name: made[port.name] for port in own.inputs}


def _rows(rng: np.random.Generator, steps: int, deviation: float) -> NDArray[np.float64]:
    return rng.standard_normal((-(-steps // ROW), ROW)) * deviation


def _flat(rows: NDArray, steps: int) -> NDArray:
    return rows.reshape(-1)[:steps]


def _held(values: NDArray, steps: int) -> NDArray:
    """One value a row."""
    return np.repeat(values, ROW)[:steps]


def _codes(values: NDArray[np.float64], fmt: str) -> NDArray[np.uint64]:
    if fmt == "fp16":
        return values.astype(np.float16).view(np.uint16).astype(np.uint64)
    words = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    return words >> np.uint64(16) if fmt == "bf16" else words


def _real(operator: str, fmt: str, rng: np.random.Generator, steps: int) -> Values:
    scores = _rows(rng, steps, 2.0)
    below = scores - scores.max(axis=1, keepdims=True)
    if operator == "max":
        running = np.maximum.accumulate(scores, axis=1)
        before = np.concatenate([scores[:, :1], running[:, :-1]], axis=1)
        return {"a": _codes(_flat(before, steps), fmt), "b": _codes(_flat(scores, steps), fmt)}
    if operator in ("add", "mul"):
        pair = rng.standard_normal((2, steps))
        return {"a": _codes(pair[0], fmt), "b": _codes(pair[1], fmt)}
    makers: Mapping[str, Callable[[], NDArray]] = {
        "exp2": lambda: _flat(below * np.log2(math.e), steps),
        "reciprocal": lambda: 1 + np.abs(rng.standard_normal(steps)) * 8,
        "rsqrt": lambda: np.abs(1 + 0.3 * rng.standard_normal(steps)) + 0.01,
    }
    argument = makers[operator]() if operator in makers else rng.standard_normal(steps)
    return {"x": _codes(argument, fmt)}


def _whole(name: str, rng: np.random.Generator, steps: int) -> Values:
    """Every operand that an integer unit may have; a unit takes those of its ports."""
    code = np.clip(np.rint(_rows(rng, steps, 32)), -128, 127).astype(np.int64)
    other = np.clip(np.rint(_rows(rng, steps, 32)), -128, 127).astype(np.int64)
    x, b = _flat(code, steps), _flat(other, steps)
    top = code.max(axis=1)
    # steps of 1/16: 256 log2(e) / 16 = 23
    p = fixed.exp2_scores(code, top[:, None], np.array(23))
    sums = np.cumsum(p, axis=1)
    squares = np.cumsum(code * code, axis=1)
    running = np.maximum.accumulate(code, axis=1)
    totals, variances = sums[:, -1], squares[:, -1]
    r, place = fixed.reciprocal(totals)
    if "normalize" not in name:
        r, half = fixed.rsqrt(variances // ROW)
        place = half + 9 - 5 + 8  # a deviation becomes 32
    # sums of 128 products of 8 bits; scale and shift bring a deviation to 32, or 2 for 4 bits
    acc = np.rint(rng.standard_normal(steps) * 18000).astype(np.int64)
    m, k = {"m16": (29491, 24), "m8": (230, 17), "shift": (1, 9)}.get(name.split("_")[1], (23, 0))
    k += 4 * name.endswith("s4")
    angle = rng.uniform(0, 2 * np.pi, steps)
    # a running sum before the operand is added; single sums where a unit sees one a row
    total = _flat(sums - p, steps)
    if name == "square_sum_s8":
        total = _flat(squares - code * code, steps)
    elif name == "sum_s8":
        total = _flat(np.cumsum(code, axis=1) - code, steps)
    elif name.startswith(("reciprocal", "rsqrt")):
        spread = rng.lognormal(0, 0.7, steps)
        total = np.rint(spread * (totals.mean() if name.startswith("reciprocal") else 1024)).astype(np.int64)
    number: Mapping[str, tuple[NDArray, int]] = {
        "a": (_flat(np.concatenate([code[:, :1], running[:, :-1]], axis=1), steps) if name == "max_s8" else x, 8),
        "b": (x if name == "max_s8" else b, 8),
        "x": (x, 8),
        "largest": (_held(top, steps), 8),
        "m": (np.full(steps, m), 16 if "m16" in name else 8),
        "k": (_held(place, steps) if name == "centre_pwl8" else np.full(steps, k), 6),
        "acc": (acc, 32),
        "p": (_flat(p, steps), 13),
        "total": (total, 24),
        "r": (_held(r, steps), 10),
        "place": (_held(place, steps), 5),
        "mean": (_held(np.rint(code.mean(axis=1) * 256).astype(np.int64), steps), 16),
        "cosine": (np.rint(np.cos(angle) * 127).astype(np.int64), 8),
        "sine": (np.rint(np.sin(angle) * 127).astype(np.int64), 8),
    }
    return {port: to_words(values.astype(np.int64), bits) for port, (values, bits) in number.items()}


def _block(name: str, rng: np.random.Generator, steps: int) -> Values:
    words = _codes(rng.standard_normal(steps), "fp32")
    size = 16 if name.startswith("nvfp4") else 32
    rows = (words & np.uint64(0x7FFFFFFF)).reshape(-1, size)[: steps // size]
    largest = np.maximum.accumulate(rows, axis=1)
    before = np.concatenate([np.zeros_like(largest[:, :1]), largest[:, :-1]], axis=1).reshape(-1)
    out: Values = {"a": before, "b": words[: len(before)], "x": words[: len(before)]}
    top = largest[:, -1]
    if name.startswith("nvfp4"):
        out["scale"] = np.repeat(blocks.nvfp4_scale(top), size)
    else:
        out["scale"] = np.repeat(blocks.mx_scale(top, "e4m3" if name.endswith("e4m3") else "e2m1"), size)
    if "scale" in name:
        out["largest"] = top
    if name.startswith("exaq"):
        return _exaq(name, rng, steps)
    return out


def _exaq(name: str, rng: np.random.Generator, steps: int) -> Values:
    bits = int(name[-1])
    group = 4 if bits == 2 else 2
    scores = _rows(rng, steps * group, 2.0)
    below = (scores - scores.max(axis=1, keepdims=True)).reshape(-1)
    clip = exaq_clip_value(bits)
    scaled = _codes((np.maximum(below, clip) - clip) * ((1 << bits) - 1) / -clip, "fp32")
    code = blocks.round_code(scaled, bits)
    packed = np.zeros(len(code) // group, np.uint64)
    for place in range(group):
        packed = packed << np.uint64(bits) | code[place : len(packed) * group : group]
    levels = np.exp(np.arange(1 << bits) * -clip / ((1 << bits) - 1) + clip)
    sums = np.exp(below).reshape(-1, ROW).sum(axis=1)
    values = np.repeat(np.minimum(np.rint(256 * levels / sums[:, None]), 255), ROW, axis=0)[:steps]
    return {
        "x": scaled[:steps],
        "code": code[:steps],
        "index": packed[:steps],
        "values": values.astype(np.uint64),
    }

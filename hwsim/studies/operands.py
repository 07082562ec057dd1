"""Operand streams of a study: random numbers, and what the reference models really multiply.

A stream is a row of dot products, element after element, as a unit sees them that keeps its sum in place. Trained
operands matter because they are neither uniform nor independent: many are zero, neighbours are alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwsim import workbench
from hwsim.guard import temporary_folder
from hwsim.quant.clipping import least_error_clip
from hwsim.trace import Gemm, load_trace

LENGTH = 256  # of random dot products


@dataclass(frozen=True, slots=True)
class Stream:
    """Integers x and w of `rows` dot products one after the other; `clear` marks the first element of each."""

    x: NDArray[np.int64]
    w: NDArray[np.int64]
    clear: NDArray[np.uint64]


def uniform(rng: np.random.Generator, bits: int, signed: bool, n: int) -> Stream:
    """Independent uniform codes."""
    least = -(1 << (bits - 1)) if signed else 0
    x, w = rng.integers(least, least + (1 << bits), size=(2, n))
    return Stream(x, w, clears(n, LENGTH))


def gaussian(rng: np.random.Generator, bits: int, signed: bool, n: int) -> Stream:
    """Normal values (their magnitudes for an unsigned unit), clipped where the squared error is least."""
    values = rng.standard_normal((2, n)).astype(np.float32)
    x, w = (quantize(v if signed else np.abs(v), bits, signed)[0] for v in values)
    return Stream(x, w, clears(n, LENGTH))


def clears(n: int, length: int) -> NDArray[np.uint64]:
    """A mark at every start of dot products of `length` elements."""
    return np.asarray(np.arange(n) % length == 0, np.uint64)


def largest(bits: int, signed: bool) -> int:
    """The largest integer of a symmetric quantizer."""
    return (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1


def quantize(values: NDArray[np.float32], bits: int, signed: bool) -> tuple[NDArray[np.int64], float]:
    """Integers of one step for the tensor, the clip of least squared error, and that step."""
    top = largest(bits, signed)
    step = least_error_clip(values, top, candidates=64) / top or 1.0
    return np.clip(np.rint(values / step), -top if signed else 0, top).astype(np.int64), step


def gpt_gemms(ending: str) -> list[Gemm]:
    """Forward products of the committed trace of the GPT whose layer ends with `ending`."""
    trace = load_trace(workbench.find("traces", "gpt-small"))
    return [gemm for gemm in trace.gemms("forward") if gemm.layer.endswith(ending)]


def captured(model: str, endings: tuple[str, ...], phase: str = "forward", rows: int | None = 32) -> list[Gemm]:
    """Products of a run of `model` in `phase`, recorded for this study; the numbers are copied into memory."""
    from dataclasses import replace

    from hwsim.nn import capture

    with temporary_folder("hwsim-study-") as folder:
        trace = capture(model, folder / "trace", backward=phase != "forward", max_rows=rows)
        found = [gemm for gemm in trace.gemms() if gemm.phase == phase and gemm.layer.endswith(endings)]
        return [
            replace(
                gemm,
                a=replace(gemm.a, values=np.array(gemm.a.values)),
                b=replace(gemm.b, values=np.array(gemm.b.values)),
            )
            for gemm in found
        ]


def pairs(a: NDArray, b: NDArray, n: int) -> tuple[NDArray, NDArray, NDArray[np.uint64]]:
    """Operands ``[M, K]`` and ``[N, K]`` as about `n` elements of whole dot products, rows and columns spread."""
    m, k = a.shape
    dots = max(n // k, 1)
    side = max(int(dots**0.5), 1)
    rows = np.linspace(0, m - 1, min(side, m)).astype(int)
    columns = np.linspace(0, len(b) - 1, min(-(-dots // len(rows)), len(b))).astype(int)
    left = np.repeat(a[rows], len(columns), axis=0).reshape(-1)
    right = np.tile(b[columns], (len(rows), 1)).reshape(-1)
    return left, right, clears(len(left), k)


def gpt_signed(bits: int, n: int) -> Stream:
    """Inputs of the layers after a norm (``up``) by their weights, both signed."""
    return joined(
        _pairs_of(gemm.a.values[0], gemm.b.values[0], bits, bits, True, n // 4) for gemm in gpt_gemms(".up")
    )


def relu_sources(name: str) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Inputs ``[M, K]`` that are not negative and signed weights ``[N, K]``, in real numbers.

    ``"gpt down"``: squared ReLUs of the recorded GPT. ``"half-normal"``: magnitudes of normal numbers by normal
    weights, what a ReLU of normal numbers leaves where it leaves something.
    """
    if name == "gpt down":
        return [(gemm.a.values[0], gemm.b.values[0]) for gemm in gpt_gemms(".down")]
    x, w = np.random.default_rng(1).standard_normal((2, 64, LENGTH)).astype(np.float32)
    return [(np.abs(x), w)]


def after_relu(name: str, bits_x: int, bits_w: int, n: int) -> Stream:
    """`relu_sources` as integers."""
    sources = relu_sources(name)
    return joined(_pairs_of(x, w, bits_x, bits_w, False, n // len(sources)) for x, w in sources)


def _pairs_of(
    x: NDArray[np.float32], w: NDArray[np.float32], bits_x: int, bits_w: int, signed: bool, n: int
) -> Stream:
    return Stream(*pairs(quantize(x, bits_x, signed)[0], quantize(w, bits_w, True)[0], n))


def joined(streams: Iterable[Stream]) -> Stream:
    """One after the other."""
    every = list(streams)
    return Stream(*(np.concatenate([getattr(s, name) for s in every]) for name in ("x", "w", "clear")))

"""What an elementwise instruction must return: the words that hwsim computes for the words x, y, z it gets.

Two instructions have no bits to compare. ``rcp.approx.ftz`` is promised within one unit in the last place (PTX ISA);
and no public text says which random bits ``cvt.rs`` gives to which element: there, the known readings are tried
(`READINGS`), and where none fits, every result must be a neighbour of its value.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.verify.cuda.kernels import Kernel
from hwsim.verify.cuda.layout import Words
from hwsim.verify.subject import Subject


def expected(subject: Subject, kernel: Kernel, x: Words, y: Words, z: Words) -> Words:
    """The result words of ``cvt.*`` (not ``.sr``), ``decode.*`` and ``dp4a``."""
    kind, _, rest = kernel.name.partition(".")
    if kernel.name == "dp4a":
        a, b = (w.view(np.int8).reshape(-1, 4) for w in (x, y))
        return subject.integer_dot(a, b, z.view(np.int32)).view(np.uint32)
    if kind == "decode":
        return _decoded(subject, rest, x)
    form, _, how = rest.partition(".")
    rounding: Any = how.split(".")[0] or "rne"
    saturate = not how.endswith("nosat") and form not in ("fp16", "bf16")
    low, high = (subject.encode(form, w.view(np.float32), rounding, saturate).astype(np.uint32) for w in (x, y))
    shift = {"e2m1": 4, "fp16": 16, "bf16": 16}.get(form, 8)
    return low | high << np.uint32(shift)


def _decoded(subject: Subject, form: str, x: Words) -> Words:
    """Two codes in the low byte or half of x: two float16, or bfloat16 of E8M0, low one first."""
    if form == "e2m1":
        codes = np.stack([x & 15, x >> np.uint32(4) & 15], axis=-1).astype(np.uint8)
    else:
        codes = np.ascontiguousarray(x).view(np.uint8).reshape(-1, 4)[:, :2].copy()
        codes &= np.uint8(formats.get(form).code_count - 1)
    wide = "bf16" if form == "e8m0" else "fp16"
    with np.errstate(all="ignore"):
        halves = subject.encode(wide, subject.decode(form, codes), "rne", False).astype(np.uint16)
    return np.ascontiguousarray(halves).view(np.uint32)[:, 0]


def same(kernel: Kernel, ours: Words, theirs: Words) -> NDArray[np.bool_]:
    """Which results are equal; any NaN equals any NaN of its half, except in codes of 8 bits and fewer."""
    if not (kernel.name.startswith("decode") or kernel.name in ("cvt.fp16", "cvt.bf16")):
        return np.asarray(ours == theirs)
    kind = np.float16 if kernel.name not in ("cvt.bf16", "decode.e8m0") else None
    halves = [np.ascontiguousarray(w).view(np.uint16).reshape(-1, 2) for w in (ours, theirs)]
    infinity = 0x7C00 if kind is np.float16 else 0x7F80
    nan = [(half & 0x7FFF) > infinity for half in halves]
    return np.asarray(((halves[0] == halves[1]) | (nan[0] & nan[1])).all(axis=-1))


def reciprocal_wrong(x: Words, result: Words) -> NDArray[np.bool_]:
    """Where ``rcp.approx.ftz.f32`` leaves its promise: one unit in the last place, subnormals as zeros."""
    values, got = x.view(np.float32), result.view(np.float32).astype(np.float64)
    with np.errstate(all="ignore"):
        flushed = np.where(np.abs(values) < 2.0**-126, np.copysign(np.float32(0), values), values)
        exact = 1.0 / flushed.astype(np.float64)
        exact = np.where(np.abs(exact) < 2.0**-126, np.copysign(0.0, exact), exact)
        ulp = 2.0 ** (np.frexp(exact)[1] - 24.0)
        near = (np.abs(got - exact) <= ulp) | (got == exact) | (np.isnan(got) & np.isnan(exact))
    return np.asarray(~near)


READINGS: dict[str, tuple[int, tuple[int, int, int, int]]] = {
    "byte i": (8, (0, 8, 16, 24)),
    "byte 3 - i": (8, (24, 16, 8, 0)),
    "low half for the first pair": (16, (0, 0, 16, 16)),
    "high half for the first pair": (16, (16, 16, 0, 0)),
    "low half for every element": (16, (0, 0, 0, 0)),
    "all bits for every element": (32, (0, 0, 0, 0)),
}
"""How many bits of the random word an element reads, and from which bit on, for elements 0 to 3."""


def stochastic(form: str, x: Words, y: Words, z: Words, reading: str) -> Words:
    """``cvt.rs.satfinite.*x4`` of x, y, x, y (lowest first), if the bits of z are read as `reading` says."""
    width, (bits, firsts) = 4 if form == "e2m1" else 8, READINGS[reading]
    total = np.zeros(x.shape, np.uint32)
    for i, (source, first) in enumerate(zip((x, y, x, y), firsts, strict=True)):
        own = z >> np.uint32(first) << np.uint32(32 - bits)  # `encode` reads the top bits
        code = formats.get(form).encode(source.view(np.float32), "sr", random_bits=own, sr_bits=bits)
        total |= code.astype(np.uint32) << np.uint32(width * i)
    return total


def neighbours(form: str, x: Words, y: Words, result: Words) -> NDArray[np.bool_]:
    """Whether all four codes of every result are a neighbour of their value: rounded toward zero, or one more."""
    width = 4 if form == "e2m1" else 8
    near = np.ones(x.shape, bool)
    for i, source in enumerate((x, y, x, y)):
        code = result >> np.uint32(width * i) & np.uint32((1 << width) - 1)
        down = formats.get(form).encode(source.view(np.float32), "rz").astype(np.uint32)
        near &= (code == down) | (code == down + 1)
    return near


def judge(subject: Subject, kernel: Kernel, x: Words, y: Words, z: Words, got: Words) -> tuple[int, str]:
    """How many of a device's results differ from what they must be, and a remark.

    The remark is the first result that differs, or what was compared where there are no bits to compare.
    """
    if kernel.name == "rcp.approx":
        return int(reciprocal_wrong(x, got).sum()), "within one unit in the last place, as PTX promises"
    if kernel.name.endswith(".sr"):
        return _judge_stochastic(kernel.name.split(".")[1], x, y, z, got)
    ours = expected(subject, kernel, x, y, z)
    differ = np.flatnonzero(~same(kernel, ours, got))
    if not differ.size:
        return 0, ""
    n = int(differ[0])
    return int(differ.size), f"x {int(x[n]):#010x} y {int(y[n]):#010x}: {int(ours[n]):#x}, not {int(got[n]):#x}"


def _judge_stochastic(form: str, x: Words, y: Words, z: Words, got: Words) -> tuple[int, str]:
    for reading in READINGS:
        if (stochastic(form, x, y, z, reading) == got).all():
            return 0, f"random bits: {reading}"
    finite = np.isfinite(x.view(np.float32)) & np.isfinite(y.view(np.float32))
    far = ~neighbours(form, x, y, got) & finite
    return int(far.sum()), "no known reading of the random bits; results compared with both neighbours"

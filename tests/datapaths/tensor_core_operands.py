"""Hard operands of tensor cores: kinds of codes, scales and c that reach every path of the fast products."""

from __future__ import annotations

import numpy as np

from hwsim.datapaths.dot import ARCHS, legal
from hwsim.datapaths.dot.elements import INF, element, parts

UNITS = [(arch, operand, out) for out in ("fp32", "fp16") for arch in ARCHS for operand in legal(arch, out)]
NAN_WORD = 0x7FFFFFFF


def words(array):
    return array.view(np.uint16 if array.dtype == np.float16 else np.uint32)


KINDS = ("tame", "random", "sparse", "cancelling", "specials")
EDGES = ("few", "faint", "full", "spread", "apart", "subnormal", "overflow")
"""What random codes hardly ever reach: borders of the fast paths, each seen to fail with its border moved."""


def hard_codes(form, rng, shape, kind):
    """Codes of one operand."""
    codes = rng.integers(0, 1 << form.word_bits, shape, dtype=np.uint64).astype(form.code_dtype)
    sign = form.code_dtype(1 << (form.word_bits - 1))
    if kind == "few":  # sums of a few units, so that a lost bit shows
        codes = (codes & sign) | form.code_dtype(1 << form.unread_bits)
        codes[rng.random(shape) < rng.choice([0.5, 0.8, 0.9], (shape[0], 1))] = 0
    if kind == "faint":  # float16 results around the subnormal border
        fields = rng.integers(max(form.bias - 8, 0), max(form.bias - 5, 1), shape).astype(form.code_dtype)
        low = form.code_dtype((1 << (form.mantissa_bits + form.unread_bits)) - 1)
        codes = (codes & (sign | low)) | (fields << form.code_dtype(form.mantissa_bits + form.unread_bits))
    if kind == "full":  # sums as large as they can be
        top = (1 << form.magnitude_bits) - 1
        top -= {"none": 0, "nan": 1, "fnuz": 0, "ieee": 1 << form.mantissa_bits}[form.specials]
        codes[:] = top << form.unread_bits
    if kind != "specials":
        codes[parts(form, codes)[1] >= INF] = 0
    if kind == "sparse":
        codes[rng.random(shape) < 0.8] = 0
        codes[: shape[0] // 3] = 0
        codes[:, 16:32] = 0
    return codes


def hard_scales(name, rng, shape, kind):
    """Scale bytes of one operand."""
    scale = rng.integers(0, 256, shape)
    if name == "e8m0":
        base, width = {
            "tame": (110, 32), "sparse": (110, 32), "cancelling": (110, 32), "few": (127, 1), "faint": (120, 8),
            "full": (127, 1), "spread": (107, 40), "apart": (40, 170), "subnormal": (48, 8), "overflow": (183, 8),
        }.get(kind, (0, 255))  # fmt: skip
        scale = base + scale % width
    else:
        base, width = {"tame": (0x30, 16), "cancelling": (0x30, 16), "few": (1, 7), "full": (0x38, 1)}.get(
            kind, (0, 127)
        )
        scale = base + scale % width
        if kind in ("spread", "apart"):
            scale = rng.choice([1, 3, 9, 0x79, 0x7B], shape)
        scale |= rng.integers(0, 2, shape) << 7
    if kind == "specials":
        scale[rng.random(shape) < 0.1] = 255
    return scale.astype(np.uint8)


def hard_operands(unit, rng, rows, length, kind):
    """Codes and scale bytes ``[rows, length]`` of a and b."""
    forms = element(unit.a_format), element(unit.b_format)
    a, b = (hard_codes(form, rng, (rows, length), kind) for form in forms)
    if kind == "apart":  # the largest scales of each operand meet zeros of the other
        for k in range(0, length, 64):
            a[:, k : k + 16], b[:, k + 16 : k + 32] = 0, 0
    if kind in ("cancelling", "spread"):
        for k in range(0, length - 15, 16):
            a[:, k + 8 : k + 16], b[:, k + 8 : k + 16] = a[:, k : k + 8], b[:, k : k + 8]
            b[:, k + 8 : k + 16] ^= forms[1].code_dtype(1 << (forms[1].word_bits - 1))
        b[rng.random(b.shape) < 0.02] = 0
    scales = [None, None]
    if unit.block:
        shape = (rows, -(-length // unit.block))
        scales = [hard_scales(unit.scale_format, rng, shape, kind) for _ in range(2)]
    return (a, b), scales


def hard_c(unit, rng, shape, kind):
    """c of every size; where a fast path decides for a whole row, one size a row."""
    if unit.out == "fp16":
        c = rng.integers(0, 1 << 16, shape).astype(np.uint16).view(np.float16)
        if kind == "faint":
            c = (c.view(np.uint16) & 0x83FF).view(np.float16)
    elif kind in ("tame", "sparse"):
        c = (rng.standard_normal(shape) * 10.0 ** rng.integers(-8, 8, shape)).astype(np.float32)
    elif kind in ("few", "spread", "apart", "cancelling"):
        each = (shape[0], *(1 for _ in shape[1:]))
        sizes = rng.integers(-50, 40, each)
        if kind == "few":  # all scales of NVFP4 are 2^-12 here: the borders are 2^-24 and 2^16
            sizes = rng.choice([-14, -13, -12, 27, 28, 29], each) - (12 if unit.scale_format == "ue4m3" else 0)
        if kind == "spread":
            sizes = rng.integers(4, 16, each)
        c = np.ldexp(rng.choice([-1.0, 1.0, 1.5, -1.9999999, 1.9999999], shape), sizes).astype(np.float32)
    else:
        c = rng.integers(0, 1 << 32, shape, dtype=np.uint64).astype(np.uint32).view(np.float32)
    if kind != "specials":
        c[~np.isfinite(c)] = 1
    if kind in ("subnormal", "overflow", "full", "spread"):
        c[rng.random(shape) < 0.5] = 0
    c[rng.random(shape) < 0.2] = 0
    c.flat[:3] = -0.0
    return c


def pairwise(unit, a, b, c, scale_a, scale_b):
    """`dot` of every row pair."""
    rows, columns = len(a), len(b)
    i, j = (index.ravel() for index in np.indices((rows, columns)))
    pick = [None if s is None else s[n] for s, n in ((scale_a, i), (scale_b, j))]
    return unit.dot(a[i], b[j], c.ravel(), *pick).reshape(rows, columns)


def assert_product_equals_dot(unit, kinds, seed, rows, columns, length):
    rng = np.random.default_rng(seed)
    for kind in kinds:
        (a, b), (scale_a, scale_b) = hard_operands(unit, rng, max(rows, columns), length, kind)
        a, b = a[:rows], b[:columns]
        scale_a, scale_b = (None, None) if scale_a is None else (scale_a[:rows], scale_b[:columns])
        c = hard_c(unit, rng, (rows, columns), kind)
        want = pairwise(unit, a, b, c, scale_a, scale_b)
        got = unit.matmul(a, b, c, scale_a, scale_b)
        np.testing.assert_array_equal(words(got), words(want), f"{unit.name} {kind}")

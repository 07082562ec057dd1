"""Element formats: NVIDIA's headers on the host, ml_dtypes, and numpy's float16."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim import formats
from hwsim.errors import MissingExtra
from hwsim.verify.host_headers import CONVERSIONS, PATTERNS, HostHeaders
from hwsim.verify.subject import Subject
from hwsim.verify.table import Row, skipped, today

HEADERS = "cuda_fp4.h, cuda_fp6.h, cuda_fp8.h on the host"

TIES = (0, 1, 0xFFFF)
"""First words of sweeps in steps of 2^16: every tie of a format of at most 6 mantissa bits, and its neighbours."""

ML_DTYPES = {
    "e2m1": "float4_e2m1fn", "e2m3": "float6_e2m3fn", "e3m2": "float6_e3m2fn", "e4m3": "float8_e4m3fn",
    "e5m2": "float8_e5m2", "e4m3fnuz": "float8_e4m3fnuz", "e5m2fnuz": "float8_e5m2fnuz", "bf16": "bfloat16",
    "e8m0": "float8_e8m0fnu",
}  # fmt: skip


def headers(subject: Subject, count: int) -> Iterator[Row]:
    """Every conversion that NVIDIA's headers define: `count` float32 words each, evenly spaced, and `TIES`."""
    try:
        compiled = HostHeaders()
    except MissingExtra as missing:
        yield skipped("conversions from float32", HEADERS, missing)
        return
    stride = max(1, PATTERNS // count - 1) | 1  # odd: every lower half is reached
    for conversion in CONVERSIONS:
        sweeps = [(0, count, stride), *((start, 1 << 16, 1 << 16) for start in TIES)]
        wrong = [word for sweep in sweeps for word in compiled.mismatches(conversion, *sweep, subject)]
        cases = count + len(TIES) * (1 << 16)
        note = f"first of them {wrong[0]:#010x}; at most 16 are counted in each of 4 sweeps" if wrong else ""
        rounding = f"{conversion.rounding}, {'saturating' if conversion.saturate else 'overflowing'}"
        yield Row(f"float32 to {conversion.format}, {rounding}", HEADERS, cases, len(wrong), today(), note)


def libraries(subject: Subject, count: int, seed: int = 0) -> Iterator[Row]:
    """Decoding of every code, and rounding to nearest of `count` float32 words, against ml_dtypes and numpy."""
    rng = np.random.default_rng(seed)
    values = _hard_floats(rng, count)
    yield _rounding(subject, "fp16", values, np.dtype(np.float16), f"numpy {np.__version__}")
    try:
        import ml_dtypes
    except ImportError:
        yield skipped("element formats", "ml_dtypes", MissingExtra("ml_dtypes", install="pip install hwsim[dev]"))
        return
    oracle = f"ml_dtypes {ml_dtypes.__version__}"
    for form, name in ML_DTYPES.items():
        dtype = np.dtype(getattr(ml_dtypes, name))
        yield _decoding(subject, form, dtype, oracle)
        if form != "e8m0":  # it rounds scales to nearest, which no conversion of a GPU does
            yield _rounding(subject, form, values, dtype, oracle)


def _hard_floats(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Random words, half of them with few bits set below the leading ones: ties and their neighbours."""
    words = rng.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)
    half = count // 2
    few = words[:half] & np.uint32(0xFFF80000)
    few += rng.choice(np.array([0, 0, 1, 0xFFFFFFFF, 0x8000, 0x7FFF], np.uint32), half)
    few = (few & np.uint32(0x80FFFFFF)) | rng.integers(0x66, 0x90, half).astype(np.uint32) << np.uint32(23)
    return np.concatenate([few, words[half:]]).view(np.float32)


def _canonical(form: str, codes: NDArray[Any]) -> NDArray[Any]:
    """Codes with one NaN, since libraries keep payloads and signs that conversions drop."""
    with np.errstate(all="ignore"):
        nan = np.isnan(formats.get(form).decode(codes))
    return np.where(nan, codes.dtype.type(0), codes)


def _rounding(subject: Subject, form: str, values: NDArray[np.float32], dtype: Any, oracle: str) -> Row:
    with np.errstate(all="ignore"):
        kept = values if formats.get(form).specials != "none" else values[np.isfinite(values)]
        theirs = kept.astype(dtype).view(formats.get(form).code_dtype)
    ours = subject.encode(form, kept, "rne", formats.get(form).specials == "none")
    wrong = np.flatnonzero(_canonical(form, ours) != _canonical(form, theirs))
    note = ""
    if wrong.size:
        first = wrong[0]
        note = f"{int(kept.view(np.uint32)[first]):#010x}: {int(ours[first]):#x}, not {int(theirs[first]):#x}"
    return Row(f"float32 to {form}, rne", oracle, kept.size, int(wrong.size), today(), note)


def _decoding(subject: Subject, form: str, dtype: Any, oracle: str) -> Row:
    codes = np.arange(formats.get(form).code_count).astype(formats.get(form).code_dtype)
    with np.errstate(all="ignore"):
        theirs = codes.view(dtype).astype(np.float32)
        ours = subject.decode(form, codes)
    equal = (ours.view(np.uint32) == theirs.view(np.uint32)) | (np.isnan(ours) & np.isnan(theirs))
    wrong = np.flatnonzero(~equal)
    note = f"code {int(wrong[0]):#x}: {ours[wrong[0]]}, not {theirs[wrong[0]]}" if wrong.size else "every code"
    return Row(f"{form} to float32", oracle, codes.size, int(wrong.size), today(), note)

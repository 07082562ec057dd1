"""What a dot unit makes of special values, and what its element and scale codes stand for."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwsim import formats
from hwsim.verify.operands import Batch
from hwsim.verify.probes import Case, Probe


def describe(probe: Probe) -> dict[str, str]:
    """Special values, and what element and scale codes stand for."""
    unit, width = probe.unit, 8 if probe.half else 16
    inf, nan = float("inf"), float("nan")
    cases = {"c NaN": Case(c=nan), "c -0": Case(c=-0.0), "c infinite": Case(c=inf)}
    form = formats.get(unit.a_format)
    if form.specials == "ieee":
        cases["0 · infinity"] = Case({0: (inf, 0.0)})
        cases["infinity - infinity"] = Case({0: (inf, 1.0)}, -inf)
    if form.specials != "none":
        cases["operand NaN"] = Case({0: (nan, 0.0)})
    cases["smallest c"] = Case(c=2.0**probe.smallest_c)
    found = {
        name: f"{int(word):#0{2 + width // 2}x}"
        for name, word in zip(cases, probe.words(list(cases.values())), strict=True)
    }
    if form.code_count <= 1 << 16:
        found["codes of a"] = _operand_table(probe)
    if unit.scale_format and unit.block:
        found["scale codes"], found["block"] = _scale_table(probe), _block(probe)
    return found


def _table(form: str, got: Any, want: Any) -> str:
    equal = (got == want) | (np.isnan(got) & np.isnan(want))
    if equal.all():
        return f"every code as in {form}"
    first = int(np.flatnonzero(~equal)[0])
    return f"{int((~equal).sum())} of {equal.size} codes are not those of {form}, the first {first:#x}"


def _operand_table(probe: Probe) -> str:
    name = probe.unit.a_format
    form = formats.get(name)
    a, b = probe.ones(form.code_count)
    a = a.astype(form.code_dtype)
    a[:, 0] = np.arange(form.code_count)
    got = _results(probe, Batch(a, b.astype(formats.get(probe.unit.b_format).code_dtype), *_rest(probe, len(a))))
    with np.errstate(all="ignore"):
        want = form.values.astype(np.float16 if probe.half else np.float32).astype(np.float64)
    return _table(name, got, want)


def _rest(probe: Probe, count: int) -> tuple[Any, Any, Any]:
    """c of zero and scales of one."""
    c = np.zeros(count, np.float16 if probe.half else np.float32)
    if not (probe.unit.block and probe.unit.scale_format):
        return c, None, None
    one = formats.get(probe.unit.scale_format).encode(np.ones(1, np.float32))[0]
    scales = [np.full((count, probe.k // probe.unit.block), one, np.uint8) for _ in range(2)]
    return c, scales[0], scales[1]


def _results(probe: Probe, batch: Batch) -> Any:
    return probe.raw(batch).view(np.float16 if probe.half else np.float32).astype(np.float64)


def _scale_table(probe: Probe) -> str:
    name = str(probe.unit.scale_format)
    a, b = (codes.astype(np.uint8) for codes in probe.ones(256))
    c, scale_a, scale_b = _rest(probe, 256)
    scale_a[:, 0] = np.arange(256)
    with np.errstate(all="ignore"):
        want = formats.get(name).decode(np.arange(256, dtype=np.uint8)).astype(np.float64)
    return _table(name, _results(probe, Batch(a, b, c, scale_a, scale_b)), want)


def _block(probe: Probe) -> str:
    """How many elements from the first on follow the first scale."""
    got = probe.values([Case({k: (1.0, 1.0)}, scales={0: (2.0, 1.0)}) for k in range(probe.k)])
    return f"{got.index(1.0) if 1.0 in got else probe.k} elements a scale"

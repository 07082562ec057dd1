"""The section "In gates": what the fitted numbers of the front are worth, beside the circuits' own.

Errors are of the units' logic alone. Memories, registers and DRAM cost the same in both and would hide them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hwsim.report import figures

if TYPE_CHECKING:
    from hwsim.evaluation import Confirmation
    from hwsim.search.study import Study


def section(study: Study, names: Mapping[int, str]) -> dict[str, Any] | None:
    """What the template shows, or None where the front was not confirmed.

    Keys: ``rows`` (one a design: name and record), ``errors`` (of logic and of machines, by quantity: median and 95th
    percentile), ``figure``, ``reasons`` (why designs have no gates, with their number), ``delay``.
    """
    points = [point for point in study.front if point.number in study.confirmed]
    if not points:
        return None
    found = [point for point in points if not study.confirmed[point.number].reason]
    records = [study.confirmed[point.number] for point in found]
    reasons: dict[str, int] = {}
    for point in points:
        if reason := study.confirmed[point.number].reason:
            reasons[reason] = reasons.get(reason, 0) + 1
    return {
        "rows": [{"name": names[point.number], "gates": study.confirmed[point.number]} for point in found],
        "errors": _errors(records) if records else {},
        "figure": figures.parity(found, study) if records else "",
        "reasons": reasons,
        "delay": records[0].delay if records else "",
    }


def _errors(records: Iterable[Confirmation]) -> dict[str, tuple[str, str]]:
    """Median and 95th percentile of the absolute errors, in per cent."""
    kept = list(records)
    errors = {
        "energy of the units' logic": [one.energy_error for one in kept],
        "energy of the machine": [one.trace_pj / one.gates_pj - 1 for one in kept],
        "area of the units' logic": [one.area_error for one in kept],
        "area of the machine": [one.fitted_um2 / one.synthesized_um2 - 1 for one in kept],
    }
    return {
        name: (f"{np.median(np.abs(values)):.1%}", f"{np.quantile(np.abs(values), 0.95):.1%}")
        for name, values in errors.items()
    }

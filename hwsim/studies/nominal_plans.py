"""What a space pays for plans that are chosen at nominal prices, so that all its designs can be priced.

    python -m hwsim.studies.nominal_plans TRACE [TRACE ...]

Random designs of ``dse/edge-lm.toml`` are planned twice, for the machine of `hwsim.arch.nominal` and for the energy
of the design itself, and priced as they are; writes ``reports/nominal_plans.md``.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwsim.errors import HwsimError
from hwsim.search import load_space
from hwsim.search.explorer import open_evaluators
from hwsim.storage import write_whole
from hwsim.trace import Trace, load_trace

COUNT, SEED = 200, 7
PAGE = Path("reports") / "nominal_plans.md"


def more(traces: list[Trace], count: int = COUNT, seed: int = SEED) -> Iterator[tuple[float, float]]:
    """By design: energy and latency by the nominal plan over those by its own, less one."""
    evaluators = open_evaluators(space := load_space("edge-lm"), traces)
    rng, found = random.Random(seed), 0
    while found < count:
        try:
            design = space.design({knob.name: rng.choice(knob.values) for knob in space.parameters})
            evaluator = evaluators[design.model or traces[0].name]
            shared, own = (
                evaluator.price(replace(design.accelerator, objective=aim)) for aim in ("nominal", "energy")
            )
        except HwsimError:  # a clock that is not reached, a memory that holds no tile
            continue
        found += 1
        energy = shared.energy.value / own.energy.value
        latency = shared.plan.latency_cycles / own.plan.latency_cycles
        yield energy - 1, latency - 1


def page(rows: list[tuple[float, float]]) -> str:
    """The report."""
    lines = [
        "# What nominal plans cost", "",
        f"{len(rows)} random designs of `dse/edge-lm.toml` (seed {SEED}) that can be built: energy and latency by",
        "the plan that a sweep shares among designs, over those by a plan for the design's own energy. Made by",
        "`python -m hwsim.studies.nominal_plans TRACE [TRACE ...]`, with traces of `gpt` and `bitnet`.", "",
        "| | least | median | mean | 90th of 100 | most |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, column in zip(("energy", "latency"), np.array(rows).T, strict=True):
        shown = (column.min(), np.median(column), column.mean(), np.percentile(column, 90), column.max())
        lines.append(f"| {name} | {' | '.join(f'{value:+.1%}' for value in shown)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the page."""
    write_whole(PAGE, page(list(more([load_trace(path) for path in sys.argv[1:]]))))


if __name__ == "__main__":
    main()

"""Machines that stand beside a front: published chips, or what one has today, priced as the space's designs are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.arch import Accelerator, load_accelerator
from hwsim.errors import ArgumentError
from hwsim.evaluation import Evaluator, Memo

if TYPE_CHECKING:
    from hwsim.search.space import DesignSpace
    from hwsim.search.study import Study
    from hwsim.trace import Trace


def with_baselines(
    study: Study,
    space: DesignSpace,
    trace: Trace,
    machines: Iterable[str | Path | Accelerator],
    memo: Memo | None = None,
) -> Study:
    """The study with `Study.baselines` filled: the values of each machine on `trace`, by the machine's name.

    Args:
        study: what `explore` found.
        space: the space that it searched, for the kinds of its accuracy and energy.
        trace: of the model that designs run by default.
        machines: machines, their names or files.
        memo: values measured before; the user's cache without it.

    Raises:
        ArgumentError: the space is one of a whole model.
        HwsimError: a machine that is none, or that cannot run the model.
    """
    if space.deploys:
        raise ArgumentError("machines stand beside designs of one trace, not of a whole model", got=space.name)
    evaluator = Evaluator(trace, space.accuracy, space.energy, space.metric_options, memo or Memo(), space.noise_seed)
    found: dict[str, Any] = {}
    for one in machines:
        machine = one if isinstance(one, Accelerator) else load_accelerator(one)
        found[machine.name] = evaluator(machine).values()
    return dataclasses.replace(study, manifest={**study.manifest, "baselines": found})

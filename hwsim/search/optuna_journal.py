"""A study as Optuna stores studies: a journal that Optuna, and optuna-dashboard, open as their own.

The search itself keeps no Optuna storage (`hwsim.search.explorer` says why), so the journal is written from the
study: every design a trial, in the order of the study, with its knobs, objectives, limits and other measures.
"""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.guard import temporary_folder
from hwsim.storage import owned, write_whole

if TYPE_CHECKING:
    from hwsim.search.points import Point
    from hwsim.search.study import Study

JOURNAL = "optuna.log"


def write_journal(study: Study, out: str | Path, force: bool = False) -> Path:
    """Write ``optuna.log`` into the folder `out`; ``optuna-dashboard out/optuna.log`` shows it.

    Objectives are named with their units. Violations of limits are Optuna's constraints. What else is known of a
    design, its number among it, are user attributes; a design that failed is a failed trial with its ``reason``.

    Args:
        study: finished or not.
        out: an empty folder, one of an earlier export, or one to make.
        force: also write into a folder that holds something else.

    Returns:
        The path of the journal.

    Raises:
        ArgumentError: the folder holds something else.
        StorageError: it cannot be written.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    goals, verbosity = study.manifest["goals"], optuna.logging.get_verbosity()
    with owned(out, "export", force=force) as folder, temporary_folder("hwsim-optuna-") as draft:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                storage = optuna.storages.JournalStorage(JournalFileBackend(str(draft / JOURNAL)))
                made = optuna.create_study(
                    storage=storage,
                    study_name=study.manifest["space"],
                    directions=["maximize" if goals[name] == "max" else "minimize" for name in study.objectives],
                )
                made.set_metric_names(list(study.objectives))
                made.add_trials([_trial(study, point) for point in study.points])
        finally:
            optuna.logging.set_verbosity(verbosity)
        return write_whole(folder / JOURNAL, (draft / JOURNAL).read_bytes())


def _trial(study: Study, point: Point) -> Any:
    """A design as a trial that has ended."""
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    knobs = dict(point.point)
    known = {knob: tuple(values) for knob, values in study.manifest["parameters"].items() if knob in knobs}
    others = {name: value for name, value in point.values.items() if name not in study.objectives}
    named = {name: point.detail[name] for name in ("numerics", "array") if name in point.detail}
    return create_trial(
        state=TrialState.FAIL if point.reason else TrialState.COMPLETE,
        values=None if point.reason else [point.values[name] for name in study.objectives],
        params={knob: knobs[knob] for knob in known},
        distributions={knob: CategoricalDistribution(values) for knob, values in known.items()},
        user_attrs={"number": point.number, **others, **named} | ({"reason": point.reason} if point.reason else {}),
        constraints=None if point.reason else dict(point.violations),
    )

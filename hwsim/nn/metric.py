"""The metric of a model file, in float32 or on emulated arithmetic: what accuracy ``rerun`` reports."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwsim.arch import Accelerator, Policy
from hwsim.errors import ModelError
from hwsim.nn.capturing import unchanged, weights_digest
from hwsim.nn.emulation import emulate
from hwsim.nn.models import ModelFile
from hwsim.nn.ordered import ordered


@dataclass(frozen=True)
class Measurement:
    """A metric: its name and value, which direction is better, and what else ``metric()`` told (a corpus hash).

    `weights` is the digest of the model's weights, as a trace's manifest holds it. ``details["left_to_torch"]``,
    where it is, names operators on whose order the processor decided (`hwsim.nn.ordered`).
    """

    name: str
    value: float
    lower_is_better: bool
    weights: str
    details: dict[str, Any] = field(default_factory=dict)


def measure(spec: str | Path, recipe: str | Policy | Accelerator | None = None, /, **options: Any) -> Measurement:
    """Build the model that `spec` means and call its ``metric()``, emulated as `recipe` says, in float32 if None.

    Args:
        spec: name or path of a model file.
        recipe: as in `hwsim.emulate`.
        options: arguments of ``metric()``. Those that it does not take are left out, as one design space serves
            several models.

    Raises:
        ModelError: the file has no ``metric``, or it returns neither a number nor a dict that begins with one.
    """
    file = ModelFile.find(spec)
    metric = file.get("metric")
    if metric is None:
        raise ModelError("model file must define metric(model)", where=str(file.path))
    known = {name: value for name, value in options.items() if file.accepts("metric", name)}
    model = file.build().eval()
    weights = weights_digest(model)
    with unchanged(model), ordered() as arithmetic:
        if recipe is None:
            found = metric(model, **known)
        else:
            with emulate(model, recipe):
                found = metric(model, **known)
    measured = _read(found, weights, str(file.path))
    if arithmetic.left:
        measured.details["left_to_torch"] = sorted(arithmetic.left)
    return measured


def _read(found: Any, weights: str, where: str) -> Measurement:
    details = dict(found) if isinstance(found, dict) else {"metric": found}
    name = next(iter(details), "metric")
    try:
        value = float(details.pop(name, math.nan))
    except (TypeError, ValueError):
        value = math.nan
    if math.isnan(value):
        raise ModelError("metric() must return a number, or a dict whose first entry is one", got=found, where=where)
    return Measurement(str(name), value, bool(details.pop("lower_is_better", False)), weights, details)

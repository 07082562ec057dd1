"""hwsim: a torch model goes in, a Pareto front of 4-bit accelerators comes out.

Names are loaded when they are first used, so that ``import hwsim`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwsim import datapaths, formats, quant, timing, verify
    from hwsim.arch import load_accelerator
    from hwsim.evaluation import evaluate
    from hwsim.nn import capture, emulate
    from hwsim.quant import fake_quantize, quantize
    from hwsim.report import plot_breakdown, plot_layers, plot_pareto, write_report
    from hwsim.search import explore, load_study, sweep
    from hwsim.trace import load_trace

__version__ = "0.1.0"

_HOME = {
    "quantize": "hwsim.quant",
    "fake_quantize": "hwsim.quant",
    "load_trace": "hwsim.trace",
    "load_accelerator": "hwsim.arch",
    "capture": "hwsim.nn",
    "emulate": "hwsim.nn",
    "evaluate": "hwsim.evaluation",
    "explore": "hwsim.search",
    "load_study": "hwsim.search",
    "sweep": "hwsim.search",
    "write_report": "hwsim.report",
    "plot_pareto": "hwsim.report",
    "plot_breakdown": "hwsim.report",
    "plot_layers": "hwsim.report",
}
_ROOMS = ("datapaths", "formats", "quant", "timing", "verify")

__all__ = [  # noqa: RUF022  (in the order of the straight line)
    "formats",
    "quant",
    "datapaths",
    "timing",
    "verify",
    "quantize",
    "fake_quantize",
    "capture",
    "load_trace",
    "load_accelerator",
    "emulate",
    "evaluate",
    "explore",
    "load_study",
    "sweep",
    "write_report",
    "plot_pareto",
    "plot_breakdown",
    "plot_layers",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"hwsim.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hwsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

"""Accuracy at its two prices.

``replay`` recomputes the recorded GEMMs bit by bit and reports the signal-to-quantization-noise ratio of each layer;
it needs no torch and no model. ``rerun`` runs the model itself with every GEMM emulated and reports its own metric.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hwsim.errors import DesignError, TraceError

if TYPE_CHECKING:
    from hwsim.arch import Policy
    from hwsim.trace import Gemm, Trace

Goal = Literal["min", "max"]
PERFECT_DB = 200.0
"""What a GEMM without any error counts as, so that means stay finite (float32 has about 150 dB)."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What accuracy means for a model: the metric's name, and whether it is to be small or large."""

    name: str
    goal: Goal


@dataclass(frozen=True, slots=True)
class Measured(Metric):
    """A metric with the value that a rerun found."""

    value: float


SQNR = Metric("sqnr_db", "max")


def replay(trace: Trace, policy: Policy, seed: int = 0) -> dict[str, float]:
    """SQNR in dB of every forward GEMM of `trace` under `policy`, by layer, in the order of execution.

    The reference is the float64 product of the recorded operands, summed in one order (`hwsim.ordered`). Signal and
    noise are summed over all recorded GEMMs of a layer; where the trace holds a sample of the rows, over that sample.
    A layer that the policy leaves in float32 counts the error of its one rounding. Stochastic rounding draws by
    counter: each product has a seed of its own, which follows from `seed` and its place in the trace. A layer whose
    products are all zero, exactly, has no SQNR and is left out; one with a product that is not finite has minus
    infinity.
    """
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for place, gemm in enumerate(trace.gemms("forward")):
        power, error = _errors(gemm, policy, f"{seed}:{place}")
        signal[gemm.layer] = signal.get(gemm.layer, 0.0) + power
        noise[gemm.layer] = noise.get(gemm.layer, 0.0) + error
    return {layer: _decibel(signal[layer], noise[layer]) for layer in signal if signal[layer] or noise[layer]}


def _errors(gemm: Gemm, policy: Policy, draw: str) -> tuple[float, float]:
    """Sums of squares of the exact product and of the emulated one's deviation from it; `draw`: of random bits."""
    numerics = policy.for_gemm(gemm.layer, "weight" if gemm.b.role == "weight" else "activation")
    from hwsim.ordered import arrays

    power = error = 0.0
    for index in range(gemm.a.values.shape[0]):
        a = np.ascontiguousarray(gemm.a.values[index], np.float32)
        b = np.ascontiguousarray(gemm.b.values[min(index, gemm.b.values.shape[0] - 1)], np.float32)
        exact = arrays.products(a, b, np.float64)
        if numerics is None:
            computed = arrays.products(a, b)
        else:
            seed = int.from_bytes(hashlib.blake2b(f"{draw}:{index}".encode(), digest_size=7).digest(), "little")
            computed = numerics.gemm(a, b, "weight" if gemm.b.role == "weight" else "activation", seed)
        power += float(np.square(exact).sum())
        error += float(np.square(computed - exact).sum())
    return power, error


def _decibel(signal: float, noise: float) -> float:
    """Minus infinity for a product that is not finite, or that is something where it should be zero."""
    if not math.isfinite(signal) or not math.isfinite(noise) or signal == 0:
        return -math.inf
    return PERFECT_DB if noise == 0 else min(PERFECT_DB, 10 * math.log10(signal / noise))


def mean_sqnr_db(by_layer: dict[str, float], trace: Trace) -> float:
    """One figure for a model: the mean of the layers' SQNR in dB, weighted by their MACs.

    Raises:
        DesignError: a layer's products are not finite, or are something where they should be zero.
        TraceError: every product of the trace is zero.
    """
    for layer, value in by_layer.items():
        if not math.isfinite(value):
            raise DesignError("products must be finite, and zero where they should be", got=value, where=layer)
    if not by_layer:
        raise TraceError("trace must have a product that is not zero", where=str(trace.path))
    macs: dict[str, int] = {}
    for shape in trace.workload.gemms:
        if shape.phase == "forward":
            macs[shape.layer] = macs.get(shape.layer, 0) + shape.macs
    return sum(by_layer[layer] * macs[layer] for layer in by_layer) / sum(macs[layer] for layer in by_layer)


def rerun(spec: str, weights: str, policy: Policy | None, options: dict[str, Any]) -> Measured:
    """The model's own metric, with every GEMM emulated as `policy` says, or in float32 where it is None.

    Args:
        spec: the model's file and function, as a trace names it.
        weights: digest of the weights that the trace was captured with.
        policy: arithmetic by layer.
        options: what the model's ``metric()`` is called with.

    Raises:
        TraceError: the model has other weights by now: energies of the trace and this accuracy would not belong
            together.
    """
    from hwsim import nn

    found = nn.measure(spec, policy, **options)
    if found.weights != weights:
        raise TraceError(
            f"a rerun needs the weights that the trace was captured with ({weights}); capture the model again",
            got=found.weights,
            where=spec,
        )
    return Measured(found.name, "min" if found.lower_is_better else "max", found.value)

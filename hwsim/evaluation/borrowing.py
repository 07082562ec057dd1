"""Workloads without operands, priced: flips follow from widths, or are borrowed from a trace of another model.

What is borrowed is said: a product takes the mean flips of the trace's products of its kind (a linear layer, scores,
weighted values), each weighted by its multiply-accumulates. A kind that the trace lacks is not replaced by another.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hwsim.cost.toggles import Toggles
from hwsim.errors import ArgumentError
from hwsim.evaluation.accuracy import SQNR
from hwsim.evaluation.evaluator import Evaluator
from hwsim.evaluation.pricing import Work, every_work, forward_work, price
from hwsim.evaluation.product_events import Counted
from hwsim.evaluation.records import Evaluation

if TYPE_CHECKING:
    from hwsim.arch import Accelerator, Numerics
    from hwsim.trace import GemmShape, Trace, Workload


def kind_of(shape: GemmShape) -> str:
    """What a product is, as far as its operands' statistics are alike."""
    if shape.b_role == "weight":
        return "linear"
    name = shape.layer.rpartition(".")[2]
    return name if shape.op == "attention" and name in ("qk", "pv") else "product of activations"


def evaluate_workload(
    workload: Workload, machine: Accelerator, statistics: Trace | Evaluator | None = None, every: bool = False
) -> Evaluation:
    """Price a machine on shapes.

    Args:
        workload: the shapes, with their graph where it is known.
        machine: the design.
        statistics: a trace whose operands stand for those of the workload, or its evaluator, which knows what it
            counted; without it flips follow from widths.
        every: price products of every phase, not those of a forward pass alone.

    Returns:
        Energy, area and latency; the accuracy is NaN. What was not measured on this workload is said in `borrowed`.

    Raises:
        ArgumentError: no forward product, or the trace has no product of a kind that the workload has.
        HwsimError: as `hwsim.evaluate`.
    """
    work = every_work(workload) if every else forward_work(workload, where=workload.name)
    if statistics is None:
        counted: Mapping[int, Counted] = {}
        fidelity, note = "pann", "no operands: flips of units follow from their widths"
    else:
        fidelity = "trace"
        counted, note = borrowed(
            work, workload, machine, statistics if isinstance(statistics, Evaluator) else Evaluator(statistics)
        )
    priced = price(work, machine, counted, fidelity)
    return Evaluation(
        accelerator=machine,
        workload=workload.name,
        fidelity="none",
        metric=SQNR,
        accuracy=math.nan,
        sqnr_db={},
        plan=priced.plan,
        energy=priced.energy,
        area=priced.area,
        macs=work.macs,
        tokens=work.tokens,
        f_max_ghz=priced.f_max_ghz,
        borrowed="; ".join(filter(None, (work.note, note))),
    )


def borrowed(
    work: Work, workload: Workload, machine: Accelerator, source: Evaluator
) -> tuple[dict[int, Counted], str]:
    """Flips of every product of a workload from those of a trace, and what is to be said about them.

    Raises:
        ArgumentError: a kind of product, or its arithmetic, is not in the trace.
    """
    order, policy = machine.array.dataflow.order, machine.policy
    toggles, additions = source.toggles(policy, order), source.additions(policy)
    lenders: dict[tuple[str, Numerics | None], list[int]] = {}
    for place, shape in enumerate(source.shapes):
        lenders.setdefault(_alike(shape, machine), []).append(place)
    means = {}
    for key, places in lenders.items():
        weights = [float(source.shapes[place].macs) for place in places]
        known = [additions[place] for place in places]
        means[key] = Counted(
            mean_toggles([toggles[place] for place in places], weights),
            None,
            _mean([one for one in known if one is not None], weights) if None not in known else None,
        )
    counted = {}
    for record in work.records:
        shape = workload.gemms[record]
        key = _alike(shape, machine)
        if key not in means:
            raise ArgumentError(
                f"statistics must hold a product of the kind {key[0]!r} in {key[1].label if key[1] else 'float32'}",
                got=source.trace.name,
                where=shape.layer,
            )
        counted[record] = means[key]
    kinds = ", ".join(f"{kind} from {len(places)}" for (kind, _), places in lenders.items())
    return counted, f"flips borrowed from {source.trace.name} by kind of product: {kinds}"


def _alike(shape: GemmShape, machine: Accelerator) -> tuple[str, Numerics | None]:
    """What products share whose operands' flips are alike."""
    return kind_of(shape), machine.policy.for_gemm(shape.layer, shape.b_role)


def mean_toggles(records: Sequence[Toggles], weights: Sequence[float]) -> Toggles:
    """The weighted mean of records that were counted in one order."""
    first = records[0]
    fields: dict[str, Any] = {}
    for one in dataclasses.fields(Toggles):
        values = [getattr(record, one.name) for record in records]
        if one.name == "layer":
            fields[one.name] = f"mean of {len(records)}"
        elif one.name == "dataflow":
            assert set(values) == {first.dataflow}, "counted in one order"
            fields[one.name] = first.dataflow
        elif isinstance(values[0], Mapping):
            names = dict.fromkeys(name for value in values for name in value)
            fields[one.name] = {name: _mean([value.get(name, 0.0) for value in values], weights) for name in names}
        else:
            fields[one.name] = _mean(values, weights)
    return Toggles(**fields)


def _mean(values: Sequence[float], weights: Sequence[float]) -> float:
    return math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / math.fsum(weights)

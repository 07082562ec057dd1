"""Parts of a machine beside its memories: arrays of units, and the vector unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hwsim.arch.dataflow import Dataflow
from hwsim.arch.fields import ARRAY, VECTOR, check_record

Overlap = Literal["none", "fill", "ideal"]
Precision = Literal["int8", "fp16", "fp32"]


@dataclass(frozen=True, slots=True)
class Array:
    """An array of rows × cols units, each with one datapath of every kind that the policy names.

    Args:
        rows: units along the first side.
        cols: units along the second side.
        dataflow: what stays in the units.
        overlap: ``"none"`` fills and drains for every fold, ``"fill"`` once a product, ``"ideal"`` never.
        count: arrays of this kind; the folds of a product are dealt out to them.
        stages: pipeline stages of a unit's logic; more allow a faster clock, cost registers and latency.

    Raises:
        DesignError: a field breaks a rule.
    """

    rows: int
    cols: int
    dataflow: Dataflow
    overlap: Overlap = "fill"
    count: int = 1
    stages: int = 1

    def __post_init__(self) -> None:
        check_record([field for field in ARRAY if field.key != "dataflow"], self, "array")

    @property
    def units(self) -> int:
        """Units of all arrays."""
        return self.rows * self.cols * self.count


@dataclass(frozen=True, slots=True)
class VectorUnit:
    """Softmax, norms, activation functions, requantisation: everything that is no matrix product.

    Args:
        lanes: elements a cycle.
        precision: of its arithmetic: ``"int8"`` (piecewise-linear tables), ``"fp16"`` or ``"fp32"``.
        softmax: ``"exact"``, or EXAQ with 2 to 4 bits: ``"exaq2"``, ``"exaq3"``, ``"exaq4"``.

    Raises:
        DesignError: a field breaks a rule.
    """

    lanes: int = 16
    precision: Precision = "fp16"
    softmax: Literal["exact", "exaq2", "exaq3", "exaq4"] = "exact"

    def __post_init__(self) -> None:
        check_record(VECTOR, self, "vector")

"""Bits that flip when recorded operands run through an array: the record that prices read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Toggles:
    """Mean flips per event of one GEMM.

    Args:
        layer: the layer's name.
        dataflow: the order that was counted.
        a_element: bits that flip when an operand register of side a takes its next element.
        b_element: the same for side b.
        a_scale: bits that flip when a register of a scale byte takes the next one; 0 without block scales.
        b_scale: the same for side b.
        addend: bits that flip at the accumulator's input (the product, sign-extended to its width) per update; 0 for
            units whose products never leave them.
        sum: bits that flip in the register of the running sum per update.
        sampled: part of the GEMM's multiply-accumulates whose sums were followed.
        inner: flips inside a unit per update, by feature of its family (`hwsim.datapaths.base.Price`); empty for
            units without fitted energies.
        rebuilt: the same per rebuild of a lookup unit's tables; empty for other units.
    """

    layer: str
    dataflow: str
    a_element: float
    b_element: float
    a_scale: float
    b_scale: float
    addend: float
    sum: float
    sampled: float
    inner: Mapping[str, float] = field(default_factory=dict)
    rebuilt: Mapping[str, float] = field(default_factory=dict)

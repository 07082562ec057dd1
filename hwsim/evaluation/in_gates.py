"""The dearest fidelity: energies and areas from synthesised gates, and how far the fitted ones are from them.

Decides what a confirmation is: the same machine on the same trace, priced once by fitted coefficients and once by its
own circuits, side by side. Both use the same library, so that the difference is the error of the fit alone. What
Yosys, cell libraries and delay models leave open is the error that each number carries.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwsim.errors import HwsimError

if TYPE_CHECKING:
    from hwsim.arch import Accelerator
    from hwsim.cost import Breakdown
    from hwsim.evaluation.evaluator import Evaluator
    from hwsim.evaluation.memo import Memo
    from hwsim.evaluation.synthesis import Synthesis
    from hwsim.trace import Trace


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One design, fitted beside synthesised.

    Attributes:
        design: the machine's name.
        trace_pj, gates_pj: energy of one pass of the traced batch, memories included.
        trace_logic_pj, gates_logic_pj: the part of it that the units' logic takes, where the two differ.
        fitted_um2, synthesized_um2: area, memories included.
        fitted_logic_um2, synthesized_logic_um2: area of the units' logic.
        delay: delay model of the gates.
        reason: why there are no gates to compare with, "" where there are; the gates' numbers are then nan.
    """

    design: str
    trace_pj: float
    gates_pj: float
    trace_logic_pj: float
    gates_logic_pj: float
    fitted_um2: float
    synthesized_um2: float
    fitted_logic_um2: float
    synthesized_logic_um2: float
    delay: str
    reason: str

    @property
    def energy_error(self) -> float:
        """Relative deviation of the fitted energy of the logic from the gates'."""
        return self.trace_logic_pj / self.gates_logic_pj - 1

    @property
    def area_error(self) -> float:
        """Relative deviation of the fitted area of the logic from the synthesised one."""
        return self.fitted_logic_um2 / self.synthesized_logic_um2 - 1


def confirm(
    trace: Trace,
    designs: Iterable[Accelerator],
    memo: Memo | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, note: None,
    synthesis: Synthesis | None = None,
) -> list[Confirmation]:
    """``gates`` beside ``trace`` energy, and ``synthesized`` beside ``fitted`` area, of every design.

    A design without circuits, or a system without Yosys, is a record with its reason, not an error.

    Args:
        trace: of the model; accuracies are replayed, not rerun.
        designs: for instance those of a study's front.
        memo: values measured before; the user's cache without it.
        progress: called with (designs done, designs in all, what is under way).
        synthesis: one that is under way already.
    """
    from hwsim import cost
    from hwsim.evaluation.evaluator import Evaluator
    from hwsim.evaluation.synthesis import Synthesis

    designs = list(designs)
    progress(0, len(designs), "synthesis")
    with contextlib.nullcontext(synthesis) if synthesis else Synthesis() as circuits:
        circuits.finish(designs)

    def priced(evaluator: Evaluator, design: Accelerator) -> tuple[float, float, float, float]:
        """Energy and its logic, area and its logic."""
        found = evaluator.price(design)
        energy, area = found.energy, found.area
        return energy.value, _logic(energy.breakdown()), area.value, _logic(area.breakdown())

    fitted, exact = (Evaluator(trace, "replay", kind, memo=memo) for kind in ("trace", "gates"))
    delay = cost.load_coefficients().delay_model
    found: list[Confirmation] = []
    for design in designs:
        progress(len(found), len(designs), "simulation")
        reason = ""
        synthesized = math.nan, math.nan, math.nan, math.nan
        try:
            synthesized = priced(exact, design)
        except HwsimError as refusal:
            reason = str(refusal)
        energy, own, area, own_area = priced(fitted, design)
        gates, own_gates, cells, own_cells = synthesized
        found.append(
            Confirmation(
                design.name, energy, gates, own, own_gates, area, cells, own_area, own_cells, delay, reason
            )
        )  # fmt: skip
    progress(len(designs), len(designs), "done")
    return found


LOGIC = ("products", "scaling", "alignment", "accumulation", "tables", "logic")
"""Parts that are the units' own logic, in any fidelity."""


def _logic(breakdown: Breakdown) -> float:
    return sum(part.value for name, part in breakdown.parts.items() if name in LOGIC)

"""The fidelity ``gates``: operands of a trace through the netlists of a unit."""

from __future__ import annotations

from pathlib import Path

from hwsim.arch import Numerics
from hwsim.arch.operands import Operands, unit_stream
from hwsim.cost.gates import GateEnergy
from hwsim.datapaths.pricing import stream_energy
from hwsim.gates.liberty import DEFAULT_LIBERTY
from hwsim.gates.simulator import Delay
from hwsim.gates.steps import Dataflow
from hwsim.trace import Gemm


def gate_energy(
    gemm: Gemm,
    numerics: Numerics,
    dataflow: Dataflow = "ws",
    delay: Delay = "zero",
    liberty: str | Path = DEFAULT_LIBERTY,
    cycles: int | None = None,
) -> GateEnergy:
    """Energy of an update of one unit on the operands of a recorded product.

    Args:
        gemm: the product with its operands.
        numerics: schemes and unit.
        dataflow: order of the operands at a unit.
        delay: ``"zero"`` without glitches, ``"unit"`` with those of unit gate delays.
        liberty: the library.
        cycles: most updates to simulate; by default what `hwsim.gates.steps` follows.

    Raises:
        MissingView: a unit without a circuit. ArgumentError: an unknown dataflow.
        MissingExtra: Yosys is not installed; the message names its package.
    """
    stream = unit_stream(Operands(gemm, numerics), dataflow, cycles)
    return stream_energy(gemm.layer, numerics.datapath, stream, dataflow, delay, liberty)

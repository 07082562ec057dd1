"""A user's unit whose precision is time: conforms, takes a cycle a bit, and is priced by its own coefficients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwsim import datapaths, quant
from hwsim.arch import Accelerator, Numerics, load_accelerator
from hwsim.cost import load_coefficients
from hwsim.datapaths.base import Datapath
from hwsim.datapaths.pricing import compose, unit_logic, update_energy
from hwsim.evaluation import Evaluator, Memo
from hwsim.evaluation.calibration.samples import statistics
from hwsim.evaluation.counting import count_by_dataflow
from hwsim.evaluation.simulation import gate_energy
from hwsim.rtl import tools
from hwsim.testing import check_datapath, missing_views

FILE = Path(__file__).resolve().parents[2] / "docs" / "bit_serial.py"
needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")


def unit(**fields: int) -> Datapath:
    return datapaths.from_spec({"file": f"{FILE}:BitSerial"} | fields)


@pytest.mark.parametrize("fields", [{}, {"a_bits": 4, "b_bits": 3, "group": 4, "acc_bits": 14}, {"group": 5}])
def test_it_conforms(fields: dict[str, int]) -> None:
    made = unit(**fields)
    assert check_datapath(made, vectors=300) == []
    assert missing_views(made) == []


def test_bits_are_those_of_an_integer_unit(rng: np.random.Generator) -> None:
    made, plain = unit(), datapaths.integer(8, 4, 24)
    a, b = rng.integers(-128, 128, (9, 50)).astype(np.int8), rng.integers(-8, 8, (7, 50)).astype(np.int8)
    np.testing.assert_array_equal(made.matmul(a, b), plain.matmul(a, b))


def test_precision_is_time(tiny_trace: Any, tmp_path: Path) -> None:
    """Half of the weights' bits: half of the cycles, as the array waits for nothing else."""

    def priced(b_bits: int) -> Any:
        tables: dict[str, Any] = load_accelerator("edge-int8").to_dict()
        tables["name"] = f"serial{b_bits}"
        tables["technology"]["clock_ghz"] = 0.2
        numerics = tables["numerics"]
        numerics["weight"] = f"int{b_bits}.channel"
        numerics["attention"] = {key: numerics[key] for key in ("activation", "datapath")} | {
            "weight": "int8.channel"
        }
        numerics["datapath"] = unit(b_bits=b_bits).spec()
        return Evaluator(tiny_trace, "replay", "trace", memo=Memo(tmp_path / "memo"))(Accelerator.from_dict(tables))

    eight, four = priced(8), priced(4)
    assert (unit(b_bits=8).cycles_per_step(), unit(b_bits=4).cycles_per_step()) == (8.0, 4.0)
    assert four.latency_cycles < eight.latency_cycles
    assert four.energy_pj < eight.energy_pj
    assert four.accuracy < eight.accuracy


@needs_yosys
def test_its_own_coefficients_are_near_the_gates() -> None:
    """A unit and operands that its fit has not seen."""
    made = unit(a_bits=6, b_bits=6, group=8, acc_bits=24)
    held, cells = compose(made, load_coefficients()), unit_logic(made)
    assert sum(block.area.value for block in held.components) == pytest.approx(cells.unit.value, rel=0.15)
    scheme = quant.get("int6.channel")
    numerics, product = Numerics(scheme, scheme, made), statistics(seed=7)[1]
    for flow, counted in count_by_dataflow(product, numerics).items():
        fitted = sum(part.value for part in update_energy(made, counted, load_coefficients())[0].values())
        simulated = gate_energy(product, numerics, flow)  # type: ignore[arg-type]
        assert fitted == pytest.approx(simulated.update_fj, rel=0.25), flow

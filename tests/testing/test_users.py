"""A user's unit, from a file: conforms, enters machines and spaces, is priced, and is remembered by its content."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hwsim
from hwsim import datapaths, quant
from hwsim.arch import Accelerator, Numerics, load_accelerator
from hwsim.cost import load_coefficients
from hwsim.datapaths.base import Datapath
from hwsim.datapaths.pricing import compose, unit_logic, update_energy
from hwsim.errors import ArgumentError, DesignError
from hwsim.evaluation import Evaluator, Memo
from hwsim.evaluation.calibration.samples import statistics
from hwsim.evaluation.counting import count_by_dataflow
from hwsim.evaluation.simulation import gate_energy
from hwsim.rtl import tools
from hwsim.search.space_file import space_from_dict
from hwsim.testing import check_datapath, missing_views

FILE = Path(__file__).resolve().parents[2] / "docs" / "truncated.py"
needs_yosys = pytest.mark.skipif(not tools.available("yosys", "yosys-abc"), reason="needs Yosys (apt install yosys)")


def unit(bits: int = 8, dropped: int = 6, file: Path = FILE) -> Datapath:
    table = {"file": f"{file}:Truncated", "bits": bits, "dropped": dropped, "acc_bits": 24}
    return datapaths.from_spec(table)


def machine(made: Datapath) -> Accelerator:
    tables: dict[str, Any] = load_accelerator("edge-int8").to_dict()
    tables["name"] = "truncated"
    tables["numerics"]["datapath"] = made.spec()
    return Accelerator.from_dict(tables)


@pytest.mark.parametrize(("bits", "dropped"), [(4, 0), (4, 3), (8, 6)])
def test_a_users_unit_conforms(bits: int, dropped: int) -> None:
    made = unit(bits, dropped)
    assert check_datapath(made, vectors=300) == []
    assert missing_views(made) == []


def test_products_by_hand() -> None:
    """-3 x 5 = -15 from rows -3 and -12; without the two lowest columns they are -4 (of -3) and -12: -16."""
    made = unit(4, 2)
    assert made.dot(*(_codes(-3), _codes(5))).tolist() == [-16]
    assert unit(4, 0).dot(*(_codes(-3), _codes(5))).tolist() == [-15]


def _codes(value: int) -> Any:
    import numpy as np

    return np.array([[value]], np.int8)


@needs_yosys
@pytest.mark.parametrize("dropped", [1, 5])
def test_its_own_coefficients_are_near_the_gates(dropped: int) -> None:
    """Units and operands that its fit has not seen; the bounds are about twice the fit's 95th percentiles."""
    made, scheme = unit(8, dropped), quant.get("int8.channel")
    held, cells = compose(made, load_coefficients()), unit_logic(made)
    assert sum(block.area.value for block in held.components) == pytest.approx(cells.unit.value, rel=0.15)
    numerics, product = Numerics(scheme, scheme, made), statistics(seed=7)[1]
    for flow, counted in count_by_dataflow(product, numerics).items():
        fitted = sum(part.value for part in update_energy(made, counted, load_coefficients())[0].values())
        assert fitted == pytest.approx(gate_energy(product, numerics, flow).update_fj, rel=0.2), flow  # type: ignore[arg-type]


def test_a_table_of_another_library_is_refused(tmp_path: Path) -> None:
    held = load_coefficients()
    assert held.with_table(None) is held
    table = tmp_path / "mine.csv"
    table.write_text((FILE.parent / "truncated.csv").read_text().replace("delay_model = zero", "delay_model = unit"))
    with pytest.raises(ArgumentError, match=r"a table of one's own must be of the delay_model of hwsim45, zero, got"):
        held.with_table(table)


@pytest.mark.parametrize("energy", ["pann", "trace", pytest.param("gates", marks=needs_yosys)])
def test_it_is_priced_like_any_other(energy: Any, tiny_trace: Any, tmp_path: Path) -> None:
    design = machine(unit())
    assert Accelerator.from_dict(design.to_dict()) == design
    found = Evaluator(tiny_trace, "replay", energy, memo=Memo(tmp_path / "memo"))(design)
    stock = Evaluator(tiny_trace, "replay", energy, memo=Memo(tmp_path / "memo"))(load_accelerator("edge-int8"))
    assert found.energy_pj < stock.energy_pj
    assert found.area_um2 < stock.area_um2
    assert found.accuracy < stock.accuracy


def test_fewer_columns_cost_less_and_lose_more(tiny_trace: Any, tmp_path: Path) -> None:
    evaluator = Evaluator(tiny_trace, memo=Memo(tmp_path / "memo"))
    found = [evaluator(machine(unit(8, dropped))) for dropped in (0, 4, 7)]
    assert found[0].accuracy == pytest.approx(evaluator(load_accelerator("edge-int8")).accuracy)
    assert found[0].accuracy > found[1].accuracy > found[2].accuracy
    assert found[0].area_um2 > found[1].area_um2 > found[2].area_um2


def test_what_is_remembered_follows_the_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(FILE.read_text())
    first = unit(file=mine)
    assert unit(file=mine).key == first.key
    assert unit(8, 5, mine).key != first.key
    mine.write_text(FILE.read_text().replace("max(self.dropped - row, 0)", "max(self.dropped - row + 1, 0)"))
    again = unit(file=mine)
    assert again.name == first.name
    assert again.key != first.key
    assert first.dot(_codes(-3), _codes(5)) != again.dot(_codes(-3), _codes(5)) or again != first


def test_what_is_remembered_follows_what_the_file_imports(tmp_path: Path) -> None:
    """In another process the helper's new text is another unit; in this one Python keeps the module that it has."""
    helper = tmp_path / "helper_of_mine.py"
    helper.write_text("LOW = 0\n")
    mine = tmp_path / "mine.py"
    mine.write_text("import helper_of_mine\n" + FILE.read_text().replace("from __future__ import annotations\n", ""))
    keys = []
    for text in ("LOW = 0\n", "LOW = 1\n", "LOW = 0\n"):
        helper.write_text(text)
        code = f"from hwsim import datapaths as d; print(d.from_spec({{'file': '{mine}:Truncated'}}).key)"
        run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        keys.append(run.stdout)
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"file": "truncated.py"},
            r"datapath.file: a unit's file must be 'path/to/file.py:Class', got 'truncated.py'",
        ),
        ({"file": "nowhere.py:Unit"}, r"datapath.file: a unit's file must exist, got 'nowhere.py'"),
        ({"file": f"{FILE}:Other"}, r"datapath.file: a unit's file must have a Datapath called Other"),
        ({"file": f"{FILE}:Truncated", "columns": 3}, r"datapath: Truncated got an unexpected keyword argument"),
        ({"file": f"{FILE}:Truncated", "dropped": 9}, r"truncated: dropped must lie in 0..7, got 9"),
    ],
)
def test_what_a_file_lacks_is_said(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        datapaths.from_spec(table)
    tables: dict[str, Any] = load_accelerator("edge-int8").to_dict()
    tables["numerics"]["datapath"] = table
    with pytest.raises(DesignError, match=r"edge-int8.numerics.datapath: must describe a unit"):
        Accelerator.from_dict(tables)


def test_a_file_that_does_not_run_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_that_name\n")
    with pytest.raises(ArgumentError, match=r"a unit's file must run \(ModuleNotFoundError: No module named"):
        datapaths.from_spec({"file": f"{broken}:Unit"})


def test_a_space_searches_its_fields(tiny_trace: Any, tmp_path: Path) -> None:
    tables: dict[str, Any] = load_accelerator("edge-int8").to_dict()
    tables.pop("name")
    tables["numerics"]["datapath"] = {"file": f"{FILE}:Truncated", "bits": 8, "dropped": 4, "acc_bits": 24}
    table = {
        "name": "truncated",
        "search": {"population": 4, "accuracy": "replay"},
        "machine": tables,
        "parameters": {"dropped": {"choice": [0, 2, 4, 6], "sets": "numerics.datapath.dropped"}},
    }
    study = hwsim.explore(
        space_from_dict(table, "truncated"), tiny_trace, trials=8, seed=0, out=tmp_path / "run"
    )  # fmt: skip
    assert len(study.front) >= 2

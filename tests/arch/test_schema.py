"""The schema for editors: as committed, and of one opinion with the loader."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hwsim.arch import Accelerator
from hwsim.arch.schema import machine_schema
from hwsim.errors import HwsimError

jsonschema = pytest.importorskip("jsonschema")

DSE = Path(__file__).resolve().parents[2] / "dse"
FILES = sorted((DSE / "machines").rglob("*.toml"))
SCHEMA = machine_schema()


def accepts(tables: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(tables))


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from hwsim.cli import run

    assert run(["schema", "machine"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    assert run(["schema", "machine", "--out", str(tmp_path / "x.json")]) == 0
    assert (tmp_path / "x.json").read_text() == (DSE / "machine.schema.json").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_editors_find_the_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first.startswith("#:schema ")
    assert (path.parent / first.removeprefix("#:schema ")).resolve() == DSE / "machine.schema.json"


def test_the_committed_schema_is_current() -> None:
    assert json.loads((DSE / "machine.schema.json").read_text()) == SCHEMA, (
        "remake it: hwsim schema machine --out ..."
    )
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_machine_file_is_valid(path: Path) -> None:
    tables = tomllib.loads(path.read_text())
    jsonschema.Draft202012Validator(SCHEMA).validate(tables)
    assert accepts(Accelerator.from_dict(tables).to_dict())


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("array", "rows", 0),
        ("array", "rows", 4097),
        ("array", "row", 8),
        ("array", "dataflow", "sw"),
        ("memory", "weight_kib", 0),
        ("memory", "weight_kib", 1e300),
        ("memory", "port_bits", 1.5),
        ("technology", "clock_ghz", -1.0),
        ("technology", "node_nm", "45"),
        ("numerics", "weight", "int8.chanel"),
    ],
)
def test_schema_and_loader_refuse_the_same(table: str, key: str, value: object) -> None:
    good = tomllib.loads((DSE / "machines" / "edge-int8.toml").read_text())
    bad = copy.deepcopy(good)
    bad[table][key] = value
    assert accepts(good)
    assert not accepts(bad)
    with pytest.raises(HwsimError):
        Accelerator.from_dict(bad)

"""The schema of spaces for editors, and the line that a mistake in a space's file is told with."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path

import pytest

from hwsim import cli
from hwsim.errors import HwsimError
from hwsim.search import load_space, space_from_dict
from hwsim.search.schema import space_schema

DSE = Path(__file__).resolve().parents[2] / "dse"
FILES = sorted(DSE.glob("*.toml"))
SCHEMA = space_schema()


def accepts(table):
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(table)


def test_the_command_prints_the_committed_schema(capsys):
    pytest.importorskip("jsonschema").Draft202012Validator.check_schema(SCHEMA)
    assert cli.run(["schema", "space"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
    assert json.loads((DSE / "space.schema.json").read_text()) == SCHEMA, "remake it: hwsim schema space --out ..."


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_space_names_its_schema_and_is_valid(path):
    assert path.read_text().splitlines()[0] == "#:schema space.schema.json"
    assert accepts(tomllib.loads(path.read_text()))


def test_the_schema_has_the_keys_of_the_loader():
    from hwsim.search import space_file as told

    assert set(SCHEMA["properties"]) == set(told._SPACE_KEYS)
    assert set(SCHEMA["properties"]["search"]["properties"]) == set(told._SEARCH_KEYS)
    assert set(SCHEMA["properties"]["parameters"]["additionalProperties"]["properties"]) == set(told._PARAMETER_KEYS)


WRONG = [
    (("nmae",), "x"), (("parameters", "rows"), {"choice": [4], "int": [1, 2]}),
    (("parameters", "rows"), {"choice": []}), (("parameters", "rows"), {"chioce": [4]}),
    (("objectives",), ["energie"]), (("constraints",), {"area": {"max": 1}}),
    (("constraints",), {"area_mm2": {"max": 0}}), (("constraints",), {"area_mm2": {}}),
    (("constraints",), {"area_mm2": {"most": 1}}),
    (("search", "polish"), -1), (("search", "popluation"), 9),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), WRONG, ids=str)
def test_schema_and_loader_refuse_the_same(path, value, small):
    bad = copy.deepcopy(small)
    *parents, leaf = path
    table = bad
    for parent in parents:
        table = table[parent]
    table[leaf] = value
    assert accepts(small)
    assert not accepts(bad)
    with pytest.raises(HwsimError):
        space_from_dict(bad, "here")


SLIPS = [
    ("[constraints]", "[constriants]", "did you mean 'constraints'?, got 'constriants'"),
    ("rows = { int", "rows = { itn", "did you mean 'int'?, got 'itn'"),
    ("area_mm2 = { max = 6.0 }", "area_mm2 = { max = 0 }", "no design can keep a maximum of zero or less, got 0"),
    ("lanes = 16", "lane = 16", "is not a known key; 'lanes' is the nearest key, got 16"),
    ("population = 50", "popluation = 50", "did you mean 'population'?, got 'popluation'"),
    ("polish = 100", "polish = -1", "must be a number of designs, 0 or more, got -1"),
    ("[options.nvfp4_scheme]", "[options.nvfp_scheme]", "did you mean 'nvfp4_scheme'?, got 'nvfp_scheme'"),
    ('family = "integer", a_bits = 8, b_bits = 4', 'family = "inteeger", a_bits = 8, b_bits = 4',
     "family must be one of integer, got 'inteeger'"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "told"), SLIPS)
def test_a_slip_is_told_with_its_line(good, bad, told, tmp_path):
    text = (DSE / "edge-lm.toml").read_text()
    line = text[: text.index(good)].count("\n") + 1
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(good, bad, 1))
    with pytest.raises(HwsimError, match=re.escape(told)) as raised:
        load_space(path)
    assert f"({path}, line {line})" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1

"""The table: what runs without a GPU, what is said of the rest, files, claims, the command."""

from __future__ import annotations

import json

import pytest

from hwsim import verify
from hwsim.cli import run as command
from hwsim.errors import MissingExtra, UnknownName
from hwsim.verify import Row, Table, report
from hwsim.verify.checks import circuits, formats, libraries, tensor_cores
from hwsim.verify.cuda import TARGETS
from hwsim.verify.cuda.device import DeviceError
from hwsim.verify.subject import Subject
from hwsim.verify.table import skipped

TABLE = Table((
    Row("float32 to e2m1, rne", "headers", 1000, 0, "2026-11-01"),
    Row("hopper: 9 tensor-core units", "mmasim", 50, 2, "2026-11-01", "x | y"),
    Row("wgmma on sm_90a", "silicon", 0, None, "2026-11-01", "no device"),
))  # fmt: skip


def test_a_table_counts_what_was_compared_and_what_was_not():
    assert (TABLE.cases, TABLE.differences, len(TABLE.unchecked)) == (1050, 2, 1)
    assert TABLE.summary == "2 comparisons, 1,050 cases, 2 differences; 1 comparisons could not be made here"
    assert [row.verdict for row in TABLE.rows] == ["yes", "NO, 2 differ", "not checked"]
    assert Row("a layer", "a library", 9, 0, bound=True).verdict == "within bound"


def test_a_table_as_text_markdown_and_json():
    assert TABLE.to_text().splitlines()[:3] == [
        "operation                    oracle   cases  bit-equal     date        note",
        "float32 to e2m1, rne         headers  1,000  yes           2026-11-01",
        "hopper: 9 tensor-core units  mmasim      50  NO, 2 differ  2026-11-01  x | y",
    ]
    assert (
        "| hopper: 9 tensor-core units | mmasim | 50 | NO, 2 differ | 2026-11-01 | x \\| y |" in TABLE.to_markdown()
    )
    assert Table.from_json(TABLE.to_json()) == TABLE


def test_claims_come_from_rows_that_were_compared():
    kernels = Table((Row("10 kernels compile for sm_80", "NVRTC", 10, 0),))
    assert report.claims(kernels).endswith("| 10 kernels, each is the one instruction it names |")
    assert report.claims(TABLE).splitlines() == [
        "| what | against | how far |",
        "|---|---|---|",
        "| element formats | NVIDIA's headers on the host, ml_dtypes, numpy | 1,000 cases, all bit-equal |",
        "| tensor cores of every architecture | mmasim 2.1.1 | 50 cases, 2 differ |",
    ]


def test_files_are_written(tmp_path):
    paths = report.write(TABLE, tmp_path / "new")
    assert [path.name for path in paths] == ["verify.json", "verify.md"]
    assert len(json.loads(paths[0].read_text())["rows"]) == 3
    assert "## Claims" in paths[1].read_text()


def test_a_quick_run_has_ten_million_cases_of_conversions_and_no_difference(silicon):
    seen = []
    table = verify.run(
        quick=True,
        replay=silicon,
        sections=[name for name in verify.SECTIONS if name != "kernels"],
        progress=lambda done, total, name: seen.append((done, total, name)),
    )
    assert table.differences == 0
    assert table.cases > 5_000_000
    assert seen[0] == (0, 7, "formats")
    assert seen[-1] == (7, 7, "")
    operations = {row.operation for row in table.rows}
    for target in TARGETS:
        assert any(f"mma.sync on {target}" in operation for operation in operations)


def test_a_machine_without_anything_says_what_is_missing(monkeypatch):
    def missing(*_):
        raise MissingExtra("this", install="nothing")

    monkeypatch.setattr(formats, "HostHeaders", missing)
    monkeypatch.setattr(tensor_cores.mmasim_oracle, "load", missing)
    monkeypatch.setattr("hwsim.rtl.bench.run_rtl", missing)
    monkeypatch.setattr("hwsim.verify.checks.device.Gpu", lambda: (_ for _ in ()).throw(DeviceError("no", got=0)))
    subject = Subject()
    rows = [*formats.headers(subject, 4), *tensor_cores.check(subject, 1), *circuits.check(1)]
    assert [(row.verdict, row.note) for row in rows] == [
        ("not checked", "this is needed, install it with: nothing")
    ] * 3
    table = verify.run(sections=("device", "recordings"))
    assert table.cases == 0
    assert all(row.differences is None and row.note for row in table.rows)
    assert table.rows[0].note == "no folder of recordings given: hwsim verify --replay DIR"


def test_libraries_that_are_not_here_are_rows(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    rows = {row.oracle: row for row in libraries.check(Subject(), quick=True)}
    assert rows["triton"].note == "triton is not installed"
    assert rows["transformer_engine"].differences is None


def test_an_unknown_section_is_told():
    with pytest.raises(UnknownName) as caught:
        verify.run(sections=("format",))
    assert str(caught.value).startswith("verify.sections: section must be one of formats")


def test_the_command_prints_the_table_and_leaves_with_one_if_anything_differs(monkeypatch, capsys, tmp_path):
    good = Table(TABLE.rows[:1])
    monkeypatch.setattr(verify, "run", lambda *_, **__: good)
    assert command(["verify", "--quick", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "1 comparisons, 1,000 cases, 0 differences" in out
    assert str(tmp_path / "verify.md") in out
    monkeypatch.setattr(verify, "run", lambda *_, **__: TABLE)
    assert command(["verify", "--quick"]) == 1


def test_the_command_discovers_an_emulator_and_says_where_there_is_no_device(monkeypatch, capsys):
    assert command(["verify", "--discover", "--emulated", "volta"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("volta.fp16: hwsim.datapaths.dot(a='fp16', b='fp16', acc='fp32', align='fused', group=4, ")
    assert command(["verify", "--discover", "--emulated", "kepler"]) == 2

    def nothing():
        raise DeviceError("a CUDA driver must be installed", got="no libcuda")

    monkeypatch.setattr("hwsim.verify.campaign.Gpu", nothing)
    assert command(["verify", "--discover"]) == 2
    assert "a CUDA driver must be installed, got 'no libcuda'" in capsys.readouterr().err


def test_the_command_hunts_mutants(monkeypatch, capsys):
    from hwsim.verify import mutants

    monkeypatch.setattr(mutants, "MUTANTS", mutants.MUTANTS[:2])
    monkeypatch.setattr(mutants, "hunt", lambda mutant, seed: TABLE.rows[1] if "more" in mutant.name else None)
    assert command(["verify", "--mutants"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("found: mmasim: x | y")
    assert second.endswith("NOT FOUND")


def test_a_skipped_row_gives_its_reason():
    assert skipped("this", "that", DeviceError("a rule", got=3)).note == "a rule, got 3"

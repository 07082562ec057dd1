"""Everything that a user can hand over, damaged: one line and status 2, or a result, never a traceback.

Two kinds of damage: to the bytes (bits, spans, lines, tokens), and to values of a document whose checksum is made
right again, as another version or a person would write it. Some dozens of each kind run here, 500 in the slow test.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import hwsim
from hwsim import cli
from hwsim.errors import HwsimError
from hwsim.search import space_from_dict
from hwsim.storage import format_line, seal
from tests.bounded import bounded
from tests.samples import SPACE, Halves

ROOT = Path(__file__).resolve().parent.parent

TOKENS = (
    "-1", "0", "1e400", "nan", "inf", "-inf", "null", "true", '""', "[]", "{}", "[[[[]]]]", "9" * 30,
    "9" * 5000, "-0.5", '"=HYPERLINK(1)"', '"$\\\\frac{$"', '"\\u0000"', '"' + "x" * 300 + '"', "1979-05-27",
    "1_000", "0x10", "a.b",
    "[" * 2000, "{a=" * 500, "'", "\n", ",", "é", "\ufeff",
)  # fmt: skip
VALUES = (
    None, True, False, -1, 0, 1, 2, 3.5, -0.0, 2**31, 2**40, 2**53, 2**63, 2**70, 1e300, -1e-300, "", "x", "x" * 300,
    "$\\frac{$", "=HYPERLINK(1)", "\x00", [], [1], [[]], {}, {"a": 1}, ["x"], "float32", "forward", "gemm",
)  # fmt: skip


def spoil_bytes(rng: random.Random, data: bytes) -> bytes:
    """`data` with a few bits, spans, lines or tokens changed."""
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        place, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        kind = rng.randrange(7)
        if kind == 0 and data:
            place = rng.randrange(len(data))
            data = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
        elif kind == 1:
            data = data[:place] + data[min(end, place + 40) :]
        elif kind == 2:
            data = data[:place] + data[place : min(end, place + 200)] + data[place:]
        elif kind == 3:
            data = data[:place]
        elif kind == 4:
            data = data[:place] + rng.choice(TOKENS).encode() + data[place:]
        else:
            words = [one for one in data.replace(b",", b" ").split() if one.strip(b'"[]{}=')]
            if words:
                data = data.replace(rng.choice(words), rng.choice(TOKENS).encode(), 1)
    return data


def spoil_value(rng: random.Random, tree: object) -> object:
    """A copy of a document with one value, key or entry changed."""
    tree = json.loads(json.dumps(tree))
    places: list[tuple[object, object]] = []
    pending = [tree]
    while pending:
        node = pending.pop()
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in entries:
            places.append((node, key))
            if isinstance(value, dict | list):
                pending.append(value)
    if not places:
        return rng.choice(VALUES)
    node, key = rng.choice(places)
    kind = rng.randrange(8)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[str(rng.choice(VALUES))] = node[key]
    elif kind == 2 and isinstance(node, list):
        node.insert(key, node[key])
    elif kind == 3 and isinstance(node[key], int | float) and not isinstance(node[key], bool):
        node[key] = rng.choice((-node[key], node[key] + 1, node[key] * 2, node[key] / 3))
    else:
        node[key] = rng.choice(VALUES)
    return tree


def run(*arguments: object) -> int:
    """One command in this process; its status is one of a user's, and its complaint one line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        status = cli.run([str(argument) for argument in arguments])
    told = [line for line in err.getvalue().splitlines() if line.startswith("hwsim: ") and "warning" not in line]
    assert status in (0, 2), (status, err.getvalue())
    assert (len(told) == 1) == (status == 2), err.getvalue()
    return status


def of_trace(folder: Path) -> list[object]:
    """All that a trace holds and has a checksum of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a torn end is told, and what is before it taken
        gemms = list(hwsim.load_trace(folder).gemms())
    return [
        checked_manifest(folder),
        *(
            (one.shape, one.step, *((side.role, side.rows_total, side.values.tobytes()) for side in (one.a, one.b)))
            for one in gemms
        ),
    ]


def checked_manifest(folder: Path) -> object:
    """What a manifest says, None of one without a checksum, as earlier versions wrote them."""
    said = json.loads((folder / "manifest.json").read_bytes())
    return {name: value for name, value in said.items() if name != "crc32"} if "crc32" in said else None


def of_study(folder: Path) -> dict[object, object]:
    """All that a study holds and has a checksum of: its manifest, and designs by their number."""
    study = hwsim.load_study(folder)
    return {"manifest": checked_manifest(folder)} | {
        point.number: (point.to_json(), study.confirmed.get(point.number)) for point in study.points
    }


class Files:
    """What is spoilt, and how it is handed over."""

    def __init__(self, folder: Path, trace: Path, study: Path) -> None:
        self.folder, self.trace, self.study = folder, trace, study
        self.whole_trace, self.whole_study = of_trace(trace), of_study(study)
        self.count = 0

    def unchanged_study(self, folder: Path) -> int:
        """A report of a study is made or refused; what is taken is what was written."""
        status = run("report", folder)
        if status == 0:
            found = of_study(folder)
            assert found.pop("manifest") in (None, self.whole_study["manifest"])
            assert {number: one for number, one in self.whole_study.items() if number != "manifest"} == found
        return status

    def copy(self, source: Path) -> Path:
        """A fresh copy of a folder."""
        target = self.folder / "copy"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        return target

    def put(self, name: str, data: bytes) -> Path:
        """A file of some bytes."""
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def machine(self, rng):
        name = rng.choice(("edge-int8", "edge-nvfp4"))
        text = (ROOT / "dse" / "machines" / f"{name}.toml").read_bytes()
        return run("evaluate", self.trace, self.put("machine.toml", spoil_bytes(rng, text)), "--energy", "pann")

    def space(self, rng):
        text = (ROOT / "dse" / "edge-lm.toml").read_bytes()
        return run(
            "explore", self.put("s.toml", spoil_bytes(rng, text)), "--trace", "no/such", "--out", self.folder / "o"
        )

    def _evaluate(self, folder):
        return run("evaluate", folder, "edge-int8", "--energy", "pann")

    def trace_bytes(self, rng):
        folder = self.copy(self.trace)
        path = rng.choice(sorted(path for path in folder.iterdir() if path.name != ".hwsim"))
        path.write_bytes(spoil_bytes(rng, path.read_bytes()))
        status = self._evaluate(folder)
        if status == 0:
            manifest, *found = of_trace(folder)
            assert manifest in (None, self.whole_trace[0])
            assert found == self.whole_trace[1 : len(found) + 1]
        return status

    def trace_index(self, rng):
        folder = self.copy(self.trace)
        path = folder / "seg-00000.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            del line["crc32"]
        path.write_bytes(
            b"".join(format_line(line) if isinstance(line, dict) else b"{}\n" for line in spoil_value(rng, lines))
        )
        return self._evaluate(folder)

    def trace_manifest(self, rng):
        folder = self.copy(self.trace)
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["crc32"]
        (folder / "manifest.json").write_bytes(seal(spoil_value(rng, manifest)))
        return self._evaluate(folder)

    def graph(self, rng):
        import zlib

        folder = self.copy(ROOT / "traces" / "gpt-small")
        data = json.dumps(spoil_value(rng, json.loads((folder / "graph.json").read_text()))).encode()
        (folder / "graph.json").write_bytes(data)
        manifest = json.loads((folder / "manifest.json").read_text()) | {"graph": f"{zlib.crc32(data):08x}"}
        manifest.pop("crc32", None)
        (folder / "manifest.json").write_bytes(seal(manifest))
        with contextlib.suppress(HwsimError):
            return hwsim.load_trace(folder).graph
        return None

    def study_bytes(self, rng):
        folder = self.copy(self.study)
        path = rng.choice([folder / name for name in ("points.jsonl", "manifest.json", "gates.csv")])
        path.write_bytes(spoil_bytes(rng, path.read_bytes()))
        return self.unchanged_study(folder)

    def points(self, rng):
        folder = self.copy(self.study)
        lines = [json.loads(line) for line in (folder / "points.jsonl").read_text().splitlines()]
        for line in lines:
            del line["crc32"]
        spoilt = spoil_value(rng, lines)
        (folder / "points.jsonl").write_bytes(b"".join(map(_line, spoilt)))
        return run("report", folder)

    def study_manifest(self, rng):
        folder = self.copy(self.study)
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["crc32"]
        (folder / "manifest.json").write_bytes(seal(spoil_value(rng, manifest)))
        return run("report", folder)

    def gates(self, rng):
        folder = self.copy(self.study)
        rows = [line.split(",")[:-1] for line in (folder / "gates.csv").read_text().splitlines()]
        text = "".join(",".join(map(str, row)) + "\n" for row in spoil_value(rng, rows) if isinstance(row, list))
        (folder / "gates.csv").write_text(text)
        return run("report", folder)

    def coefficients(self, rng):
        from hwsim.cost import load_coefficients

        self.count += 1
        data = (ROOT / "hwsim" / "cost" / "data" / "hwsim45.csv").read_bytes()
        with contextlib.suppress(HwsimError):
            load_coefficients(self.put(f"c{self.count}.csv", spoil_bytes(rng, data)))

    def liberty(self, rng):
        from hwsim.gates.liberty import DEFAULT_LIBERTY, read_liberty

        with contextlib.suppress(HwsimError):
            read_liberty(self.put("cells.lib", spoil_bytes(rng, DEFAULT_LIBERTY.read_bytes())))

    def memo(self, rng):
        from hwsim.evaluation.memo import Memo

        path = self.folder / "memo.jsonl"
        path.unlink(missing_ok=True)
        whole = Memo(path)
        for number in range(5):
            whole.put(Halves(str(number)), {"layer": number * 0.5})
        path.write_bytes(spoil_bytes(rng, path.read_bytes()))
        found = Memo(path)
        for number in range(5):  # what is found is what was kept
            assert found.get(Halves(str(number))) == {"layer": number * 0.5}

    def recording(self, rng):
        from hwsim.verify.record import load

        held = io.BytesIO()
        np.savez_compressed(held, a=np.zeros((4, 8), np.uint8), b=np.zeros((4, 8), np.uint8),
                            c=np.zeros(4, np.float32), d=np.zeros(4, np.float32))  # fmt: skip
        with contextlib.suppress(HwsimError):
            load(self.put("h100_e4m3_fp32.npz", spoil_bytes(rng, held.getvalue())))


def _line(entry: object) -> bytes:
    try:
        return format_line(entry) if isinstance(entry, dict) else b"[]\n"
    except (TypeError, ValueError):
        return b"{}\n"


KINDS = sorted(
    name for name in vars(Files) if not name.startswith("_") and name not in ("copy", "put", "unchanged_study")
)


@pytest.fixture(scope="module")
def files(tiny_trace, tmp_path_factory):
    from hwsim.evaluation import Confirmation
    from hwsim.search.confirmation import write_confirmed

    folder = tmp_path_factory.mktemp("hostile")
    study = hwsim.explore(space_from_dict(SPACE, "small.toml"), tiny_trace, trials=6, out=folder / "study")
    hwsim.write_report(study, folder / "study")
    one = Confirmation("small-0", 3.0, 2.5, 2.0, 1.5, 9.0, 8.0, 4.0, 3.0, "zero", "")
    write_confirmed({point.number: one for point in study.front}, folder / "study")
    assert run("report", folder / "study") == 0
    return Files(folder, tiny_trace.path, folder / "study")


@pytest.fixture
def no_figures(monkeypatch):
    """A report without its figures: they are drawn from what was checked before."""
    monkeypatch.setattr("hwsim.report.figures.overview", lambda study: b"")
    monkeypatch.setattr(
        "hwsim.report.page.render", lambda study, *_: repr((study.chances(), study.to_pandas().shape))
    )


def _spoil(files: Files, kind: str, count: int) -> None:
    peaks: list[int] = []
    for seed in range(count):
        try:
            with bounded(peaks):
                getattr(files, kind)(random.Random(f"{kind} {seed}"))
        except Exception as error:
            raise AssertionError(f"{kind}, seed {seed}: {type(error).__name__}: {error}") from error
    print(f"{kind}: {count} cases, most memory {max(peaks, default=0) >> 20} MiB")


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_line(files, kind, no_figures):
    _spoil(files, kind, 25)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damage_of_500_kinds_is_one_line(files, kind, no_figures):
    _spoil(files, kind, 500)

"""More kinds of files, damaged as in `test_hostile_files`: those of sweeps and shards, of trainings and comparisons,
of requests and models by shape, of units of one's own, packed logs, records of the cache."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from unittest import mock

import pytest

import hwsim
from hwsim import cache
from hwsim.errors import HwsimError
from hwsim.search import space_from_dict
from hwsim.storage import seal
from tests.samples import SPACE
from tests.test_hostile_files import ROOT, Files, _spoil, no_figures, run, spoil_bytes, spoil_value

__all__ = ["no_figures"]

ARRIVALS = "arrival_s,input_toks,output_toks\n" + "".join(f"{at * 0.25},{100 + at},{20 + at}\n" for at in range(40))
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 256,
    "max_position_embeddings": 128, "tie_word_embeddings": False, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
}  # fmt: skip


def machine_of(unit: Path) -> bytes:
    """edge-int8 with a unit of a file in the place of its own."""
    text = (ROOT / "dse" / "machines" / "edge-int8.toml").read_text()
    own = f'datapath = {{ file = "{unit}:Truncated", bits = 8, dropped = 6, acc_bits = 24 }}\n'
    made = "".join(own if line.startswith("datapath = ") else line for line in text.splitlines(keepends=True))
    assert own in made
    return made.encode()


class More(Files):
    """What is spoilt, and how it is handed over."""

    def __init__(self, folder: Path, trace: Path, study: Path, swept: Path, sharded: Path) -> None:
        super().__init__(folder, trace, study)
        self.swept, self.sharded = swept, sharded

    def parts(self, rng):
        """Of a whole sweep: the table is the one that was written, or is refused."""
        from hwsim.search.parts import read_parts

        whole = [part.to_pydict() for part in read_parts(self.swept)]
        folder = self.copy(self.swept)
        path = rng.choice(sorted(folder.glob("*.parquet")))
        path.write_bytes(spoil_bytes(rng, path.read_bytes()))
        with contextlib.suppress(HwsimError):
            assert [part.to_pydict() for part in read_parts(folder)] == whole

    def parts_index(self, rng):
        """The list of a sweep's parts, which ``--resume`` goes on from."""
        from hwsim.search.parts import read_parts, whole_parts

        folder = self.copy(self.swept)
        path = folder / "parts.json"
        if rng.random() < 0.5:
            path.write_bytes(spoil_bytes(rng, path.read_bytes()))
        else:
            path.write_text(json.dumps(spoil_value(rng, json.loads(path.read_text()))))
        for reader in (read_parts, whole_parts):
            with contextlib.suppress(HwsimError):
                list(reader(folder))

    def sweep_manifest(self, rng):
        folder = self.copy(self.swept)
        manifest = json.loads((folder / "manifest.json").read_text())
        del manifest["crc32"]
        (folder / "manifest.json").write_bytes(seal(spoil_value(rng, manifest)))
        return run("query", folder, "--minimize", "energy")

    def shard(self, rng):
        folder = self.copy(self.sharded)
        path = rng.choice(sorted(path for path in (folder / "shards").rglob("*") if path.is_file()))
        if path.name == "manifest.json" and rng.random() < 0.5:
            manifest = json.loads(path.read_text())
            del manifest["crc32"]
            path.write_bytes(seal(spoil_value(rng, manifest)))
        else:
            path.write_bytes(spoil_bytes(rng, path.read_bytes()))
        status = run("merge", folder)
        if status == 0 and path.suffix == ".parquet":
            assert (folder / "pareto.csv").read_bytes() == (self.swept / "pareto.csv").read_bytes()
        return status

    def packed_log(self, rng):
        folder = self.copy(self.study)
        data = gzip.compress((folder / "points.jsonl").read_bytes(), 9, mtime=0)
        (folder / "points.jsonl").unlink()
        (folder / "points.jsonl.gz").write_bytes(spoil_bytes(rng, data))
        return self.unchanged_study(folder)

    def marker(self, rng):
        folder = self.copy(self.study)
        (folder / ".hwsim").write_bytes(spoil_bytes(rng, (folder / ".hwsim").read_bytes()))
        return run("report", folder)

    def arrivals(self, rng):
        from hwsim.timing.serving.requests import Requests

        with contextlib.suppress(HwsimError):
            Requests.from_csv(self.put("arrivals.csv", spoil_bytes(rng, ARRIVALS.encode())))

    def model_by_shape(self, rng):
        from hwsim.workloads import load_model, prefill

        name = rng.choice(("llama3.2-1b", "mixtral-8x7b", "mamba2-130m", "deepseek-v3"))
        data = (ROOT / "hwsim" / "workloads" / "data" / f"{name}.toml").read_bytes()
        with contextlib.suppress(HwsimError):
            prefill(load_model(self.put("shape.toml", spoil_bytes(rng, data))), tokens=16)

    def model_config(self, rng):
        from hwsim.workloads import load_model, prefill

        data = json.dumps(CONFIG).encode()
        spoilt = spoil_bytes(rng, data) if rng.random() < 0.5 else json.dumps(spoil_value(rng, CONFIG)).encode()
        with contextlib.suppress(HwsimError):
            prefill(load_model(self.put("shape.json", spoilt)), tokens=16)

    def unit_of_ones_own(self, rng):
        """A machine that names a unit's file: the machine, the unit or its coefficients are damaged."""
        whole = {
            "truncated.py": (ROOT / "docs" / "truncated.py").read_bytes(),
            "truncated.csv": (ROOT / "docs" / "truncated.csv").read_bytes(),
            "unit.toml": machine_of(self.folder / "truncated.py"),
        }
        which = rng.choice(("truncated.csv", "truncated.csv", "unit.toml", "unit.toml", "truncated.py"))
        for name, data in whole.items():
            self.put(name, spoil_bytes(rng, data) if name == which else data)
        return run("evaluate", self.trace, self.folder / "unit.toml", "--energy", "pann")

    def training_state(self, rng):
        """An unfinished training: what is restored is what was saved, or the state is refused."""
        import torch

        from hwsim.nn.training import restore, save_state

        path, model = self.folder / "state.part", torch.nn.Linear(3, 2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        save_state(path, {"model": "m"}, 3, model, [optimizer], {"losses": [1.0, 2.0]})
        data = path.read_bytes()
        sealed = rng.random() < 0.5
        if sealed:
            inner = spoil_bytes(rng, data[64:])
            path.write_bytes(hashlib.sha256(inner).hexdigest().encode() + inner)
        else:
            path.write_bytes(spoil_bytes(rng, data))
        before = torch.get_rng_state()
        try:
            found = restore(path, {"model": "m"}, model, [optimizer])
        except HwsimError:
            return
        finally:
            torch.set_rng_state(before)
        if not sealed:
            assert found == (3, {"losses": [1.0, 2.0]})
            assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())

    def comparison(self, rng):
        from hwsim.report.training import draw

        folder = self.folder / "comparison"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        recipe = {"version": 1, "digest": "0", "paper": "a paper", "claims": ["a claim"], "threshold": None}
        manifest = {"model": "m", "steps": 4, "seeds": [0, 1], "recipes": {"nvfp4": recipe}, "finished": True}
        losses = "".join(
            f"{name},{seed},{step},{2.0 / step + seed}\n"
            for name in ("float32", "nvfp4") for seed in (0, 1) for step in (1, 2, 3, 4)
        )  # fmt: skip
        files = {
            "manifest.json": json.dumps(manifest).encode(),
            "losses.csv": f"recipe,seed,step,loss\n{losses}".encode(),
            "summary.csv": b"recipe,seed,last_loss,gap_to_float32\nfloat32,0,0.5,0\nfloat32,1,1.5,0\n"
            b"nvfp4,0,0.6,0.1\nnvfp4,1,1.6,0.1\n",
        }
        which = rng.choice(sorted(files))
        for name, data in files.items():
            (folder / name).write_bytes(spoil_bytes(rng, data) if name == which else data)
        if which == "manifest.json" and rng.random() < 0.5:
            (folder / which).write_text(json.dumps(spoil_value(rng, manifest)))
        with contextlib.suppress(HwsimError):
            draw(folder)

    def tables_of_a_study(self, rng):
        """Of a published claim, for its figure."""
        from hwsim.report.studies import draw

        folder = self.copy(ROOT / "reports" / rng.choice(("study-pann", "study-luq", "study-decode", "study-muon")))
        path = rng.choice(sorted([*folder.glob("*.csv"), folder / "study.md"]))
        path.write_bytes(spoil_bytes(rng, path.read_bytes()))
        with contextlib.suppress(HwsimError):
            draw(folder)

    def record(self, rng):
        """Machine code and netlists lie in records: one that is read is the one that was kept."""
        path = self.folder / "record.nbc"
        cache.store(path, "key 1", bytes(range(256)))
        path.write_bytes(spoil_bytes(rng, path.read_bytes()))
        assert cache.load(path, "key 1") in (None, bytes(range(256)))

    def netlist(self, rng):
        """A kept netlist with other values and a right checksum, as another version would have written it."""
        from hwsim.gates import synthesis
        from hwsim.gates.synth_report import gate_mismatches
        from hwsim.rtl.multipliers import multiplier
        from hwsim.rtl.tools import ToolError, available
        from hwsim.rtl.unit import every_input

        if not available("yosys", "yosys-abc"):
            pytest.skip("needs Yosys (apt install yosys)")
        unit = multiplier(2, 2, False, "array")
        synthesis._report.cache_clear()
        with mock.patch.dict(os.environ, HWSIM_CACHE_DIR=str(self.folder / "cache")):
            synthesis.synth(unit)
            (path,) = cache.folder("synth").glob("*.netlist")
            whole, key = path.read_bytes(), path.stem
            record = gzip.decompress(cache.load(path, key))
            spoilt = spoil_bytes(rng, record) if rng.random() < 0.2 else _text(spoil_value(rng, json.loads(record)))
            cache.store(path, key, spoil_bytes(rng, whole) if rng.random() < 0.1 else gzip.compress(spoilt))
            synthesis._report.cache_clear()
            try:
                with contextlib.suppress(HwsimError), mock.patch(
                    "hwsim.gates.synthesis.synthesize", side_effect=ToolError("a record must be made again")
                ):  # fmt: skip
                    report = synthesis.synth(unit)
                    assert report.area_ge >= 0
                    assert report.netlist.levels >= 0
                    gate_mismatches(unit, report.netlist, every_input(unit))
            finally:
                path.write_bytes(whole)
                synthesis._report.cache_clear()


def _text(tree: object) -> bytes:
    return json.dumps(tree).encode()


KINDS = sorted(name for name in vars(More) if not name.startswith("_"))


@pytest.fixture(scope="module")
def files(tiny_trace, tmp_path_factory):
    pytest.importorskip("pyarrow", reason="needs pyarrow (pip install 'hwsim[sweep]')")
    from hwsim.search.shards import merge, work

    folder = tmp_path_factory.mktemp("hostile")
    space = space_from_dict(SPACE | {"machine": SPACE["machine"] | {"objective": "time"}}, "small.toml")
    study = hwsim.explore(space, tiny_trace, trials=6, out=folder / "study")
    hwsim.write_report(study, folder / "study")
    hwsim.sweep(space, tiny_trace, out=folder / "swept")
    for shard in ("1/2", "2/2"):
        work(space, tiny_trace, shard, folder / "sharded")
    again = shutil.copytree(folder / "sharded", folder / "joined")
    merge(again)
    assert (again / "pareto.csv").read_bytes() == (folder / "swept" / "pareto.csv").read_bytes()
    for ready in ("study", "swept"):
        assert run("query", folder / ready, "--minimize", "energy") == 0
    more = More(folder, tiny_trace.path, folder / "study", folder / "swept", folder / "sharded")
    more.put("truncated.csv", (ROOT / "docs" / "truncated.csv").read_bytes())
    more.put("truncated.py", (ROOT / "docs" / "truncated.py").read_bytes())
    unit = more.put("unit.toml", machine_of(folder / "truncated.py"))
    assert run("evaluate", tiny_trace.path, unit, "--energy", "pann") == 0
    return more


@pytest.fixture
def nothing_drawn(monkeypatch):
    """Figures are made and not written out: that takes most of the time and reads nothing."""
    monkeypatch.setattr("hwsim.report.studies.to_svg", lambda figure: _drawn(figure))
    monkeypatch.setattr("hwsim.report.training.to_svg", lambda figure: _drawn(figure))


def _drawn(figure: object) -> str:
    import matplotlib.pyplot as plt

    figure.savefig(io.BytesIO(), dpi=20)
    plt.close("all")
    return "<svg/>"


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_one_line(files, kind, no_figures, nothing_drawn):
    _spoil(files, kind, 12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damage_of_500_kinds_is_one_line(files, kind, no_figures, nothing_drawn):
    _spoil(files, kind, 500)

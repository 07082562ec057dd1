"""One sweep by many processes that know nothing of each other: shards, made side by side, and joined.

The order of a sweep follows from the space alone, so that shard 3 of 16 is the same designs wherever it is made: the
blocks that begin in the third sixteenth of that order. A shard lies in a folder of its own below ``shards``, with its
lock, its parts and their checksums; what was interrupted goes on behind the last part that is whole. `merge` writes
the parts again as one sweep would have written them, to the last byte, and takes the front from them.

Any scheduler's job array will do. Rejected: shards by turns of blocks, which balance better where some plans are
hard, but have every shard measure every accuracy.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, TraceError
from hwsim.search.explorer import begun, prepare
from hwsim.search.manifest import MANIFEST, clear_study, read_manifest, write_manifest
from hwsim.search.parts import PARTS, PartWriter, columns_of, read_parts
from hwsim.search.space import DesignSpace
from hwsim.search.space_file import space_from_dict
from hwsim.search.spans import run
from hwsim.search.study import Study
from hwsim.search.sweeper import REFUSED, Sweeper
from hwsim.search.sweeping import begin_sweep, finish, open_table
from hwsim.search.watching import Progress
from hwsim.search.workers import open_pool
from hwsim.storage import owned
from hwsim.trace import Trace

SHARDS = "shards"
MOST_SHARDS = 99_999

_ALIKE = (
    "space_digest", "accuracy", "energy", "sources", "environment", "coarsened", "space_size", "metric", "goals",
)  # fmt: skip
"""What shards of one sweep have in common, beside the digests of their traces."""


def shard_of(text: str) -> tuple[int, int]:
    """The shard that is written ``3/16``: the third of 16, counted from 1.

    Raises:
        ArgumentError: it is none.
    """
    found = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", text, re.ASCII)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ArgumentError(
            f"shard must be K/N, the K-th of N, with K from 1 to N and N at most {MOST_SHARDS}", got=text
        )
    return int(found[1]), int(found[2])


def work(
    space: str | Path | DesignSpace,
    traces: Trace | str | Path | Iterable[Trace | str | Path],
    shard: str,
    out: str | Path,
    points: int | None = None,
    workers: int = 1,
    force: bool = False,
    progress: Progress = lambda done, total, note: None,
) -> Path:
    """Price one shard of a sweep, or what is missing of it.

    Args:
        space: a space, its name or its file; the same for all shards, as `traces` and `points` are.
        traces: as of `hwsim.sweep`.
        shard: ``K/N``, the K-th of N.
        out: folder of the whole sweep, which all shards may share; this one lies in ``shards`` below it.
        points: most designs: a larger space is swept on a coarser grid.
        workers: processes that measure accuracies and decide plans side by side.
        force: begin anew, also where the folder of the shard holds another sweep's.
        progress: called after every block with designs done, designs in all, and a note.

    Returns:
        The folder of the shard.

    Raises:
        ArgumentError: no shard, or its folder holds one of another sweep, or another process works on it.
        MissingExtra: pyarrow is not installed.
    """
    which, count = shard_of(shard)
    sweeper, manifest = begin_sweep(space, traces, points)
    size = sweeper.space.size
    sweeper.low, sweeper.high = (which - 1) * size // count, which * size // count
    manifest |= {"shard": [which, count]}
    with owned(Path(out) / SHARDS / f"{which:05d}-of-{count:05d}", "shard", force=force) as folder:
        if force:
            clear_study(folder)
        open_table(sweeper, folder, manifest, resume=True, force=False)
        began = time.monotonic()
        with open_pool(workers) as sweeper.pool:
            run(sweeper, progress)
        designs, seconds = sum(sweeper.counts.values()), round(time.monotonic() - began, 3)
        facts = {"finished": True, "designs": designs, "plans": sweeper.plans, "seconds": seconds}
        write_manifest(folder, manifest | facts)
    return folder


def merge(
    out: str | Path,
    traces: Trace | str | Path | Iterable[Trace | str | Path] | None = None,
    force: bool = False,
    progress: Progress = lambda done, total, note: None,
) -> Study:
    """Join the finished shards in a folder into the study that one sweep would have left there.

    Args:
        out: the folder that was given to `work`.
        traces: where the traces are now; where the shards found them without it.
        force: replace a study that is there.
        progress: called after every part that is read, with designs done, designs in all, and a note.

    Raises:
        ArgumentError: shards are missing or unfinished, or are not of one sweep, or the folder holds a study.
        TraceError: a part is not what was written, or a trace is not the one that was priced.
    """
    shards = _finished(Path(out))
    first = read_manifest(shards[0])
    if traces is None:
        traces = [facts["path"] for facts in first["traces"].values()]
    sweeper, manifest = begin_sweep(space_from_dict(first["space_tables"], where=str(shards[0] / MANIFEST)), traces)
    manifest |= {"coarsened": first["coarsened"], "left_out": first["left_out"], "shards": len(shards)}
    _check_alike(manifest, "this process", first, shards[0])
    with owned(out, "study", force=force, beside=("traces", SHARDS)) as folder:
        if not force and begun(folder) and not _is_half_joined(folder):
            raise ArgumentError(
                "the folder for a new study must not hold one; force it", got=str(folder), where="out"
            )
        clear_study(folder)
        prepare(folder, manifest, resume=False, force=False)
        began = time.monotonic()
        _join(sweeper, shards, PartWriter(folder, sweeper.space.parameters), progress)
        sweeper.restore(read_parts(folder))
        plans = sum(read_manifest(one)["plans"] for one in shards)
        return finish(sweeper, manifest, folder, began, plans)


def _is_half_joined(folder: Path) -> bool:
    """Whether the folder holds what an interrupted `merge` left, which nobody misses."""
    manifest = read_manifest(folder)
    return "shards" in manifest and not manifest["finished"]


def _finished(out: Path) -> list[Path]:
    """Folders of the shards below `out`, in their order."""
    found = sorted((out / SHARDS).glob("[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]"))
    counts = {int(path.name[9:]) for path in found}
    if len(counts) != 1:
        raise ArgumentError(
            "the folder must hold the shards of one division", got=[path.name for path in found], where=str(out)
        )
    wanted = [out / SHARDS / f"{which:05d}-of-{max(counts):05d}" for which in range(1, max(counts) + 1)]
    manifests = {path: read_manifest(path) for path in wanted if (path / MANIFEST).is_file()}
    if missing := [path.name for path in wanted if not manifests.get(path, {}).get("finished")]:
        raise ArgumentError("every shard must be finished before they are joined", got=missing, where=str(out))
    for path in wanted[1:]:
        _check_alike(manifests[wanted[0]], wanted[0].name, manifests[path], path)
    return wanted


def _check_alike(one: dict[str, Any], name: str, other: dict[str, Any], path: Path) -> None:
    digests = [{model: facts["digest"] for model, facts in each["traces"].items()} for each in (one, other)]
    for key, ours, theirs in [*((key, one[key], other[key]) for key in _ALIKE), ("traces", *digests)]:
        if ours != theirs:
            raise ArgumentError(f"shards of one sweep must have one {key} ({ours} of {name})", got=theirs,
                                where=str(path / PARTS))  # fmt: skip


def _join(sweeper: Sweeper, shards: list[Path], writer: PartWriter, progress: Progress) -> None:
    """Write the designs of all shards in the blocks in which one sweep makes them.

    A trial whose designs are all refused is one block, as its arithmetic has no accuracy on the model.
    """
    rows = _Rows(_tables(shards, sweeper, progress))
    for first, half in zip(sweeper.firsts, sweeper.halves, strict=True):
        held = rows.take(half.size)
        numbers, status = held["number"], held["status"]
        if not np.array_equal(np.sort(numbers), np.arange(first, first + half.size)):
            raise TraceError("shards must hold every design once", got=len(numbers), where=str(shards[0].parent))
        refused = bool((status == REFUSED).all())
        lengths = [half.size] if refused else [len(block.numbers) for block in half.blocks()]
        knobs = [knob.name for knob in sweeper.space.parameters]
        for at, length in zip(np.cumsum([0, *lengths[:-1]]), lengths, strict=True):
            some = {name: column[at : at + length] for name, column in held.items()}
            places = {name: some[name] for name in knobs}
            values = {name: some[name] for name in some if name not in ("number", "status", *knobs)}
            writer.append(some["number"], places, some["status"], values)
    writer.flush()


def _tables(shards: list[Path], sweeper: Sweeper, progress: Progress) -> Iterator[dict[str, NDArray[Any]]]:
    done = 0
    for shard in shards:
        for table in read_parts(shard):
            done += table.num_rows
            yield columns_of(table, sweeper.space.parameters)
            progress(done, sweeper.space.size, shard.name)


class _Rows:
    """A stream of tables that is asked for rows."""

    def __init__(self, tables: Iterator[dict[str, NDArray[Any]]]) -> None:
        self._tables = tables
        self._held: dict[str, NDArray[Any]] = {}

    def take(self, count: int) -> dict[str, NDArray[Any]]:
        """The next `count` rows, fewer at the end."""
        some = [self._held] if self._held else []
        rows = len(self._held["number"]) if self._held else 0
        while rows < count and (table := next(self._tables, None)) is not None:
            some.append(table)
            rows += len(table["number"])
        if not some:
            return {"number": np.empty(0, np.int64), "status": np.empty(0, np.int8)}
        joined = {name: np.concatenate([one[name] for one in some]) for name in some[0]}
        self._held = {name: column[count:] for name, column in joined.items()}
        return {name: column[:count] for name, column in joined.items()}

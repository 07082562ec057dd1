"""`run`: every check, one table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from hwsim.errors import UnknownName
from hwsim.verify import record
from hwsim.verify.subject import Subject
from hwsim.verify.table import Row, Table, skipped

SECTIONS = (
    "formats", "integers", "tensor cores", "recordings", "circuits", "kernels", "device", "libraries"
)  # fmt: skip
"""Parts of the table, in its order."""

QUICK_COUNT = 300
"""Dot products of every unit and kind in a quick run."""

Progress = Callable[[int, int, str], None]


def run(
    quick: bool = False,
    replay: Path | None = None,
    record_to: Path | None = None,
    sections: Collection[str] = SECTIONS,
    subject: Subject | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Table:
    """Check the emulators against everything that this machine has, and say what it has not.

    Args:
        quick: fewer cases, about 20 s instead of two minutes.
        replay: a folder of recordings to compare with.
        record_to: a folder for what a device in this machine returns.
        sections: parts of the table, of `SECTIONS`.
        subject: what is checked; hwsim unless it is a mutant.
        seed: of the operands.
        progress: called with parts done, parts in all, and the name of the next one.

    Raises:
        UnknownName: a section that does not exist.
        ArgumentError: `replay` is no folder of recordings.
    """
    for name in sections:
        if name not in SECTIONS:
            raise UnknownName("section", name, SECTIONS, where="verify.sections")
    checked = subject or Subject()
    wanted = [name for name in SECTIONS if name in sections]
    rows: list[Row] = []
    for number, name in enumerate(wanted):
        if progress:
            progress(number, len(wanted), name)
        rows += _section(name, checked, quick, replay, record_to, seed)
    if progress:
        progress(len(wanted), len(wanted), "")
    return Table(tuple(rows))


def _section(
    name: str, subject: Subject, quick: bool, replay: Path | None, record_to: Path | None, seed: int
) -> Iterable[Row]:
    from hwsim.verify.checks import circuits, definition, device, formats, integers, kernels, libraries, tensor_cores

    if name == "formats":
        count = 1 << (18 if quick else 22)
        yield from formats.headers(subject, count)
        yield from formats.libraries(subject, count // 4, seed)
    elif name == "integers":
        yield from integers.check(subject, 1 << (14 if quick else 20), seed)
    elif name == "tensor cores":
        yield from tensor_cores.check(subject, QUICK_COUNT if quick else 3000, seed)
        yield from tensor_cores.products(subject, 12 if quick else 48, seed)
        yield from definition.check(subject, 20 if quick else 200, seed)
    elif name == "recordings":
        yield from _recordings(replay, subject)
    elif name == "circuits":
        yield from circuits.check(20 if quick else 500, seed)
    elif name == "kernels":
        yield from kernels.check()
    elif name == "device":
        from hwsim.verify.checks import portability

        yield from device.check(subject, 1000 if quick else 20_000, seed, record_to)
        yield from portability.check(subject, 100 if quick else 10_000, seed)
    else:
        yield from libraries.check(subject, quick, seed)


def _recordings(folder: Path | None, subject: Subject) -> Iterator[Row]:
    if folder is None:
        yield skipped("tensor cores", "recorded silicon", "no folder of recordings given: hwsim verify --replay DIR")
    else:
        yield from record.replay(folder, subject)

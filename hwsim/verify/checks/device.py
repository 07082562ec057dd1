"""The silicon in this machine, one instruction at a time; without one, a row for all that was not checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hwsim.errors import MissingExtra
from hwsim.verify.checks import conversions, integers
from hwsim.verify.cuda import ARCH, TARGETS, Kernel, build, for_target
from hwsim.verify.cuda.device import DeviceError, Gpu
from hwsim.verify.cuda.layout import Words
from hwsim.verify.cuda.unit import DeviceUnit
from hwsim.verify.operands import Batch, batches
from hwsim.verify.record import Origin, Recording
from hwsim.verify.search import search
from hwsim.verify.subject import Subject
from hwsim.verify.table import Row, skipped, today

ORACLE = "silicon"


def _groups(kernels: tuple[Kernel, ...]) -> dict[str, list[Kernel]]:
    """Kernels by instruction."""
    names = {"mma": "mma.sync", "wgmma": "wgmma", "tcgen05": "tcgen05.mma", "cvt": "cvt", "decode": "cvt"}
    found: dict[str, list[Kernel]] = {}
    for kernel in kernels:
        found.setdefault(names.get(kernel.name.split(".")[0], kernel.name), []).append(kernel)
    return found


def unchecked(reason: object, targets: tuple[str, ...] = TARGETS) -> Iterator[Row]:
    """A row for every instruction of every target that is not here."""
    for target in targets:
        for name, kernels in _groups(for_target(target)).items():
            operation = f"{name} on {target} ({ARCH[target]}), {len(kernels)} kernel{'s' * (len(kernels) > 1)}"
            yield skipped(operation, ORACLE, reason)


def check(
    subject: Subject, count: int, seed: int = 0, folder: Path | None = None, gpu: Gpu | None = None
) -> Iterator[Row]:
    """Rows of the device in this machine; recordings go to `folder`."""
    try:
        device = gpu or Gpu()
        build.nvrtc()
    except (DeviceError, MissingExtra) as missing:
        yield from unchecked(missing)
        return
    if not device.known:
        yield skipped(f"all instructions of {device.target}", device.name, "no model yet: hwsim verify --discover")
    else:
        for kernel in for_target(device.target):
            try:
                yield _one(subject, device, kernel, count, seed, folder)
            except (DeviceError, build.BuildError) as error:
                yield skipped(kernel.name, device.name, error)
    yield from unchecked(f"this machine has {device.name}", tuple(t for t in TARGETS if t != device.target))


def _one(subject: Subject, gpu: Gpu, kernel: Kernel, count: int, seed: int, folder: Path | None) -> Row:
    opcodes = build.opcodes(kernel, gpu.target)
    if kernel.product is None:
        return _elementwise(subject, gpu, kernel, count * 64, seed, opcodes)
    if kernel.product.out == "int32":
        return _integer(subject, gpu, kernel, count * 11, seed, opcodes)
    return _product(subject, gpu, kernel, count, seed, opcodes, folder)


def _product(
    subject: Subject, gpu: Gpu, kernel: Kernel, count: int, seed: int, opcodes: tuple[str, ...], folder: Path | None
) -> Row:
    unit = DeviceUnit(gpu, kernel)
    operand = kernel.units[gpu.target]
    model: Any = subject.unit(ARCH[gpu.target], operand, unit.out)
    drawn = list(batches(unit, seed, count, unit.product.k))
    found = search(model, lambda batch: batch.run(model), lambda batch: batch.run(unit), drawn)
    if folder is not None:
        _record(gpu, kernel, operand, [batch for _, batch in drawn], opcodes, folder)
    note = " ".join(dict.fromkeys(opcodes)) + (f"; {found.smallest}" if found.smallest else "")
    return Row(kernel.name, gpu.name, found.cases, found.count, today(), note)


def _record(
    gpu: Gpu, kernel: Kernel, operand: Any, drawn: list[Batch], opcodes: tuple[str, ...], folder: Path
) -> None:
    joined = [
        None if getattr(drawn[0], name) is None else np.concatenate([getattr(batch, name) for batch in drawn])
        for name in ("a", "b", "c", "scale_a", "scale_b")
    ]
    batch = Batch(*joined)  # type: ignore[arg-type]
    unit = DeviceUnit(gpu, kernel)
    compiler = f"NVRTC {build.nvrtc_version()}"
    origin = Origin(
        kernel.name, ARCH[gpu.target], operand, unit.out, gpu.name, gpu.target, f"driver {gpu.driver_version}",
        compiler, opcodes, today(),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    Recording(origin, batch, batch.run(unit)).save(folder / f"{gpu.target}.{kernel.name.replace('*', '-')}.npz")


def _integer(subject: Subject, gpu: Gpu, kernel: Kernel, count: int, seed: int, opcodes: tuple[str, ...]) -> Row:
    assert kernel.product is not None
    a, b, c = integers.draw(np.random.default_rng(seed), count, kernel.product.k)
    if kernel.product.saturate:  # clamped after the whole sum or in it, nobody says: products far from both ends
        c = (c >> 8).astype(np.int32)
    theirs = DeviceUnit(gpu, kernel).dot(a, b, c)
    wrong = int((subject.integer_dot(a, b, c, kernel.product.saturate) != theirs).sum())
    return Row(kernel.name, gpu.name, count, wrong, today(), " ".join(opcodes))


def words(rng: np.random.Generator, count: int) -> Words:
    """float32 words: random ones, and as many with few bits set, which are ties and codes' own values."""
    some = rng.integers(0, 1 << 32, count, dtype=np.uint64).astype(np.uint32)
    few = (some & np.uint32(0x80F80000)) | rng.integers(0x60, 0xA0, count).astype(np.uint32) << np.uint32(23)
    few += rng.choice(np.array([0, 0, 1, 0xFFFFFFFF], np.uint32), count)
    return np.where(rng.random(count) < 0.5, some, few).astype(np.uint32)


def _elementwise(subject: Subject, gpu: Gpu, kernel: Kernel, count: int, seed: int, opcodes: tuple[str, ...]) -> Row:
    rng = np.random.default_rng(seed)
    x, y, z = (words(rng, count) for _ in range(3))
    if kernel.name.startswith("decode"):
        x = np.arange(1 << 16, dtype=np.uint32)
        y = z = x
    elif kernel.name == "rcp.approx":  # every significand, and random words
        x = np.concatenate([np.arange(1 << 23, dtype=np.uint32) | np.uint32(0x3F800000), x])
        y = z = np.zeros(1, np.uint32)
    note = " ".join(dict.fromkeys(opcodes))
    got = gpu.apply(kernel, x, *(w if w.size == x.size else None for w in (y, z)))
    if kernel.name == "rcp.approx":
        wrong = int(conversions.reciprocal_wrong(x, got).sum())
        note += "; within one unit in the last place, as PTX promises"
    elif kernel.name.endswith(".sr"):
        wrong, how = _stochastic(kernel.name.split(".")[1], x, y, z, got)
        note += f"; {how}"
    else:
        ours = conversions.expected(subject, kernel, x, y, z)
        differ = np.flatnonzero(~conversions.same(kernel, ours, got))
        wrong = int(differ.size)
        if wrong:
            n = int(differ[0])
            note += f"; x {int(x[n]):#010x} y {int(y[n]):#010x}: {int(ours[n]):#x}, not {int(got[n]):#x}"
    return Row(kernel.name, gpu.name, x.size, wrong, today(), note)


def _stochastic(form: str, x: Words, y: Words, z: Words, got: Words) -> tuple[int, str]:
    """Results that differ, and which reading of the random bits was found."""
    for reading in conversions.READINGS:
        if (conversions.stochastic(form, x, y, z, reading) == got).all():
            return 0, f"random bits: {reading}"
    finite = np.isfinite(x.view(np.float32)) & np.isfinite(y.view(np.float32))
    far = ~conversions.neighbours(form, x, y, got) & finite
    return int(far.sum()), "no known reading of the random bits; results compared with both neighbours"

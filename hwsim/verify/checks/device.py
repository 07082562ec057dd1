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
from hwsim.verify.record import Elementwise, Origin, Recording
from hwsim.verify.search import search
from hwsim.verify.subject import Subject
from hwsim.verify.table import Row, skipped, today

ORACLE = "silicon"

RECORDED = 2000
"""Dot products of every kind that a recording keeps."""


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
        build.compiler()
    except (DeviceError, MissingExtra, build.BuildError) as missing:
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
        return _elementwise(subject, gpu, kernel, count * 64, seed, opcodes, folder)
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
        _record(unit, operand, [batch for _, batch in drawn], opcodes, folder)
    note = " ".join(dict.fromkeys(opcodes)) + (f"; {found.smallest}" if found.smallest else "")
    return Row(kernel.name, gpu.name, found.cases, found.count, today(), note)


def _origin(gpu: Gpu, kernel: Kernel, operand: Any, out: str, opcodes: tuple[str, ...]) -> Origin:
    arch, driver = ARCH[gpu.target], f"driver {gpu.driver_version}"
    return Origin(kernel.name, arch, operand, out, gpu.name, gpu.target, driver, build.compiler(), opcodes, today())


def _record(unit: DeviceUnit, operand: Any, drawn: list[Batch], opcodes: tuple[str, ...], folder: Path) -> None:
    kept = [batch.rows(slice(0, RECORDED)) for batch in drawn]
    joined = [
        None if getattr(kept[0], name) is None else np.concatenate([getattr(batch, name) for batch in kept])
        for name in ("a", "b", "c", "scale_a", "scale_b")
    ]
    batch = Batch(*joined)  # type: ignore[arg-type]
    origin = _origin(unit.gpu, unit.kernel, operand, unit.out, opcodes)
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{unit.gpu.target}.{unit.kernel.name.replace('*', '-')}.npz"
    Recording(origin, batch, batch.run(unit)).save(folder / name)


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


def _elementwise(
    subject: Subject, gpu: Gpu, kernel: Kernel, count: int, seed: int, opcodes: tuple[str, ...], folder: Path | None
) -> Row:
    rng = np.random.default_rng(seed)
    x, y, z = (words(rng, count) for _ in range(3))
    if kernel.name.startswith("decode"):
        x = y = z = np.arange(1 << 16, dtype=np.uint32)
    elif kernel.name == "rcp.approx":  # every significand first: the table that casts with it need
        x = np.concatenate([np.arange(1 << 23, dtype=np.uint32) | np.uint32(0x3F800000), x])
        y = z = np.zeros(x.size, np.uint32)
    got = gpu.apply(kernel, x, y, z)
    wrong, note = conversions.judge(subject, kernel, x, y, z, got)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        if kernel.name == "rcp.approx":
            np.save(folder / f"{gpu.target}.reciprocals.npy", got[: 1 << 23].view(np.float32))
        kept = slice(x.size - min(x.size, 1 << 16), None)
        recording = Elementwise(_origin(gpu, kernel, "", "", opcodes), x[kept], y[kept], z[kept], got[kept])
        recording.save(folder / f"{gpu.target}.{kernel.name}.npz")
    remarks = "; ".join(text for text in (" ".join(dict.fromkeys(opcodes)), note) if text)
    return Row(kernel.name, gpu.name, x.size, wrong, today(), remarks, bound=kernel.name == "rcp.approx")

"""Discovery of every dot unit of a device, or of the emulators of an architecture."""

from __future__ import annotations

from collections.abc import Iterator

from hwsim.errors import UnknownName
from hwsim.verify import free
from hwsim.verify.cuda import KERNELS, Kernel, build, for_target
from hwsim.verify.cuda.device import Gpu
from hwsim.verify.cuda.unit import DeviceUnit
from hwsim.verify.discover import Discovery, discover

GROUPS = 2
"""Fused groups that an emulator is asked about, so that the group shows; an instruction has the length it has."""


def kernels_to_try(gpu: Gpu) -> list[Kernel]:
    """Products of the catalogue that the compiler accepts for the device, whatever they become there."""
    known = for_target(gpu.target) if gpu.known else KERNELS
    found = []
    for kernel in known:
        if kernel.product is None or kernel.product.out == "int32":
            continue
        try:
            build.cubin(kernel, gpu.target)
        except build.BuildError:
            continue
        found.append(kernel)
    return found


def discoveries(emulated: str | None = None, seed: int = 0, gpu: Gpu | None = None) -> Iterator[Discovery]:
    """What each unit is, one by one.

    Args:
        emulated: an architecture of `hwsim.datapaths.tensor_core`; the GPU of this machine if None.
        seed: of the operands of the comparison.
        gpu: the device, the first one if None.

    Raises:
        DeviceError, MissingExtra: no GPU, or nothing to compile for it with.
        UnknownName: no such architecture.
    """
    if emulated is None:
        device = gpu or Gpu()
        for kernel in kernels_to_try(device):
            unit = DeviceUnit(device, kernel)
            yield discover(unit, unit.product.k, seed=seed)
        return
    units = [key for key in free.vendor_units() if key[0] == emulated]
    if not units:
        raise UnknownName("arch", emulated, {arch for arch, _, _ in free.vendor_units()}, where="verify --emulated")
    for arch, operand, out in units:
        core = free.core(arch, operand, out)
        yield discover(core, free.instruction_k(core, GROUPS), seed=seed)

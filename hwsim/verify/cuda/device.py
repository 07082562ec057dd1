"""A CUDA device: what it is, and one launch at a time through the driver.

Kernels share one signature, five arrays of words in and one out, so one `Gpu.launch` runs them all. The driver's
bindings come in as an argument, and the tests put a plain Python driver in their place: allocation, copies, argument
pointers and the grid are exercised without a GPU.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import HwsimError, MissingExtra
from hwsim.verify.cuda import build, layout
from hwsim.verify.cuda.kernels import ARCH, Kernel

THREADS = {"mma.cu": 32, "wgmma.cu": 128, "tcgen05.cu": 128, "elementwise.cu": 128}


class DeviceError(HwsimError):
    """No CUDA device, or its driver refused a call."""


def bindings() -> Any:
    """The driver's bindings.

    Raises:
        MissingExtra: they are not installed.
    """
    try:
        from cuda.bindings import driver
    except ImportError as missing:
        raise MissingExtra("cuda-bindings", install=build.INSTALL) from missing
    return driver


class Gpu:
    """One device with its context.

    Args:
        index: which one.
        driver: the bindings, those of NVIDIA unless given.

    Raises:
        DeviceError: no driver, or no such device.
        MissingExtra: the bindings are not installed.
    """

    def __init__(self, index: int = 0, driver: Any = None) -> None:
        self.driver = bindings() if driver is None else driver
        try:
            self._call("cuInit", 0)
        except RuntimeError as missing:  # the bindings do not find libcuda
            raise DeviceError("a CUDA driver must be installed", got="no libcuda") from missing
        count = self._call("cuDeviceGetCount")
        if index >= count:
            raise DeviceError(f"device {index} must exist", got=f"{count} CUDA devices")
        self.device = self._call("cuDeviceGet", index)
        self._call("cuCtxSetCurrent", self._call("cuDevicePrimaryCtxRetain", self.device))
        self._modules: dict[str, Any] = {}

    def _call(self, function: str, *arguments: Any) -> Any:
        status, *values = getattr(self.driver, function)(*arguments)
        if int(status):
            raise DeviceError(f"{function} must succeed", got=getattr(status, "name", str(status)))
        return values[0] if len(values) == 1 else values

    @cached_property
    def name(self) -> str:
        """As the driver calls it: ``NVIDIA H100 80GB HBM3``."""
        raw: bytes = self._call("cuDeviceGetName", 256, self.device)
        return raw.split(b"\0")[0].decode()

    @cached_property
    def capability(self) -> tuple[int, int]:
        """Compute capability: (9, 0)."""
        kinds = self.driver.CUdevice_attribute
        major = self._call("cuDeviceGetAttribute", kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, self.device)
        minor = self._call("cuDeviceGetAttribute", kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, self.device)
        return int(major), int(minor)

    @property
    def target(self) -> str:
        """What to compile for: ``sm_90a``; a target of the catalogue or a part that it does not know.

        8.6 and 8.7 run the code of 8.0, whose tensor cores they share.
        """
        major, minor = self.capability
        if major == 8 and minor < 9:
            return "sm_80"
        return f"sm_{major}{minor}" + ("a" if major >= 9 else "")

    @property
    def known(self) -> bool:
        """Whether the catalogue has kernels for the target."""
        return self.target in ARCH

    @cached_property
    def driver_version(self) -> str:
        """CUDA version of the driver: ``13.0``."""
        version = int(self._call("cuDriverGetVersion"))
        return f"{version // 1000}.{version % 1000 // 10}"

    def _function(self, kernel: Kernel) -> Any:
        if kernel.name not in self._modules:
            self._modules[kernel.name] = self._call("cuModuleLoadData", build.cubin(kernel, self.target))
        return self._call("cuModuleGetFunction", self._modules[kernel.name], b"kernel")

    def launch(self, kernel: Kernel, inputs: tuple[layout.Words, ...], words: int, blocks: int) -> layout.Words:
        """Run a kernel: five arrays of words in, `words` words out."""
        sizes = [max(array.size, 1) * 4 for array in inputs] + [words * 4]
        pointers = [self._call("cuMemAlloc", size) for size in sizes]
        out = np.zeros(words, np.uint32)
        try:
            for pointer, array in zip(pointers, inputs, strict=False):
                flat = np.ascontiguousarray(array, np.uint32)
                self._call("cuMemcpyHtoD", pointer, flat.ctypes.data, flat.nbytes)
            values = np.array([int(pointer) for pointer in pointers], np.uint64)
            places = np.array([values.ctypes.data + 8 * i for i in range(len(pointers))], np.uint64)
            grid, block = (blocks, 1, 1), (THREADS[kernel.file], 1, 1)
            self._call("cuLaunchKernel", self._function(kernel), *grid, *block, 0, 0, places.ctypes.data, 0)
            self._call("cuCtxSynchronize")
            self._call("cuMemcpyDtoH", out.ctypes.data, pointers[-1], out.nbytes)
        finally:
            for pointer in pointers:
                self._call("cuMemFree", pointer)
        return out

    def multiply(
        self,
        kernel: Kernel,
        a: NDArray[Any],
        b: NDArray[Any],
        c: NDArray[Any],
        scale_a: NDArray[np.uint8] | None = None,
        scale_b: NDArray[np.uint8] | None = None,
    ) -> NDArray[Any]:
        """Results ``[tiles, m, n]`` of codes a ``[tiles, m, k]``, b ``[tiles, n, k]``, c and scale bytes."""
        packed = layout.pack(kernel, a, b, c, scale_a, scale_b)
        return layout.unpack_results(kernel, self.launch(kernel, packed, packed[2].size, len(a)))

    def apply(
        self, kernel: Kernel, x: layout.Words, y: layout.Words | None = None, z: layout.Words | None = None
    ) -> layout.Words:
        """An elementwise instruction on words x, y, z ``[count]``; zeros for those left out."""
        count, room = x.size, -x.size % THREADS["elementwise.cu"]
        nothing, zeros = np.zeros(1, np.uint32), np.zeros(count, np.uint32)
        padded = [np.pad(zeros if w is None else w.ravel(), (0, room)) for w in (x, y, z)]
        inputs = (*padded, nothing, nothing)
        return self.launch(kernel, inputs, count + room, (count + room) // THREADS["elementwise.cu"])[:count]

"""A CUDA driver in plain Python, with the emulators of hwsim as its tensor cores.

It reads what the host wrote lane by lane and byte by byte, in the words of the PTX ISA (figures of the fragments of
``mma``, core matrices of ``wgmma`` and ``tcgen05``), which is another writing of the layouts than the package's.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import numpy as np

from hwsim import datapaths
from hwsim.verify.cuda import ARCH, get
from hwsim.verify.cuda.kernels import WIDTHS

CAPABILITY = {"sm_80": (8, 0), "sm_89": (8, 9), "sm_90a": (9, 0), "sm_100a": (10, 0), "sm_120a": (12, 0)}


class FakeDriver:
    """The calls that `hwsim.verify.cuda.device.Gpu` makes; `target` is the GPU it plays."""

    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=0, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=1
    )

    def __init__(self, target="sm_90a", count=1, capability=None):
        self.target, self.count = target, count
        self.capability = capability or CAPABILITY[target]
        self.memory, self.next, self.launches, self.fail = {}, 4096, [], None

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*arguments):
            if self.fail == name:
                return (719,)
            return (0, *getattr(self, "_" + name)(*arguments))

        return call

    def _cuInit(self, flags):  # noqa: N802
        return ()

    def _cuDeviceGetCount(self):  # noqa: N802
        return (self.count,)

    def _cuDeviceGet(self, index):  # noqa: N802
        return (index,)

    def _cuDevicePrimaryCtxRetain(self, device):  # noqa: N802
        return ("context",)

    def _cuCtxSetCurrent(self, context):  # noqa: N802
        return ()

    def _cuDeviceGetName(self, size, device):  # noqa: N802
        return (b"Fake GPU\0" + b"\0" * 20,)

    def _cuDeviceGetAttribute(self, attribute, device):  # noqa: N802
        return (self.capability[attribute],)

    def _cuDriverGetVersion(self):  # noqa: N802
        return (13010,)

    def _cuModuleLoadData(self, code):  # noqa: N802
        return (code.decode(),)  # the tests put the kernel's name in place of its cubin

    def _cuModuleGetFunction(self, module, name):  # noqa: N802
        assert name == b"kernel"
        return (module,)

    def _cuMemAlloc(self, size):  # noqa: N802
        self.next += 1 << 20 if size < 1 << 20 else size + 4096
        self.memory[self.next] = bytearray(size)
        return (self.next,)

    def _cuMemFree(self, pointer):  # noqa: N802
        del self.memory[pointer]
        return ()

    def _cuMemcpyHtoD(self, pointer, source, size):  # noqa: N802
        assert size <= len(self.memory[pointer])
        self.memory[pointer][:size] = ctypes.string_at(source, size)
        return ()

    def _cuMemcpyDtoH(self, destination, pointer, size):  # noqa: N802
        ctypes.memmove(destination, bytes(self.memory[pointer][:size]), size)
        return ()

    def _cuCtxSynchronize(self):  # noqa: N802
        return ()

    def _cuLaunchKernel(self, name, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra):  # noqa: N802
        places = (ctypes.c_uint64 * 6).from_address(parameters)
        pointers = [ctypes.c_uint64.from_address(place).value for place in places]
        words = [np.frombuffer(self.memory[pointer], np.uint32) for pointer in pointers]
        self.launches.append((name, gx, bx))
        assert (gy, gz, by, bz, shared, stream, extra) == (1, 1, 1, 1, 0, 0, 0)
        kernel = get(name)
        if kernel.product is None:
            words[5][:] = elementwise(kernel, *words[:3])
            assert bx == 128
            return ()
        assert bx == (32 if kernel.file == "mma.cu" else 128)
        read, write = READERS[kernel.file]
        for tile in range(gx):
            write(kernel, words[5], tile, multiply(kernel, self.target, *read(kernel, words, tile)))
        return ()


def elementwise(kernel, x, y, z):
    from hwsim.verify.checks import conversions
    from hwsim.verify.subject import Subject

    if kernel.name == "rcp.approx":
        with np.errstate(all="ignore"):  # subnormals count as zeros on both sides
            flushed = np.where(x & 0x7F800000, x, x & 0x80000000).astype(np.uint32).view(np.float32)
            result = (np.float32(1) / flushed).view(np.uint32)
        return np.where(result & 0x7F800000, result, result & 0x80000000)
    if kernel.name.endswith(".sr"):
        return conversions.stochastic(kernel.name.split(".")[1], x, y, z, "byte 3 - i")
    return conversions.expected(Subject(), kernel, x, y, z)


def multiply(kernel, target, a, b, c, scale_a, scale_b):
    if kernel.product.out == "int32":
        unit = datapaths.integer(8, 8, 32, overflow="saturate" if kernel.product.saturate else "wrap")
        return unit.matmul(a, b, c)
    unit = datapaths.tensor_core(ARCH[target], kernel.units[target], kernel.product.out)
    return unit.matmul(a, b, c, scale_a, scale_b)


# Elements in the 32 bytes of a row


def row_codes(product, form, data):
    """The k codes of a row of 32 bytes."""
    width = WIDTHS[form]
    if width == 32:
        return np.array([int.from_bytes(data[4 * n : 4 * n + 4], "little") for n in range(8)], np.uint32)
    if width == 16:
        return np.array([data[2 * n] | data[2 * n + 1] << 8 for n in range(16)], np.uint16)
    if form == "int8":
        return np.array([n - 256 if n > 127 else n for n in data], np.int8)
    if width == 8:
        return np.array(list(data), np.uint8)
    if product.box == "byte":  # PTX: e2m1 in bits 5..2 of its container, FP6 in bits 5..0
        return np.array([n >> 2 & 15 if form == "e2m1" else n & 63 for n in data], np.uint8)
    if product.box == "plain":
        return np.array([data[n // 2] >> 4 * (n % 2) & 15 for n in range(64)], np.uint8)
    codes = []
    for box in (data[:16], data[16:]):  # sixteen elements at the bottom of sixteen bytes
        number = int.from_bytes(box, "little")
        codes += [number >> width * n & (1 << width) - 1 for n in range(16)]
        assert number >> 16 * width == 0, "padding is zero"
    return np.array(codes, np.uint8)


def results_dtype(kernel):
    return {"fp32": np.float32, "fp16": np.float16, "int32": np.int32}[kernel.product.out]


# mma: PTX ISA, "Matrix Fragments for mma.m16n8k16 / k32 / k64", per register of four bytes


def read_mma(kernel, words, tile):
    product = kernel.product
    rows_a, rows_b = np.zeros((16, 32), np.uint8), np.zeros((8, 32), np.uint8)
    c = np.zeros((16, 8), results_dtype(kernel))
    a, b = words[0][tile * 128 : (tile + 1) * 128], words[1][tile * 64 : (tile + 1) * 64]
    halves = product.out == "fp16"
    start = words[2][tile * (64 if halves else 128) :]
    for lane in range(32):
        group, thread = lane >> 2, lane % 4
        for register in range(4):  # a0 a1: row, row + 8; a2 a3: the second half of K
            row, first = group + 8 * (register in (1, 3)), 16 * (register >= 2) + 4 * thread
            rows_a[row, first : first + 4] = list(int(a[register * 32 + lane]).to_bytes(4, "little"))
        for register in range(2):
            first = 16 * register + 4 * thread
            rows_b[group, first : first + 4] = list(int(b[register * 32 + lane]).to_bytes(4, "little"))
        for i in range(4):
            row, column = group + 8 * (i >= 2), 2 * thread + (i & 1)
            if halves:
                word = int(start[(i // 2) * 32 + lane])
                c[row, column] = np.uint16(word >> 16 * (i & 1) & 0xFFFF).view(np.float16)
            else:
                c[row, column] = start[i * 32 + lane].view(results_dtype(kernel))
    scales = [None, None]
    if product.block:
        count = product.k // product.block
        scales = [np.zeros((16, count), np.uint8), np.zeros((8, count), np.uint8)]
        for lane in range(32):
            if lane % 4 < 2:  # thread selector 0: the first pair of threads of each quad gives rows and rows + 8
                word = int(words[3][tile * 32 + lane])
                scales[0][lane // 4 + 8 * (lane % 4)] = list(word.to_bytes(4, "little"))[:count]
            if lane % 4 == 0:
                scales[1][lane // 4] = list(int(words[4][tile * 32 + lane]).to_bytes(4, "little"))[:count]
    codes_a = np.stack([row_codes(product, product.a, bytes(row)) for row in rows_a])
    codes_b = np.stack([row_codes(product, product.b, bytes(row)) for row in rows_b])
    return codes_a, codes_b, c, *scales


def write_mma(kernel, out, tile, values):
    for lane in range(32):
        group, thread = lane >> 2, lane % 4
        if kernel.product.out == "fp16":
            for register in range(2):
                pair = values[group + 8 * register, 2 * thread : 2 * thread + 2].view(np.uint16)
                out[tile * 64 + register * 32 + lane] = int(pair[0]) | int(pair[1]) << 16
            continue
        for i in range(4):
            out[tile * 128 + i * 32 + lane] = values[group + 8 * (i >= 2), 2 * thread + (i & 1)].view(np.uint32)


# wgmma and tcgen05: core matrices of 8 rows of 16 bytes; 128 bytes on along K, 256 along the rows


def image_rows(words, count):
    data = words.tobytes()
    rows = []
    for row in range(count):
        place = row // 8 * 256 + row % 8 * 16
        rows.append(data[place : place + 16] + data[place + 128 : place + 144])
    return rows


def read_wgmma(kernel, words, tile):
    product = kernel.product
    a = image_rows(words[0][tile * 512 : (tile + 1) * 512], 64)
    b = image_rows(words[1][tile * 64 : (tile + 1) * 64], 8)
    c = np.zeros((64, 8), results_dtype(kernel))
    halves = product.out == "fp16"
    start = words[2][tile * (256 if halves else 512) :]
    for thread in range(128):
        warp, group, pair = thread // 32, thread % 32 >> 2, thread % 4
        for i in range(4):
            row, column = 16 * warp + group + 8 * (i >= 2), 2 * pair + (i & 1)
            if halves:
                c[row, column] = np.uint16(int(start[i // 2 * 128 + thread]) >> 16 * (i & 1) & 0xFFFF).view(
                    np.float16
                )
            else:
                c[row, column] = start[i * 128 + thread].view(np.float32)
    codes = [np.stack([row_codes(product, f, row) for row in rows]) for f, rows in ((product.a, a), (product.b, b))]
    return *codes, c, None, None


def write_wgmma(kernel, out, tile, values):
    for thread in range(128):
        row, column = 16 * (thread // 32) + (thread % 32 >> 2), 2 * (thread % 4)
        for i in range(2 if kernel.product.out == "fp16" else 4):
            if kernel.product.out == "fp16":
                pair = values[row + 8 * i, column : column + 2].view(np.uint16)
                out[tile * 256 + i * 128 + thread] = int(pair[0]) | int(pair[1]) << 16
            else:
                out[tile * 512 + i * 128 + thread] = values[row + 8 * (i >= 2), column + (i & 1)].view(np.uint32)


def read_tcgen05(kernel, words, tile):
    product = kernel.product
    a = image_rows(words[0][tile * 1024 : (tile + 1) * 1024], 128)
    b = image_rows(words[1][tile * 128 : (tile + 1) * 128], 16)
    c = words[2][tile * 2048 : (tile + 1) * 2048].reshape(128, 16)
    c = c.astype(np.uint16).view(np.float16) if product.out == "fp16" else c.view(np.float32)
    scales = [None, None]
    if product.block:
        count = product.k // product.block
        scales = [
            np.array(
                [list(int(w).to_bytes(4, "little"))[:count] for w in words[side][tile * step :][:rows]], np.uint8
            )
            for side, step, rows in ((3, 128, 128), (4, 32, 16))
        ]
    codes = [np.stack([row_codes(product, f, row) for row in rows]) for f, rows in ((product.a, a), (product.b, b))]
    return *codes, c, *scales


def write_tcgen05(kernel, out, tile, values):
    word = np.uint16 if kernel.product.out == "fp16" else np.uint32
    out[tile * 2048 : (tile + 1) * 2048] = values.view(word).astype(np.uint32).ravel()


READERS = {
    "mma.cu": (read_mma, write_mma),
    "wgmma.cu": (read_wgmma, write_wgmma),
    "tcgen05.cu": (read_tcgen05, write_tcgen05),
}

"""NVIDIA's own bindings in front of a stub of the driver library: what `Gpu` passes them arrives as it was meant.

The stub takes the place of libcuda in a process of its own. Its memory is the host's, and its launch adds up the
words of the first three arrays, so that pointers, sizes and the grid all show in the result.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from hwsim.errors import MissingExtra
from hwsim.verify.cuda.device import bindings

STUB = r"""
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#define API extern "C" int
API cuInit(unsigned) { return 0; }
API cuDriverGetVersion(int *v) { *v = 13010; return 0; }
API cuDeviceGetCount(int *n) { *n = 1; return 0; }
API cuDeviceGet(int *d, int i) { *d = i; return 0; }
API cuDeviceGetName(char *s, int n, int) { strncpy(s, "Stub 90", n); return 0; }
API cuDeviceGetAttribute(int *v, int attribute, int) { *v = attribute == 75 ? 9 : 0; return 0; }
API cuDevicePrimaryCtxRetain(void **c, int) { *c = (void *)16; return 0; }
API cuCtxSetCurrent(void *c) { return c == (void *)16 ? 0 : 201; }
API cuCtxSynchronize() { return 0; }
API cuModuleLoadData(void **m, const void *image) { *m = (void *)32; return strcmp((const char *)image, "cubin") ? 200 : 0; }
API cuModuleGetFunction(void **f, void *m, const char *name) {
  *f = (void *)48; return m == (void *)32 && !strcmp(name, "kernel") ? 0 : 500; }
API cuMemAlloc(uint64_t *p, size_t n) { *p = (uint64_t)malloc(n); return 0; }
API cuMemFree(uint64_t p) { free((void *)p); return 0; }
API cuMemcpyHtoD(uint64_t d, const void *s, size_t n) { memcpy((void *)d, s, n); return 0; }
API cuMemcpyDtoH(void *d, uint64_t s, size_t n) { memcpy(d, (void *)s, n); return 0; }
API cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **params, void **extra) {
  if (f != (void *)48 || gy * gz * by * bz != 1 || shared || stream || extra) return 1;
  uint32_t *a[6];
  for (int i = 0; i < 6; ++i) a[i] = *(uint32_t **)params[i];
  for (unsigned i = 0; i < gx * bx; ++i) a[5][i] = a[0][i] + 3 * a[1][i] + 7 * a[2][i];
  return 0;
}
API cuGetProcAddress_v2(const char *name, void **f, int, uint64_t, int *status) {
  Dl_info own;
  dladdr((void *)cuInit, &own);
  *f = dlsym(dlopen(own.dli_fname, RTLD_LAZY), name);
  if (status) *status = *f ? 0 : 1;
  return *f ? 0 : 500;
}
"""

SCRIPT = """
import numpy as np
from hwsim.verify.cuda import build, get
from hwsim.verify.cuda.device import DeviceError, Gpu
build.cubin = lambda kernel, target: b"cubin"
gpu = Gpu()
x, y, z = (np.random.default_rng(n).integers(0, 1 << 32, 1000, dtype=np.uint64).astype(np.uint32) for n in range(3))
got = gpu.apply(get("cvt.e4m3"), x, y, z)
print(gpu.name, gpu.target, gpu.driver_version, bool((got == x + np.uint32(3) * y + np.uint32(7) * z).all()))
build.cubin = lambda kernel, target: b"other"
try:
    gpu.apply(get("dp4a"), x, y, z)
except DeviceError as error:
    print(error)
"""


def test_the_bindings_take_what_the_host_gives_them(tmp_path):
    compiler = shutil.which("g++")
    try:
        bindings()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    if compiler is None:
        pytest.skip("g++ is not installed")
    (tmp_path / "stub.cpp").write_text(STUB)
    library = tmp_path / "libcuda.so.1"
    build = [compiler, "-shared", "-fPIC", "-w", "-o", str(library), str(tmp_path / "stub.cpp"), "-ldl"]
    subprocess.run(build, check=True, capture_output=True, text=True)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False,
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    name, refused = done.stdout.splitlines()
    assert name == "Stub 90 sm_90a 13.1 True"
    assert refused == "cuModuleLoadData must succeed, got 'CUDA_ERROR_INVALID_IMAGE'"

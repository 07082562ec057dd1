"""NVIDIA's own conversions, run on the host.

The headers ``cuda_fp4.h``, ``cuda_fp6.h`` and ``cuda_fp8.h`` of a CUDA toolkit hold the software form of the GPU's
conversions in plain C++. g++ alone compiles it: no GPU, no nvcc and no CUDA library take part. So the element formats
are compared with a vendor's definition on every float32 there is. The headers have no stochastic rounding and no
block scales, and are no evidence about those.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ArgumentError, MissingExtra
from hwsim.formats import Rounding
from hwsim.guard import temporary_folder
from hwsim.verify.subject import Subject

PATTERNS = 1 << 32
"""How many float32 words there are."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Conversion:
    """One conversion of the headers, and the call of ours that must equal it."""

    format: str
    rounding: Rounding
    saturate: bool
    expression: str
    """The C++ expression, of the float ``x``."""

    @property
    def name(self) -> str:
        """For messages and for the ids of tests: ``e4m3.rne.nosat``."""
        return f"{self.format}.{self.rounding}.{'sat' if self.saturate else 'nosat'}"


def _narrow(function: str, format_name: str, rounding: Rounding, mode: str) -> Conversion:
    expression = f"{function}(x, __NV_{format_name.upper()}, {mode})"
    return Conversion(format_name, rounding, True, expression)


def _eight_bits(format_name: str, saturate: bool) -> Conversion:
    mode = "__NV_SATFINITE" if saturate else "__NV_NOSAT"
    return Conversion(format_name, "rne", saturate, f"__nv_cvt_float_to_fp8(x, {mode}, __NV_{format_name.upper()})")


def _exponent(rounding: Rounding, direction: str, saturate: bool) -> Conversion:
    mode = "__NV_SATFINITE" if saturate else "__NV_NOSAT"
    return Conversion("e8m0", rounding, saturate, f"__nv_cvt_float_to_e8m0(x, {mode}, {direction})")


CONVERSIONS: tuple[Conversion, ...] = (
    _narrow("__nv_cvt_float_to_fp4", "e2m1", "rne", "cudaRoundNearest"),
    _narrow("__nv_cvt_float_to_fp4", "e2m1", "rz", "cudaRoundZero"),
    _narrow("__nv_cvt_float_to_fp6", "e2m3", "rne", "cudaRoundNearest"),
    _narrow("__nv_cvt_float_to_fp6", "e2m3", "rz", "cudaRoundZero"),
    _narrow("__nv_cvt_float_to_fp6", "e3m2", "rne", "cudaRoundNearest"),
    _narrow("__nv_cvt_float_to_fp6", "e3m2", "rz", "cudaRoundZero"),
    _eight_bits("e4m3", True),
    _eight_bits("e4m3", False),
    _eight_bits("e5m2", True),
    _eight_bits("e5m2", False),
    _exponent("rz", "cudaRoundZero", True),
    _exponent("rz", "cudaRoundZero", False),
    _exponent("rp", "cudaRoundPosInf", True),
    _exponent("rp", "cudaRoundPosInf", False),
)
"""Every conversion from float32 that the headers define."""

_PRELUDE = """
#include <cstdint>
#include <cstring>
#include <cuda_runtime_api.h>
#include <cuda_fp4.h>
#include <cuda_fp6.h>
#include <cuda_fp8.h>
static inline float number(uint32_t word) { float x; std::memcpy(&x, &word, 4); return x; }
"""


def _function(index: int, conversion: Conversion) -> str:
    return (
        f'extern "C" void convert_{index}(uint64_t start, uint64_t count, uint64_t stride, uint8_t *codes) {{\n'
        f"  for (uint64_t i = 0; i < count; ++i) {{\n"
        f"    const float x = number((uint32_t)(start + i * stride));\n"
        f"    codes[i] = (uint8_t){conversion.expression};\n  }}\n}}\n"
    )


def cuda_include() -> Path | None:
    """The include folder of a CUDA toolkit with these headers.

    Looked for in ``$CUDA_HOME``, ``$CUDA_PATH``, beside ``nvcc`` on the path, ``/usr/local/cuda``, and in the wheel
    nvidia-cuda-runtime, in this order.
    """
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), nvcc and Path(nvcc).resolve().parent.parent]
    for home in (*homes, "/usr/local/cuda", _wheel()):
        if home and (Path(home) / "include" / "cuda_fp4.h").is_file():
            return Path(home) / "include"
    return None


def _wheel() -> Path | None:
    """The folder above ``include`` of the wheel nvidia-cuda-runtime."""
    try:
        files = importlib.metadata.files("nvidia-cuda-runtime") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())).parent.parent for file in files if file.name == "cuda_fp4.h"), None)


class HostHeaders:
    """The compiled conversions.

    Raises:
        MissingExtra: no toolkit with ``cuda_fp4.h`` (12.8 or later), no g++, or g++ refused the headers.
    """

    def __init__(self) -> None:
        include, compiler = cuda_include(), shutil.which("g++")
        if include is None:
            raise MissingExtra("a CUDA toolkit with cuda_fp4.h", install="pip install hwsim[dev]")
        if compiler is None:
            raise MissingExtra("g++", install="the package g++ of your system")
        functions = "".join(_function(index, conversion) for index, conversion in enumerate(CONVERSIONS))
        with temporary_folder("hwsim-host-") as folder:
            source, library = folder / "host.cpp", folder / "host.so"
            source.write_text(_PRELUDE + functions, encoding="utf-8")
            command = [compiler, "-O2", "-shared", "-fPIC", f"-I{include}", "-o", str(library), str(source)]
            ran = subprocess.run(command, capture_output=True, text=True, check=False)
            if ran.returncode:
                first = next(iter(ran.stderr.splitlines()), "no message")
                raise MissingExtra(f"a g++ that compiles {include}", install=f"another toolkit; g++ said: {first}")
            self._library = ctypes.CDLL(str(library))
        self.include = include

    def codes(self, conversion: Conversion, start: int, count: int, stride: int = 1) -> NDArray[np.uint8]:
        """Codes of the float32 words ``start, start + stride, ...`` by NVIDIA's headers, uint8 ``[count]``."""
        if start < 0 or count < 0 or stride < 1 or start + (count - 1) * stride >= PATTERNS:
            raise ArgumentError("words must lie in 0..2^32-1", got=(start, count, stride))
        result = np.empty(count, dtype=np.uint8)
        function: Callable[..., None] = getattr(self._library, f"convert_{CONVERSIONS.index(conversion)}")
        numbers = (ctypes.c_uint64(number) for number in (start, count, stride))
        function(*numbers, ctypes.c_void_p(result.ctypes.data))
        return result

    def mismatches(
        self,
        conversion: Conversion,
        start: int = 0,
        count: int = PATTERNS,
        stride: int = 1,
        subject: Subject | None = None,
    ) -> list[int]:
        """Words for which `hwsim.formats` gives another code, the first sixteen; empty if all agree.

        Args:
            conversion: one of `CONVERSIONS`.
            start: the first word.
            count: how many words.
            stride: distance between words; an odd one reaches every lower half.
            subject: what is compared; hwsim if None.
        """
        checked = subject or Subject()

        def compare(first: int) -> list[int]:
            number = min(_PIECE, count - first)
            words = (start + stride * (first + np.arange(number, dtype=np.uint64))).astype(np.uint32)
            values = words.view(np.float32)
            ours = checked.encode(conversion.format, values, conversion.rounding, conversion.saturate)
            differ = ours != self.codes(conversion, start + stride * first, number, stride)
            return [int(word) for word in words[differ][:16]] if differ.any() else []

        def found() -> Iterator[int]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for words in pool.map(compare, range(0, count, _PIECE)):
                    yield from words

        return list(islice(found(), 16))

"""From CUDA C++ to a cubin and its instructions, without a toolkit: NVRTC and nvdisasm of NVIDIA's wheels.

The instruction that runs is the one in the machine code, not the one in the source: for sm_90a the compiler turns an
FP8 ``mma.sync`` into conversions and two FP16 instructions, and a conversion that a part does not have becomes a
page of integer code. So every kernel names the opcodes it must become, and `opcodes` reads them back. The bindings
alone are used: their wrapper cuda.core brings nothing that one compilation and one launch need.

A machine with a GPU may have no compiler and no way to get one: `shelve` writes all machine code with its opcodes
into a folder elsewhere, and where ``HWSIM_CUBINS`` names that folder, it is read instead of compiling.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwsim.errors import HwsimError, MissingExtra

if TYPE_CHECKING:
    from hwsim.verify.cuda.kernels import Kernel

INSTALL = "pip install hwsim[cuda]"
OLDEST = 13, 1
"""NVRTC 13.0 refuses ``mma`` with four UE8M0 scales a row."""
SOURCES = Path(__file__).parent

MATRIX = (
    "HMMA",
    "IMMA",
    "QMMA",
    "OMMA",
    "HGMMA",
    "QGMMA",
    "IGMMA",
    "DMMA",
    "BMMA",
    "UTCHMMA",
    "UTCQMMA",
    "UTCOMMA",
    "UTCIMMA",
)
"""How the opcodes of all matrix units begin; one that a kernel does not name must not be in it."""


class BuildError(HwsimError):
    """The compiler refused a kernel, or made something else of it than its instruction."""


@cache
def nvrtc() -> Any:
    """The bindings of NVRTC.

    Raises:
        MissingExtra: the bindings or the library are not installed, or the library is older than `OLDEST`.
    """
    try:
        from cuda.bindings import nvrtc as bindings

        _, major, minor = bindings.nvrtcVersion()
    except (ImportError, RuntimeError) as missing:  # the bindings raise RuntimeError for a library they do not find
        raise MissingExtra("NVRTC with cuda-bindings", install=INSTALL) from missing
    if (major, minor) < OLDEST:
        needed = f"NVRTC {OLDEST[0]}.{OLDEST[1]} or newer (here is {major}.{minor})"
        raise MissingExtra(needed, install=INSTALL)
    return bindings


@cache
def nvrtc_version() -> str:
    """``13.5``."""
    _, major, minor = nvrtc().nvrtcVersion()
    return f"{major}.{minor}"


@cache
def disassembler() -> str:
    """Path of nvdisasm: of the wheel, else on the path.

    Raises:
        MissingExtra: there is none.
    """
    import importlib.metadata

    try:
        files = importlib.metadata.files("nvidia-cuda-nvdisasm") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nvdisasm":
            return str(file.locate())
    if found := shutil.which("nvdisasm"):
        return found
    raise MissingExtra("nvdisasm", install=INSTALL)


def source(kernel: Kernel) -> str:
    """The CUDA C++ of a kernel: its definitions, then its file, then the definitions undone."""
    defines = "".join(f"#define {name} {value}\n" for name, value in kernel.defines)
    text = (SOURCES / kernel.file).read_text(encoding="utf-8")
    return defines + text + "".join(f"#undef {name}\n" for name, _ in kernel.defines)


@cache
def cubin(kernel: Kernel, target: str) -> bytes:
    """Machine code of a kernel for a target such as ``sm_90a``; its function is called ``kernel``.

    Raises:
        BuildError: the compiler refused it; the message holds its first complaint.
        MissingExtra: there is no NVRTC.
    """
    if folder := shelf():
        return _shelved(folder, kernel, target).read_bytes()
    return _compile(source(kernel), target, f"{kernel.name}.{target}")


def _compile(text: str, target: str, where: str) -> bytes:
    rtc = nvrtc()
    _, program = rtc.nvrtcCreateProgram(text.encode(), b"kernels.cu", 0, [], [])
    try:
        options = [f"--gpu-architecture={target}".encode(), b"--std=c++17", b"--fmad=false"]
        (status,) = rtc.nvrtcCompileProgram(program, len(options), options)
        if status != rtc.nvrtcResult.NVRTC_SUCCESS:
            _, size = rtc.nvrtcGetProgramLogSize(program)
            log = bytearray(size)
            rtc.nvrtcGetProgramLog(program, log)
            lines = [line for line in log.decode(errors="replace").splitlines() if "error" in line]
            complaint = lines[0] if lines else f"{status}"
            raise BuildError("NVRTC must accept the kernel", got=complaint, where=where)
        _, size = rtc.nvrtcGetCUBINSize(program)
        code = bytearray(size)
        rtc.nvrtcGetCUBIN(program, code)
        return bytes(code)
    finally:
        rtc.nvrtcDestroyProgram(program)


_FUNCTION = re.compile(r"^//-+\s+\.text\.(\w+)", re.MULTILINE)
_INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Za-z0-9_.]*)", re.MULTILINE)


def disassemble(code: bytes) -> dict[str, tuple[str, ...]]:
    """Function -> its opcodes with their modifiers, in order: ``HMMA.16816.F32``."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        command = [disassembler(), "--print-code", file.name]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise BuildError("nvdisasm must read the cubin", got=ran.stderr.strip().splitlines()[:1])
    _, *parts = _FUNCTION.split(ran.stdout)
    return {name: tuple(_INSTRUCTION.findall(text)) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def opcodes(kernel: Kernel, target: str) -> tuple[str, ...]:
    """The opcodes of a kernel for a target that say what it is, sorted: every matrix instruction, and what it names.

    Raises:
        BuildError: the compiler refused it, or they are not the ones that the kernel names for the target.
    """
    if folder := shelf():
        _shelved(folder, kernel, target)
        made = tuple(_index(folder)["opcodes"][f"{target}.{kernel.name}"])
        if made != tuple(sorted(kernel.targets[target])):
            rule = f"shelved code must be of {_counted(tuple(sorted(kernel.targets[target])))}"
            raise BuildError(rule, got=_counted(made), where=f"{kernel.name}.{target}")
        return made
    found, complaint = _judged(kernel, target, disassemble(cubin(kernel, target))["kernel"])
    if complaint is not None:
        raise complaint
    return found


def survey(kernels: Sequence[Kernel], target: str) -> dict[Kernel, BuildError | None]:
    """What `opcodes` would raise for every kernel, from one compilation and one disassembly of all of them."""
    parts = [
        f"namespace n{n} {{\n#define kernel kernel_{n}\n{source(kernel)}\n#undef kernel\n}}\n"
        for n, kernel in enumerate(kernels)
    ]
    try:
        made = disassemble(_compile("".join(parts), target, target))
    except BuildError as joint:
        if len(kernels) == 1:
            return {kernels[0]: joint}
        half = len(kernels) // 2
        return survey(kernels[:half], target) | survey(kernels[half:], target)
    return {kernel: _judged(kernel, target, made[f"kernel_{n}"])[1] for n, kernel in enumerate(kernels)}


def _judged(kernel: Kernel, target: str, made: tuple[str, ...]) -> tuple[tuple[str, ...], BuildError | None]:
    wanted = tuple(sorted(kernel.targets[target]))
    heads = {name.split(".")[0] for name in wanted}
    found = tuple(sorted(opcode for opcode in made if opcode.startswith(MATRIX) or opcode.split(".")[0] in heads))
    if found == wanted:
        return found, None
    rule, where = f"must compile to {_counted(wanted)}", f"{kernel.name}.{target}"
    return found, BuildError(rule, got=_counted(found), where=where)


def shelf() -> Path | None:
    """The folder of machine code that `shelve` has written, by ``HWSIM_CUBINS``; None if nothing is set."""
    named = os.environ.get("HWSIM_CUBINS")
    return Path(named) if named else None


def compiler() -> str:
    """What makes the machine code here: ``NVRTC 13.5``, or the same of the shelf.

    Raises:
        MissingExtra: there is neither NVRTC nor a shelf.
        BuildError: the shelf is none.
    """
    folder = shelf()
    return f"NVRTC {nvrtc_version()}" if folder is None else str(_index(folder)["compiler"])


def shelve(folder: Path) -> int:
    """Compile every kernel for every target into `folder`, with the opcodes read back; returns how many.

    Raises:
        BuildError: a kernel did not become its instruction.
        MissingExtra: there is no NVRTC or no nvdisasm.
    """
    from hwsim.verify.cuda.kernels import TARGETS, for_target

    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for target in TARGETS:
        for kernel, complaint in survey(for_target(target), target).items():
            if complaint is not None:
                raise complaint
            code = _compile(source(kernel), target, f"{kernel.name}.{target}")
            (folder / f"{target}.{_file(kernel)}.cubin").write_bytes(code)
            made[f"{target}.{kernel.name}"] = sorted(kernel.targets[target])
    index = {"compiler": f"NVRTC {nvrtc_version()}", "opcodes": made}
    (folder / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
    return len(made)


def _file(kernel: Kernel) -> str:
    return kernel.name.replace("*", "-")


def _index(folder: Path) -> dict[str, Any]:
    try:
        index: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BuildError(
            "HWSIM_CUBINS must be a folder that hwsim verify --compile has written", got=str(error)
        ) from None
    return index


def _shelved(folder: Path, kernel: Kernel, target: str) -> Path:
    path = folder / f"{target}.{_file(kernel)}.cubin"
    if not path.is_file():
        raise BuildError("the shelf must hold the kernel", got=str(folder), where=f"{kernel.name}.{target}")
    return path


def _counted(opcodes: tuple[str, ...]) -> str:
    counts = Counter(opcodes)
    return (
        ", ".join(name if count == 1 else f"{count} {name}" for name, count in counts.items())
        or "nothing of the kind"
    )
